//! Frames, versions and the order of answers.

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, MetadataRequest};
use milena_integration_tests::broker::{Broker, unique};
use milena_integration_tests::raw::{Connection, frame, frame_of};
use milena_integration_tests::records::Batch;
use milena_integration_tests::requests::{self, METADATA, PRODUCE, api_versions, create_topic};
use milena_integration_tests::samples;

/// Error code of a version that is not served.
const UNSUPPORTED_VERSION: i16 = 35;

#[test]
fn api_versions_are_answered_in_every_version() {
    let broker = Broker::any();
    let mut connection = broker.connect();
    for version in 0..=4 {
        let request = ApiVersionsRequest::default();
        let request = if version >= 3 {
            request
                .with_client_software_name(requests::text("raw"))
                .with_client_software_version(requests::text("1"))
        } else {
            request
        };
        let response = connection.call(version, &request);
        assert_eq!(response.error_code, 0, "v{version}");
        let own = response.api_keys.iter().find(|api| api.api_key == 18).expect("ApiVersions names itself");
        assert_eq!((own.min_version, own.max_version), (0, 4), "v{version}");
    }
}

#[test]
fn an_api_versions_request_of_the_future_is_answered_in_version_0() {
    let broker = Broker::any();
    for version in [5, 99, i16::MAX] {
        let mut connection = broker.connect();
        // The header of a future version is still a flexible one; the body is not to be read.
        connection.send_bytes(&frame_of(18, version, 7, b"\x42\x42\x42")).expect("sent");
        let answer = connection.receive_frame().expect("an answer");
        let error = i16::from_be_bytes([answer[4], answer[5]]);
        let keys = i32::from_be_bytes(answer[6..10].try_into().expect("a count"));
        assert_eq!((&answer[..4], error), (&7_i32.to_be_bytes()[..], UNSUPPORTED_VERSION), "v{version}");
        assert_eq!(answer.len(), 10 + 6 * usize::try_from(keys).expect("a count"), "v{version}");
        let of_api_versions =
            answer[10..].chunks(6).find(|entry| entry[..2] == [0, 18]).expect("its own range");
        assert_eq!(of_api_versions, [0, 18, 0, 0, 0, 4], "v{version}");
        // The client goes on with a version that is served.
        assert_eq!(api_versions(&mut connection).error_code, 0);
    }
}

#[test]
fn what_is_advertised_can_be_asked_for_and_every_api_has_a_sample() {
    let broker = Broker::any();
    let advertised = api_versions(&mut broker.connect());
    let samples = samples::all("t");
    let mut keys: Vec<i16> = advertised.api_keys.iter().map(|api| api.api_key).collect();
    for wanted in [0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 22] {
        assert!(keys.contains(&wanted), "{} is not served", samples::api_name(wanted));
    }
    keys.retain(|key| !samples::has(&samples, *key));
    assert!(keys.is_empty(), "served, but hostile frames are not made of {keys:?}");
    let produce = advertised.api_keys.iter().find(|api| api.api_key == 0).expect("Produce");
    assert_eq!(produce.min_version, 0, "librdkafka stops compressing if Produce starts at 3");
}

#[test]
fn every_version_of_every_api_is_answered() {
    let broker = Broker::any();
    let mut connection = broker.connect();
    let topic = unique("versions");
    create_topic(&mut connection, &topic, 2, &[]);
    requests::append(&mut connection, &topic, 0, Batch::of(["there"]).encode());
    let served = api_versions(&mut connection);
    let (asked, silent) = ask_all(&broker, &served, samples::all(&topic));
    assert!(asked > 100, "{asked} requests");
    assert!(silent.is_empty(), "not answered: {silent:#?}");
}

#[test]
fn empty_lists_and_nulls_are_answered_in_every_version() {
    let broker = Broker::any();
    let mut connection = broker.connect();
    let topic = unique("edges");
    create_topic(&mut connection, &topic, 1, &[]);
    let served = api_versions(&mut connection);
    let edges = samples::edges(&topic);
    let forgotten = served.api_keys.iter().map(|api| api.api_key).filter(|key| *key != 18);
    let forgotten: Vec<_> =
        forgotten.filter(|key| !samples::has(&edges, *key)).map(samples::api_name).collect();
    let (asked, silent) = ask_all(&broker, &served, edges);
    assert!(asked > 150, "{asked} requests");
    assert!(silent.is_empty(), "not answered: {silent:#?}");
    assert!(forgotten.is_empty(), "served, but never asked for nothing: {forgotten:?}");
    assert_eq!(api_versions(&mut connection).error_code, 0);
}

