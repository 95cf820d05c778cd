//! `kafka-consumer-groups --describe`.

use super::{error_line, selected};
use crate::cli::failure::Failure;
use crate::cli::flags::Given;
use crate::cli::kafka::groups::{self, Group, GroupMember};
use crate::cli::screen::Screen;
use crate::client::offsets::LATEST;
use crate::client::{Client, To, TopicPartition};
use std::collections::BTreeMap;

/// What stands where there is nothing.
const MISSING: &str = "-";

pub(super) async fn run(screen: &mut Screen, given: &Given, client: &mut Client) -> Result<(), Failure> {
    let verbose = given.has("verbose");
    let mut all = Vec::new();
    for id in selected(given, client).await? {
        let group = groups::describe(client, &id).await?;
        all.push((id, group));
    }
    for (id, group) in all {
        if given.has("members") {
            members(screen, &id, &group, verbose)?;
        } else if given.has("state") {
            let at = client.connection(To::Group(&id)).await?.address().to_owned();
            let node = client.nodes().values().find(|node| format!("{}:{}", node.host, node.port) == at);
            let number = node.map_or_else(|| MISSING.to_owned(), |node| node.id.to_string());
            state(screen, &id, &group, &format!("{at}  ({number})"), verbose)?;
        } else {
            let rows = rows(client, &id, &group).await?;
            offsets(screen, &id, &group, &rows, verbose)?;
        }
    }
    Ok(())
}

/// A partition of a group.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The partition.
    pub(crate) tp: TopicPartition,
    /// What the group has committed, and the epoch of it.
    pub(crate) committed: Option<(i64, i32)>,
    /// The end of the log, where it has a leader.
    pub(crate) end: Option<i64>,
    /// Who reads it: id, host, name of the client.
    pub(crate) reader: Option<(String, String, String)>,
}

impl Row {
    /// Records that are not read yet.
    pub(crate) fn lag(&self) -> Option<i64> {
        Some(self.end? - self.committed?.0)
    }
}

/// The partitions of a group: those that members have, and those with offsets.
pub(crate) async fn rows(client: &mut Client, id: &str, group: &Group) -> Result<Vec<Row>, Failure> {
    let committed = client.committed(id, None, false).await?;
    let mut members: Vec<&GroupMember> = group.members.iter().collect();
    members.sort_by_key(|member| std::cmp::Reverse(member.assigned.len()));
    let mut rows = Vec::new();
    for member in members {
        let mut assigned = member.assigned.clone();
        assigned.sort_unstable();
        for tp in assigned {
            let reader = (member.id.clone(), member.host.clone(), member.client_id.clone());
            let known = committed.get(&tp).map(|known| (known.offset, known.epoch));
            rows.push(Row { tp, committed: known, end: None, reader: Some(reader) });
        }
    }
    for (tp, known) in &committed {
        if !rows.iter().any(|row| row.tp == *tp) {
            let known = Some((known.offset, known.epoch));
            rows.push(Row { tp: tp.clone(), committed: known, end: None, reader: None });
        }
    }
    let wanted: Vec<_> = rows.iter().map(|row| (row.tp.clone(), LATEST)).collect();
    let ends: BTreeMap<_, _> =
        if wanted.is_empty() { BTreeMap::new() } else { client.list_offsets(&wanted, false).await? };
    for row in &mut rows {
        row.end = ends.get(&row.tp).and_then(|end| end.as_ref().ok()).map(|end| end.offset);
    }
    Ok(rows)
}

/// Says what state the group is in, and whether there is anything to show.
fn is_shown(screen: &mut Screen, id: &str, state: &str, rows: usize) -> Result<bool, Failure> {
    match state {
        "Dead" => error_line(screen, &format!("Consumer group '{id}' does not exist."))?,
        "Empty" => screen.complain(format_args!("\nConsumer group '{id}' has no active members."))?,
        "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" => {
            screen.complain(format_args!("\nWarning: Consumer group '{id}' is rebalancing."))?;
        }
        _ => {}
    }
    Ok(state != "Dead" && rows > 0)
}

fn offsets(screen: &mut Screen, id: &str, group: &Group, rows: &[Row], verbose: bool) -> Result<(), Failure> {
    if !is_shown(screen, id, &group.state, rows.len())? {
        return Ok(());
    }
    let mut table = vec![vec![
        "GROUP",
        "TOPIC",
        "PARTITION",
        "LEADER-EPOCH",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    ]];
    let texts: Vec<[String; 10]> = rows.iter().map(|row| columns(id, row)).collect();
    table.extend(texts.iter().map(|row| row.iter().map(String::as_str).collect()));
    if !verbose {
        for row in &mut table {
            row.remove(3);
        }
    }
    let last = table[0].len() - 1;
    let widths: Vec<usize> = (0..=last)
        .map(|column| match table[0][column] {
            "PARTITION" => 10,
            "CLIENT-ID" => 0,
            "LEADER-EPOCH" | "CURRENT-OFFSET" | "LOG-END-OFFSET" | "LAG" => 15,
            _ => table.iter().skip(1).map(|row| row[column].chars().count()).max().unwrap_or(0).max(15),
        })
        .collect();
    for row in &table {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}", width = *width)).collect();
        screen.put(format!("\n{}", cells.join(" ")).as_bytes())?;
    }
    screen.say("")?;
    Ok(())
}

