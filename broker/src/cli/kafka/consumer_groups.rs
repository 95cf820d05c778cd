//! `kafka-consumer-groups` (`ConsumerGroupCommand`).

mod describe;
mod reset;

pub(crate) use describe::{Row, rows};

use super::groups;
use crate::cli::connect::{block_on, client_of, load};
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Given, maybe, switch, value};
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::client::{
    Client, ClientError, To, TopicPartition, check, exception_of, group_id, message_of, topic_name,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::{
    ApiKey, DeleteGroupsRequest, DeleteGroupsResponse, OffsetDeleteRequest, OffsetDeleteResponse,
};
use std::collections::BTreeMap;

/// The tool.
pub(crate) const RUN: Run = Run::Flags(FLAGS, run);

const ACTIONS: [&str; 6] =
    ["list", "describe", "delete", "reset-offsets", "delete-offsets", "validate-regex"];
const SCENARIOS: [&str; 8] = [
    "to-offset",
    "shift-by",
    "to-datetime",
    "by-duration",
    "to-earliest",
    "to-latest",
    "to-current",
    "from-file",
];
const STATES: [&str; 7] =
    ["PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty", "Assigning", "Reconciling"];

const FLAGS: &[Flag] = &[
    value("bootstrap-server", "HOST:PORT", "REQUIRED. The brokers to connect to."),
    value("group", "ID", "The group; may be repeated."),
    value("topic", "TOPIC[:P,P]", "A topic, or some of its partitions; may be repeated."),
    switch("all-topics", "All topics that the group has committed offsets for."),
    switch("list", "List groups."),
    switch("describe", "Describe groups: offsets and lag."),
    switch("all-groups", "All groups."),
    switch("delete", "Delete groups with their offsets."),
    value("timeout", "MS", "How long to wait for an answer (default: 30000)."),
    value("command-config", "FILE", "Properties of the client."),
    switch("reset-offsets", "Reset the offsets of a group without active members."),
    switch("delete-offsets", "Delete offsets of topics."),
    switch("dry-run", "Show what a reset would do; the default."),
    switch("execute", "Reset."),
    switch("export", "Print a reset as CSV."),
    value("to-offset", "OFFSET", "Reset to an offset."),
    value("from-file", "FILE", "Reset as a CSV file says."),
    value("to-datetime", "DATETIME", "Reset to a time: YYYY-MM-DDThh:mm:ss.sss."),
    value("by-duration", "DURATION", "Reset to so long ago: PnDTnHnMnS."),
    switch("to-earliest", "Reset to the start of the log."),
    switch("to-latest", "Reset to the end of the log."),
    switch("to-current", "Reset to the committed offset."),
    value("shift-by", "N", "Reset by so many records, forwards or (negative) back."),
    switch("members", "Describe members."),
    switch("verbose", "Describe in more columns."),
    switch("offsets", "Describe offsets; the default."),
    maybe("state", "STATES", "Describe states; or list them, or groups in such states."),
    maybe("type", "TYPES", "List types, or groups of such types: classic, consumer."),
    value("validate-regex", "REGEX", "Check a regular expression of a subscription."),
];

fn run(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    check_flags(screen, given)?;
    if let Some(regex) = given.one("validate-regex")? {
        match regex::Regex::new(regex) {
            Ok(_) => screen.say(format_args!("The regular expression `{regex}` is valid."))?,
            Err(_) => screen.say(format_args!("The regular expression `{regex}` is invalid."))?,
        }
        return Ok(());
    }
    let mut properties = given.one("command-config")?.map(load).transpose()?.unwrap_or_default();
    let timeout = given.number::<u32>("timeout")?.unwrap_or(30_000);
    properties.insert("default.api.timeout.ms".into(), timeout.to_string());
    let mut client = client_of(given.required("bootstrap-server")?, &properties)?;
    let outcome = block_on(async { act(screen, given, &mut client).await });
    match outcome {
        Err(Failure::Client(error)) => {
            let text = in_java(&error);
            Ok(error_line(screen, &format!("Executing consumer group command failed due to {text}"))?)
        }
        Err(Failure::Text(text) | Failure::Word(text)) => {
            Ok(error_line(screen, &format!("Executing consumer group command failed due to {text}"))?)
        }
        outcome => outcome,
    }
}

async fn act(screen: &mut Screen, given: &Given, client: &mut Client) -> Result<(), Failure> {
    if given.has("list") {
        list(screen, given, client).await
    } else if given.has("describe") {
        describe::run(screen, given, client).await
    } else if given.has("delete") {
        delete(screen, given, client).await
    } else if given.has("reset-offsets") {
        reset::run(screen, given, client).await
    } else {
        delete_offsets(screen, given, client).await
    }
}

fn check_flags(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let usage = |text: String| Err(Failure::Usage(text));
    if !given.has("validate-regex") {
        given.required("bootstrap-server")?;
    }
    let selected = given.has("group") || given.has("all-groups");
    if given.has("describe") {
        if !selected {
            return usage("Option [describe] takes one of these options: [group], [all-groups]".into());
        }
        if ["members", "offsets", "state"].iter().filter(|view| given.has(view)).count() > 1 {
            let text = "Option [describe] takes at most one of these options: [members], [offsets], [state]";
            return usage(text.into());
        }
        if given.one("state")?.is_some() {
            return usage("Option [describe] does not take a value for [state]".into());
        }
    }
    for (flag, needs) in [
        ("members", &["describe"][..]),
        ("verbose", &["describe"]),
        ("offsets", &["describe"]),
        ("state", &["describe", "list"]),
        ("type", &["list"]),
    ] {
        if given.has(flag) && !needs.iter().any(|action| given.has(action)) {
            return usage(format!(
                "Option(s) [{flag}] are unavailable given other options on the command line"
            ));
        }
    }
    if given.has("delete") && !selected {
        return usage("Option [delete] takes one of these options: [group], [all-groups]".into());
    }
    if given.has("delete") && given.has("topic") {
        let text = "The consumer does not support topic-specific offset deletion from a consumer group.";
        return usage(text.into());
    }
    if given.has("delete-offsets") && !(given.has("group") && given.has("topic")) {
        return usage("Option [delete-offsets] takes the following options: [group], [topic]".into());
    }
    if given.has("reset-offsets") {
        check_reset(screen, given, selected)?;
    }
    given.excludes("group", &["all-groups", "list"])?;
    given.excludes("topic", &["list", "describe"])?;
    if ACTIONS.iter().filter(|action| given.has(action)).count() != 1 {
        let list = ACTIONS.map(|action| format!("--{action}")).join(", ");
        return usage(format!("Command must include exactly one action: {list}"));
    }
    Ok(())
}

fn check_reset(screen: &mut Screen, given: &Given, selected: bool) -> Result<(), Failure> {
    if given.has("dry-run") && given.has("execute") {
        let text = "Option [reset-offsets] only accepts one of [execute] and [dry-run]";
        return Err(Failure::Usage(text.into()));
    }
    if !given.has("dry-run") && !given.has("execute") {
        screen.complain("WARN: No action will be performed as the --execute option is missing. In a future major release, the default behavior of this command will be to prompt the user before executing the reset rather than doing a dry run. You should add the --dry-run option explicitly if you are scripting this command and want to keep the current default behavior without prompting.")?;
    }
    if !selected {
        let text = "Option [reset-offsets] takes one of these options: [group], [all-groups]";
        return Err(Failure::Usage(text.into()));
    }
    for scenario in SCENARIOS {
        let others: Vec<&str> = SCENARIOS.into_iter().filter(|other| *other != scenario).collect();
        given.excludes(scenario, &others)?;
    }
    Ok(())
}

async fn list(screen: &mut Screen, given: &Given, client: &mut Client) -> Result<(), Failure> {
    let states = words(given.one("state")?, &STATES, "state")?;
    let types = words(given.one("type")?, &["Classic", "Consumer"], "types")?;
    let with_types = if types.is_empty() { vec!["Classic".into(), "Consumer".into()] } else { types };
    let groups = groups::list(client, &states, &with_types).await?;
    let (with_state, with_type) = (given.has("state"), given.has("type"));
    if !with_state && !with_type {
        return Ok(groups.iter().try_for_each(|group| screen.say(&group.id))?);
    }
    let width = groups.iter().map(|group| group.id.chars().count()).max().unwrap_or(0).max(15) + 10;
    let mut row = |id: &str, kind: &str, state: &str| {
        let mut line = format!("{id:width$}");
        if with_type {
            line += &format!(" {kind:20}");
        }
        if with_state {
            line += &format!(" {state:20}");
        }
        screen.say(line)
    };
    row("GROUP", "TYPE", "STATE")?;
    groups.iter().try_for_each(|group| row(&group.id, &group.kind, &group.state))?;
    Ok(())
}

/// A list of words out of those that are known, in any case.
fn words(text: Option<&str>, known: &[&str], what: &str) -> Result<Vec<String>, Failure> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Vec::new()) };
    let find = |word: &str| known.iter().find(|known| known.eq_ignore_ascii_case(word.trim()));
    text.split(',')
        .map(|word| find(word).map(|word| (*word).to_owned()))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| {
            let list = known.join(", ");
            let valid = if what == "state" { "states" } else { what };
            Failure::Usage(format!("Invalid {what} list '{text}'. Valid {valid} are: {list}"))
        })
}

