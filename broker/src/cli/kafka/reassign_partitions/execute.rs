//! `--execute` and `--cancel`.

use super::cluster::{Cluster, unknown};
use super::json::{Targets, format, spaced};
use super::{Dirs, Replicas, file, joined, terse, throttles};
use crate::cli::failure::Failure;
use crate::cli::flags::Given;
use crate::cli::screen::Screen;
use crate::client::TopicPartition;
use crate::tree::tree;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Attempts to begin a move between directories are this far apart.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const TIMEOUT_MS: u64 = 10_000;

/// Begins moves.
pub(super) async fn run(screen: &mut Screen, given: &Given, cluster: &mut Cluster) -> Result<(), Failure> {
    let (rate, dirs_rate) = (limit(given, "throttle")?, limit(given, "replica-alter-log-dirs-throttle")?);
    let timeout = timeout(given)?;
    let targets = Targets::parse(&file(given, "reassignment-json-file")?)?;
    let proposed = targets.checked()?;
    let under_way = cluster.reassignments(None).await?;
    if !given.has("additional") && !under_way.is_empty() {
        return Err(terse(
            screen,
            "Cannot execute because there is an existing partition assignment.  Use --additional to override this \
             and create a new partition assignment in addition to the existing one. The --additional flag can also \
             be used to change the throttle by resubmitting the current reassignment.",
        ));
    }
    let nodes = cluster.nodes().await?;
    if let Some(id) = proposed.values().flatten().find(|id| !nodes.contains_key(id)) {
        return Err(Failure::text(format!("Unknown broker id {id}")));
    }
    let current = current(cluster, &proposed).await?;
    screen.say(format_args!(
        "Current partition replica assignment\n\n{}\n\nSave this to use as the --reassignment-json-file option during \
         rollback",
        format(&current)
    ))?;
    if rate.is_some() || dirs_rate.is_some() {
        screen.say(
            "Warning: You must run --verify periodically, until the reassignment completes, to ensure the throttle is \
             removed.",
        )?;
    }
    if let Some(rate) = rate {
        let moves = throttles::moves(&under_way, &proposed, &current);
        throttles::limit_brokers(screen, cluster, &moves, rate).await?;
    }
    if let Some(rate) = dirs_rate {
        throttles::limit_dirs(screen, cluster, &targets.dirs, rate).await?;
    }
    let wanted = proposed.iter().map(|(tp, replicas)| (tp.clone(), Some(replicas.clone()))).collect();
    let refused = cluster.reassign(&wanted, !given.has("disallow-replication-factor-change")).await?;
    if !refused.is_empty() {
        return Err(terse(screen, format_args!("Error reassigning partition(s):\n{}", lines(&refused))));
    }
    let s = if proposed.len() == 1 { "" } else { "s" };
    let list = joined(proposed.keys());
    screen.say(format_args!("Successfully started partition reassignment{s} for {list}"))?;
    move_dirs(screen, cluster, targets.dirs, timeout).await
}

/// Ends moves where they began.
pub(super) async fn cancel(screen: &mut Screen, given: &Given, cluster: &mut Cluster) -> Result<(), Failure> {
    let timeout = timeout(given)?;
    let targets = Targets::parse(&file(given, "reassignment-json-file")?)?;
    let partitions: BTreeSet<TopicPartition> = targets.partitions.iter().map(|(tp, _)| tp.clone()).collect();
    let under_way = cluster.reassignments(Some(&partitions)).await?;
    let moving =
        under_way.into_iter().filter(|(_, moving)| !moving.adding.is_empty() || !moving.removing.is_empty());
    let wanted: BTreeMap<TopicPartition, Option<Vec<i32>>> = tree(moving.map(|(tp, _)| (tp, None)));
    if wanted.is_empty() {
        screen.say("None of the specified partition reassignments are active.")?;
    } else {
        let refused = cluster.reassign(&wanted, true).await?;
        if !refused.is_empty() {
            let s = if refused.len() == 1 { "" } else { "s" };
            let lines = lines(&refused);
            return Err(terse(
                screen,
                format_args!("Error cancelling partition reassignment{s} for:\n{lines}"),
            ));
        }
        let s = if wanted.len() == 1 { "" } else { "s" };
        let list = joined(wanted.keys());
        screen.say(format_args!("Successfully cancelled partition reassignment{s} for: {list}"))?;
    }
    let places = cluster.places(targets.dirs.keys()).await?;
    let moving: Dirs = places
        .into_iter()
        .filter(|(_, place)| place.future.is_some())
        .filter_map(|(replica, place)| Some((replica, place.current?)))
        .collect();
    if moving.is_empty() {
        // Without an end of the line, as Kafka's tool has it.
        screen.put(b"None of the specified partition moves are active.")?;
    } else {
        move_dirs(screen, cluster, moving, timeout).await?;
    }
    if !given.has("preserve-throttles") {
        throttles::clear(screen, cluster, &targets.partitions).await?;
    }
    Ok(())
}

/// Moves replicas to directories. A replica that has yet to come to its broker is asked for again.
async fn move_dirs(
    screen: &mut Screen,
    cluster: &mut Cluster,
    mut left: Dirs,
    timeout: Duration,
) -> Result<(), Failure> {
    let until = Instant::now() + timeout;
    while !left.is_empty() {
        let later = cluster.move_dirs(&left).await?;
        for (replica, dir) in left.iter().filter(|(replica, _)| !later.contains_key(replica)) {
            screen.say(format_args!(
                "Successfully started moving log directory to {dir} for replica {} with broker {} ",
                replica.partition, replica.broker
            ))?;
        }
        left = later;
        if left.is_empty() {
            break;
        }
        if Instant::now() >= until {
            let (s, list) = (if left.len() == 1 { "" } else { "s" }, joined(left.keys()));
            let text = format!("Timed out before log directory move{s} could be started for: {list}");
            return Err(terse(screen, text));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// Where partitions are now.
async fn current(cluster: &mut Cluster, proposed: &Replicas) -> Result<Replicas, Failure> {
    let topics = proposed.keys().map(|tp| tp.topic.as_str()).collect();
    let mut current = cluster.replicas_of_all(&topics).await?;
    current.retain(|tp, _| proposed.contains_key(tp));
    let missing: Vec<&TopicPartition> = proposed.keys().filter(|tp| !current.contains_key(tp)).collect();
    match missing.is_empty() {
        true => Ok(current),
        false => Err(unknown(format!("Unable to find partition: {}", spaced(missing))).into()),
    }
}

/// A limit; a negative one is none.
fn limit(given: &Given, name: &str) -> Result<Option<i64>, Failure> {
    Ok(given.number(name)?.filter(|rate| *rate >= 0))
}

fn timeout(given: &Given) -> Result<Duration, Failure> {
    Ok(Duration::from_millis(given.number("timeout")?.unwrap_or(TIMEOUT_MS)))
}

fn lines(refused: &BTreeMap<TopicPartition, String>) -> String {
    refused.iter().map(|(tp, text)| format!("{tp}: {text}")).collect::<Vec<_>>().join("\n")
}
