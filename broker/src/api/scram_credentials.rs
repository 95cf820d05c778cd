//! DescribeUserScramCredentials (50) and AlterUserScramCredentials (51), version 0 (KIP-554).
//!
//! Credentials are kept in the metadata log for whoever reads it; no listener here asks for them yet.

use super::{Answer, Context};
use crate::controller::{CredentialChange, outcome};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use kafka_protocol::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use kafka_protocol::messages::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse, DescribeUserScramCredentialsRequest,
    DescribeUserScramCredentialsResponse,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;

pub(crate) fn describe(
    cx: &Context<'_>,
    request: DescribeUserScramCredentialsRequest,
) -> Answer<DescribeUserScramCredentialsResponse> {
    let image = cx.broker.controller.image();
    let mut stored: BTreeMap<&str, Vec<CredentialInfo>> = BTreeMap::new();
    for credential in image.scram_credentials() {
        let info = CredentialInfo::default()
            .with_mechanism(credential.mechanism)
            .with_iterations(credential.iterations);
        stored.entry(&credential.name).or_default().push(info);
    }
    let asked = request.users.unwrap_or_default();
    let mut times: BTreeMap<&str, usize> = stored.keys().map(|name| (*name, 1)).collect();
    if !asked.is_empty() {
        times.clear();
        asked.iter().for_each(|user| *times.entry(&user.name).or_default() += 1);
    }
    let results = times.into_iter().map(|(name, times)| {
        let result =
            DescribeUserScramCredentialsResult::default().with_user(StrBytes::from_string(name.to_owned()));
        let refuse = |error: ResponseError, message: &str| {
            let message = StrBytes::from_string(format!("{message}: {name}"));
            result.clone().with_error_code(error.code()).with_error_message(Some(message))
        };
        match stored.get(name) {
            _ if times > 1 => refuse(
                ResponseError::DuplicateResource,
                "Cannot describe SCRAM credentials for the same user twice in a single request",
            ),
            None => refuse(
                ResponseError::ResourceNotFound,
                "Attempt to describe a user credential that does not exist",
            ),
            Some(infos) => result.with_credential_infos(infos.clone()),
        }
    });
    DescribeUserScramCredentialsResponse::default().with_results(results.collect()).into()
}

pub(crate) fn alter(
    cx: &Context<'_>,
    request: AlterUserScramCredentialsRequest,
) -> Answer<AlterUserScramCredentialsResponse> {
    let removed = request.deletions.iter().map(|deletion| CredentialChange::Remove {
        user: deletion.name.to_string(),
        mechanism: deletion.mechanism,
    });
    let set = request.upsertions.iter().map(|upsertion| CredentialChange::Set {
        user: upsertion.name.to_string(),
        mechanism: upsertion.mechanism,
        iterations: upsertion.iterations,
        salt: upsertion.salt.clone(),
        salted_password: upsertion.salted_password.clone(),
    });
    let results = cx.broker.controller.alter_credentials(removed.chain(set).collect());
    let results = results.into_iter().map(|(user, result)| {
        let (code, message) = outcome(&result);
        AlterUserScramCredentialsResult::default()
            .with_user(StrBytes::from_string(user))
            .with_error_code(code)
            .with_error_message(message)
    });
    AlterUserScramCredentialsResponse::default().with_results(results.collect()).into()
}

#[cfg(test)]
mod tests {
    use super::{alter, describe};
    use crate::controller::testing::{TestBroker, sent};
    use bytes::Bytes;
    use kafka_protocol::messages::alter_user_scram_credentials_request::{
        ScramCredentialDeletion, ScramCredentialUpsertion,
    };
    use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;
    use kafka_protocol::messages::{AlterUserScramCredentialsRequest, DescribeUserScramCredentialsRequest};
    use kafka_protocol::protocol::StrBytes;

    fn set(user: &'static str, mechanism: i8, iterations: i32) -> ScramCredentialUpsertion {
        ScramCredentialUpsertion::default()
            .with_name(StrBytes::from_static_str(user))
            .with_mechanism(mechanism)
            .with_iterations(iterations)
            .with_salt(Bytes::from_static(b"salt"))
            .with_salted_password(Bytes::from_static(b"password"))
    }

    fn remove(user: &'static str, mechanism: i8) -> ScramCredentialDeletion {
        ScramCredentialDeletion::default()
            .with_name(StrBytes::from_static_str(user))
            .with_mechanism(mechanism)
    }

    /// User and error code of each result.
    fn altered(
        broker: &TestBroker,
        deletions: Vec<ScramCredentialDeletion>,
        upsertions: Vec<ScramCredentialUpsertion>,
    ) -> Vec<(String, i16)> {
        let request =
            AlterUserScramCredentialsRequest::default().with_deletions(deletions).with_upsertions(upsertions);
        let response = sent(alter(&broker.cx(0), request), 0);
        response.results.iter().map(|result| (result.user.to_string(), result.error_code)).collect()
    }

    /// User, error code and (mechanism, iterations) of each credential.
    type Described = (String, i16, Vec<(i8, i32)>);

    fn described(broker: &TestBroker, users: Option<&[&'static str]>) -> Vec<Described> {
        let name = |user: &&'static str| UserName::default().with_name(StrBytes::from_static_str(user));
        let users = users.map(|users| users.iter().map(name).collect());
        let request = DescribeUserScramCredentialsRequest::default().with_users(users);
        let response = sent(describe(&broker.cx(0), request), 0);
        let infos =
            |infos: &[super::CredentialInfo]| infos.iter().map(|i| (i.mechanism, i.iterations)).collect();
        response
            .results
            .iter()
            .map(|result| (result.user.to_string(), result.error_code, infos(&result.credential_infos)))
            .collect()
    }

    #[test]
    fn credentials_are_set_described_and_removed() {
        let broker = TestBroker::new(&[]);
        let row = |user: &str, code| (user.to_owned(), code);
        let changes =
            vec![set("a", 1, 4096), set("b", 2, 16_384), set("few", 1, 4095), set("many", 2, 16_385)];
        let expected = [row("a", 0), row("b", 0), row("few", 93), row("many", 93)];
        assert_eq!(altered(&broker, vec![], changes), expected);
        assert_eq!(altered(&broker, vec![], vec![set("a", 2, 5000)]), [row("a", 0)]);
        // Bad names and mechanisms, what is not there, and what comes twice.
        let wrong = vec![set("", 1, 4096), set("x", 9, 4096), set("y", 1, 4096), set("y", 2, 4096)];
        let refused = altered(&broker, vec![remove("c", 1), remove("b", 1)], wrong);
        assert_eq!(refused, [row("c", 91), row("b", 91), row("", 93), row("x", 33), row("y", 92)]);
        let credential = |user: &str, code, infos: &[(i8, i32)]| (user.to_owned(), code, infos.to_vec());
        let (a, b) = (credential("a", 0, &[(1, 4096), (2, 5000)]), credential("b", 0, &[(2, 16_384)]));
        assert_eq!(described(&broker, None), [a.clone(), b.clone()]);
        assert_eq!(described(&broker, Some(&[])), [a.clone(), b]);
        let (none, twice) = (credential("none", 91, &[]), credential("b", 92, &[]));
        assert_eq!(described(&broker, Some(&["b", "a", "none", "b"])), [a, twice, none]);
        assert_eq!(altered(&broker, vec![remove("b", 2)], vec![]), [row("b", 0)]);
        assert_eq!(described(&broker, None).len(), 1);
    }
}
