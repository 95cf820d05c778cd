//! Listeners, connections and the limits on them.

use crate::config::key::{Key, Valid, int, long, string};

#[rustfmt::skip] // a table: one key, then its sentence
pub(super) const KEYS: &[Key] = &[
    string("advertised.listeners", None).honoured().per_broker()
        .doc("NAME://host:port addresses that clients are told to connect to; unset, they follow from listeners."),
    int("background.threads", Some("10")).at_least(1).cluster_wide()
        .doc("Threads for background chores in Kafka."),
    int("connection.failed.authentication.delay.ms", Some("100")).at_least(0)
        .doc("Milliseconds by which a connection that failed to authenticate is closed late, against guessing."),
    long("connections.max.idle.ms", Some("600000")).honoured()
        .doc("Milliseconds of silence after which a connection is closed; -1 never closes one."),
    long("connections.max.reauth.ms", Some("0"))
        .doc("Milliseconds after which a SASL client must authenticate again; 0 never asks."),
    string("inter.broker.listener.name", None).honoured()
        .doc("Name of the listener that brokers use among themselves; excludes security.inter.broker.protocol."),
    string("listener.security.protocol.map", Some("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT")).honoured()
        .doc("NAME:PROTOCOL pairs that give every listener its security protocol."),
    string("listeners", Some("PLAINTEXT://localhost:9092")).honoured()
        .doc("NAME://host:port addresses to listen on; an empty host means every interface, port 0 any free port."),
    int("max.connection.creation.rate", Some("2147483647")).at_least(0).honoured().cluster_wide()
        .doc("New connections per second, of the broker or of one listener; more wait to be accepted."),
    int("max.connections", Some("2147483647")).at_least(0).honoured().cluster_wide()
        .doc("Connections the broker, or one listener, holds at once; more are refused."),
    int("max.connections.per.ip", Some("2147483647")).at_least(0).honoured().cluster_wide()
        .doc("Connections one address may hold; 0 admits only the exceptions of max.connections.per.ip.overrides."),
    string("max.connections.per.ip.overrides", Some("")).honoured().cluster_wide()
        .doc("host:count pairs that replace max.connections.per.ip for some addresses."),
    int("max.incremental.fetch.session.cache.slots", Some("1000")).at_least(0).honoured()
        .doc("Incremental fetch sessions remembered at once; 0 keeps none."),
    int("max.request.partition.size.limit", Some("2000")).at_least(1).honoured()
        .doc("Most partitions that one request may create or describe, at least 1."),
    int("num.io.threads", Some("8")).at_least(1).cluster_wide()
        .doc("Threads that handle requests in Kafka; milena handles a request on its connection's thread."),
    int("num.network.threads", Some("3")).at_least(1).cluster_wide()
        .doc("Network threads per listener in Kafka."),
    long("queued.max.request.bytes", Some("-1"))
        .doc("Bytes of queued requests after which Kafka reads no more; milena queues none. -1 sets no limit."),
    int("queued.max.requests", Some("500")).at_least(1)
        .doc("Requests that may wait for a handler in Kafka; in milena none does, and a connection is read no further while 128 of its answers wait."),
    int("request.timeout.ms", Some("30000")).honoured()
        .doc("Milliseconds a broker waits for an answer to its own requests."),
    string("security.inter.broker.protocol", Some("PLAINTEXT")).valid(Valid::OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]))
        .doc("Security protocol among brokers where no listener name is given for it."),
    long("socket.connection.setup.timeout.max.ms", Some("30000"))
        .doc("Most milliseconds an outgoing connection may take to be set up."),
    long("socket.connection.setup.timeout.ms", Some("10000"))
        .doc("Milliseconds an outgoing connection may first take to be set up."),
    int("socket.listen.backlog.size", Some("50")).at_least(1)
        .doc("Connections the system may hold that are not accepted yet, at least 1."),
    int("socket.receive.buffer.bytes", Some("102400"))
        .doc("Receive buffer of a client socket in bytes; -1 keeps the system's."),
    int("socket.request.max.bytes", Some("104857600")).at_least(1).honoured()
        .doc("Largest request in bytes; a client that announces more is disconnected."),
    int("socket.send.buffer.bytes", Some("102400"))
        .doc("Send buffer of a client socket in bytes; -1 keeps the system's."),
];
