//! `--verify`: how far moves are.

use super::cluster::{Cluster, Place};
use super::json::Targets;
use super::{Replica, Replicas, file, joined, throttles};
use crate::cli::failure::Failure;
use crate::cli::flags::Given;
use crate::cli::screen::Screen;
use std::collections::{BTreeMap, BTreeSet};

/// Says it, and takes back the limits when all is done.
pub(super) async fn run(screen: &mut Screen, given: &Given, cluster: &mut Cluster) -> Result<(), Failure> {
    let targets = Targets::parse(&file(given, "reassignment-json-file")?)?;
    let under_way = cluster.reassignments(None).await?;
    let still: BTreeSet<&str> = targets
        .partitions
        .iter()
        .filter(|(tp, _)| !under_way.contains_key(tp))
        .map(|(tp, _)| tp.topic.as_str())
        .collect();
    let current = cluster.replicas(&still).await?;
    screen.say("Status of partition reassignment:")?;
    let wanted: Replicas = targets.partitions.iter().cloned().collect();
    for (tp, target) in &wanted {
        if under_way.contains_key(tp) {
            screen.say(format_args!("Reassignment of partition {tp} is still in progress."))?;
            continue;
        }
        let now = current.get(tp).map(Vec::as_slice).unwrap_or_default();
        if now == target {
            screen.say(format_args!("Reassignment of partition {tp} is completed."))?;
        } else {
            screen.say(format_args!(
                "There is no active reassignment of partition {tp}, but replica set is {} rather than {}.",
                joined(now),
                joined(target)
            ))?;
        }
    }
    let places = cluster.places(targets.dirs.keys()).await?;
    let texts: Vec<String> = targets
        .dirs
        .iter()
        .filter_map(|(replica, dir)| Some(text(replica, dir, places.get(replica)?)))
        .collect();
    screen.say(texts.join("\n"))?;
    let is_done = under_way.is_empty() && !is_moving(&places);
    if is_done && !given.has("preserve-throttles") {
        throttles::clear(screen, cluster, &targets.partitions).await?;
    }
    Ok(())
}

fn is_moving(places: &BTreeMap<Replica, Place>) -> bool {
    places.values().any(|place| place.current.is_some() && place.future.is_some())
}

/// How far the move of a replica to a directory is.
fn text(replica: &Replica, target: &str, place: &Place) -> String {
    let Replica { broker, partition } = replica;
    match (place.current.as_deref(), place.future.as_deref()) {
        (None, _) => format!(
            "Partition {partition} is not found in any live log dir on broker {broker}. There is likely an offline \
             log directory on the broker."
        ),
        (_, Some(future)) if future == target => {
            format!("Reassignment of replica {replica} is still in progress.")
        }
        (_, Some(future)) => format!(
            "Partition {partition} on broker {broker} is being moved to log dir {future} instead of {target}."
        ),
        (Some(current), None) if current == target => {
            format!("Reassignment of replica {replica} completed successfully.")
        }
        (Some(current), None) => format!(
            "Partition {partition} on broker {broker} is not being moved from log dir {current} to {target}."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Replica, text};
    use crate::client::TopicPartition;

    #[test]
    fn where_a_replica_is() {
        let replica = Replica { broker: 1, partition: TopicPartition::new("t", 0) };
        for (current, future, expected) in [
            (None, None, "Partition t-0 is not found in any live log dir on broker 1. "),
            (Some("/d"), None, "Reassignment of replica t-0-1 completed successfully."),
            (Some("/e"), None, "Partition t-0 on broker 1 is not being moved from log dir /e to /d."),
            (Some("/e"), Some("/d"), "Reassignment of replica t-0-1 is still in progress."),
            (Some("/e"), Some("/f"), "Partition t-0 on broker 1 is being moved to log dir /f instead of /d."),
        ] {
            let place = Place { current: current.map(str::to_owned), future: future.map(str::to_owned) };
            let found = text(&replica, "/d", &place);
            assert!(found.starts_with(expected), "{found}");
        }
    }
}