fn columns(id: &str, row: &Row) -> [String; 10] {
    let missing = || MISSING.to_owned();
    let number = |number: Option<i64>| number.map_or_else(missing, |number| number.to_string());
    let (consumer, host, client) = row.reader.clone().unwrap_or_else(|| (missing(), missing(), missing()));
    let epoch = row.committed.map(|(_, epoch)| i64::from(epoch)).filter(|epoch| *epoch >= 0);
    [
        id.to_owned(),
        row.tp.topic.clone(),
        row.tp.partition.to_string(),
        number(epoch),
        number(row.committed.map(|(offset, _)| offset)),
        number(row.end),
        number(row.lag()),
        consumer,
        host,
        client,
    ]
}

fn members(screen: &mut Screen, id: &str, group: &Group, verbose: bool) -> Result<(), Failure> {
    let shown = is_shown(screen, id, &group.state, group.members.len())?;
    let list: &[GroupMember] = if shown { &group.members } else { &[] };
    let width =
        |of: &dyn Fn(&GroupMember) -> usize, least: usize| list.iter().map(of).max().unwrap_or(0).max(least);
    let len = |text: &str| text.chars().count();
    let with_instance = list.iter().any(|member| member.instance.is_some());
    let is_mixed = list.iter().any(|member| member.upgraded == Some(false))
        && list.iter().any(|member| member.upgraded == Some(true));
    let group_width = width(&|_| len(id), 15);
    let id_width = width(&|member| len(&member.id), 15);
    let instance_width = width(&|member| len(member.instance.as_deref().unwrap_or_default()), 17);
    let host_width = width(&|member| len(&member.host), 15);
    let client_width = width(&|member| len(&member.client_id), 15);
    let current_width = width(&|member| len(&assignment(&member.assigned)), 20);
    let target_width = width(&|member| len(&assignment(&member.target)), 20);
    let row = |cells: [&str; 11]| {
        let [group, id, instance, host, client, count, epoch, current, target_epoch, target, upgraded] =
            cells;
        let mut line = format!("{group:group_width$} {id:id_width$} ");
        if with_instance {
            line += &format!("{instance:instance_width$} ");
        }
        line += &format!("{host:host_width$} {client:client_width$} {count:15} ");
        if verbose {
            line += &format!("{epoch:15} {current:current_width$} {target_epoch:15} {target:target_width$}");
            if is_mixed {
                line += &format!(" {upgraded}");
            }
        }
        line
    };
    let head = row([
        "GROUP",
        "CONSUMER-ID",
        "GROUP-INSTANCE-ID",
        "HOST",
        "CLIENT-ID",
        "#PARTITIONS",
        "CURRENT-EPOCH",
        "CURRENT-ASSIGNMENT",
        "TARGET-EPOCH",
        "TARGET-ASSIGNMENT",
        "UPGRADED",
    ]);
    screen.say(format_args!("\n{head}"))?;
    for member in &group.members {
        let number =
            |number: Option<i32>| number.map_or_else(|| MISSING.to_owned(), |number| number.to_string());
        let upgraded = member.upgraded.map_or_else(|| MISSING.to_owned(), |upgraded| upgraded.to_string());
        screen.say(row([
            id,
            &member.id,
            member.instance.as_deref().unwrap_or_default(),
            &member.host,
            &member.client_id,
            &member.assigned.len().to_string(),
            &number(member.epoch),
            &assignment(&member.assigned),
            &number(group.epochs.map(|(_, target)| target)),
            &assignment(&member.target),
            &upgraded,
        ]))?;
    }
    Ok(())
}

/// As in `orders:0,1;payments:0`.
fn assignment(partitions: &[TopicPartition]) -> String {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for tp in partitions {
        topics.entry(&tp.topic).or_default().push(tp.partition);
    }
    if topics.is_empty() {
        return MISSING.to_owned();
    }
    let one = |(topic, mut list): (&str, Vec<i32>)| {
        list.sort_unstable();
        let list: Vec<String> = list.iter().map(ToString::to_string).collect();
        format!("{topic}:{}", list.join(","))
    };
    topics.into_iter().map(one).collect::<Vec<_>>().join(";")
}

fn state(screen: &mut Screen, id: &str, group: &Group, at: &str, verbose: bool) -> Result<(), Failure> {
    if !is_shown(screen, id, &group.state, 1)? {
        return Ok(());
    }
    let (id_width, at_width) = (id.chars().count().max(15), at.chars().count().max(25));
    let mut row = |id: &str, at: &str, assignor: &str, state: &str, epochs: [&str; 2], members: &str| {
        let mut line = format!("\n{id:id_width$} {at:at_width$} {assignor:20} {state:20} ");
        if verbose {
            line += &format!("{:15} {:25} ", epochs[0], epochs[1]);
        }
        screen.put(format!("{line}{members}").as_bytes())
    };
    let heads = ["GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH"];
    row("GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE", heads, "#MEMBERS")?;
    let assignor = if group.assignor.is_empty() { MISSING } else { &group.assignor };
    let epochs = group.epochs.map(|(epoch, target)| [epoch.to_string(), target.to_string()]);
    let epochs = epochs.as_ref().map_or([MISSING; 2], |epochs| [&epochs[0], &epochs[1]]);
    row(id, at, assignor, &group.state, epochs, &group.members.len().to_string())?;
    screen.say("")?;
    Ok(())
}
