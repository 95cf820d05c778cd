//! `milena lag`.

use super::age;
use super::consume::time;
use super::group::{all, cells, find};
use super::sheet::{Format, Sheet};
use crate::cli::connect::block_on;
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Given, switch, value};
use crate::cli::kafka::consumer_groups::{Row, rows};
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::cli::verbs::{CLUSTER, OUTPUT, Verb, client};
use crate::client::{Client, TopicPartition};
use crate::clock::Clock;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// The command.
pub(crate) const RUN: Run = Run::Verbs(&[Verb {
    name: "",
    words: "[GROUP...]",
    help: "How far groups are behind: all of them, or those that are named.",
    flags: &[CLUSTER, OUTPUT, FLAGS],
    run,
}]);

const FLAGS: &[Flag] = &[
    switch("watch", "Look again and again, with records in a second and the time until all is read."),
    value("interval", "TIME", "How often --watch looks (default: 2s)."),
    value("topic", "NAME", "Only this topic; may be repeated."),
    switch("behind", "Only partitions with something to read."),
    value("max", "N", "Exit code 1 if a partition is further behind: for alarms."),
    value("max-age", "TIME", "Exit code 1 if a record has waited for longer: 30s, 5m; for alarms."),
];
/// The columns.
const COLUMNS: &[&str] = &[
    "group",
    "topic",
    "partition",
    "offset",
    "end",
    "lag",
    "member",
    "client",
    "host",
    AGE,
    "perSecond",
    "left",
];
/// The column whose name says its unit to programs, and to people each of its cells.
const AGE: &str = "age";
/// How many of them are of `--watch` alone.
const WATCHED: usize = 2;
/// What brings the cursor to the top, and what clears all below it.
const TOP: &str = "\x1b[H\x1b[J";

/// A partition of a group.
type Place = (String, TopicPartition);

fn run(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let format = Format::of(given)?;
    let interval = given.one("interval")?.map_or(Ok(Duration::from_secs(2)), time)?;
    let max = given.number::<i64>("max")?;
    let max_age = given.one("max-age")?.map(time).transpose()?;
    let max_age = max_age.map(|age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let is_watching = given.has("watch");
    let is_table = format == Format::Table;
    let shown = &COLUMNS[..COLUMNS.len() - if is_watching { 0 } else { WATCHED }];
    let named = |column| if column == AGE && !is_table { "ageMs" } else { column };
    let columns: Vec<&str> = shown.iter().copied().map(named).collect();
    let mut client = client(given)?;
    block_on(async {
        let mut before: HashMap<Place, (i64, Instant)> = HashMap::new();
        loop {
            let found = look(&mut client, given).await?;
            let ages = age::of(&mut client, &found, Clock::System.now_ms()).await?;
            let worst = found.iter().filter_map(|(_, row)| row.lag()).max().unwrap_or(0);
            let oldest = ages.iter().flatten().copied().max().unwrap_or(0);
            let is_late =
                max.is_some_and(|max| worst > max) || max_age.is_some_and(|max_age| oldest > max_age);
            let mut sheet = Sheet::new(columns.clone());
            for ((id, row), age) in found.iter().zip(ages) {
                let mut cells = cells(id, row).to_vec();
                cells.push(if is_table { json!(age.map(age::shown)) } else { json!(age) });
                if is_watching {
                    cells.extend(speed(&mut before, id, row));
                }
                sheet.row(cells);
            }
            if is_watching && screen.is_terminal() {
                screen.put(TOP.as_bytes())?;
            }
            sheet.print(screen, format)?;
            screen.flush()?;
            if !is_watching {
                return if is_late { Err(Failure::Said) } else { Ok(()) };
            }
            tokio::time::sleep(interval).await;
        }
    })
}

/// The partitions of the groups that are asked for.
async fn look(client: &mut Client, given: &Given) -> Result<Vec<(String, Row)>, Failure> {
    let ids = match given.words.as_slice() {
        [] => all(client).await?.into_iter().map(|group| group.id).collect(),
        words => words.to_vec(),
    };
    let mut found = Vec::new();
    for id in ids {
        let Some(group) = find(client, &id).await? else {
            match given.words.contains(&id) {
                true => return Err(Failure::text(format!("there is no group {id}"))),
                // It went since the list was made.
                false => continue,
            }
        };
        for row in rows(client, &id, &group).await? {
            let is_named = !given.has("topic") || given.all("topic").any(|topic| topic == row.tp.topic);
            let is_behind = !given.has("behind") || row.lag().is_some_and(|lag| lag > 0);
            if is_named && is_behind {
                found.push((id.clone(), row));
            }
        }
    }
    found.sort_unstable_by(|one, other| (&one.0, &one.1.tp).cmp(&(&other.0, &other.1.tp)));
    Ok(found)
}

/// Records in a second since the look before, and how long the rest will take.
fn speed(before: &mut HashMap<Place, (i64, Instant)>, id: &str, row: &Row) -> [Value; 2] {
    let Some((offset, _)) = row.committed else { return [Value::Null, Value::Null] };
    let now = Instant::now();
    let Some((last, at)) = before.insert((id.to_owned(), row.tp.clone()), (offset, now)) else {
        return [Value::Null, Value::Null];
    };
    let per_second = (offset - last) as f64 / (now - at).as_secs_f64().max(0.001);
    [json!((per_second * 10.0).round() / 10.0), json!(left(row.lag(), per_second))]
}

/// The time that a lag takes to read; what does not move at all is stuck.
fn left(lag: Option<i64>, per_second: f64) -> Option<String> {
    let lag = lag?;
    if lag <= 0 {
        return Some("0s".to_owned());
    }
    if per_second <= 0.0 {
        return Some("stuck".to_owned());
    }
    Some(age::rough((lag as f64 / per_second).ceil() as u64))
}

#[cfg(test)]
mod tests {
    use super::left;

    #[test]
    fn what_is_left() {
        for (lag, per_second, expected) in [
            (None, 1.0, None),
            (Some(0), 0.0, Some("0s")),
            (Some(5), 0.0, Some("stuck")),
            (Some(5), -1.0, Some("stuck")),
            (Some(5), 2.0, Some("3s")),
            (Some(1_200), 10.0, Some("2m")),
            (Some(72_000), 10.0, Some("2h")),
        ] {
            assert_eq!(left(lag, per_second).as_deref(), expected, "{lag:?} {per_second}");
        }
    }
}
