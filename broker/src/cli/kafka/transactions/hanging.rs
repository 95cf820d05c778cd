//! `find-hanging`: transactions that are open in a partition while no coordinator means to end them.

use super::{Parsed, asked, failed};
use crate::cli::failure::Failure;
use crate::cli::kafka::table::print_table;
use crate::cli::screen::Screen;
use crate::client::{Client, TopicPartition};
use crate::clock::Clock;
use crate::tree::tree;
use kafka_protocol::messages::describe_producers_response::ProducerState;
use std::collections::{BTreeMap, BTreeSet};

/// Partitions asked for at a time.
const BATCH: usize = 500;
const MINUTE_MS: i64 = 60_000;
const TIMEOUT_MINUTES: i64 = 15;
const TRANSACTIONAL_ID_NOT_FOUND: i16 = 105;
const COLUMNS: [&str; 8] = [
    "Topic",
    "Partition",
    "ProducerId",
    "ProducerEpoch",
    "CoordinatorEpoch",
    "StartOffset",
    "LastTimestamp",
    "Duration(min)",
];

/// A transaction that is open in a partition.
type Open = (TopicPartition, ProducerState);

/// Finds and prints them.
pub(super) async fn find(screen: &mut Screen, given: &Parsed, client: &mut Client) -> Result<(), Failure> {
    let (broker, topic) = (given.number::<i32>("broker-id"), given.one("topic"));
    let partition = given.number::<i32>("partition");
    if topic.is_none() && broker.is_none() {
        let text = "The `find-hanging` command requires either --topic or --broker-id to limit the scope of the search";
        return Err(Failure::text(text));
    }
    let partitions = match (topic, partition) {
        (None, Some(_)) => {
            return Err(Failure::text("The --partition argument requires --topic to be provided"));
        }
        (Some(topic), Some(partition)) => vec![TopicPartition::new(topic, partition)],
        (topic, None) => partitions_on(client, topic, broker).await?,
    };
    let minutes = given.number("max-transaction-timeout").unwrap_or(TIMEOUT_MINUTES);
    let now = Clock::System.now_ms();
    let mut open: Vec<Open> = Vec::new();
    for some in partitions.chunks(BATCH) {
        let whom = broker.map_or_else(|| "Optional.empty".to_owned(), |id| format!("Optional[{id}]"));
        let what = format!("Failed to describe producers for {} partitions on broker {whom}", some.len());
        let all = asked::producers(client, some, broker).await.map_err(failed(what))?;
        open.extend(all.into_iter().filter(|(_, producer)| {
            producer.current_txn_start_offset >= 0 && now - producer.last_timestamp > minutes * MINUTE_MS
        }));
    }
    let ended = if open.is_empty() { BTreeMap::new() } else { coordinated(client, &open).await? };
    let rows: Vec<Vec<String>> =
        open.iter().filter(|one| hangs(one, &ended)).map(|one| row(one, now)).collect();
    print_table(screen, &COLUMNS, &rows)
}

/// The partitions of a topic, or of all, that a broker has a replica of.
async fn partitions_on(
    client: &mut Client,
    topic: Option<&str>,
    broker: Option<i32>,
) -> Result<Vec<TopicPartition>, Failure> {
    let wanted = topic.map(|topic| [topic]);
    let what = || match topic {
        Some(_) => "Failed to describe 1 topics".to_owned(),
        None => "Failed to list topics".to_owned(),
    };
    let topics = client.metadata(wanted.as_ref().map(<[&str; 1]>::as_slice)).await;
    let mut all = Vec::new();
    for topic in topics.map_err(failed(what()))? {
        crate::client::check(kafka_protocol::messages::ApiKey::Metadata as i16, topic.error, None)
            .map_err(failed(what()))?;
        let held = |replicas: &[i32]| broker.is_none_or(|id| replicas.contains(&id));
        let held = topic.partitions.iter().filter(|partition| held(&partition.replicas));
        all.extend(held.map(|partition| TopicPartition::new(&topic.name, partition.index)));
    }
    Ok(all)
}

/// By producer, the partitions in which its coordinator is going to end its transaction.
async fn coordinated(
    client: &mut Client,
    open: &[Open],
) -> Result<BTreeMap<i64, BTreeSet<TopicPartition>>, Failure> {
    let ids: BTreeSet<i64> = tree(open.iter().map(|(_, producer)| producer.producer_id.0));
    let ids: Vec<i64> = ids.into_iter().collect();
    let what = format!("Failed to list transactions for {} producers", ids.len());
    let listed = asked::list(client, &ids, -1, None).await.map_err(failed(what))?;
    let count = listed.len();
    let mut all = BTreeMap::new();
    for one in listed {
        match asked::describe(client, &one.id).await {
            Ok(state) => {
                all.insert(one.producer_id, asked::partitions_of(&state).collect());
            }
            Err(error) if error.code() == Some(TRANSACTIONAL_ID_NOT_FOUND) => {}
            Err(error) => return Err(failed(format!("Failed to describe {count} transactions"))(error)),
        }
    }
    Ok(all)
}

/// Whether nobody is going to end a transaction.
fn hangs(open: &Open, coordinated: &BTreeMap<i64, BTreeSet<TopicPartition>>) -> bool {
    let (partition, producer) = open;
    coordinated.get(&producer.producer_id.0).is_none_or(|partitions| !partitions.contains(partition))
}

fn row((partition, producer): &Open, now: i64) -> Vec<String> {
    vec![
        partition.topic.clone(),
        partition.partition.to_string(),
        producer.producer_id.0.to_string(),
        producer.producer_epoch.to_string(),
        producer.coordinator_epoch.max(-1).to_string(),
        producer.current_txn_start_offset.max(-1).to_string(),
        producer.last_timestamp.to_string(),
        ((now - producer.last_timestamp) / MINUTE_MS).to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::{MINUTE_MS, hangs, row};
    use crate::client::TopicPartition;
    use kafka_protocol::messages::ProducerId;
    use kafka_protocol::messages::describe_producers_response::ProducerState;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn what_no_coordinator_ends_hangs() {
        let open = |partition, producer| {
            let producer = ProducerState::default()
                .with_producer_id(ProducerId(producer))
                .with_current_txn_start_offset(5)
                .with_coordinator_epoch(-1)
                .with_last_timestamp(MINUTE_MS);
            (TopicPartition::new("t", partition), producer)
        };
        let known = BTreeMap::from([(7, BTreeSet::from([TopicPartition::new("t", 0)]))]);
        assert!(!hangs(&open(0, 7), &known), "its coordinator has it in its transaction");
        assert!(hangs(&open(1, 7), &known), "not this partition");
        assert!(hangs(&open(0, 8), &known), "a producer that no coordinator knows");
        let cells = row(&open(1, 7), 4 * MINUTE_MS - 1);
        assert_eq!(cells, ["t", "1", "7", "0", "-1", "5", "60000", "2"]);
    }
}
