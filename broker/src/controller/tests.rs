//! Scripts over logs in memory. What a script leaves is what a broker finds that starts on the same log.

use super::testing::{Bench, DIRECTORY, MemoryLog, config, dump, dump_all};
use super::{Assignment, ControllerError, NewPartitions, NewTopic, Refusal, Snapshot, Start};
use super::{ConfigChange, ConfigEdit};
use crate::config::alter::Operation;
use crate::metadata::{BROKER_RESOURCE, TOPIC_RESOURCE, Topic};
use kafka_protocol::ResponseError;
use milena_protocol::records::{BatchBuilder, Batches, ControlType, KRaftVersion, control_batch};
use milena_protocol::stored::metadata::{
    BeginTransactionRecord, EndTransactionRecord, FeatureLevelRecord, MetadataRecord, PartitionRecord,
    TopicRecord,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use uuid::Uuid;

fn topic(name: &str, partitions: i32) -> NewTopic {
    NewTopic { name: name.to_owned(), partitions, replication_factor: 1, ..NewTopic::default() }
}

fn configured(name: &str, configs: &[(&str, &str)]) -> NewTopic {
    let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
    NewTopic { configs, ..topic(name, 1) }
}

fn assigned(name: &str, assignments: &[(i32, &[i32])]) -> NewTopic {
    let assignments = assignments
        .iter()
        .map(|(partition, brokers)| Assignment { partition: *partition, brokers: brokers.to_vec() });
    NewTopic {
        name: name.to_owned(),
        partitions: -1,
        replication_factor: -1,
        assignments: assignments.collect(),
        ..NewTopic::default()
    }
}

fn more(topic: &str, count: i32) -> NewPartitions {
    NewPartitions { topic: topic.to_owned(), count, assignments: None }
}

/// Creates one topic.
fn create(bench: &Bench, topic: NewTopic) -> Result<Arc<Topic>, Refusal> {
    bench.controller.create_topics(vec![topic], false)?.remove(0)
}

fn refusal<T: std::fmt::Debug>(result: Result<T, Refusal>) -> (ResponseError, String) {
    let refusal = result.unwrap_err();
    (refusal.error, refusal.message)
}

/// What a restart finds is what readers see now; and a restart writes nothing.
fn assert_replays(bench: &Bench) {
    let again = bench.restart();
    assert_eq!(dump_all(&bench.controller.image()), dump_all(&again.controller.image()));
    assert_eq!(again.log.bytes().len(), bench.log.bytes().len(), "a start without changes writes nothing");
}

#[test]
fn an_empty_log_becomes_a_cluster_that_kafka_4_1_takes() {
    let bench = Bench::new();
    assert_eq!(
        dump(&bench.controller.image()),
        [
            "config broker - min.insync.replicas 1",
            "feature eligible.leader.replicas.version 1",
            "feature group.version 1",
            "feature metadata.version 27",
            "feature transaction.version 2",
        ]
    );
    assert_eq!(bench.log.appends(), 1);
    let bytes = bench.log.bytes();
    let headers: Vec<_> = Batches::new(&bytes).map(|batch| batch.unwrap().0).collect();
    let seen: Vec<_> = headers
        .iter()
        .map(|h| (h.base_offset, h.record_count, h.partition_leader_epoch, h.attributes.is_control()))
        .collect();
    assert_eq!(seen, [(0, 1, 1, true), (1, 5, 1, false)]);
    assert_eq!(
        bench.controller.quorum_state(),
        r#"{"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}"#
    );
    assert_eq!(bench.controller.image().features().1, 5);
    assert_replays(&bench);
}

#[test]
fn topics_live_and_die() {
    let bench = Bench::new();
    let first =
        create(&bench, configured("orders", &[("retention.ms", "-1"), ("cleanup.policy", "compact")]))
            .unwrap();
    assert_eq!((first.partitions.len(), first.configs.len()), (1, 2));
    let partition = &first.partitions[0];
    assert_eq!((partition.leader, partition.leader_epoch, partition.partition_epoch), (1, 0, 0));
    assert_eq!(
        (&*partition.replicas, &*partition.isr, partition.directory_on(1)),
        (&[1][..], &[1][..], Some(DIRECTORY))
    );
    assert_eq!(bench.store.calls(), ["create orders 0..1"]);
    {
        let image = bench.controller.image();
        assert!(Arc::ptr_eq(image.topic("orders").unwrap(), &first));
        assert_eq!(image.topic_by_id(first.id).map(|topic| &*topic.name), Some("orders"));
    }
    assert_replays(&bench);

    let held = bench.controller.image().clone();
    let results = bench.controller.create_partitions(&[more("orders", 4)], false).unwrap();
    assert_eq!(results, [Ok(())]);
    assert_eq!(bench.store.calls(), ["create orders 1..4"]);
    assert_eq!(bench.controller.image().topic("orders").unwrap().partitions.len(), 4);
    assert_eq!(held.topic("orders").unwrap().partitions.len(), 1, "a reader's image does not change");
    assert_replays(&bench);

    assert_eq!(bench.controller.delete_topics(&[first.id]).unwrap(), [Ok(())]);
    assert_eq!(bench.store.calls(), ["delete orders 0..4"]);
    assert!(bench.controller.image().topic("orders").is_none());
    assert!(bench.controller.image().topic_by_id(first.id).is_none());
    assert_eq!(bench.controller.image().partition_count(), 0);
    let again = refusal(bench.controller.delete_topics(&[first.id]).unwrap().remove(0));
    assert_eq!(again.0, ResponseError::UnknownTopicId);

    let second = create(&bench, topic("orders", 2)).unwrap();
    assert_ne!(second.id, first.id);
    assert!(second.configs.is_empty(), "the configuration of a deleted topic is gone");
    assert_replays(&bench);
}

#[test]
fn a_request_is_one_append() {
    let bench = Bench::new();
    let appends = bench.log.appends();
    let topics = (0..100).map(|number| topic(&format!("t{number}"), 10)).collect();
    let results = bench.controller.create_topics(topics, false).unwrap();
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(bench.log.appends() - appends, 1);
    let image = bench.controller.image().clone();
    assert_eq!((image.topic_count(), image.partition_count()), (100, 1000));
    let ids: Vec<Uuid> = image.topics().map(|topic| topic.id).collect();
    bench.controller.delete_topics(&ids).unwrap();
    assert_eq!(bench.log.appends() - appends, 2);
    assert_replays(&bench);
}

#[test]
fn topics_are_refused_in_kafkas_words() {
    let bench = Bench::new();
    create(&bench, topic("a.b", 1)).unwrap();
    let null = NewTopic { configs: vec![("b".into(), None), ("a".into(), None)], ..topic("t", 1) };
    let factor = |replication_factor| NewTopic { replication_factor, ..topic("t", 1) };
    use ResponseError as E;
    #[rustfmt::skip]
    let rows = [
        (topic("a/b", 1), E::InvalidTopicException, "Topic name is invalid: 'a/b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"),
        (topic("a.b", 1), E::TopicAlreadyExists, "Topic 'a.b' already exists."),
        (topic("a_b", 1), E::InvalidTopicException, "Topic 'a_b' collides with existing topic: a.b"),
        (topic("t", 0), E::InvalidPartitions, "Number of partitions was set to an invalid non-positive value."),
        (topic("t", -2), E::InvalidPartitions, "Number of partitions was set to an invalid non-positive value."),
        (factor(0), E::InvalidReplicationFactor, "Replication factor must be larger than 0, or -1 to use the default value."),
        (factor(-2), E::InvalidReplicationFactor, "Replication factor must be larger than 0, or -1 to use the default value."),
        (factor(3), E::InvalidReplicationFactor, "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 1 broker(s) are registered."),
        (null, E::InvalidConfig, "Null value not supported for topic configs: a,b"),
        (configured("t", &[("no.such", "1")]), E::InvalidConfig, "Unknown topic config name: no.such"),
        (configured("t", &[("segment.bytes", "100")]), E::InvalidConfig, "Invalid value 100 for configuration segment.bytes: Value must be at least 1048576"),
        (NewTopic { replication_factor: 1, ..assigned("t", &[(0, &[1])]) }, E::InvalidRequest, "A manual partition assignment was specified, but replication factor was not set to -1."),
        (NewTopic { partitions: 1, ..assigned("t", &[(0, &[1])]) }, E::InvalidRequest, "A manual partition assignment was specified, but numPartitions was not set to -1."),
        (assigned("t", &[(0, &[1]), (0, &[1])]), E::InvalidReplicaAssignment, "Found multiple manual partition assignments for partition 0"),
        (assigned("t", &[(0, &[])]), E::InvalidReplicaAssignment, "The manual partition assignment includes an empty replica list."),
        (assigned("t", &[(0, &[1, 1])]), E::InvalidReplicaAssignment, "The manual partition assignment includes the broker 1 more than once."),
        (assigned("t", &[(0, &[5])]), E::InvalidReplicaAssignment, "The manual partition assignment includes broker 5, but no such broker is registered."),
        (assigned("t", &[(0, &[1]), (2, &[1])]), E::InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence"),
        (assigned("t", &[(1, &[1])]), E::InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence"),
    ];
    let appends = bench.log.appends();
    for (topic, error, message) in rows {
        assert_eq!(refusal(create(&bench, topic.clone())), (error, message.to_owned()), "{topic:?}");
    }
    assert_eq!(bench.log.appends(), appends, "nothing is written for what is refused");
    assert_eq!(bench.controller.image().topic_count(), 1);

    let many = refusal(bench.controller.create_topics(vec![topic("x", 9_999), topic("y", 2)], false));
    assert_eq!(many, (E::PolicyViolation, "Excessively large number of partitions per request.".to_owned()));
    let most = vec![topic("x", 9_999), NewTopic { partitions: -1, ..topic("y", 1) }];
    assert!(bench.controller.create_topics(most, true).is_ok(), "10,000 are allowed");
    let overflowing = (0..4).map(|number| topic(&format!("t{number}"), i32::MAX)).collect();
    assert!(bench.controller.create_topics(overflowing, false).is_err());
}

#[test]
fn defaults_and_assignments_are_taken() {
    let config = config(&[("num.partitions", "3")]);
    let bench = Bench::configured(&config, Arc::default(), Start::default()).unwrap();
    let defaults = NewTopic { partitions: -1, replication_factor: -1, ..topic("d", 1) };
    assert_eq!(create(&bench, defaults).unwrap().partitions.len(), 3);
    let assigned = create(&bench, assigned("m", &[(1, &[1]), (0, &[1])])).unwrap();
    assert_eq!(assigned.partitions.len(), 2);
    assert!(assigned.partitions.iter().all(|partition| partition.leader == 1));
}

#[test]
fn what_is_good_in_a_request_is_done() {
    let bench = Bench::new();
    *bench.store.refused.lock() = Some("full".to_owned());
    let wanted = vec![topic("a", 1), topic("full", 1), topic("b", 2), topic("a", 1)];
    let results = bench.controller.create_topics(wanted, false).unwrap();
    let errors: Vec<_> =
        results.iter().map(|result| result.as_ref().err().map(|refusal| refusal.error)).collect();
    assert_eq!(
        errors,
        [None, Some(ResponseError::KafkaStorageError), None, Some(ResponseError::TopicAlreadyExists)]
    );
    assert_eq!(bench.store.calls(), ["create a 0..1", "create b 0..2"]);
    assert!(bench.controller.image().topic("full").is_none());
    assert_replays(&bench);
}

#[test]
fn validate_only_changes_nothing() {
    let bench = Bench::new();
    create(&bench, topic("there", 1)).unwrap();
    bench.store.calls();
    let bytes = bench.log.bytes();
    let results = bench.controller.create_topics(vec![topic("new", 2), topic("there", 1)], true).unwrap();
    assert_eq!(results[0].as_ref().unwrap().partitions.len(), 2);
    assert!(results[1].is_err());
    assert_eq!(bench.controller.create_partitions(&[more("there", 9)], true).unwrap(), [Ok(())]);
    let operation = Operation::Set("5".to_owned());
    let edit = ConfigEdit::Keys(vec![("retention.ms".to_owned(), operation)]);
    let change = ConfigChange { resource_type: TOPIC_RESOURCE, name: "there".to_owned(), edit };
    assert_eq!(bench.controller.alter_configs(&[change], true).unwrap(), [Ok(())]);
    assert_eq!(bench.log.bytes(), bytes);
    assert!(bench.store.calls().is_empty());
    assert!(bench.controller.image().topic("new").is_none());
    assert!(create(&bench, topic("new", 1)).is_ok(), "the name is still free");
}

#[test]
fn partitions_are_refused_in_kafkas_words() {
    let bench = Bench::new();
    create(&bench, topic("t", 2)).unwrap();
    let with = |count, assignments: &[&[i32]]| NewPartitions {
        assignments: Some(assignments.iter().map(|brokers| brokers.to_vec()).collect()),
        ..more("t", count)
    };
    use ResponseError as E;
    #[rustfmt::skip]
    let rows = [
        (more("none", 3), E::UnknownTopicOrPartition, "This server does not host this topic-partition."),
        (more("t", 2), E::InvalidPartitions, "Topic already has 2 partition(s)."),
        (more("t", 1), E::InvalidPartitions, "The topic t currently has 2 partition(s); 1 would not be an increase."),
        (more("t", -1), E::InvalidPartitions, "The topic t currently has 2 partition(s); -1 would not be an increase."),
        (more("t", 10_003), E::PolicyViolation, "Unable to perform excessively large batch operation."),
        (more("t", i32::MAX), E::PolicyViolation, "Unable to perform excessively large batch operation."),
        (with(4, &[&[1]]), E::InvalidReplicaAssignment, "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified."),
        (with(3, &[&[2]]), E::InvalidReplicaAssignment, "The manual partition assignment includes broker 2, but no such broker is registered."),
        (with(3, &[&[]]), E::InvalidReplicaAssignment, "The manual partition assignment includes an empty replica list."),
    ];
    for (wanted, error, message) in rows {
        let result =
            bench.controller.create_partitions(std::slice::from_ref(&wanted), false).unwrap().remove(0);
        assert_eq!(refusal(result), (error, message.to_owned()), "{wanted:?}");
    }
    assert_eq!(bench.controller.image().topic("t").unwrap().partitions.len(), 2);
    assert_eq!(bench.controller.create_partitions(&[with(4, &[&[1], &[1]])], false).unwrap(), [Ok(())]);
    assert_replays(&bench);
}

/// Sets one key, or with `None` removes all of them.
fn alter(bench: &Bench, resource_type: i8, name: &str, set: Option<(&str, &str)>) -> Result<(), Refusal> {
    let edit = match set {
        Some((key, value)) => ConfigEdit::Keys(vec![(key.to_owned(), Operation::Set(value.to_owned()))]),
        None => ConfigEdit::All(BTreeMap::new()),
    };
    let change = ConfigChange { resource_type, name: name.to_owned(), edit };
    bench.controller.alter_configs(&[change], false).unwrap().remove(0)
}

#[test]
fn what_kafka_requires_of_its_own_settings() {
    let bench = Bench::new();
    let zero =
        "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set.";
    for (key, value, expected) in [
        ("max.connections.per.ip", "0", zero),
        ("log.roll.ms", "0", "log.roll.ms must be greater than or equal to 1"),
        ("log.retention.ms", "0", "log.retention.ms must be unlimited (-1) or, greater than or equal to 1"),
    ] {
        for name in ["", "1"] {
            let refused = refusal(alter(&bench, BROKER_RESOURCE, name, Some((key, value))));
            let expected = format!("requirement failed: {expected}");
            assert_eq!(refused, (ResponseError::InvalidRequest, expected), "{key}={value}");
        }
    }
    let reporter = refusal(alter(&bench, BROKER_RESOURCE, "1", Some(("metric.reporters", "no.such.Class"))));
    let expected = "Validation of dynamic config update of Set(metric.reporters) failed with class class \
                    kafka.server.DynamicMetricsReporters";
    assert!(reporter.1.contains(expected), "{}", reporter.1);
    let jmx = "org.apache.kafka.common.metrics.JmxReporter";
    alter(&bench, BROKER_RESOURCE, "1", Some(("metric.reporters", jmx))).unwrap();
    for (key, value) in [("max.connections.per.ip.overrides", "127.0.0.1:5"), ("max.connections.per.ip", "0")]
    {
        alter(&bench, BROKER_RESOURCE, "1", Some((key, value))).unwrap();
    }
}

#[test]
fn limits_on_copying_are_numbers() {
    let bench = Bench::new();
    let keys = [
        "leader.replication.throttled.rate",
        "follower.replication.throttled.rate",
        "replica.alter.log.dirs.io.max.bytes.per.second",
    ];
    let rate = || bench.controller.config().log.move_bytes_per_second;
    for key in keys {
        for (value, why) in [("x", "Not a number of type LONG"), ("-1", "Value must be at least 0")] {
            let refused = refusal(alter(&bench, BROKER_RESOURCE, "1", Some((key, value))));
            let expected = format!("Invalid value {value} for configuration {key}: {why}");
            assert_eq!(refused, (ResponseError::InvalidRequest, expected));
        }
        let append = ConfigEdit::Keys(vec![(key.to_owned(), Operation::Append("5".to_owned()))]);
        let change = ConfigChange { resource_type: BROKER_RESOURCE, name: "1".to_owned(), edit: append };
        let refused = refusal(bench.controller.alter_configs(&[change], false).unwrap().remove(0));
        assert_eq!(refused, (ResponseError::InvalidConfig, format!("Unknown config name: {key}")));
        assert!(rate() > 1e18);
        alter(&bench, BROKER_RESOURCE, "", Some((key, "1000"))).unwrap();
        alter(&bench, BROKER_RESOURCE, "1", Some((key, "0"))).unwrap();
    }
    assert!((rate() - 1.0).abs() < 0.1, "none at all would stop the move for ever");
    alter(&bench, BROKER_RESOURCE, "1", None).unwrap();
    assert!((rate() - 1000.0).abs() < 0.1);
}

#[test]
fn one_setting_that_no_longer_fits_takes_no_other_along() {
    let bench = Bench::new();
    for (name, key, value) in [
        ("1", "log.retention.ms", "7"),
        ("1", "advertised.listeners", "PLAINTEXT://kafka.example:1"),
        ("", "max.connections.per.ip.overrides", "127.0.0.1:5"),
        // Fits only with the one before, which comes behind it.
        ("", "max.connections.per.ip", "0"),
    ] {
        alter(&bench, BROKER_RESOURCE, name, Some((key, value))).unwrap();
    }
    // The listener has another name in the file of the next start.
    let keys = [("listeners", "CLIENTS://:9092"), ("listener.security.protocol.map", "CLIENTS:PLAINTEXT")];
    let log = Arc::new(MemoryLog::holding(&bench.log.bytes()));
    let bench = Bench::configured(&config(&keys), log, Start::default()).unwrap();
    let in_force = || {
        let config = bench.controller.config();
        let network = &config.network;
        (
            config.topic_defaults.retention_ms,
            network.advertised_listeners.len(),
            network.max_connections_per_ip,
            network.max_connections_per_ip_overrides.len(),
        )
    };
    assert_eq!(in_force(), (7, 0, 0, 1));
    alter(&bench, BROKER_RESOURCE, "1", Some(("log.retention.ms", "8"))).unwrap();
    assert_eq!(in_force(), (8, 0, 0, 1));
    alter(&bench, BROKER_RESOURCE, "1", Some(("advertised.listeners", "CLIENTS://kafka.example:1"))).unwrap();
    assert_eq!(in_force(), (8, 1, 0, 1));
}

#[test]
fn thread_pools_double_or_halve_in_one_step() {
    let bench = Bench::new();
    let (half, double) = ("be at least half", "not be greater than double");
    let network = "num.network.threads";
    let reader = "remote.log.reader.threads";
    let copier = "remote.log.manager.copier.thread.pool.size";
    let expiration = "remote.log.manager.expiration.thread.pool.size";
    for (set, value, named, limit, now) in [
        (network, "7", network, double, 3),
        ("listener.name.plaintext.num.network.threads", "1000", network, double, 3),
        (reader, "1000", reader, double, 10),
        (reader, "4", reader, half, 10),
        (copier, "21", copier, double, 10),
        (expiration, "1", expiration, half, 10),
    ] {
        let expected = format!(
            "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread count update validation \
             failed for {named}={value}, value should {limit} the current value {now} for configuration Invalid \
             dynamic configuration"
        );
        for name in ["", "1"] {
            let refused = refusal(alter(&bench, BROKER_RESOURCE, name, Some((set, value))));
            assert_eq!(refused, (ResponseError::InvalidRequest, expected.clone()), "{set}={value}");
        }
    }
    for (key, value) in [
        (network, "6"),
        ("listener.name.plaintext.num.network.threads", "12"),
        // The one listener has a number of its own.
        (network, "1000"),
        ("listener.name.other.num.network.threads", "1000"),
        (reader, "20"),
        (copier, "5"),
    ] {
        alter(&bench, BROKER_RESOURCE, "1", Some((key, value))).unwrap();
    }
}

#[test]
fn configuration_changes_are_records() {
    let bench = Bench::new();
    create(&bench, configured("t", &[("retention.ms", "1"), ("segment.ms", "2")])).unwrap();
    bench.store.calls();
    let controller = &bench.controller;
    alter(&bench, TOPIC_RESOURCE, "t", Some(("retention.ms", "5"))).unwrap();
    assert_eq!(bench.store.calls(), [r#"reconfigure t {"retention.ms": "5", "segment.ms": "2"}"#]);
    alter(&bench, TOPIC_RESOURCE, "t", None).unwrap();
    assert!(controller.image().topic("t").unwrap().configs.is_empty());
    alter(&bench, BROKER_RESOURCE, "1", Some(("log.retention.ms", "9"))).unwrap();
    assert_eq!(controller.config().topic_defaults.retention_ms, 9);
    assert_eq!(bench.restart().controller.config().topic_defaults.retention_ms, 9);
    assert_eq!(bench.store.calls().last().unwrap(), "reconfigure t {}", "the logs are told of new defaults");
    let bad = refusal(alter(&bench, BROKER_RESOURCE, "1", Some(("log.retention.ms", "x"))));
    assert_eq!(bad.0, ResponseError::InvalidRequest, "as Kafka's broker says it");
    assert_eq!(controller.image().broker_configs("1").unwrap().len(), 1);
    assert_replays(&bench);
    alter(&bench, BROKER_RESOURCE, "1", None).unwrap();
    assert_eq!(controller.image().broker_configs("1"), None);
    assert_eq!(controller.config().topic_defaults.retention_ms, 604_800_000);

    let bad = refusal(alter(&bench, TOPIC_RESOURCE, "t", Some(("no.such", "5"))));
    assert_eq!(bad, (ResponseError::InvalidConfig, "Unknown topic config name: no.such".to_owned()));
    let none = refusal(alter(&bench, TOPIC_RESOURCE, "none", Some(("retention.ms", "5"))));
    assert_eq!(none.0, ResponseError::UnknownTopicOrPartition);
    let long = "x".repeat(40_000);
    assert!(alter(&bench, BROKER_RESOURCE, "", Some(("long", &long))).is_err(), "Kafka could not read it");
    assert_replays(&bench);
}

#[test]
fn producer_ids_never_come_twice() {
    let bench = Bench::new();
    let appends = bench.log.appends();
    let ids: Vec<i64> = (0..1001).map(|_| bench.controller.next_producer_id().unwrap()).collect();
    assert_eq!(ids, (0..1001).collect::<Vec<_>>());
    assert_eq!(bench.log.appends() - appends, 2, "one record per thousand");
    let again = bench.restart();
    assert_eq!(again.controller.next_producer_id().unwrap(), 2000, "the rest of a block is lost");
    again.controller.skip_producer_ids(2500).unwrap();
    assert_eq!(
        again.controller.next_producer_id().unwrap(),
        2001,
        "ids below the end of the block are known"
    );
    again.controller.skip_producer_ids(3000).unwrap();
    assert_eq!(again.controller.next_producer_id().unwrap(), 3001);
    assert_eq!(again.restart().controller.next_producer_id().unwrap(), 4001);
    assert!(again.controller.skip_producer_ids(i64::MAX).is_err());
}

#[test]
fn coordinators_topics_have_their_own_settings() {
    let config = config(&[
        ("offsets.topic.num.partitions", "4"),
        ("offsets.topic.replication.factor", "3"),
        ("num.partitions", "9"),
    ]);
    let bench = Bench::configured(&config, Arc::default(), Start::default()).unwrap();
    assert_eq!(bench.controller.ensure_topic("__consumer_offsets").unwrap().partitions.len(), 4);
    let appends = bench.log.appends();
    assert_eq!(bench.controller.ensure_topic("__consumer_offsets").unwrap().partitions.len(), 4);
    assert_eq!(bench.log.appends(), appends);
    bench.controller.ensure_topic("__transaction_state").unwrap();
    assert_eq!(bench.controller.ensure_topic("plain").unwrap().partitions.len(), 9);
    let lines = dump(&bench.controller.image());
    let configs: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("config topic ")).collect();
    assert_eq!(
        configs,
        [
            "__consumer_offsets cleanup.policy compact",
            "__consumer_offsets compression.type producer",
            "__consumer_offsets segment.bytes 104857600",
            "__transaction_state cleanup.policy compact",
            "__transaction_state compression.type uncompressed",
            "__transaction_state min.insync.replicas 1",
            "__transaction_state segment.bytes 104857600",
            "__transaction_state unclean.leader.election.enable false",
        ]
    );
    let bad = refusal(bench.controller.ensure_topic("a/b"));
    assert_eq!(bad.0, ResponseError::InvalidTopicException);
}

#[test]
fn a_failed_append_ends_all_changes_and_shows_nothing() {
    let bench = Bench::new();
    create(&bench, topic("before", 1)).unwrap();
    let seen = dump_all(&bench.controller.image());
    bench.log.broken.store(true, Ordering::Relaxed);
    let (error, message) = refusal(create(&bench, topic("lost", 1)));
    assert_eq!(error, ResponseError::KafkaStorageError);
    assert!(message.contains("the device is gone"), "{message}");
    bench.log.broken.store(false, Ordering::Relaxed);
    assert_eq!(refusal(create(&bench, topic("later", 1))).0, ResponseError::KafkaStorageError);
    assert_eq!(refusal(bench.controller.next_producer_id()).0, ResponseError::KafkaStorageError);
    assert_eq!(dump_all(&bench.controller.image()), seen);
    assert_replays(&bench);
}

#[test]
fn what_comes_while_a_creation_waits_for_the_disk_builds_on_it() {
    let bench = Bench::new();
    let controller = Arc::clone(&bench.controller);
    let one = |name: &str| vec![topic(name, 1)];
    *bench.log.meanwhile.lock() = Some(Box::new(move || {
        assert!(controller.image().topic("first").is_none(), "it is not on the disk yet");
        let again = controller.create_topics(vec![topic("a.b", 1), topic("first", 1)], false).unwrap();
        let codes: Vec<_> = again.into_iter().map(|done| done.map_or_else(|r| r.code(), |_| 0)).collect();
        assert_eq!(
            codes,
            [ResponseError::InvalidTopicException.code(), ResponseError::TopicAlreadyExists.code()]
        );
        // Whoever is told that it exists finds it.
        assert!(controller.image().topic("first").is_some());
        controller.create_topics(vec![topic("second", 1)], false).unwrap().remove(0).unwrap();
        assert!(controller.next_producer_id().is_ok());
    }));
    let both = [one("first"), one("a_b")].concat();
    for created in bench.controller.create_topics(both, false).unwrap() {
        created.unwrap();
    }
    for name in ["first", "a_b", "second"] {
        assert!(bench.controller.image().topic(name).is_some(), "{name}");
    }
    create(&bench, topic("third", 1)).unwrap();
    assert_replays(&bench);
}

#[test]
fn a_failed_sync_refuses_everybody_who_waits_for_it() {
    let bench = Bench::new();
    create(&bench, topic("before", 1)).unwrap();
    let seen = dump_all(&bench.controller.image());
    let (controller, log) = (Arc::clone(&bench.controller), Arc::clone(&bench.log));
    *bench.log.meanwhile.lock() = Some(Box::new(move || {
        log.sync_fails.store(true, Ordering::Relaxed);
        let refused = refusal(controller.create_topics(vec![topic("second", 1)], false));
        assert_eq!(refused.0, ResponseError::KafkaStorageError);
    }));
    assert_eq!(refusal(create(&bench, topic("first", 1))).0, ResponseError::KafkaStorageError);
    bench.log.sync_fails.store(false, Ordering::Relaxed);
    assert_eq!(refusal(create(&bench, topic("first", 1))).0, ResponseError::KafkaStorageError);
    assert_eq!(dump_all(&bench.controller.image()), seen);
}

#[test]
fn a_full_disk_refuses_a_change_and_takes_the_next() {
    let bench = Bench::new();
    create(&bench, topic("before", 1)).unwrap();
    // Another process, whose announcement still finds room.
    let bench = Bench::over(Arc::clone(&bench.log), Start::default()).unwrap();
    let seen = dump_all(&bench.controller.image());
    bench.log.full.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        let (error, message) = refusal(create(&bench, topic("later", 1)));
        assert_eq!(error, ResponseError::KafkaStorageError);
        assert!(message.contains("no space left"), "{message}");
    }
    assert_eq!(dump_all(&bench.controller.image()), seen);
    let calls = bench.store.calls();
    assert_eq!(calls[calls.len() - 2..], ["create later 0..1", "delete later 0..1"], "no log is left behind");
    bench.log.full.store(false, Ordering::Relaxed);
    create(&bench, topic("later", 1)).unwrap();
    assert!(bench.controller.image().topic("later").is_some());
    assert_replays(&bench);
}

/// What Kafka's own clients saw of the directories that Kafka wrote, after a clean stop and after a kill.
#[test]
fn logs_of_kafka_are_read_as_kafka_reads_them() {
    let clean = (
        &include_bytes!("../../tests/fixtures/metadata/clean.log")[..],
        include_str!("../../tests/fixtures/metadata/clean.txt"),
    );
    let killed = (
        &include_bytes!("../../tests/fixtures/metadata/killed.log")[..],
        include_str!("../../tests/fixtures/metadata/killed.txt"),
    );
    for ((log, seen), first_free_id) in [(clean, 1000), (killed, 2000)] {
        let log = Arc::new(MemoryLog::holding(log));
        let last_epoch = Batches::new(&log.bytes()).last().unwrap().unwrap().0.partition_leader_epoch;
        let bench = Bench::over(Arc::clone(&log), Start::default()).unwrap();
        let image = bench.controller.image();
        assert_eq!(dump(&image), seen.lines().collect::<Vec<_>>());
        for topic in image.topics() {
            for partition in &topic.partitions {
                assert_eq!((partition.leader, &*partition.isr), (1, &[1][..]), "{}", topic.name);
                assert!(partition.eligible_leaders.is_empty() && partition.last_known_eligible.is_empty());
                assert!(partition.directory_on(1).is_some());
            }
        }
        assert!(image.registration(1).unwrap().fenced, "Kafka need not wait for its own old session");
        assert_eq!((image.next_producer_id(), image.epoch()), (first_free_id, last_epoch + 1));
        drop(image);
        assert_replays(&bench);
        assert_eq!(bench.controller.next_producer_id().unwrap(), first_free_id);
    }
}

#[test]
fn leader_epochs_stay_over_restarts_and_rise_over_kafka() {
    let log = include_bytes!("../../tests/fixtures/metadata/clean.log");
    let bench = Bench::over(Arc::new(MemoryLog::holding(log)), Start::default()).unwrap();
    let epoch = |bench: &Bench| bench.controller.image().topic("plain").unwrap().partitions[0].leader_epoch;
    // Kafka began with 0 and gave the lead up with 1.
    assert_eq!(epoch(&bench), 2);
    let again = bench.restart();
    assert_eq!(epoch(&again), 2);
    create(&again, topic("new", 1)).unwrap();
    assert_eq!(
        again.controller.image().epoch(),
        bench.controller.image().epoch() + 1,
        "one raft epoch per writing run"
    );
    create(&again, topic("newer", 1)).unwrap();
    assert_eq!(again.controller.image().epoch(), bench.controller.image().epoch() + 1);
    assert_eq!(epoch(&again.restart()), 2);
}

#[test]
fn the_raft_epoch_is_above_all_that_was_seen() {
    let start = Start { quorum_epoch: 7, ..Start::default() };
    let bench = Bench::over(Arc::default(), start).unwrap();
    assert_eq!(bench.controller.image().epoch(), 8);
    assert!(bench.controller.quorum_state().contains(r#""leaderEpoch":8"#));
}

/// The rule of Kafka's `kafka-storage format`: voters in the configuration, or in the log.
#[test]
fn a_new_log_keeps_its_voters_where_the_configuration_does_not_name_them() {
    let servers = ("controller.quorum.bootstrap.servers", "here.example:9093");
    let start = || Start { directory_id: DIRECTORY, ..Start::default() };
    let dynamic = Bench::configured(&config(&[servers]), Arc::default(), start()).unwrap();
    assert_eq!(dynamic.controller.image().kraft_version(), 1);
    let voters = dynamic.controller.image().voters().unwrap().clone();
    let [voter] = voters.voters.as_slice() else { panic!("{voters:?}") };
    assert_eq!((voter.id, voter.directory_id), (1, DIRECTORY));
    let endpoint = &voter.endpoints[0];
    assert_eq!(
        (endpoint.name.as_str(), endpoint.host.as_str(), endpoint.port),
        ("CONTROLLER", "here.example", 9093)
    );
    assert!(dynamic.controller.quorum_state().contains(r#""data_version":1"#));
    let snapshots = dynamic.log.snapshots.lock().clone();
    assert_eq!(snapshots.iter().map(|(end, epoch, _)| (*end, *epoch)).collect::<Vec<_>>(), [(0, 0)]);
    let bytes = &snapshots[0].2;
    let found = Start { snapshot: Some(Snapshot { bytes, end_offset: 0, epoch: 0 }), ..start() };
    let again = Bench::over(dynamic.log.clone(), found).unwrap();
    assert_eq!(again.controller.image().voters(), Some(&voters));

    let voters = ("controller.quorum.voters", "1@here.example:9093");
    for keys in [&[][..], &[voters], &[servers, voters]] {
        let fixed = Bench::configured(&config(keys), Arc::default(), start()).unwrap();
        assert_eq!(fixed.controller.image().kraft_version(), 0);
        assert!(fixed.log.snapshots.lock().is_empty());
        // A log that is there stays as it was made.
        let later = Bench::configured(&config(&[servers]), fixed.log.clone(), start()).unwrap();
        assert_eq!(later.controller.image().kraft_version(), 0);
    }
}

fn values(base_offset: i64, records: &[MetadataRecord]) -> Vec<u8> {
    let mut builder = BatchBuilder::new().base_offset(base_offset).leader_epoch(3);
    for record in records {
        builder.append(1, None, Some(&record.encode()), &[]);
    }
    builder.build().unwrap()
}

fn feature(level: i16) -> MetadataRecord {
    FeatureLevelRecord {
        name: "metadata.version".to_owned(),
        feature_level: level,
        ..FeatureLevelRecord::default()
    }
    .into()
}

fn named(name: &str) -> MetadataRecord {
    let topic_id = Uuid::from_u128(name.len() as u128 + 100);
    TopicRecord { name: name.to_owned(), topic_id, ..TopicRecord::default() }.into()
}

fn begin() -> MetadataRecord {
    BeginTransactionRecord::default().into()
}

fn end() -> MetadataRecord {
    EndTransactionRecord::default().into()
}

#[test]
fn a_transaction_takes_effect_as_a_whole() {
    let other = MetadataRecord::Other { api_key: 999, version: 0, body: b"later"[..].into() };
    let whole =
        [values(0, &[feature(27), begin(), named("a")]), values(3, &[named("bb"), other, end()])].concat();
    let bench = Bench::over(Arc::new(MemoryLog::holding(&whole)), Start::default()).unwrap();
    let image = bench.controller.image();
    assert!(image.topic("a").is_some() && image.topic("bb").is_some());
    assert_eq!(bench.log.bytes(), whole, "records of unknown types stay, nothing is added");

    let half = [values(0, &[feature(27), named("a"), begin()]), values(3, &[named("bb")])].concat();
    let bench = Bench::over(Arc::new(MemoryLog::holding(&half)), Start::default()).unwrap();
    assert!(bench.controller.image().topic("a").is_some());
    assert!(bench.controller.image().topic("bb").is_none());
    create(&bench, topic("bb", 1)).unwrap();
    assert_replays(&bench);
}

#[test]
fn snapshots_stand_in_for_the_beginning() {
    let source = Bench::new();
    create(&source, topic("old", 2)).unwrap();
    let id = source.controller.image().topic("old").unwrap().id;
    let partition = |partition_id| {
        let (replicas, isr, leader, leader_epoch) = (vec![1], vec![1], 1, 4);
        PartitionRecord {
            partition_id,
            topic_id: id,
            replicas,
            isr,
            leader,
            leader_epoch,
            ..PartitionRecord::default()
        }
        .into()
    };
    let topic_record = TopicRecord { name: "old".to_owned(), topic_id: id, ..TopicRecord::default() };
    let version = KRaftVersion { kraft_version: 1 }.value();
    let head = control_batch(0, 3, 1, [(ControlType::KRaftVersion, version.as_slice())]).unwrap();
    let body = values(1, &[feature(27), topic_record.into(), partition(1), partition(0)]);
    let bytes = [head, body].concat();
    let start =
        Start { snapshot: Some(Snapshot { bytes: &bytes, end_offset: 40, epoch: 3 }), ..Start::default() };

    let log = values(40, &[named("new")]);
    let bench = Bench::over(Arc::new(MemoryLog::holding(&log)), start).unwrap();
    let image = bench.controller.image();
    assert_eq!((image.topic("old").unwrap().partitions.len(), image.topic("new").is_some()), (2, true));
    assert_eq!((image.offset(), image.epoch(), image.partition_count()), (40, 3, 2));
    assert_eq!(image.topic("old").unwrap().partitions[1].leader_epoch, 4);
    assert_eq!(
        bench.controller.quorum_state(),
        r#"{"leaderId":1,"leaderEpoch":3,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#
    );

    // A log that begins earlier is read from the snapshot's end on.
    let overlapping = [values(39, &[named("a")]), values(40, &[named("new")])].concat();
    let bench = Bench::over(Arc::new(MemoryLog::holding(&overlapping)), start).unwrap();
    assert!(bench.controller.image().topic("a").is_none() && bench.controller.image().topic("new").is_some());

    let log = Arc::new(MemoryLog::holding(&values(41, &[named("new")])));
    assert!(matches!(Bench::over(log, start), Err(ControllerError::Gap { start: 41, end: 40 })));
    let cut = Start {
        snapshot: Some(Snapshot { bytes: &bytes[..bytes.len() - 1], end_offset: 40, epoch: 3 }),
        ..start
    };
    assert!(matches!(Bench::over(Arc::default(), cut), Err(ControllerError::Snapshot { .. })));
}

#[test]
fn a_formatted_directory_keeps_its_features() {
    let bytes = include_bytes!("../../tests/fixtures/metadata/bootstrap.checkpoint");
    let start = Start { bootstrap: Some(bytes), ..Start::default() };
    let formatted = Bench::over(Arc::default(), start).unwrap();
    assert_eq!(dump(&formatted.controller.image()), dump(&Bench::new().controller.image()));

    let older = values(0, &[feature(25)]);
    let start = Start { bootstrap: Some(&older), ..Start::default() };
    let bench = Bench::over(Arc::default(), start).unwrap();
    assert_eq!(
        dump(&bench.controller.image()),
        ["config broker - min.insync.replicas 1", "feature metadata.version 25"]
    );
    assert_replays(&bench);
}

#[test]
fn damage_is_refused_with_its_place() {
    let good = values(0, &[feature(27), named("a")]);
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let stray =
        PartitionRecord { partition_id: 0, topic_id: Uuid::from_u128(1), ..PartitionRecord::default() };
    let far = PartitionRecord {
        partition_id: i32::MAX,
        topic_id: Uuid::from_u128(101),
        ..PartitionRecord::default()
    };
    #[rustfmt::skip]
    let rows = [
        (flipped, "the metadata log is damaged at offset 0: the checksum of the batch is wrong"),
        ([good.clone(), values(3, &[named("bb")])].concat(), "the metadata log is damaged at offset 2: the next batch is at offset 3, some are missing"),
        ([good.clone(), values(2, &[named("a")])].concat(), "the metadata record at offset 2 does not fit those before it: topic a exists already"),
        ([good.clone(), values(2, &[stray.into()])].concat(), "the metadata record at offset 2 does not fit those before it: there is no topic of id"),
        ([good.clone(), values(2, &[far.into()])].concat(), "the metadata record at offset 2 does not fit those before it: topic a has no partition 2147483647"),
        ([good.clone(), values(2, &[feature(28)])].concat(), "the cluster's metadata.version is 28, and this broker knows those up to 27"),
        (values(0, &[begin(), feature(31), end()]), "the cluster's metadata.version is 31"),
        ([good, values(2, &[end()])].concat(), "the metadata record at offset 2 does not fit those before it: unexpected EndTransaction"),
    ];
    for (bytes, reason) in rows {
        let error = Bench::over(Arc::new(MemoryLog::holding(&bytes)), Start::default()).err().unwrap();
        assert!(error.to_string().starts_with(reason), "{error}");
    }
}

#[test]
fn partitions_of_others_are_left_alone() {
    let partition = |replicas: Vec<i32>, leader: i32| PartitionRecord {
        partition_id: i32::from(replicas.contains(&1)),
        topic_id: Uuid::from_u128(101),
        isr: Vec::new(),
        leader,
        leader_epoch: 5,
        replicas,
        ..PartitionRecord::default()
    };
    let records = [feature(27), named("a"), partition(vec![2, 3], 2).into(), partition(vec![2, 1], 2).into()];
    let bench = Bench::over(Arc::new(MemoryLog::holding(&values(0, &records))), Start::default()).unwrap();
    let image = bench.controller.image();
    let seen: Vec<_> =
        image.topic("a").unwrap().partitions.iter().map(|p| (p.leader, p.leader_epoch)).collect();
    assert_eq!(seen, [(2, 5), (1, 6)]);
}

#[test]
#[ignore = "a measurement: cargo test --release -- --ignored --nocapture measure"]
fn measure_ten_thousand_topics() {
    let bench = Bench::new();
    for round in 0..10 {
        let begun = std::time::Instant::now();
        let topics = (0..1000).map(|number| topic(&format!("t{round}-{number}"), 10)).collect();
        assert!(bench.controller.create_topics(topics, false).unwrap().iter().all(Result::is_ok));
        let batch = begun.elapsed();
        let begun = std::time::Instant::now();
        create(&bench, topic(&format!("single{round}"), 10)).unwrap();
        println!(
            "{} topics: 1000 more {batch:?}, one more {:?}",
            bench.controller.image().topic_count(),
            begun.elapsed()
        );
    }
    let begun = std::time::Instant::now();
    let again = bench.restart();
    println!("replay of {} partitions {:?}", again.controller.image().partition_count(), begun.elapsed());
}
