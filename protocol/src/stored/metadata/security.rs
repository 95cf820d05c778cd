//! Credentials and access rules.

use bytes::Bytes;
use uuid::Uuid;

use crate::stored::schema::schema;

schema! {
    /// `DelegationTokenRecord`, version 0.
    pub struct DelegationTokenRecord {
        /// Principal that the token stands for.
        owner: String;
        /// Principal that asked for it.
        requester: String;
        /// Principals that may renew it.
        renewers: Vec<String>;
        /// When it was issued, in ms since 1970.
        issue_timestamp: i64;
        /// When it ends for good, in ms since 1970.
        max_timestamp: i64;
        /// When it ends unless renewed, in ms since 1970.
        expiration_timestamp: i64;
        /// Id of the token.
        token_id: String;
    }

    /// `RemoveDelegationTokenRecord`, version 0.
    pub struct RemoveDelegationTokenRecord {
        /// Id of the token.
        token_id: String;
    }

    /// `UserScramCredentialRecord`, version 0.
    pub struct UserScramCredentialRecord {
        /// Name of the user.
        name: String;
        /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
        mechanism: i8;
        /// Random salt.
        salt: Bytes;
        /// What the server checks the client's proof with.
        stored_key: Bytes;
        /// What the client checks the server with.
        server_key: Bytes;
        /// Rounds of the key derivation.
        iterations: i32;
    }

    /// `RemoveUserScramCredentialRecord`, version 0.
    pub struct RemoveUserScramCredentialRecord {
        /// Name of the user.
        name: String;
        /// 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
        mechanism: i8;
    }

    /// `AccessControlEntryRecord`, version 0. Numbers are the codes of Kafka's ACL requests.
    pub struct AccessControlEntryRecord {
        /// Id of the entry.
        id: Uuid;
        /// Kind of the resource.
        resource_type: i8;
        /// Name or prefix of the resource.
        resource_name: String;
        /// 3 literal, 4 prefixed.
        pattern_type: i8;
        /// Principal, as `User:name`.
        principal: String;
        /// Host, `*` for any.
        host: String;
        /// The operation.
        operation: i8;
        /// 2 deny, 3 allow.
        permission_type: i8;
    }

    /// `RemoveAccessControlEntryRecord`, version 0.
    pub struct RemoveAccessControlEntryRecord {
        /// Id of the entry.
        id: Uuid;
    }
}
