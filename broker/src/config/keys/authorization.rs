//! Authorization, delegation tokens and principals.

use crate::config::key::{Key, class, long, password, string};

#[rustfmt::skip] // a table: one key, then its sentence
pub(super) const KEYS: &[Key] = &[
    string("authorizer.class.name", Some("")).honoured()
        .doc("Authorizer: empty, or a class name of Kafka's access control lists."),
    long("delegation.token.expiry.check.interval.ms", Some("3600000")).at_least(1)
        .doc("Milliseconds between two looks for expired delegation tokens."),
    long("delegation.token.expiry.time.ms", Some("86400000")).at_least(1)
        .doc("Milliseconds a delegation token lives before it must be renewed."),
    long("delegation.token.max.lifetime.ms", Some("604800000")).at_least(1)
        .doc("Milliseconds after which a delegation token cannot be renewed."),
    password("delegation.token.secret.key", None)
        .doc("Secret that signs delegation tokens, the same on every broker."),
    class("principal.builder.class", Some("org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder")).per_broker()
        .doc("Java class that names the principal of a connection; milena has its own only."),
    string("security.providers", None)
        .doc("Java security providers; cannot be loaded."),
];
