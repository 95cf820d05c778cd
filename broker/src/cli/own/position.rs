//! Where in a log, as people say it:
//!
//! | text | where |
//! |---|---|
//! | `start`, `end` | at the first record, behind the last |
//! | `42` | at an offset |
//! | `-10`, `+10` | so many records before the end, behind the start; in a group, from where it is |
//! | `-5m`, `-1h30m` | at the first record of the last five minutes: ms, s, m, h, d, w |
//! | `@2026-01-31`, `@2026-01-31T12:00`, `@2026-01-31T12:00:00.5+01:00` | at a time; UTC unless it says otherwise |
//! | `@1769860800`, `@1769860800000` | at seconds, or milliseconds, since 1970 |
//! | `0:42`, `0:-10`, `1:end` | in one partition; several are separated by commas |

use crate::cli::failure::Failure;
use crate::cli::kafka::times::date_time;
use crate::client::offsets::{EARLIEST, LATEST};
use crate::client::{Client, TopicPartition};
use crate::tree::tree;
use std::collections::BTreeMap;

/// A number behind `@` up to here is in seconds: as milliseconds it would be a day of January 1970 to March 1973.
const SECONDS_MAX: i64 = 100_000_000_000;
const UNITS: [(&str, i64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

/// A place in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// At the first record.
    Start,
    /// Behind the last one.
    End,
    /// At an offset.
    Offset(i64),
    /// So many records on (or back).
    By(i64),
    /// At the first record of this time or later, ms since 1970.
    Time(i64),
}

/// Places in the partitions of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places {
    all: Option<Position>,
    of: BTreeMap<i32, Position>,
}

impl Places {
    /// The same place in all partitions.
    pub(super) fn everywhere(position: Position) -> Self {
        Self { all: Some(position), of: BTreeMap::new() }
    }

    /// Reads them.
    ///
    /// # Errors
    /// They make no sense.
    pub(super) fn parse(text: &str, now_ms: i64) -> Result<Self, Failure> {
        let mut places = Self { all: None, of: BTreeMap::new() };
        for part in text.split(',') {
            let of = part.split_once(':').and_then(|(index, rest)| Some((index.parse().ok()?, rest)));
            let (index, rest) = of.map_or((None, part), |(index, rest)| (Some(index), rest));
            let position = position(rest, now_ms)
                .ok_or_else(|| Failure::Usage(format!("{part} is no place in a log: start, end, an offset, -10, -5m, @2026-01-31T12:00, or one of these behind PARTITION:")))?;
            let before = match index {
                Some(index) => places.of.insert(index, position),
                None => places.all.replace(position),
            };
            if before.is_some() {
                return Err(Failure::Usage(format!("{text} says twice where")));
            }
        }
        Ok(places)
    }

    /// The place in a partition, if one is named.
    pub(super) fn get(&self, partition: i32) -> Option<Position> {
        self.of.get(&partition).copied().or(self.all)
    }

    /// The partitions that are named.
    pub(super) fn named(&self) -> impl Iterator<Item = i32> {
        self.of.keys().copied()
    }

    /// Whether it is behind the last record wherever it is.
    pub(super) fn is_end(&self) -> bool {
        self.all.iter().chain(self.of.values()).all(|position| *position == Position::End)
    }
}

/// First and next offset of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The offset of the first record.
    pub(super) start: i64,
    /// The offset behind the last one.
    pub(super) end: i64,
}

/// First and next offsets of logs.
///
/// # Errors
/// A leader does not answer, or a partition has none.
pub(super) async fn bounds(
    client: &mut Client,
    partitions: &[TopicPartition],
    committed: bool,
) -> Result<BTreeMap<TopicPartition, Bounds>, Failure> {
    let starts =
        offsets(client, partitions.iter().map(|tp| (tp.clone(), EARLIEST)).collect(), committed).await?;
    let ends = offsets(client, partitions.iter().map(|tp| (tp.clone(), LATEST)).collect(), committed).await?;
    let both = |(tp, start)| {
        let end = ends.get(&tp).copied().unwrap_or(start);
        (tp, Bounds { start, end })
    };
    Ok(tree(starts.into_iter().map(both)))
}

/// The offsets that positions are at, within the bounds of the logs. `from` says where steps are counted from; without,
/// those forwards are from the start and those back from the end.
///
/// # Errors
/// A leader does not answer.
pub(super) async fn resolve(
    client: &mut Client,
    wanted: &BTreeMap<TopicPartition, Position>,
    bounds: &BTreeMap<TopicPartition, Bounds>,
    from: impl Fn(&TopicPartition) -> Option<i64>,
) -> Result<BTreeMap<TopicPartition, i64>, Failure> {
    let times = wanted.iter().filter_map(|(tp, position)| match position {
        Position::Time(time) => Some((tp.clone(), *time)),
        _ => None,
    });
    let found = offsets(client, times.collect(), false).await?;
    let mut all = BTreeMap::new();
    for (tp, position) in wanted {
        let Some(bounds) = bounds.get(tp) else { continue };
        let offset = match position {
            Position::Start => bounds.start,
            Position::End => bounds.end,
            Position::Offset(offset) => *offset,
            Position::By(by) => {
                let base = from(tp).unwrap_or(if *by < 0 { bounds.end } else { bounds.start });
                base.saturating_add(*by)
            }
            // There is no such record: the next one will be.
            Position::Time(_) => found.get(tp).copied().filter(|at| *at >= 0).unwrap_or(bounds.end),
        };
        all.insert(tp.clone(), offset.clamp(bounds.start, bounds.end.max(bounds.start)));
    }
    Ok(all)
}

