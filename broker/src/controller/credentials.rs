//! SCRAM credentials of users (`ScramControlManager`).

use super::{Controller, Refusal};
use bytes::Bytes;
use hmac::digest::{Digest, KeyInit};
use hmac::{Hmac, Mac};
use kafka_protocol::ResponseError;
use milena_protocol::stored::metadata::{
    MetadataRecord, RemoveUserScramCredentialRecord, UserScramCredentialRecord,
};
use sha2::{Sha256, Sha512};
use std::ops::RangeInclusive;

const SHA_256: i8 = 1;
const SHA_512: i8 = 2;
const ITERATIONS: RangeInclusive<i32> = 4096..=16_384;

/// What shall become of a credential of a user.
#[derive(Clone)]
pub(crate) enum CredentialChange {
    /// It is made, or takes the place of the one before.
    Set {
        /// Name of the user.
        user: String,
        /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
        mechanism: i8,
        /// Rounds of the key derivation that the client has done.
        iterations: i32,
        /// Random salt of the client.
        salt: Bytes,
        /// What the key derivation gave.
        salted_password: Bytes,
    },
    /// It goes.
    Remove {
        /// Name of the user.
        user: String,
        /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
        mechanism: i8,
    },
}

impl CredentialChange {
    fn user(&self) -> &str {
        match self {
            Self::Set { user, .. } | Self::Remove { user, .. } => user,
        }
    }
}

impl Controller {
    /// Changes credentials; gives what became of each user, in the order in which they came first. A user that comes
    /// twice is refused. All that can be done is stored as one batch.
    pub(crate) fn alter_credentials(
        &self,
        changes: Vec<CredentialChange>,
    ) -> Vec<(String, Result<(), Refusal>)> {
        let mut users: Vec<(String, Vec<CredentialChange>)> = Vec::new();
        for change in changes {
            match users.iter_mut().find(|(user, _)| user == change.user()) {
                Some((_, changes)) => changes.push(change),
                None => users.push((change.user().to_owned(), vec![change])),
            }
        }
        let mut writer = self.writer.lock();
        let mut draft = match self.draft(&writer) {
            Ok(draft) => draft,
            Err(refusal) => return users.into_iter().map(|(user, _)| (user, Err(refusal.clone()))).collect(),
        };
        let mut results = Vec::new();
        for (user, changes) in users {
            let exists = |user: &str, mechanism| {
                let mut stored = draft.image().scram_credentials();
                stored.any(|stored| stored.name == user && stored.mechanism == mechanism)
            };
            let record = match changes.as_slice() {
                [change] => record(change, exists),
                _ => Err(Refusal::new(
                    ResponseError::DuplicateResource,
                    "A user credential cannot be altered twice in the same request",
                )),
            };
            results.push((user, record.and_then(|record| draft.add_if(vec![record], |_| Ok(())))));
        }
        if let Err(refusal) = self.commit(&mut writer, draft) {
            results
                .iter_mut()
                .filter(|(_, result)| result.is_ok())
                .for_each(|(_, result)| *result = Err(refusal.clone()));
        }
        results
    }
}

/// The record of a change; an error is why it may not be.
fn record(change: &CredentialChange, exists: impl Fn(&str, i8) -> bool) -> Result<MetadataRecord, Refusal> {
    let refuse = |error, message: &str| Err(Refusal::new(error, message));
    let (CredentialChange::Set { user, mechanism, .. } | CredentialChange::Remove { user, mechanism }) =
        change;
    if user.is_empty() {
        return refuse(ResponseError::UnacceptableCredential, "Username must not be empty");
    }
    if ![SHA_256, SHA_512].contains(mechanism) {
        return refuse(ResponseError::UnsupportedSaslMechanism, "Unknown SCRAM mechanism");
    }
    let (name, mechanism) = (user.clone(), *mechanism);
    match change {
        CredentialChange::Remove { .. } if !exists(user, mechanism) => {
            refuse(ResponseError::ResourceNotFound, "Attempt to delete a user credential that does not exist")
        }
        CredentialChange::Remove { .. } => {
            Ok(RemoveUserScramCredentialRecord { name, mechanism, ..Default::default() }.into())
        }
        CredentialChange::Set { iterations, .. } if iterations < ITERATIONS.start() => {
            refuse(ResponseError::UnacceptableCredential, "Too few iterations")
        }
        CredentialChange::Set { iterations, .. } if iterations > ITERATIONS.end() => {
            refuse(ResponseError::UnacceptableCredential, "Too many iterations")
        }
        CredentialChange::Set { salted_password, .. } if salted_password.is_empty() => {
            refuse(ResponseError::UnacceptableCredential, "The salted password must not be empty")
        }
        CredentialChange::Set { iterations, salt, salted_password, .. } => {
            let (stored_key, server_key) = match mechanism {
                SHA_256 => {
                    let mac = keyed::<Hmac<Sha256>>(salted_password);
                    (Sha256::digest(mac(b"Client Key")).to_vec(), mac(b"Server Key"))
                }
                _ => {
                    let mac = keyed::<Hmac<Sha512>>(salted_password);
                    (Sha512::digest(mac(b"Client Key")).to_vec(), mac(b"Server Key"))
                }
            };
            let (salt, iterations) = (salt.clone(), *iterations);
            let (stored_key, server_key) = (stored_key.into(), server_key.into());
            let record = UserScramCredentialRecord {
                name,
                mechanism,
                salt,
                stored_key,
                server_key,
                iterations,
                ..Default::default()
            };
            Ok(record.into())
        }
    }
}

/// The keyed hash of a text (RFC 5802, HMAC).
fn keyed<M: Mac + KeyInit>(key: &[u8]) -> impl Fn(&[u8]) -> Vec<u8> {
    move |text| {
        let mut mac = <M as Mac>::new_from_slice(key).expect("HMAC takes keys of every length");
        mac.update(text);
        mac.finalize().into_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::keyed;
    use hmac::Hmac;
    use hmac::digest::Digest;
    use sha2::Sha256;

    /// RFC 7677, section 3: the user "user" with the password "pencil", 4096 iterations of the salt there.
    #[test]
    fn keys_are_those_of_the_rfc() {
        let hex = |text: &str| -> Vec<u8> {
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
        };
        let salted = hex("c4a49510323ab4f952cac1fa99441939e78ea74d6be81ddf7096e87513dc615d");
        let mac = keyed::<Hmac<Sha256>>(&salted);
        let client_key = mac(b"Client Key");
        assert_eq!(client_key, hex("a60fc923d67e8644a92d16b96eda5ef4656b0c725c484374be25535576996e8b"));
        assert_eq!(
            Sha256::digest(&client_key).to_vec(),
            hex("586e5df283e6dceb5c3e791d8b8528ec191e664045ce971792e2e6b5bb13e2a6")
        );
        assert_eq!(
            mac(b"Server Key"),
            hex("c1f3cbc1c13a9d35a14c0990eed97629ea225863e566a4314ab99f3f00e5d9d5")
        );
    }
}
