//! librdkafka, with every codec it has and every kind of acknowledgement.

use crate::rd::{Sending, config, consume, member};
use milena_integration_tests::broker::{Broker, unique};
use milena_integration_tests::raw::PATIENCE;
use milena_integration_tests::records::batches;
use milena_integration_tests::requests::{create_topic, read_all};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

#[test]
fn every_codec_and_acks_round_trips() {
    let broker = Broker::any();
    let mut connection = broker.connect();
    for (index, codec) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        for acks in ["0", "1", "all"] {
            let topic = unique(&format!("{codec}-{acks}"));
            create_topic(&mut connection, &topic, 1, &[]);
            let settings = [("compression.codec", codec), ("acks", acks), ("linger.ms", "20")];
            let sending = Sending::new(broker.address(), &settings);
            let values: Vec<String> =
                (0..200).map(|n| format!("{n:06} {}", "compress me ".repeat(20))).collect();
            values.iter().for_each(|value| sending.send(&topic, Some("key"), value.as_bytes()));
            sending.finish();
            let consumer = member(broker.address(), &unique("codecs"), &topic, &[]);
            let seen = consume(&consumer, values.len());
            assert!(
                seen.iter().map(|record| &record.value[..]).eq(values.iter().map(String::as_bytes)),
                "{codec}, acks={acks}"
            );
            assert!(
                seen.iter().enumerate().all(|(n, record)| record.offset == n as i64 && record.key == "key")
            );
            let stored = read_all(&mut connection, &topic, 0);
            for batch in batches(&stored) {
                assert_eq!(
                    usize::from(batch.attributes().cast_unsigned() & 7),
                    index,
                    "{codec} is kept as it came"
                );
            }
        }
    }
}

#[test]
fn consumers_seek_by_time() {
    let broker = Broker::any();
    let topic = unique("seek");
    create_topic(&mut broker.connect(), &topic, 1, &[]);
    let sending = Sending::new(broker.address(), &[]);
    let base = 1_700_000_000_000_i64;
    for n in 0..100_i64 {
        let value = n.to_string();
        sending.send_at(&topic, base + n * 1000, value.as_bytes());
    }
    sending.finish();
    let consumer: BaseConsumer =
        config(broker.address(), &[("group.id", &unique("seek"))]).create().expect("known settings");
    for (asked, expected) in [(base, 0), (base + 41_500, 42), (base + 99_000, 99)] {
        let mut times = TopicPartitionList::new();
        times.add_partition_offset(&topic, 0, Offset::Offset(asked)).expect("a valid list");
        let found = consumer.offsets_for_times(times, PATIENCE).expect("an answer");
        assert_eq!(found.elements()[0].offset(), Offset::Offset(expected), "asked for {asked}");
        consumer.assign(&found).expect("an assignment");
        assert_eq!(consume(&consumer, 1)[0].value, expected.to_string().as_bytes());
    }
}

#[test]
fn a_group_goes_on_where_it_committed() {
    let broker = Broker::any();
    let topic = unique("committed");
    let group = unique("committed");
    create_topic(&mut broker.connect(), &topic, 1, &[]);
    let sending = Sending::new(broker.address(), &[]);
    (0..50).for_each(|n: i32| sending.send(&topic, None, n.to_string().as_bytes()));
    sending.finish();
    let manual = [("enable.auto.commit", "false")];
    let first = member(broker.address(), &group, &topic, &manual);
    consume(&first, 20);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Offset(20)).expect("a valid list");
    first.commit(&list, CommitMode::Sync).expect("committed");
    drop(first);
    let second = member(broker.address(), &group, &topic, &manual);
    let seen = consume(&second, 30);
    assert_eq!((seen[0].offset, seen[29].offset), (20, 49));
}

#[test]
fn topics_come_into_being_with_their_first_record() {
    let Some(broker) = Broker::own(&[("auto.create.topics.enable", "true"), ("num.partitions", "3")]) else {
        return;
    };
    let topic = unique("automatic");
    let sending = Sending::new(broker.address(), &[]);
    sending.send(&topic, None, b"first");
    sending.finish();
    assert_eq!(sending.deliveries.count(), 1);
    let consumer = member(broker.address(), &unique("automatic"), &topic, &[]);
    assert_eq!(consume(&consumer, 1)[0].value, b"first");
    let metadata = consumer.fetch_metadata(Some(&topic), PATIENCE).expect("metadata");
    assert_eq!(metadata.topics()[0].partitions().len(), 3);
}

/// Waits for what librdkafka answers, on this thread.
fn wait_for<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn the_admin_client_makes_describes_changes_and_deletes() {
    let broker = Broker::any();
    let topic = unique("administered");
    let config = config(broker.address(), &[]);
    let admin: AdminClient<DefaultClientContext> = config.create().expect("known settings");
    let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
    let new = NewTopic::new(&topic, 2, TopicReplication::Fixed(1)).set("retention.ms", "1000000");
    let create = || wait_for(admin.create_topics([&new], &options)).expect("an answer").remove(0);
    assert_eq!(create(), Ok(topic.clone()));
    let known = (topic.clone(), rdkafka::types::RDKafkaErrorCode::TopicAlreadyExists);
    assert_eq!(create(), Err(known));
    let more = NewPartitions::new(&topic, 3);
    assert_eq!(wait_for(admin.create_partitions([&more], &options)).expect("an answer"), [Ok(topic.clone())]);
    let resource = ResourceSpecifier::Topic(&topic);
    let retention = || {
        let described = wait_for(admin.describe_configs([&resource], &options)).expect("an answer");
        let described = described[0].as_ref().expect("a topic that is there");
        described.get("retention.ms").and_then(|entry| entry.value.clone())
    };
    assert_eq!(retention().as_deref(), Some("1000000"));
    let changed = AlterConfig::new(resource).set("retention.ms", "2000000");
    let altered = wait_for(admin.alter_configs([&changed], &options)).expect("an answer");
    assert!(altered[0].is_ok(), "{altered:?}");
    assert_eq!(retention().as_deref(), Some("2000000"));
    let partitions = || {
        let metadata = admin.inner().fetch_metadata(Some(&topic), PATIENCE).expect("metadata");
        metadata.topics()[0].partitions().len()
    };
    assert_eq!(partitions(), 3);
    assert_eq!(wait_for(admin.delete_topics(&[&topic], &options)).expect("an answer"), [Ok(topic.clone())]);
    // Asked for, it would come into being again: so all are listed.
    let all = admin.inner().fetch_metadata(None, PATIENCE).expect("metadata");
    assert!(all.topics().iter().all(|other| other.name() != topic));
}
