//! How long records have waited: the age of the oldest one that a group has yet to read.

use crate::cli::failure::Failure;
use crate::cli::kafka::consumer_groups::Row;
use crate::client::fetcher::{FetchSettings, Fetcher, Reset};
use crate::client::{Client, ClientError, TopicPartition};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::Duration;

/// Bytes of a partition in an answer: a first record, where batches are small.
const BYTES: i32 = 16 * 1024;
/// Looks at partitions that have something to read and show nothing, before they are given up.
const PATIENCE: u32 = 3;

/// Milliseconds since the oldest record that is yet to be read, by row; `None` where there is none, or none that says
/// when it was made.
///
/// # Errors
/// A leader does not answer.
pub(super) async fn of(
    client: &mut Client,
    rows: &[(String, Row)],
    now_ms: i64,
) -> Result<Vec<Option<i64>>, Failure> {
    let mut ages = vec![None; rows.len()];
    // Groups may be at different places of one partition: each place is a look of its own.
    let mut left: Vec<usize> =
        (0..rows.len()).filter(|at| rows[*at].1.lag().is_some_and(|lag| lag > 0)).collect();
    while !left.is_empty() {
        let mut round: HashMap<TopicPartition, usize> = HashMap::new();
        left.retain(|at| match round.contains_key(&rows[*at].1.tp) {
            true => true,
            false => round.insert(rows[*at].1.tp.clone(), *at).is_some(),
        });
        let wanted = round.iter().filter_map(|(tp, at)| {
            let row = &rows[*at].1;
            Some((tp.clone(), (row.committed?.0, row.end?)))
        });
        for (tp, timestamp) in first(client, wanted.collect()).await? {
            let at = round.get(&tp).copied();
            if let Some(age) = at.and_then(|at| ages.get_mut(at)) {
                *age = (timestamp >= 0).then(|| (now_ms - timestamp).max(0));
            }
        }
    }
    Ok(ages)
}

/// Timestamps of the first records at or behind offsets, and before others.
async fn first(
    client: &mut Client,
    mut wanted: HashMap<TopicPartition, (i64, i64)>,
) -> Result<HashMap<TopicPartition, i64>, Failure> {
    let mut fetcher = Fetcher::new(FetchSettings {
        max_wait: Duration::ZERO,
        partition_bytes: BYTES,
        reset: Reset::Earliest,
        ..FetchSettings::default()
    });
    for (tp, (offset, _)) in &wanted {
        fetcher.seek(tp.clone(), *offset);
    }
    let mut found = HashMap::new();
    let mut idle = 0;
    while !wanted.is_empty() && idle < PATIENCE {
        let mut visit = |tp: &TopicPartition, fetched: crate::client::fetcher::Fetched<'_>| {
            found.entry(tp.clone()).or_insert(fetched.timestamp);
            ControlFlow::Continue(())
        };
        let before = fetcher.positions().clone();
        match fetcher.poll(client, &mut visit).await {
            Ok(_) => {}
            // Of this partition, or of one beside it, nothing can be told; the rest of the table still can.
            Err(ClientError::Code { .. } | ClientError::Malformed { .. }) => break,
            Err(error) => return Err(error.into()),
        }
        // What has no record up to the end has markers, or what compaction has left.
        let positions = fetcher.positions();
        wanted.retain(|tp, (_, end)| {
            !found.contains_key(tp) && positions.get(tp).is_some_and(|position| position < end)
        });
        idle = if *positions == before { idle + 1 } else { 0 };
        fetcher.retain(|tp| wanted.contains_key(tp));
    }
    Ok(found)
}

/// An age for people.
pub(super) fn shown(ms: i64) -> String {
    match ms {
        ..1_000 => format!("{ms}ms"),
        _ => rough(u64::try_from(ms / 1_000).unwrap_or(0)),
    }
}

/// Seconds in a unit in which they are no large number.
pub(super) fn rough(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn ages_for_people() {
        for (ms, expected) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_000, "1s"),
            (119_999, "119s"),
            (120_000, "2m"),
            (7_200_000, "2h"),
            (172_799_999, "47h"),
            (172_800_000, "2d"),
        ] {
            assert_eq!(shown(ms), expected, "{ms}");
        }
    }
}
