//! TLS.

use crate::config::key::{Key, Valid, boolean, class, list, password, string};

#[rustfmt::skip] // a table: one key, then its sentence
pub(super) const KEYS: &[Key] = &[
    boolean("ssl.allow.dn.changes", Some("false"))
        .doc("Whether a new certificate may carry another distinguished name."),
    boolean("ssl.allow.san.changes", Some("false"))
        .doc("Whether a new certificate may carry other alternative names."),
    list("ssl.cipher.suites", Some("")).per_broker()
        .doc("Cipher suites to offer; empty offers the usual ones."),
    string("ssl.client.auth", Some("none")).valid(Valid::OneOf(&["required", "requested", "none"])).per_broker()
        .doc("Whether clients must, may or need not show a certificate: required, requested, none."),
    list("ssl.enabled.protocols", Some("TLSv1.2,TLSv1.3")).per_broker()
        .doc("TLS versions to offer."),
    string("ssl.endpoint.identification.algorithm", Some("https")).per_broker()
        .doc("How a peer's host name is checked; empty does not check it."),
    class("ssl.engine.factory.class", None).per_broker()
        .doc("Java class that makes TLS engines; cannot be loaded."),
    password("ssl.key.password", None).per_broker()
        .doc("Password of the private key."),
    string("ssl.keymanager.algorithm", Some("SunX509")).per_broker()
        .doc("Java key manager algorithm; no meaning outside Java."),
    password("ssl.keystore.certificate.chain", None).per_broker()
        .doc("Certificate chain in PEM."),
    password("ssl.keystore.key", None).per_broker()
        .doc("Private key in PEM."),
    string("ssl.keystore.location", None).per_broker()
        .doc("Path of the key store."),
    password("ssl.keystore.password", None).per_broker()
        .doc("Password of the key store."),
    string("ssl.keystore.type", Some("JKS")).per_broker()
        .doc("Format of the key store: JKS, PKCS12 or PEM."),
    string("ssl.principal.mapping.rules", Some("DEFAULT"))
        .doc("Rules that turn a certificate's name into a principal."),
    string("ssl.protocol", Some("TLSv1.3")).per_broker()
        .doc("TLS version preferred."),
    string("ssl.provider", None).per_broker()
        .doc("Java TLS provider; no meaning outside Java."),
    string("ssl.secure.random.implementation", None).per_broker()
        .doc("Java random generator; no meaning outside Java."),
    string("ssl.trustmanager.algorithm", Some("PKIX")).per_broker()
        .doc("Java trust manager algorithm; no meaning outside Java."),
    password("ssl.truststore.certificates", None).per_broker()
        .doc("Trusted certificates in PEM."),
    string("ssl.truststore.location", None).per_broker()
        .doc("Path of the trust store."),
    password("ssl.truststore.password", None).per_broker()
        .doc("Password of the trust store."),
    string("ssl.truststore.type", Some("JKS")).per_broker()
        .doc("Format of the trust store: JKS, PKCS12 or PEM."),
];
