//! `kafka-transactions` (`TransactionsCommand`).

mod asked;
mod hanging;

use super::table::print_table;
use crate::cli::argparse::{Command, Opt, Parsed, Parser};
use crate::cli::connect::{block_on, client_of, load};
use crate::cli::failure::Failure;
use crate::cli::flags::value;
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::client::{Client, ClientError, TopicPartition};
use crate::clock::Clock;
use asked::Marker;

/// The tool.
pub(crate) const RUN: Run = Run::Commands(&PARSER, run);

static PARSER: Parser = Parser {
    name: "kafka-transactions.sh",
    about: "Lists and describes transactions, finds those that hang and aborts them.",
    options: &[
        Opt::text(value("command-config", "FILE", "properties of the client")),
        Opt::text(value("bootstrap-server", "host:port", "the brokers to connect to")).needed(),
    ],
    metavar: Some("COMMAND"),
    has_version: true,
    commands: &[
        Command { name: "list", help: "list transactions", options: LIST },
        Command { name: "describe", help: "describe the state of a transactional id", options: DESCRIBE },
        Command {
            name: "describe-producers",
            help: "describe the producers that a partition knows",
            options: DESCRIBE_PRODUCERS,
        },
        Command { name: "abort", help: "abort a transaction in one partition", options: ABORT },
        Command { name: "find-hanging", help: "find transactions that nobody will end", options: HANGING },
        Command {
            name: "forceTerminateTransaction",
            help: "abort the transaction of a transactional id and fence its producer",
            options: TERMINATE,
        },
    ],
};

const LIST: &[Opt] = &[
    Opt::number(
        value("duration-filter", "DURATION_FILTER", "only those that have run for more milliseconds"),
        "Long",
    ),
    Opt::text(value(
        "transactional-id-pattern",
        "TRANSACTIONAL_ID_PATTERN",
        "only transactional ids that this regular expression matches",
    )),
];
const DESCRIBE: &[Opt] =
    &[Opt::text(value("transactional-id", "TRANSACTIONAL_ID", "transactional id")).needed()];
const DESCRIBE_PRODUCERS: &[Opt] = &[
    Opt::number(value("broker-id", "BROKER_ID", "ask this replica and not the leader"), "Integer"),
    Opt::text(TOPIC).needed(),
    Opt::number(PARTITION, "Integer").needed(),
];
const ABORT: &[Opt] = &[
    Opt::text(TOPIC).needed(),
    Opt::number(PARTITION, "Integer").needed(),
    Opt::number(value("start-offset", "START_OFFSET", "where the transaction begins"), "Long"),
    Opt::number(value("producer-id", "PRODUCER_ID", "brokers before 3.0: producer id"), "Long"),
    Opt::number(value("producer-epoch", "PRODUCER_EPOCH", "brokers before 3.0: producer epoch"), "Short"),
    Opt::number(
        value("coordinator-epoch", "COORDINATOR_EPOCH", "brokers before 3.0: coordinator epoch"),
        "Integer",
    ),
];
const HANGING: &[Opt] = &[
    Opt::number(value("broker-id", "BROKER_ID", "the broker to search"), "Integer"),
    Opt::number(
        value("max-transaction-timeout", "MAX_TRANSACTION_TIMEOUT", "only older ones, in minutes; 15"),
        "Integer",
    ),
    Opt::text(value("topic", "TOPIC", "the topic to search; --partition needs it")),
    Opt::number(PARTITION, "Integer"),
];
const TERMINATE: &[Opt] =
    &[Opt::text(value("transactionalId", "TRANSACTIONALID", "transactional id")).needed()];
const TOPIC: crate::cli::flags::Flag = value("topic", "TOPIC", "topic name");
const PARTITION: crate::cli::flags::Flag = value("partition", "PARTITION", "partition number");

const TRANSACTIONS: [&str; 4] = ["TransactionalId", "Coordinator", "ProducerId", "TransactionState"];
const TRANSACTION: [&str; 9] = [
    "CoordinatorId",
    "TransactionalId",
    "ProducerId",
    "ProducerEpoch",
    "TransactionState",
    "TransactionTimeoutMs",
    "CurrentTransactionStartTimeMs",
    "TransactionDurationMs",
    "TopicPartitions",
];
const PRODUCERS: [&str; 6] = [
    "ProducerId",
    "ProducerEpoch",
    "LatestCoordinatorEpoch",
    "LastSequence",
    "LastTimestamp",
    "CurrentTransactionStartOffset",
];

