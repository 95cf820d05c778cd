//! `--generate`: where partitions could be.

use super::cluster::Cluster;
use super::json::{duplicates, format, spaced, topics};
use super::{Replicas, file};
use crate::cli::failure::Failure;
use crate::cli::flags::Given;
use crate::cli::screen::Screen;
use crate::client::TopicPartition;
use std::collections::{BTreeMap, BTreeSet};

/// Brokers with their racks.
type Brokers = BTreeMap<i32, Option<String>>;

/// Prints where they are, and where they could be.
pub(super) async fn run(screen: &mut Screen, given: &Given, cluster: &mut Cluster) -> Result<(), Failure> {
    let text = file(given, "topics-to-move-json-file")?;
    let ids = broker_ids(given.required("broker-list")?)?;
    let names = topics(&text)?;
    let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let current = cluster.replicas_of_all(&names).await?;
    let mut brokers = cluster.nodes().await?;
    brokers.retain(|id, _| ids.contains(id));
    if given.has("disable-rack-aware") {
        brokers.values_mut().for_each(|rack| *rack = None);
    }
    let proposed = place(&current, &brokers)?;
    screen.say(format_args!("Current partition replica assignment\n{}\n", format(&current)))?;
    screen.say(format_args!("Proposed partition reassignment configuration\n{}", format(&proposed)))?;
    Ok(())
}

fn broker_ids(list: &str) -> Result<Vec<i32>, Failure> {
    let parse = |text: &str| text.parse().map_err(|_| Failure::text(format!("For input string: \"{text}\"")));
    let ids: Vec<i32> = list.split(',').map(parse).collect::<Result<_, _>>()?;
    let twice = duplicates(&ids);
    match twice.is_empty() {
        true => Ok(ids),
        false => Err(Failure::text(format!("Broker list contains duplicate entries: [{}]", spaced(twice)))),
    }
}

/// As many replicas as now, leaders on all brokers by turns, the others in other racks as far as there are any.
fn place(current: &Replicas, brokers: &Brokers) -> Result<Replicas, Failure> {
    let rackless = brokers.values().filter(|rack| rack.is_none()).count();
    if rackless != 0 && rackless != brokers.len() {
        return Err(Failure::text(
            "Not all brokers have rack information. Add --disable-rack-aware in command line to make replica \
             assignment without rack information.",
        ));
    }
    let striped = striped(brokers);
    let mut factors: BTreeMap<&str, usize> = BTreeMap::new();
    let mut proposed = Replicas::new();
    for (tp, replicas) in current {
        // All partitions of a topic get as many replicas as its first one.
        let factor = *factors.entry(&tp.topic).or_insert(replicas.len());
        if striped.is_empty() {
            return Err(Failure::text("All brokers are currently fenced."));
        }
        if factor > striped.len() {
            return Err(Failure::text(format!(
                "The target replication factor of {factor} cannot be reached because only {} broker(s) are \
                 registered.",
                striped.len()
            )));
        }
        let turn = usize::try_from(tp.partition).unwrap_or(0);
        proposed.insert(TopicPartition::clone(tp), chosen(&striped, turn, factor));
    }
    Ok(proposed)
}

/// Brokers in an order in which neighbours are in different racks, as far as there are any.
fn striped<'b>(brokers: &'b Brokers) -> Vec<(i32, Option<&'b str>)> {
    let mut counts: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    let turn = |(id, rack): (&i32, &'b Option<String>)| {
        let count = counts.entry(rack.as_deref()).or_default();
        *count += 1;
        (*count, rack.as_deref(), *id)
    };
    let mut all: Vec<(usize, Option<&str>, i32)> = brokers.iter().map(turn).collect();
    all.sort_unstable();
    all.into_iter().map(|(_, rack, id)| (id, rack)).collect()
}

/// The replicas of the partition of that turn. In each round the others follow the leader at another distance.
fn chosen(striped: &[(i32, Option<&str>)], turn: usize, factor: usize) -> Vec<i32> {
    let count = striped.len();
    let (leader, rack) = striped[turn % count];
    let others = count - 1;
    let distance = if others == 0 { 0 } else { (turn / count) % others };
    let mut left: Vec<(i32, Option<&str>)> =
        (0..others).map(|at| striped[(turn + 1 + (at + distance) % others) % count]).collect();
    let mut replicas = vec![leader];
    let mut racks = BTreeSet::from([rack]);
    while replicas.len() < factor && !left.is_empty() {
        let at = left.iter().position(|(_, rack)| rack.is_some() && !racks.contains(rack));
        let (id, rack) = left.remove(at.unwrap_or(0));
        racks.insert(rack);
        replicas.push(id);
    }
    replicas
}

#[cfg(test)]
mod tests {
    use super::{Brokers, broker_ids, place};
    use crate::client::TopicPartition;
    use std::collections::{BTreeMap, BTreeSet};

    fn topic(partitions: i32, factor: usize) -> super::Replicas {
        (0..partitions).map(|index| (TopicPartition::new("t", index), vec![1; factor])).collect()
    }

    fn brokers(racks: &[(i32, Option<&str>)]) -> Brokers {
        racks.iter().map(|(id, rack)| (*id, rack.map(str::to_owned))).collect()
    }

    #[test]
    fn everyone_has_the_same_share() {
        for (count, factor) in [(1, 1), (3, 1), (3, 2), (3, 3), (5, 3)] {
            let all = brokers(&(1..=count).map(|id| (id, None)).collect::<Vec<_>>());
            let placed = place(&topic(count * (count - 1).max(1), factor), &all).expect("a plan");
            let (mut leaders, mut replicas) = (BTreeMap::new(), BTreeMap::new());
            for ids in placed.values() {
                assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), factor, "{ids:?}");
                *leaders.entry(ids[0]).or_insert(0) += 1;
                ids.iter().for_each(|id| *replicas.entry(*id).or_insert(0) += 1);
            }
            for shares in [leaders, replicas] {
                let sizes: BTreeSet<i32> = shares.values().copied().collect();
                assert_eq!((shares.len(), sizes.len()), (count as usize, 1), "{count} {factor}");
            }
        }
    }

    #[test]
    fn replicas_are_in_different_racks() {
        let all = brokers(&[(1, Some("a")), (2, Some("a")), (3, Some("a")), (4, Some("b")), (5, Some("c"))]);
        for ids in place(&topic(40, 3), &all).expect("a plan").values() {
            let racks: BTreeSet<_> = ids.iter().map(|id| &all[id]).collect();
            assert_eq!(racks.len(), 3, "{ids:?}");
        }
    }

    #[test]
    fn what_cannot_be_placed() {
        for (racks, factor, expected) in [
            (vec![], 1, "All brokers are currently fenced."),
            (
                vec![(1, None)],
                2,
                "The target replication factor of 2 cannot be reached because only 1 broker(s)",
            ),
            (vec![(1, None), (2, Some("a"))], 1, "Not all brokers have rack information."),
        ] {
            let error = place(&topic(1, factor), &brokers(&racks)).expect_err(expected).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        for (list, expected) in [
            ("1,2", Ok(vec![1, 2])),
            ("1,x", Err("For input string: \"x\"".to_owned())),
            ("1,1", Err("Broker list contains duplicate entries: [1]".to_owned())),
        ] {
            assert_eq!(broker_ids(list).map_err(|failure| failure.to_string()), expected);
        }
    }
}
