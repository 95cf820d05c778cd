//! A seed whose writer was killed at any point is whole after the next start, and what is not of the seed is left alone.

use super::Broker;
use super::damage::{NOW_MS, open, scratch, serves};
use crate::config::SeedConfig;
use crate::controller::NewTopic;
use crate::partition::append_batches;
use crate::seed::apply;
use milena_protocol::records::{BatchBuilder, Batches, HEADER_LEN, Records};
use milena_storage::log::Append;
use milena_storage::producers::Origin;

/// Records without keys go to two partitions by turns.
const SEED: &str = "{topics: [{name: a, partitions: 2}], records: [{topic: a, value: '0'}, {topic: a, value: '1'}, \
                    {topic: a, value: '2'}, {topic: a, value: '3'}, {topic: a, value: '4'}, {topic: a, value: '5'}]}";
const WHOLE: [&str; 2] = ["024", "135"];

/// What each partition holds.
fn values(broker: &Broker) -> Vec<String> {
    let text = |bytes: Vec<u8>| {
        let mut values = String::new();
        for batch in Batches::new(&bytes) {
            let (header, batch) = batch.unwrap();
            for record in Records::new(&batch[HEADER_LEN..], header.record_count) {
                values += std::str::from_utf8(record.unwrap().value.unwrap()).unwrap();
            }
        }
        values
    };
    serves(broker).into_values().map(text).collect()
}

/// What is there after a start on a topic whose partitions hold these.
fn after_a_start(partitions: [&str; 2]) -> Vec<String> {
    let dir = scratch();
    let broker = open(dir.path()).unwrap();
    let topic = NewTopic { name: "a".into(), partitions: 2, replication_factor: 1, ..NewTopic::default() };
    broker.controller.create_topics(vec![topic], false).unwrap().remove(0).unwrap();
    for (index, values) in (0..).zip(partitions) {
        let partition = broker.partition("a", index).unwrap();
        for at in 0..values.len() {
            let mut batch = BatchBuilder::new();
            batch.append(NOW_MS, None, Some(&values.as_bytes()[at..=at]), &[]);
            let how = Append { leader_epoch: 0, origin: Origin::Client, now_ms: NOW_MS };
            append_batches(&partition.log(), &batch.build().unwrap(), &how).unwrap();
        }
    }
    drop(broker);
    let broker = open(dir.path()).unwrap();
    let file = dir.path().join("seed.yaml");
    std::fs::write(&file, SEED).unwrap();
    let config = SeedConfig { topics: Vec::new(), file: Some(file) };
    apply(&broker, &config).unwrap();
    let first = values(&broker);
    apply(&broker, &config).unwrap();
    assert_eq!(values(&broker), first, "it is there once");
    first
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_becomes_the_whole() {
    for one in 0..=3 {
        for other in 0..=3 {
            let held = [&WHOLE[0][..one], &WHOLE[1][..other]];
            assert_eq!(after_a_start(held), WHOLE, "{held:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_of_the_seed_is_left_alone() {
    for held in [["0x", ""], ["2", ""], ["02", "3"], ["0246", ""], ["", "135x"], ["x", "x"]] {
        assert_eq!(after_a_start(held), held);
    }
}