fn run(screen: &mut Screen, given: &Parsed) -> Result<(), Failure> {
    let properties =
        given.one("command-config").map(load).transpose().map_err(|error| {
            Failure::text(format!("Failed to load admin client properties: {error}. {MORE}"))
        })?;
    let mut client =
        client_of(given.one("bootstrap-server").unwrap_or_default(), &properties.unwrap_or_default())?;
    block_on(async {
        match given.command {
            "list" => list(screen, given, &mut client).await,
            "describe" => describe(screen, given, &mut client).await,
            "describe-producers" => describe_producers(screen, given, &mut client).await,
            "abort" => abort(given, &mut client).await,
            "find-hanging" => hanging::find(screen, given, &mut client).await,
            _ => terminate(given, &mut client).await,
        }
    })
}

/// How all errors of a cluster end.
const MORE: &str = "Enable debug logging for additional detail.";

/// An error of the cluster as the tool says it.
fn failed(what: String) -> impl FnOnce(ClientError) -> Failure {
    move |error| Failure::text(format!("{what}: {error}. {MORE}"))
}

async fn list(screen: &mut Screen, given: &Parsed, client: &mut Client) -> Result<(), Failure> {
    let duration = given.number("duration-filter").unwrap_or(-1);
    let pattern = given.one("transactional-id-pattern").filter(|pattern| !pattern.is_empty());
    let all = asked::list(client, &[], duration, pattern)
        .await
        .map_err(failed("Failed to list transactions".into()))?;
    let rows: Vec<Vec<String>> = all
        .into_iter()
        .map(|one| vec![one.id, one.coordinator.to_string(), one.producer_id.to_string(), one.state])
        .collect();
    print_table(screen, &TRANSACTIONS, &rows)
}

async fn describe(screen: &mut Screen, given: &Parsed, client: &mut Client) -> Result<(), Failure> {
    let id = given.one("transactional-id").unwrap_or_default();
    let what = || format!("Failed to describe transaction state of transactional-id `{id}`");
    let found = asked::describe(client, id).await.map_err(failed(what()))?;
    let coordinator = client.transaction_coordinator(id).await.map_err(failed(what()))?;
    let start = Some(found.transaction_start_time_ms).filter(|ms| *ms >= 0);
    let shown = |ms: Option<i64>| ms.map_or_else(|| "None".to_owned(), |ms| ms.to_string());
    let partitions: Vec<String> = asked::partitions_of(&found).map(|tp| tp.to_string()).collect();
    let row = vec![
        coordinator.to_string(),
        id.to_owned(),
        found.producer_id.0.to_string(),
        found.producer_epoch.to_string(),
        found.transaction_state.to_string(),
        found.transaction_timeout_ms.to_string(),
        shown(start),
        shown(start.map(|start| Clock::System.now_ms() - start)),
        partitions.join(","),
    ];
    print_table(screen, &TRANSACTION, &[row])
}

async fn describe_producers(screen: &mut Screen, given: &Parsed, client: &mut Client) -> Result<(), Failure> {
    let (tp, broker) = (partition(given), given.number("broker-id"));
    let on = broker.map_or_else(|| "leader".to_owned(), |id: i32| format!("broker {id}"));
    let what = format!("Failed to describe producers for partition {tp} on {on}");
    let all = asked::producers(client, std::slice::from_ref(&tp), broker).await.map_err(failed(what))?;
    let rows: Vec<Vec<String>> = all
        .into_iter()
        .map(|(_, one)| {
            let start = Some(one.current_txn_start_offset).filter(|start| *start >= 0);
            vec![
                one.producer_id.0.to_string(),
                one.producer_epoch.to_string(),
                one.coordinator_epoch.max(-1).to_string(),
                one.last_sequence.to_string(),
                one.last_timestamp.to_string(),
                start.map_or_else(|| "None".to_owned(), |start| start.to_string()),
            ]
        })
        .collect();
    print_table(screen, &PRODUCERS, &rows)
}

