//! FindCoordinator (key 10, versions 0-6): which broker looks after a group or a transactional id. It is this one,
//! always; the first question creates `__consumer_offsets` or `__transaction_state`, and is answered when the topic is
//! there.
//!
//! Up to version 3 there is one key, from 4 on a list, each with its own answer. Key types: 0 group, 1 transaction,
//! 2 share (from version 6 on), which have no coordinator here.

use super::{Answer, Context};
use crate::group::text;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

/// Where clients reach a broker.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: i32,
    pub(crate) node_id: i32,
}

impl Endpoint {
    /// What is answered with an error.
    fn none() -> Self {
        Self { host: String::new(), port: -1, node_id: -1 }
    }
}

/// What there are coordinators for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CoordinatorOf {
    Groups,
    Transactions,
}

type Found = Result<Endpoint, (ResponseError, String)>;

pub(crate) fn handle(cx: &Context<'_>, request: FindCoordinatorRequest) -> Answer<FindCoordinatorResponse> {
    let (host, port, node_id) = cx.endpoint();
    let here = Endpoint { host, port: port.into(), node_id };
    let ensure = |of: CoordinatorOf| {
        let ensured = match of {
            CoordinatorOf::Groups => cx.broker.groups.ensure_topic(),
            CoordinatorOf::Transactions => cx.broker.transactions.ensure_topic(),
        };
        ensured.map_err(|error| (error.response(), error.to_string()))
    };
    answer(cx.version, &request, &here, ensure).into()
}

pub(crate) fn answer(
    version: i16,
    request: &FindCoordinatorRequest,
    here: &Endpoint,
    ensure: impl Fn(CoordinatorOf) -> Result<(), (ResponseError, String)>,
) -> FindCoordinatorResponse {
    let find = || -> Found {
        match request.key_type {
            GROUP => ensure(CoordinatorOf::Groups).map(|()| here.clone()),
            TRANSACTION => ensure(CoordinatorOf::Transactions).map(|()| here.clone()),
            SHARE if version >= 6 => Err((
                ResponseError::UnsupportedVersion,
                "This broker has no share coordinator: share groups are not supported.".to_owned(),
            )),
            other => {
                Err((ResponseError::InvalidRequest, format!("There is no coordinator of key type {other}.")))
            }
        }
    };
    if version < 4 { single(find()) } else { batch(request, find) }
}

fn single(found: Found) -> FindCoordinatorResponse {
    let (error_code, message, endpoint) = parts(found);
    FindCoordinatorResponse::default()
        .with_error_code(error_code)
        // Kafka writes the name of the code where there is no error.
        .with_error_message(Some(text(message.as_deref().unwrap_or("NONE"))))
        .with_node_id(BrokerId(endpoint.node_id))
        .with_host(text(&endpoint.host))
        .with_port(endpoint.port)
}

fn batch(request: &FindCoordinatorRequest, find: impl Fn() -> Found) -> FindCoordinatorResponse {
    let coordinators = request.coordinator_keys.iter().map(|key| {
        let (error_code, message, endpoint) = parts(find());
        Coordinator::default()
            .with_key(key.clone())
            .with_error_code(error_code)
            .with_error_message(Some(text(message.as_deref().unwrap_or(""))))
            .with_node_id(BrokerId(endpoint.node_id))
            .with_host(text(&endpoint.host))
            .with_port(endpoint.port)
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}

fn parts(found: Found) -> (i16, Option<String>, Endpoint) {
    match found {
        Ok(endpoint) => (0, None, endpoint),
        Err((error, message)) => (error.code(), Some(message), Endpoint::none()),
    }
}
