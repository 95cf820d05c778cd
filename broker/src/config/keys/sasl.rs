//! SASL.

use crate::config::key::{Key, Valid, boolean, class, double, int, list, long, password, short, string};

#[rustfmt::skip] // a table: one key, then its sentence
pub(super) const KEYS: &[Key] = &[
    class("sasl.client.callback.handler.class", None)
        .doc("Java class with callbacks of the SASL client side; not loaded."),
    list("sasl.enabled.mechanisms", Some("GSSAPI")).per_broker()
        .doc("SASL mechanisms offered to clients."),
    password("sasl.jaas.config", None).per_broker()
        .doc("JAAS line with the login module and its options."),
    string("sasl.kerberos.kinit.cmd", Some("/usr/bin/kinit")).per_broker()
        .doc("Path of kinit."),
    long("sasl.kerberos.min.time.before.relogin", Some("60000")).per_broker()
        .doc("Milliseconds a Kerberos login thread sleeps between refreshes."),
    list("sasl.kerberos.principal.to.local.rules", Some("DEFAULT")).per_broker()
        .doc("Rules that turn Kerberos principals into short names; the first match wins."),
    string("sasl.kerberos.service.name", None).per_broker()
        .doc("Kerberos service name of the broker."),
    double("sasl.kerberos.ticket.renew.jitter", Some("0.05")).per_broker()
        .doc("Share of random delay added to a Kerberos renewal."),
    double("sasl.kerberos.ticket.renew.window.factor", Some("0.8")).per_broker()
        .doc("Share of a Kerberos ticket's life after which it is renewed."),
    class("sasl.login.callback.handler.class", None)
        .doc("Java class with callbacks of the SASL login; not loaded."),
    class("sasl.login.class", None)
        .doc("Java class of the SASL login; not loaded."),
    int("sasl.login.connect.timeout.ms", None)
        .doc("Milliseconds to connect to an outside login provider."),
    int("sasl.login.read.timeout.ms", None)
        .doc("Milliseconds to read from an outside login provider."),
    short("sasl.login.refresh.buffer.seconds", Some("300")).per_broker()
        .doc("Seconds before expiry in which a login is not refreshed."),
    short("sasl.login.refresh.min.period.seconds", Some("60")).per_broker()
        .doc("Fewest seconds between two login refreshes."),
    double("sasl.login.refresh.window.factor", Some("0.8")).per_broker()
        .doc("Share of a login's life after which it is refreshed."),
    double("sasl.login.refresh.window.jitter", Some("0.05")).per_broker()
        .doc("Share of random delay added to a login refresh."),
    long("sasl.login.retry.backoff.max.ms", Some("10000"))
        .doc("Most milliseconds between login attempts at an outside provider."),
    long("sasl.login.retry.backoff.ms", Some("100"))
        .doc("Milliseconds before the first new login attempt at an outside provider."),
    string("sasl.mechanism.controller.protocol", Some("GSSAPI"))
        .doc("SASL mechanism towards controllers."),
    string("sasl.mechanism.inter.broker.protocol", Some("GSSAPI")).per_broker()
        .doc("SASL mechanism among brokers."),
    string("sasl.oauthbearer.assertion.algorithm", Some("RS256")).valid(Valid::OneOfIgnoreCase(&["ES256", "RS256"]))
        .doc("Signature algorithm of a client assertion: RS256 or ES256."),
    string("sasl.oauthbearer.assertion.claim.aud", None)
        .doc("Audience claim of a client assertion."),
    int("sasl.oauthbearer.assertion.claim.exp.seconds", Some("300")).valid(Valid::Between(0, 86_400))
        .doc("Seconds a client assertion stays valid, up to 86400."),
    string("sasl.oauthbearer.assertion.claim.iss", None)
        .doc("Issuer claim of a client assertion."),
    boolean("sasl.oauthbearer.assertion.claim.jti.include", Some("false"))
        .doc("Whether a client assertion carries a unique id."),
    int("sasl.oauthbearer.assertion.claim.nbf.seconds", Some("60")).valid(Valid::Between(0, 3600))
        .doc("Seconds before now from which a client assertion is valid, up to 3600."),
    string("sasl.oauthbearer.assertion.claim.sub", None)
        .doc("Subject claim of a client assertion."),
    string("sasl.oauthbearer.assertion.file", None)
        .doc("File with a ready-made client assertion."),
    string("sasl.oauthbearer.assertion.private.key.file", None)
        .doc("PEM file with the key that signs client assertions."),
    password("sasl.oauthbearer.assertion.private.key.passphrase", None)
        .doc("Passphrase of the key that signs client assertions."),
    string("sasl.oauthbearer.assertion.template.file", None)
        .doc("JSON file with fixed headers and claims of client assertions."),
    string("sasl.oauthbearer.client.credentials.client.id", None)
        .doc("Client id of the client credentials grant."),
    password("sasl.oauthbearer.client.credentials.client.secret", None)
        .doc("Secret of the client credentials grant."),
    int("sasl.oauthbearer.clock.skew.seconds", Some("30"))
        .doc("Seconds by which clocks of broker and identity provider may differ."),
    list("sasl.oauthbearer.expected.audience", None)
        .doc("Audiences of which a token must name one."),
    string("sasl.oauthbearer.expected.issuer", None)
        .doc("Issuer that a token must name."),
    long("sasl.oauthbearer.jwks.endpoint.refresh.ms", Some("3600000"))
        .doc("Milliseconds between two downloads of the provider's keys."),
    long("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", Some("10000"))
        .doc("Most milliseconds between tries to download the provider's keys."),
    long("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", Some("100"))
        .doc("Milliseconds before the first new try to download the provider's keys."),
    string("sasl.oauthbearer.jwks.endpoint.url", None)
        .doc("Address of the provider's keys."),
    class("sasl.oauthbearer.jwt.retriever.class", Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever"))
        .doc("Java class that fetches tokens; not loaded."),
    class("sasl.oauthbearer.jwt.validator.class", Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator"))
        .doc("Java class that checks tokens; not loaded."),
    string("sasl.oauthbearer.scope", None)
        .doc("Scope asked for when a token is fetched."),
    string("sasl.oauthbearer.scope.claim.name", Some("scope"))
        .doc("Claim of a token that holds its scope."),
    string("sasl.oauthbearer.sub.claim.name", Some("sub"))
        .doc("Claim of a token that holds its subject."),
    string("sasl.oauthbearer.token.endpoint.url", None)
        .doc("Address of the provider's token service."),
    class("sasl.server.callback.handler.class", None)
        .doc("Java class that checks SASL credentials; cannot be loaded."),
    int("sasl.server.max.receive.size", Some("524288"))
        .doc("Most bytes a client may send before it is authenticated."),
];
