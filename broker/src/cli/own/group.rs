//! `milena group`.

use super::seek;
use super::sheet::{Format, Sheet};
use crate::cli::connect::block_on;
use crate::cli::failure::Failure;
use crate::cli::flags::Given;
use crate::cli::kafka::consumer_groups::{delete_group, rows};
use crate::cli::kafka::groups;
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::cli::verbs::{CLUSTER, OUTPUT, Verb, YES, client, confirm};
use crate::client::{Client, ClientError};
use serde_json::{Value, json};

/// The code of a group that is not there.
const GROUP_ID_NOT_FOUND: i16 = 69;
/// State of a group that is not there, in older answers.
const DEAD: &str = "Dead";

/// The command.
pub(crate) const RUN: Run = Run::Verbs(&[
    Verb {
        name: "list",
        words: "",
        help: "The groups with their states.",
        flags: &[CLUSTER, OUTPUT],
        run: list,
    },
    Verb {
        name: "describe",
        words: "GROUP...",
        help: "Where groups are: committed offsets, ends of the logs, who reads what.",
        flags: &[CLUSTER, OUTPUT],
        run: describe,
    },
    Verb {
        name: "members",
        words: "GROUP...",
        help: "The members of groups with their partitions.",
        flags: &[CLUSTER, OUTPUT],
        run: members,
    },
    Verb {
        name: "seek",
        words: "GROUP",
        help: "Move a group: to a place, to a time, or to offsets of a file.",
        flags: &[CLUSTER, OUTPUT, YES, seek::FLAGS],
        run: seek::run,
    },
    Verb {
        name: "delete",
        words: "GROUP...",
        help: "Delete groups without members, with their offsets.",
        flags: &[CLUSTER, YES],
        run: delete,
    },
]);

/// The groups of a cluster, of either protocol.
pub(super) async fn all(client: &mut Client) -> Result<Vec<groups::Listed>, ClientError> {
    groups::list(client, &[], &["Classic".to_owned(), "Consumer".to_owned()]).await
}

/// A group with its members; `None` if there is none of that name.
pub(in crate::cli) async fn find(
    client: &mut Client,
    id: &str,
) -> Result<Option<groups::Group>, ClientError> {
    match groups::describe(client, id).await {
        Ok(group) if group.state == DEAD => Ok(None),
        Ok(group) => Ok(Some(group)),
        Err(error) if error.code() == Some(GROUP_ID_NOT_FOUND) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn existing(client: &mut Client, id: &str) -> Result<groups::Group, Failure> {
    find(client, id).await?.ok_or_else(|| Failure::text(format!("there is no group {id}")))
}

fn list(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let format = Format::of(given)?;
    let mut client = client(given)?;
    let mut sheet = Sheet::new(&["group", "state", "type"]);
    for group in block_on(async { Ok(all(&mut client).await?) })? {
        sheet.row([json!(group.id), json!(group.state), json!(group.kind.to_lowercase())]);
    }
    sheet.print(screen, format)
}

/// Columns of a partition of a group.
pub(super) const COLUMNS: &[&str] =
    &["group", "topic", "partition", "offset", "end", "lag", "member", "client", "host"];

/// The cells of a partition of a group.
pub(super) fn cells(id: &str, row: &crate::cli::kafka::consumer_groups::Row) -> [Value; 9] {
    let reader = row.reader.as_ref();
    [
        json!(id),
        json!(row.tp.topic),
        json!(row.tp.partition),
        json!(row.committed.map(|(offset, _)| offset)),
        json!(row.end),
        json!(row.lag()),
        json!(reader.map(|(member, _, _)| member)),
        json!(reader.map(|(_, _, client)| client)),
        json!(reader.map(|(_, host, _)| host.trim_start_matches('/'))),
    ]
}

fn describe(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let format = Format::of(given)?;
    let mut client = client(given)?;
    let mut sheet = Sheet::new(COLUMNS);
    block_on(async {
        for id in &given.words {
            let group = existing(&mut client, id).await?;
            let rows = rows(&mut client, id, &group).await?;
            if format == Format::Table {
                let lag: i64 = rows.iter().filter_map(|row| row.lag()).sum();
                let (members, state) = (group.members.len(), &group.state);
                screen.say(format_args!("{id}: {state}, {members} members, {lag} records behind"))?;
            }
            for row in &rows {
                sheet.row(cells(id, row));
            }
        }
        Ok(())
    })?;
    sheet.print(screen, format)
}

fn members(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let format = Format::of(given)?;
    let mut client = client(given)?;
    let mut sheet = Sheet::new(&["group", "member", "instance", "client", "host", "partitions"]);
    block_on(async {
        for id in &given.words {
            for member in existing(&mut client, id).await?.members {
                let assigned: Vec<String> =
                    member.assigned.iter().map(|tp| format!("{}:{}", tp.topic, tp.partition)).collect();
                sheet.row([
                    json!(id),
                    json!(member.id),
                    json!(member.instance),
                    json!(member.client_id),
                    json!(member.host.trim_start_matches('/')),
                    json!(assigned),
                ]);
            }
        }
        Ok(())
    })?;
    sheet.print(screen, format)
}

fn delete(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    confirm(given, &format!("Delete {} with their offsets", given.words.join(", ")))?;
    let mut client = client(given)?;
    let mut has_failed = false;
    block_on(async {
        for id in &given.words {
            match delete_group(&mut client, id).await {
                Ok(()) => {}
                Err(error) if error.code().is_some() => {
                    has_failed = true;
                    screen.complain(format_args!("{id}: {error}"))?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    })?;
    if has_failed { Err(Failure::Said) } else { Ok(()) }
}