async fn abort(given: &Parsed, client: &mut Client) -> Result<(), Failure> {
    let tp = partition(given);
    let marker = match given.number::<i64>("start-offset") {
        Some(start) => marker_of(client, tp, start).await?,
        None => marker(given, tp)?,
    };
    let what = format!("Failed to abort transaction {marker}");
    asked::abort(client, &marker).await.map_err(failed(what))
}

/// The marker that the options describe.
fn marker(given: &Parsed, partition: TopicPartition) -> Result<Marker, Failure> {
    let missing = |name: &str| Failure::text(format!("Missing required argument --{name}"));
    let producer_id = given.number("producer-id").ok_or_else(|| {
        Failure::text(
            "The transaction to abort must be identified either with --start-offset (for brokers on 3.0 or \
             above) or with --producer-id, --producer-epoch, and --coordinator-epoch (for older brokers)",
        )
    })?;
    let producer_epoch = given.number("producer-epoch").ok_or_else(|| missing("producer-epoch"))?;
    let epoch: i32 = given.number("coordinator-epoch").ok_or_else(|| missing("coordinator-epoch"))?;
    // A producer that has never ended a transaction has no coordinator's epoch yet; 0 is none too new.
    Ok(Marker { partition, producer_id, producer_epoch, coordinator_epoch: epoch.max(0) })
}

/// The marker for the transaction that begins at an offset.
async fn marker_of(client: &mut Client, partition: TopicPartition, start: i64) -> Result<Marker, Failure> {
    let what = format!("Failed to validate producer state for partition {partition}");
    let all = asked::producers(client, std::slice::from_ref(&partition), None).await.map_err(failed(what))?;
    let Some((_, one)) = all.into_iter().find(|(_, one)| one.current_txn_start_offset == start) else {
        let text = "Could not find any open transactions starting at offset";
        return Err(Failure::text(format!("{text} {start} on partition {partition}")));
    };
    let producer_epoch = i16::try_from(one.producer_epoch)
        .map_err(|_| Failure::text(format!("the producer's epoch {} makes no sense", one.producer_epoch)))?;
    let coordinator_epoch = one.coordinator_epoch.max(0);
    Ok(Marker { partition, producer_id: one.producer_id.0, producer_epoch, coordinator_epoch })
}

async fn terminate(given: &Parsed, client: &mut Client) -> Result<(), Failure> {
    let id = given.one("transactionalId").unwrap_or_default();
    let what = format!("Failed to force terminate transactionalId `{id}`");
    asked::fence(client, id).await.map_err(failed(what))
}

fn partition(given: &Parsed) -> TopicPartition {
    TopicPartition::new(given.one("topic").unwrap_or_default(), given.number("partition").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{PARSER, marker, partition};
    use crate::cli::argparse::{Parsed, Words};

    fn parsed(line: &str) -> Parsed {
        let words: Vec<String> = format!("--bootstrap-server a:1 abort --topic t --partition 2 {line}")
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        match PARSER.read(&words) {
            Ok(Words::Run(parsed)) => parsed,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn markers_of_old_brokers_are_described_by_options() {
        for (line, expected) in [
            ("", Err("The transaction to abort must be identified either with --start-offset")),
            ("--producer-id 7", Err("Missing required argument --producer-epoch")),
            ("--producer-id 7 --producer-epoch 1", Err("Missing required argument --coordinator-epoch")),
            ("--producer-id 7 --producer-epoch 1 --coordinator-epoch 4", Ok((7, 1, 4))),
            ("--producer-id 7 --producer-epoch 1 --coordinator-epoch -1", Ok((7, 1, 0))),
        ] {
            let given = parsed(line);
            match (marker(&given, partition(&given)), expected) {
                (Ok(marker), Ok(expected)) => {
                    let found = (marker.producer_id, marker.producer_epoch, marker.coordinator_epoch);
                    assert_eq!(found, expected, "{line}");
                    assert_eq!(marker.partition.to_string(), "t-2");
                }
                (Err(error), Err(expected)) => assert!(error.to_string().starts_with(expected), "{error}"),
                (found, _) => panic!("{line}: {found:?}"),
            }
        }
    }
}
