use crate::controller::testing::TestBroker;

#[test]
fn clients_are_told_the_address_of_their_listener() {
    let keys = [
        ("listeners", "IN://:9092,OUT://:19092,NAMED://broker.example:9095,LOOP://:9096"),
        ("listener.security.protocol.map", "IN:PLAINTEXT,OUT:PLAINTEXT,NAMED:PLAINTEXT,LOOP:PLAINTEXT"),
        ("inter.broker.listener.name", "IN"),
        ("advertised.listeners", "OUT://kafka.example:443,LOOP://localhost:9096"),
        ("node.id", "0"),
    ];
    #[rustfmt::skip]
    let rows = [
        (0, "10.0.0.5:1", "10.0.0.1:9092",  "10.0.0.1",        9092),
        (0, "127.0.0.1:1", "127.0.0.1:9092", "localhost",      9092),
        (1, "10.0.0.5:1", "10.0.0.1:19092", "kafka.example",   443),
        (2, "10.0.0.5:1", "10.0.0.1:9095",  "broker.example",  9095),
        (3, "10.0.0.5:1", "10.0.0.1:9096",  "10.0.0.1",        9096),
        (3, "127.0.0.1:1", "127.0.0.1:9096", "localhost",      9096),
        (9, "10.0.0.5:1", "10.0.0.1:9999",  "10.0.0.1",        9999),
    ];
    let mut broker = TestBroker::new(&keys);
    for (listener, peer, local, host, port) in rows {
        broker.connection.listener = listener;
        (broker.connection.peer, broker.connection.local) = (peer.parse().unwrap(), local.parse().unwrap());
        assert_eq!(broker.cx(0).endpoint(), (host.to_owned(), port, 0), "listener {listener} from {peer}");
    }
}