/// The groups that the flags select.
async fn selected(given: &Given, client: &mut Client) -> Result<Vec<String>, Failure> {
    if given.has("all-groups") {
        let types = ["Classic".to_owned(), "Consumer".to_owned()];
        return Ok(groups::list(client, &[], &types).await?.into_iter().map(|group| group.id).collect());
    }
    let mut ids: Vec<String> = given.all("group").map(str::to_owned).collect();
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

async fn delete(screen: &mut Screen, given: &Given, client: &mut Client) -> Result<(), Failure> {
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for id in selected(given, client).await? {
        match delete_group(client, &id).await {
            Ok(()) => done.push(format!("'{id}'")),
            Err(error) => failed.push((id, error)),
        }
    }
    if failed.is_empty() {
        let list = done.join(", ");
        screen.say(format_args!("Deletion of requested consumer groups ({list}) was successful."))?;
        return Ok(());
    }
    error_line(screen, "Deletion of some consumer groups failed:")?;
    for (id, error) in &failed {
        let text = in_java(error);
        screen.say(format_args!("* Group '{id}' could not be deleted due to: {text}"))?;
    }
    if !done.is_empty() {
        let list = done.join(", ");
        screen.say(format_args!("\nThese consumer groups were deleted successfully: {list}"))?;
    }
    Ok(())
}

/// Deletes a group with its offsets.
pub(crate) async fn delete_group(client: &mut Client, id: &str) -> Result<(), ClientError> {
    let request = DeleteGroupsRequest::default().with_groups_names(vec![group_id(id)]);
    let check_all = |answer: &DeleteGroupsResponse| {
        answer
            .results
            .iter()
            .try_for_each(|result| check(ApiKey::DeleteGroups as i16, result.error_code, None))
    };
    client.call_checked::<DeleteGroupsRequest, _>(To::Group(id), |_| &request, check_all).await?;
    Ok(())
}

async fn delete_offsets(screen: &mut Screen, given: &Given, client: &mut Client) -> Result<(), Failure> {
    let id = given.required("group")?;
    let mut results: BTreeMap<TopicPartition, i16> = BTreeMap::new();
    let mut partitions = Vec::new();
    for topic in given.all("topic") {
        match reset::partitions_of(client, topic).await {
            Ok(found) => partitions.extend(found),
            Err(Failure::Client(error)) => {
                results.insert(TopicPartition::new(topic, -1), error.code().unwrap_or(-1));
            }
            Err(other) => return Err(other),
        }
    }
    let topics =
        crate::client::by_topic(partitions.iter().map(|tp| (tp, ()))).into_iter().map(|(name, list)| {
            let one = |(index, ())| OffsetDeleteRequestPartition::default().with_partition_index(index);
            OffsetDeleteRequestTopic::default()
                .with_name(topic_name(&name))
                .with_partitions(list.into_iter().map(one).collect())
        });
    let request = OffsetDeleteRequest::default().with_group_id(group_id(id)).with_topics(topics.collect());
    let check_all =
        |answer: &OffsetDeleteResponse| check(ApiKey::OffsetDelete as i16, answer.error_code, None);
    let answer = client.call_checked::<OffsetDeleteRequest, _>(To::Group(id), |_| &request, check_all).await;
    let whole = match answer {
        Ok(answer) => {
            let mut first = 0;
            for topic in answer.topics {
                for partition in topic.partitions {
                    first = if first == 0 { partition.error_code } else { first };
                    let tp = TopicPartition::new(&topic.name, partition.partition_index);
                    results.insert(tp, partition.error_code);
                }
            }
            first
        }
        Err(error) => {
            let code = error.code().ok_or(error)?;
            results.extend(partitions.iter().map(|tp| (tp.clone(), code)));
            code
        }
    };
    print_deleted(screen, id, whole, &results)
}

fn print_deleted(
    screen: &mut Screen,
    id: &str,
    whole: i16,
    results: &BTreeMap<TopicPartition, i16>,
) -> Result<(), Failure> {
    match whole {
        0 => screen.say(format_args!("Request succeeded for deleting offsets from group {id}."))?,
        24 | 30 | 68 | 69 => error_line(screen, &message_of(whole))?,
        3 | 29 | 86 => {
            error_line(screen, "Encountered some partition-level error, see the follow-up details.")?;
        }
        _ => error_line(screen, &format!("Encountered some unknown error: {}", exception_of(whole)))?,
    }
    let width = results.keys().map(|tp| tp.topic.chars().count()).max().unwrap_or(0).max(15);
    let mut row = |topic: &str, partition: &str, status: &str| {
        screen.put(format!("\n{topic:width$} {partition:10} {status:15}").as_bytes())
    };
    row("TOPIC", "PARTITION", "STATUS")?;
    for (tp, code) in results {
        let partition = if tp.partition < 0 { "-".to_owned() } else { tp.partition.to_string() };
        let status = match code {
            0 => "Successful".to_owned(),
            code => {
                let class = exception_of(*code);
                format!("Error: org.apache.kafka.common.errors.{class}: {}", message_of(*code))
            }
        };
        row(&tp.topic, &partition, &status)?;
    }
    screen.say("")?;
    Ok(())
}

/// As the tool prints an error: on standard output, behind an empty line.
fn error_line(screen: &mut Screen, text: &str) -> Result<(), std::io::Error> {
    screen.say(format_args!("\nError: {text}"))
}

/// An error as Java prints it, with the name of its class where it has one.
fn in_java(error: &ClientError) -> String {
    match error.code() {
        Some(code) => format!("org.apache.kafka.common.errors.{}: {error}", exception_of(code)),
        None => error.to_string(),
    }
}
