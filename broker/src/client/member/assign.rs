//! The range assignor (`RangeAssignor`): of each topic, every member gets a row of partitions.

use super::TopicPartition;
use crate::tree::tree;
use std::collections::BTreeMap;

/// Partitions of the topics that the members subscribe to, `counts` being how many there are. The members are in the
/// order of their ids; the first ones get what does not divide.
pub(super) fn range(
    subscribed: &BTreeMap<String, Vec<String>>,
    counts: &BTreeMap<String, usize>,
) -> BTreeMap<String, Vec<TopicPartition>> {
    let mut all: BTreeMap<String, Vec<TopicPartition>> =
        tree(subscribed.keys().map(|member| (member.clone(), Vec::new())));
    for (topic, count) in counts {
        let takers: Vec<&String> = subscribed
            .iter()
            .filter(|(_, topics)| topics.contains(topic))
            .map(|(member, _)| member)
            .collect();
        if takers.is_empty() {
            continue;
        }
        let (each, extra) = (count / takers.len(), count % takers.len());
        let mut next = 0;
        for (index, member) in takers.into_iter().enumerate() {
            let size = each + usize::from(index < extra);
            let row = (next..next + size).filter_map(|partition| i32::try_from(partition).ok());
            if let Some(mine) = all.get_mut(member) {
                mine.extend(row.map(|partition| TopicPartition::new(topic, partition)));
            }
            next += size;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::range;
    use std::collections::BTreeMap;

    #[test]
    fn rows_are_as_even_as_can_be() {
        let subscribed = BTreeMap::from([
            ("a".to_owned(), vec!["t".to_owned(), "u".to_owned()]),
            ("b".to_owned(), vec!["t".to_owned()]),
            ("c".to_owned(), vec![]),
        ]);
        let counts = BTreeMap::from([("t".to_owned(), 3), ("u".to_owned(), 1), ("v".to_owned(), 1)]);
        let all = range(&subscribed, &counts);
        let text = |member: &str| all[member].iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(text("a"), ["t-0", "t-1", "u-0"]);
        assert_eq!(text("b"), ["t-2"]);
        assert_eq!(text("c"), [""; 0]);
    }
}
