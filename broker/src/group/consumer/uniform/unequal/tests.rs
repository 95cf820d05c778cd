//! What Kafka's assignor answers, table by table.

use super::assign;
use crate::group::consumer::Partitions;
use crate::group::consumer::assignor::{Candidate, Spec};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

fn topic(number: &str) -> Uuid {
    Uuid::from_u64_pair(number.parse::<i64>().unwrap().cast_unsigned(), 0)
}

/// `topic:partition,partition ...`
fn partitions(text: &str) -> Partitions {
    let of_topic = |text: &str| {
        let (number, partitions) = text.split_once(':').unwrap();
        (topic(number), partitions.split(',').map(|partition| partition.parse().unwrap()).collect())
    };
    text.split_whitespace().map(of_topic).collect()
}

/// One group: the first line has the topics, each of the others a member.
fn check(table: &[&str]) {
    let counts = table[0].strip_prefix("topics").unwrap().split_whitespace().map(|text| {
        let (number, count) = text.split_once(':').unwrap();
        (topic(number), count.parse().unwrap())
    });
    let rows: Vec<Vec<&str>> = table[1..].iter().map(|row| row.split('|').map(str::trim).collect()).collect();
    let ids: Vec<Arc<str>> = rows.iter().map(|row| Arc::from(row[0])).collect();
    let members = rows.iter().zip(&ids).map(|(row, id)| Candidate {
        id,
        instance_id: None,
        topics: Arc::new(row[1].split_whitespace().map(topic).collect::<BTreeSet<Uuid>>()),
        target: Arc::new(partitions(row[2])),
    });
    let topics: BTreeMap<Uuid, i32> = counts.collect();
    let spec = Spec { members: members.collect(), topics, is_homogeneous: false };
    let targets = assign(&spec);
    assert_eq!(targets.len(), rows.len());
    for ((row, target), member) in rows.iter().zip(&targets).zip(&spec.members) {
        assert_eq!(**target, partitions(row[3]), "member {} of {table:#?}", row[0]);
        assert!(*target != member.target || Arc::ptr_eq(target, &member.target), "a copy for {}", row[0]);
    }
}

#[test]
fn the_targets_are_those_of_kafka() {
    let lines: Vec<&str> = include_str!("kafka.txt").lines().filter(|line| !line.starts_with('#')).collect();
    let starts: Vec<usize> = (0..lines.len()).filter(|line| lines[*line].starts_with("topics")).collect();
    let ends = starts[1..].iter().copied().chain([lines.len()]);
    let tables: Vec<_> = starts.iter().copied().zip(ends).collect();
    assert_eq!(tables.len(), 10 + 24 * 4);
    for (start, end) in tables {
        check(&lines[start..end]);
    }
}
