//! A member of a classic group, with the two assignors that Java clients announce.

use super::TOPIC;
use super::crowd::Client;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{GroupId, HeartbeatRequest, JoinGroupRequest, SyncGroupRequest};
use milena_integration_tests::raw::{decode, frame};
use milena_integration_tests::requests::text;

const JOIN_GROUP: i16 = 9;
const SYNC_GROUP: i16 = 5;
const HEARTBEAT: i16 = 4;
const REBALANCE_IN_PROGRESS: i16 = 27;
const MEMBER_ID_REQUIRED: i16 = 79;
const ASSIGNORS: [&str; 2] = ["range", "cooperative-sticky"];

/// What was asked last.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Join,
    Sync,
    Heartbeat,
}

/// A member.
#[derive(Debug)]
pub(super) struct ClassicMember {
    group: String,
    id: String,
    generation: i32,
    asked: Asked,
    is_settled: bool,
}

impl ClassicMember {
    pub(super) fn new(group: &str, _: usize) -> Self {
        Self {
            group: group.to_owned(),
            id: String::new(),
            generation: -1,
            asked: Asked::Join,
            is_settled: false,
        }
    }

    /// Its id and generation.
    pub(super) fn identity(&self) -> (&str, i32) {
        (&self.id, self.generation)
    }

    fn join(&mut self) -> Vec<u8> {
        (self.asked, self.is_settled) = (Asked::Join, false);
        self.first()
    }

    fn sync(&mut self, protocol: &str, members: &[JoinGroupResponseMember]) -> Vec<u8> {
        self.asked = Asked::Sync;
        let given = (0..).zip(members).map(|(partition, member)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(member.member_id.clone())
                .with_assignment(assignment(partition))
        });
        let request = SyncGroupRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_member_id(text(&self.id))
            .with_generation_id(self.generation)
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text(protocol)))
            .with_assignments(given.collect());
        frame(0, SYNC_GROUP, &request)
    }
}

impl Client for ClassicMember {
    fn first(&self) -> Vec<u8> {
        let protocols = ASSIGNORS.map(|assignor| {
            JoinGroupRequestProtocol::default().with_name(text(assignor)).with_metadata(subscription())
        });
        let request = JoinGroupRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_session_timeout_ms(45_000)
            .with_rebalance_timeout_ms(300_000)
            .with_member_id(text(&self.id))
            .with_protocol_type(text("consumer"))
            .with_protocols(protocols.to_vec());
        frame(0, JOIN_GROUP, &request)
    }

    fn take(&mut self, answer: Vec<u8>) -> Option<Vec<u8>> {
        let error = match self.asked {
            Asked::Join => {
                let joined = decode::<JoinGroupRequest>(JOIN_GROUP, answer).1;
                if joined.error_code == MEMBER_ID_REQUIRED {
                    self.id = joined.member_id.to_string();
                    return Some(self.join());
                }
                assert_eq!(joined.error_code, 0, "a member is refused");
                self.generation = joined.generation_id;
                return Some(self.sync(joined.protocol_name.as_deref().unwrap_or(""), &joined.members));
            }
            Asked::Sync => decode::<SyncGroupRequest>(SYNC_GROUP, answer).1.error_code,
            Asked::Heartbeat => decode::<HeartbeatRequest>(HEARTBEAT, answer).1.error_code,
        };
        if error == REBALANCE_IN_PROGRESS {
            return Some(self.join());
        }
        assert_eq!(error, 0, "a member is out");
        (self.asked, self.is_settled) = (Asked::Heartbeat, true);
        None
    }

    fn heartbeat(&self) -> Vec<u8> {
        let request = HeartbeatRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id));
        frame(0, HEARTBEAT, &request)
    }

    fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// All are of one generation.
    fn are_settled<'a>(mut all: impl Iterator<Item = &'a Self> + Clone) -> bool {
        let generation = all.clone().next().map_or(-1, |member| member.generation);
        all.all(|member| member.is_settled && member.generation == generation)
    }
}

/// ```text
/// i16 1 | i32 topics, each a string | i32 -1, no user data | i32 0 partitions owned
/// ```
fn subscription() -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(1);
    put_topic(&mut out);
    out.put_i32(-1);
    out.put_i32(0);
    out.freeze()
}

/// ```text
/// i16 1 | i32 topics, each a string and i32 partitions | i32 -1, no user data
/// ```
fn assignment(partition: i32) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(1);
    put_topic(&mut out);
    out.put_i32(1);
    out.put_i32(partition);
    out.put_i32(-1);
    out.freeze()
}

fn put_topic(out: &mut BytesMut) {
    out.put_i32(1);
    out.put_u16(u16::try_from(TOPIC.len()).expect("a short name"));
    out.put_slice(TOPIC.as_bytes());
}
