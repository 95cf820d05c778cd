//! Which partition a record of a seed is for, and whether a log holds the beginning of what it shall hold.
//!
//! The partition follows from the file and the number of partitions alone, so that whoever goes on with a seed finds the
//! records where the one before has left them.

use crate::client::partition_of;
use crate::seed::file::SeedRecord;
use milena_protocol::records::Record;
use std::collections::BTreeMap;

/// Records of a topic by partition, in their order.
pub(crate) type Placed<'a> = BTreeMap<i32, Vec<&'a SeedRecord>>;

/// First and next offset of each partition.
pub(crate) type Bounds = BTreeMap<i32, (i64, i64)>;

/// Where records go in a topic of so many partitions: where they want to, where their key leads, or by turns.
///
/// # Errors
/// One wants to go to a partition that is not there.
pub(crate) fn place<'a>(topic: &str, records: &[&'a SeedRecord], count: i32) -> Result<Placed<'a>, String> {
    let mut placed = Placed::new();
    let mut next = 0;
    for record in records {
        let partition = match (record.partition, &record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_of(key, count),
            (None, None) => {
                next += 1;
                (next - 1) % count.max(1)
            }
        };
        if !(0..count).contains(&partition) {
            return Err(format!(
                "topic {topic}: there is no partition {partition} for a record, only {count}"
            ));
        }
        placed.entry(partition).or_default().push(record);
    }
    Ok(placed)
}

/// How many records each partition holds, if they may be the first ones of these and not all: each log begins with its
/// first record and is no longer than what it shall hold, and one is shorter. What the records are has to be looked at.
pub(crate) fn begun(placed: &Placed<'_>, bounds: &Bounds) -> Option<BTreeMap<i32, usize>> {
    let wanted = |partition: &i32| placed.get(partition).map_or(0, Vec::len);
    let mut held = BTreeMap::new();
    for (partition, (start, end)) in bounds {
        let count = usize::try_from(*end).ok().filter(|count| *start == 0 && *count <= wanted(partition))?;
        held.insert(*partition, count);
    }
    placed
        .keys()
        .any(|partition| held.get(partition).is_some_and(|count| *count < wanted(partition)))
        .then_some(held)
}

/// Whether a record of a log is that of the seed.
pub(crate) fn is_same(wanted: &SeedRecord, timestamp: i64, found: &Record<'_>) -> bool {
    wanted.key.as_deref() == found.key
        && wanted.value.as_deref() == found.value
        && wanted.timestamp.is_none_or(|wanted| wanted == timestamp)
        && found
            .headers()
            .map(|header| (header.key, header.value))
            .eq(wanted.headers.iter().map(|(key, value)| (key.as_slice(), value.as_deref())))
}

#[cfg(test)]
mod tests {
    use super::{begun, is_same, place};
    use crate::seed::file::SeedRecord;
    use milena_protocol::records::{BatchBuilder, HEADER_LEN, Header, Record};
    use std::collections::BTreeMap;

    #[test]
    fn a_part_is_what_every_log_has_the_beginning_of() {
        let plain = SeedRecord::default();
        let third = SeedRecord { partition: Some(2), ..plain.clone() };
        let records = [&plain, &plain, &plain, &plain, &third];
        let placed = place("t", &records, 4).expect("places");
        let sizes: Vec<usize> = (0..4).map(|partition| placed[&partition].len()).collect();
        assert_eq!(sizes, [1, 1, 2, 1]);
        assert!(place("t", &records, 2).is_err_and(|why| why.contains("no partition 2")));
        let empty = (0, 0);
        for (bounds, expected) in [
            ([(0, 1), empty, (0, 1), empty], Some([1, 0, 1, 0])),
            ([empty, empty, (0, 2), empty], Some([0, 0, 2, 0])),
            ([(0, 1), (0, 1), (0, 2), (0, 1)], None),
            ([(0, 1), (0, 2), empty, empty], None),
            ([(1, 1), empty, empty, empty], None),
            ([(0, i64::MAX), empty, empty, empty], None),
        ] {
            let found = begun(&placed, &(0..4).zip(bounds).collect());
            assert_eq!(
                found,
                expected.map(|counts| (0..4).zip(counts).collect::<BTreeMap<_, _>>()),
                "{bounds:?}"
            );
        }
        assert_eq!(
            begun(
                &placed,
                &BTreeMap::from([(0, (0, 1)), (1, (0, 1)), (2, (0, 2)), (3, (0, 1)), (4, (0, 1))])
            ),
            None
        );
    }

    #[test]
    fn records_are_the_same_in_all_that_the_seed_says() {
        let headers = [Header { key: b"a", value: Some(b"1") }, Header { key: b"a", value: None }];
        let mut builder = BatchBuilder::new();
        builder.append(5, Some(b"k"), None, &headers);
        let batch = builder.build().expect("a batch");
        let found = Record::read(&mut &batch[HEADER_LEN..]).expect("a record");
        let same = SeedRecord {
            key: Some(b"k".to_vec()),
            headers: vec![(b"a".to_vec(), Some(b"1".to_vec())), (b"a".to_vec(), None)],
            ..SeedRecord::default()
        };
        let fewer = same.headers[..1].to_vec();
        for (wanted, expected) in [
            (same.clone(), true),
            (SeedRecord { timestamp: Some(5), ..same.clone() }, true),
            (SeedRecord { timestamp: Some(6), ..same.clone() }, false),
            (SeedRecord { key: None, ..same.clone() }, false),
            (SeedRecord { value: Some(Vec::new()), ..same.clone() }, false),
            (SeedRecord { headers: fewer, ..same.clone() }, false),
        ] {
            assert_eq!(is_same(&wanted, 5, &found), expected, "{wanted:?}");
        }
    }
}