async fn offsets(
    client: &mut Client,
    wanted: Vec<(TopicPartition, i64)>,
    committed: bool,
) -> Result<BTreeMap<TopicPartition, i64>, Failure> {
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut all = BTreeMap::new();
    for (tp, answer) in client.list_offsets(&wanted, committed).await? {
        let found = answer.map_err(|error| Failure::text(format!("{tp}: {error}")))?;
        all.insert(tp, found.offset);
    }
    Ok(all)
}

fn position(text: &str, now_ms: i64) -> Option<Position> {
    match text {
        "start" | "beginning" | "earliest" => return Some(Position::Start),
        "end" | "latest" => return Some(Position::End),
        _ => {}
    }
    if let Some(time) = text.strip_prefix('@') {
        return time_of(time, now_ms).map(Position::Time);
    }
    if let Ok(number) = text.parse::<i64>() {
        return Some(if text.starts_with(['+', '-']) {
            Position::By(number)
        } else {
            Position::Offset(number)
        });
    }
    let ago = text.strip_prefix('-')?;
    Some(Position::Time(now_ms.saturating_sub(duration(ago)?)))
}

/// Milliseconds since 1970 of what stands behind `@`.
pub(super) fn time_of(text: &str, now_ms: i64) -> Option<i64> {
    if text == "now" {
        return Some(now_ms);
    }
    if let Some(ago) = text.strip_prefix('-') {
        return Some(now_ms.saturating_sub(duration(ago)?));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(number) = text.parse::<i64>()
    {
        return Some(if number < SECONDS_MAX { number * 1_000 } else { number });
    }
    date_time(&complete(text))
}

/// A date with all that Kafka's tools want of one.
fn complete(text: &str) -> String {
    let (date, rest) = text.split_once(['T', ' ']).unwrap_or((text, ""));
    let (time, zone) = rest.find(['Z', '+', '-']).map_or((rest, "Z"), |at| rest.split_at(at));
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let clock = match clock.matches(':').count() {
        0 if clock.is_empty() => "00:00:00".to_owned(),
        0 => format!("{clock}:00:00"),
        1 => format!("{clock}:00"),
        _ => clock.to_owned(),
    };
    // More than milliseconds nobody stores.
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    format!("{date}T{clock}.{fraction}{zone}")
}

/// Milliseconds of `90s`, `1h30m`.
pub(super) fn duration(text: &str) -> Option<i64> {
    let (mut rest, mut sum) = (text, 0_i64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|found: char| !found.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].find(|found: char| found.is_ascii_digit()).unwrap_or(rest.len() - digits);
        let (_, ms) = UNITS.iter().find(|(name, _)| *name == &rest[digits..digits + unit])?;
        sum = sum.checked_add(number.checked_mul(*ms)?)?;
        rest = &rest[digits + unit..];
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::{Places, Position, duration, position};

    const NOW: i64 = 1_769_860_800_000;

    #[test]
    fn places() {
        for (text, expected) in [
            ("start", Some(Position::Start)),
            ("latest", Some(Position::End)),
            ("0", Some(Position::Offset(0))),
            ("-10", Some(Position::By(-10))),
            ("+3", Some(Position::By(3))),
            ("-5m", Some(Position::Time(NOW - 300_000))),
            ("-1h30m", Some(Position::Time(NOW - 5_400_000))),
            ("@-2d", Some(Position::Time(NOW - 172_800_000))),
            ("@now", Some(Position::Time(NOW))),
            ("@1769860800", Some(Position::Time(NOW))),
            ("@1769860800000", Some(Position::Time(NOW))),
            ("@2026-01-31T12:00", Some(Position::Time(NOW))),
            ("@2026-01-31T13:00:00.000+01:00", Some(Position::Time(NOW))),
            ("@2026-01-31 12:00:00.5Z", Some(Position::Time(NOW + 500))),
            ("@2026-01-31T12:00:00.123456Z", Some(Position::Time(NOW + 123))),
            ("@2026-01-31", Some(Position::Time(NOW - 43_200_000))),
            ("@2026-02-31", None),
            ("@", None),
            ("soon", None),
            ("-", None),
            ("-5x", None),
            ("5m", None),
            ("", None),
        ] {
            assert_eq!(position(text, NOW), expected, "{text}");
        }
        for (text, expected) in
            [("", None), ("m", None), ("5", None), ("99999999999999999999s", None), ("\u{e9}", None)]
        {
            assert_eq!(duration(text), expected, "{text}");
        }
    }

    #[test]
    fn places_of_partitions() {
        let places = Places::parse("0:42,1:end,2:@2026-01-31T12:00,-10", NOW).expect("places");
        let found: Vec<_> = (0..4).map(|index| places.get(index)).collect();
        let expected = [Position::Offset(42), Position::End, Position::Time(NOW), Position::By(-10)];
        assert_eq!(found, expected.map(Some));
        assert_eq!(Places::parse("0:42", NOW).expect("places").get(1), None);
        for text in ["start,end", "0:1,0:2", "x:1", "", "0:"] {
            assert!(Places::parse(text, NOW).is_err(), "{text}");
        }
        for (text, is_end) in [("end", true), ("0:end", true), ("0:end,start", false), ("5", false)] {
            assert_eq!(Places::parse(text, NOW).expect(text).is_end(), is_end, "{text}");
        }
    }
}