/// Asks for each sample that is served on a connection of its own, and decodes what comes to its last byte: how many were
/// asked, and what was not answered.
fn ask_all(
    broker: &Broker,
    served: &ApiVersionsResponse,
    samples: Vec<samples::Sample>,
) -> (usize, Vec<String>) {
    let mut asked = 0;
    let mut silent = Vec::new();
    for sample in samples {
        let range = served.api_keys.iter().find(|api| api.api_key == sample.key);
        let is_served =
            range.is_some_and(|api| (api.min_version..=api.max_version).contains(&sample.version));
        if !is_served || is_acks_0(&sample) {
            continue;
        }
        asked += 1;
        let mut connection = broker.connect();
        connection.send_bytes(&frame_of(sample.key, sample.version, 1, &sample.body)).expect("sent");
        match connection.receive_frame() {
            Ok(frame) => (sample.decode)(sample.version, frame),
            Err(error) => {
                silent.push(format!("{} v{}: {error}", samples::api_name(sample.key), sample.version))
            }
        }
    }
    (asked, silent)
}

/// Whether a request is one that gets no answer by right.
fn is_acks_0(sample: &samples::Sample) -> bool {
    use kafka_protocol::messages::ProduceRequest;
    use kafka_protocol::protocol::Decodable;
    sample.key == 0
        && ProduceRequest::decode(&mut bytes::Bytes::from(sample.body.clone()), sample.version)
            .is_ok_and(|request| request.acks == 0)
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let broker = Broker::any();
    let mut connection = broker.connect();
    let topic = unique("pipelined");
    create_topic(&mut connection, &topic, 1, &[]);
    let batch = Batch::of(["v"]).encode();
    let mut bytes = Vec::new();
    let rounds = 200;
    for round in 0..rounds {
        let id = round * 4;
        bytes.extend(frame(id, PRODUCE, &requests::produce(&topic, 0, 1, batch.clone())));
        // Fetches that wait, and others that need not, must not overtake one another.
        let wait =
            requests::fetch(&topic, 0, i64::from(round) + 1, 1024).with_max_wait_ms(1).with_min_bytes(1);
        bytes.extend(frame(id + 1, requests::FETCH, &wait));
        bytes.extend(frame(id + 2, METADATA, &MetadataRequest::default().with_topics(Some(Vec::new()))));
        bytes.extend(frame(id + 3, 0, &ApiVersionsRequest::default()));
    }
    let mut writer = connection.stream().try_clone().expect("a second handle");
    std::thread::scope(|scope| {
        scope.spawn(move || std::io::Write::write_all(&mut writer, &bytes).expect("sent"));
        for expected in 0..rounds * 4 {
            let answer = connection.receive_frame().expect("an answer");
            assert_eq!(answer[..4], i32::to_be_bytes(expected), "answer {expected}");
        }
    });
}

#[test]
fn acks_0_gets_no_bytes() {
    let broker = Broker::any();
    let mut connection = broker.connect();
    let topic = unique("acks-0");
    create_topic(&mut connection, &topic, 1, &[]);
    for round in 0..100 {
        let batch = Batch::of([format!("v{round}")]).encode();
        connection.send(PRODUCE, &requests::produce(&topic, 0, 0, batch));
    }
    // A stray byte would be taken for the start of this answer.
    assert_eq!(api_versions(&mut connection).error_code, 0);
    assert_eq!(requests::look_up(&mut connection, &topic, 0, -1).offset, 100);
}

#[test]
fn an_unknown_api_closes_the_connection() {
    let broker = Broker::any();
    for key in [4_i16, 93, 999, -1] {
        let mut connection = broker.connect();
        let mut frame = vec![0, 0, 0, 10];
        frame.extend_from_slice(&key.to_be_bytes());
        frame.extend_from_slice(&[0, 0, 0, 0, 0, 1, 0xff, 0xff]);
        connection.send_bytes(&frame).expect("sent");
        assert!(connection.is_closed(), "API {key}");
    }
}

