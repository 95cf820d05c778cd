//! Limits for moves: which replicas of a topic they are for, and how much a broker may send and receive.

use super::cluster::{Cluster, Moving};
use super::{Dirs, Replicas, joined};
use crate::cli::failure::Failure;
use crate::cli::screen::Screen;
use crate::client::TopicPartition;
use std::collections::{BTreeMap, BTreeSet};

const LEADER_RATE: &str = "leader.replication.throttled.rate";
const FOLLOWER_RATE: &str = "follower.replication.throttled.rate";
const DIRECTORY_RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";
const LEADER_REPLICAS: &str = "leader.replication.throttled.replicas";
const FOLLOWER_REPLICAS: &str = "follower.replication.throttled.replicas";

/// Brokers that a partition comes from, and those that it goes to.
type Move = (BTreeSet<i32>, BTreeSet<i32>);

/// Moves by topic and partition.
type Moves = BTreeMap<String, BTreeMap<i32, Move>>;

/// Limits the moves between brokers.
pub(super) async fn limit_brokers(
    screen: &mut Screen,
    cluster: &mut Cluster,
    moves: &Moves,
    rate: i64,
) -> Result<(), Failure> {
    for (topic, partitions) in moves {
        let set = BTreeMap::from([
            (LEADER_REPLICAS.to_owned(), replicas(partitions, |(sources, _)| sources)),
            (FOLLOWER_REPLICAS.to_owned(), replicas(partitions, |(_, destinations)| destinations)),
        ]);
        cluster.configure_topic(topic, &set, &[]).await?;
    }
    let all = moves.values().flat_map(BTreeMap::values);
    let brokers: BTreeSet<i32> = all.flat_map(|(from, to)| from.union(to).copied()).collect();
    for broker in brokers {
        let set = [LEADER_RATE, FOLLOWER_RATE].map(|key| (key.to_owned(), rate.to_string()));
        cluster.configure_broker(broker, &BTreeMap::from(set), &[]).await?;
    }
    Ok(screen.say(format_args!("The inter-broker throttle limit was set to {rate} B/s"))?)
}

/// Limits the moves between directories.
pub(super) async fn limit_dirs(
    screen: &mut Screen,
    cluster: &mut Cluster,
    dirs: &Dirs,
    rate: i64,
) -> Result<(), Failure> {
    let brokers: BTreeSet<i32> = dirs.keys().map(|replica| replica.broker).collect();
    for broker in brokers {
        let set = BTreeMap::from([(DIRECTORY_RATE.to_owned(), rate.to_string())]);
        cluster.configure_broker(broker, &set, &[]).await?;
    }
    Ok(screen.say(format_args!("The replica-alter-dir throttle limit was set to {rate} B/s"))?)
}

/// Takes back all limits: those of all brokers, since nobody knows which of them had a part.
pub(super) async fn clear(
    screen: &mut Screen,
    cluster: &mut Cluster,
    partitions: &[(TopicPartition, Vec<i32>)],
) -> Result<(), Failure> {
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let mut brokers: BTreeSet<i32> = cluster.nodes().await?.into_keys().collect();
    brokers.extend(partitions.iter().flat_map(|(_, replicas)| replicas));
    let (s, list) = (plural(brokers.len()), joined(&brokers));
    screen.say(format_args!("Clearing broker-level throttles on broker{s} {list}"))?;
    let unset = [LEADER_RATE, FOLLOWER_RATE, DIRECTORY_RATE].map(str::to_owned);
    for broker in brokers {
        cluster.configure_broker(broker, &BTreeMap::new(), &unset).await?;
    }
    let topics: BTreeSet<&str> = partitions.iter().map(|(tp, _)| tp.topic.as_str()).collect();
    let (s, list) = (plural(topics.len()), joined(&topics));
    screen.say(format_args!("Clearing topic-level throttles on topic{s} {list}"))?;
    let unset = [LEADER_REPLICAS, FOLLOWER_REPLICAS].map(str::to_owned);
    for topic in topics {
        cluster.configure_topic(topic, &BTreeMap::new(), &unset).await?;
    }
    Ok(())
}

/// What is moved already, and what will be.
pub(super) fn moves(
    under_way: &BTreeMap<TopicPartition, Moving>,
    proposed: &Replicas,
    current: &Replicas,
) -> Moves {
    let mut moves = Moves::new();
    for (tp, moving) in under_way {
        let to: BTreeSet<i32> = moving.adding.iter().copied().collect();
        let from = moving.replicas.iter().copied().filter(|id| !to.contains(id)).collect();
        moves.entry(tp.topic.clone()).or_default().insert(tp.partition, (from, to));
    }
    for (tp, replicas) in proposed {
        let topic = moves.entry(tp.topic.clone()).or_default();
        let from: BTreeSet<i32> = match topic.get(&tp.partition) {
            Some((from, _)) => from.clone(),
            None => current.get(tp).into_iter().flatten().copied().collect(),
        };
        let to = replicas.iter().copied().filter(|id| !from.contains(id)).collect();
        topic.insert(tp.partition, (from, to));
    }
    moves
}

/// Replicas as `partition:broker`, in the order of text.
fn replicas(partitions: &BTreeMap<i32, Move>, side: impl Fn(&Move) -> &BTreeSet<i32>) -> String {
    let each = |(partition, one)| side(one).iter().map(move |broker| format!("{partition}:{broker}"));
    let all: BTreeSet<String> = partitions.iter().flat_map(each).collect();
    joined(all)
}

#[cfg(test)]
mod tests {
    use super::{Moving, moves, replicas};
    use crate::client::TopicPartition;
    use std::collections::BTreeMap;

    #[test]
    fn sources_and_destinations() {
        let tp = |partition| TopicPartition::new("t", partition);
        let moving = Moving { replicas: vec![1, 2, 3], adding: vec![3], removing: vec![1] };
        let under_way = BTreeMap::from([(tp(0), moving)]);
        let proposed = BTreeMap::from([(tp(0), vec![2, 4]), (tp(10), vec![1, 5])]);
        let current = BTreeMap::from([(tp(0), vec![1, 2, 3]), (tp(10), vec![1])]);
        let found = moves(&under_way, &proposed, &current);
        assert_eq!(replicas(&found["t"], |(from, _)| from), "0:1,0:2,10:1");
        assert_eq!(replicas(&found["t"], |(_, to)| to), "0:4,10:5");
    }
}