#[test]
fn frames_too_short_for_a_header_close_the_connection() {
    let broker = Broker::any();
    for len in 0..8_u8 {
        let mut connection = broker.connect();
        let mut frame = vec![0, 0, 0, len];
        frame.extend(std::iter::repeat_n(0, len.into()));
        connection.send_bytes(&frame).expect("sent");
        assert!(connection.is_closed(), "a frame of {len} bytes");
        assert_eq!(api_versions(&mut broker.connect()).error_code, 0, "after a frame of {len} bytes");
    }
}

#[test]
fn other_protocols_get_the_connection_closed() {
    let hello = b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03";
    let cases: [(&str, &[u8]); 4] = [
        ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost:9092\r\n\r\n"),
        ("HTTP", b"POST /topics HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
        ("TLS", hello),
        ("a negative length", b"\xff\xff\xff\xff\0\0\0\0"),
    ];
    let Some(broker) = Broker::own(&[]) else { return };
    for (protocol, bytes) in cases {
        let mut connection = broker.connect();
        connection.send_bytes(bytes).expect("sent");
        assert!(connection.is_closed(), "{protocol}");
    }
    assert_eq!(api_versions(&mut broker.connect()).error_code, 0);
}

#[test]
fn a_frame_in_single_bytes_is_still_a_frame() {
    let broker = Broker::any();
    let mut connection = broker.connect();
    for byte in frame(5, 0, &ApiVersionsRequest::default()) {
        connection.send_bytes(&[byte]).expect("sent");
    }
    assert_eq!(connection.receive_frame().expect("an answer")[..4], 5_i32.to_be_bytes());
}

#[test]
fn an_announced_length_takes_no_memory() {
    let Some(broker) = Broker::milena(&[]) else { return };
    let before = broker.usage().expect("it runs");
    let connections: Vec<Connection> = (0..100)
        .map(|_| {
            let mut connection = broker.connect();
            // 90 MiB are announced, below socket.request.max.bytes, and 100 bytes come.
            connection.send_bytes(&(90_u32 << 20).to_be_bytes()).expect("sent");
            connection.send_bytes(&[0; 96]).expect("sent");
            connection
        })
        .collect();
    assert_eq!(api_versions(&mut broker.connect()).error_code, 0);
    let after = broker.usage().expect("it runs");
    drop(connections);
    let grown = after.resident.saturating_sub(before.resident) >> 20;
    assert!(grown < 32, "100 connections that announced 90 MiB each took {grown} MiB");
}

#[test]
fn the_largest_request_is_served_and_one_byte_more_is_not() {
    const LARGEST: usize = 20_000;
    let Some(broker) = Broker::own(&[("socket.request.max.bytes", "20000")]) else { return };
    // One long topic name more or less: names are asked for so that the frame has the length that is wanted.
    let request = |wanted: usize| {
        let of = |topics: Vec<MetadataRequestTopic>| {
            frame(7, 1, &MetadataRequest::default().with_topics(Some(topics)))
        };
        let topic =
            |len: usize| MetadataRequestTopic::default().with_name(Some(requests::name(&"x".repeat(len))));
        let full = 90;
        let bare = of((0..full).map(|_| topic(200)).chain([topic(0)]).collect()).len() - 4;
        let bytes = of((0..full).map(|_| topic(200)).chain([topic(wanted - bare)]).collect());
        assert_eq!(bytes.len() - 4, wanted);
        bytes
    };
    let mut connection = broker.connect();
    connection.send_bytes(&request(LARGEST)).expect("it is taken");
    assert!(connection.receive_frame().is_ok(), "the largest is answered");
    let mut connection = broker.connect();
    // The length alone is enough; the rest may meet a closed socket.
    let _ = connection.send_bytes(&request(LARGEST + 1));
    assert!(connection.receive_frame().is_err(), "one byte more is not");
    let mut other = broker.connect();
    other.send_bytes(&request(LARGEST)).expect("it is taken");
    assert!(other.receive_frame().is_ok(), "others are served");
}
