//! `milena config`: the settings of a broker, before and while it runs.

use super::sheet::{Format, Sheet};
use crate::cli::connect::block_on;
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Given, switch, value};
use crate::cli::kafka::configs_of::{self, DEFAULT_CONFIG};
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::cli::verbs::{CLUSTER, OUTPUT, Verb, client};
use crate::cli::{ServeArgs, gather};
use crate::client::To;
use crate::config::describe::describe_broker;
use crate::config::{BrokerConfig, Dynamic, Effect, Key, Kind, Valid, keys, nearest, topic_keys};
use crate::metadata::BROKER_RESOURCE;
use serde_json::{Value, json};

/// The command.
pub(crate) const RUN: Run = Run::Verbs(&[
    Verb {
        name: "show",
        words: "[FILE]",
        help: "What a broker would run with, and where that is written; or what a broker does run with.",
        flags: &[CLUSTER, OUTPUT, START, SHOWING],
        run: show,
    },
    Verb {
        name: "check",
        words: "[FILE]",
        help: "Whether a broker would start with a file, the environment and --override.",
        flags: &[OUTPUT, START],
        run: check,
    },
    Verb {
        name: "explain",
        words: "KEY",
        help: "What a key means; or the keys with such a word in them.",
        flags: &[OUTPUT],
        run: explain,
    },
]);

const START: &[Flag] = &[
    value("override", "KEY=VALUE", "A key as milena serve takes it; may be repeated."),
    switch("image", "Read what milena compat serve reads in a container."),
];
const SHOWING: &[Flag] =
    &[switch("all", "Defaults, too."), value("broker", "ID", "Ask this broker instead.")];
/// Shown in place of what must not be.
const SECRET: &str = "(hidden)";

fn load(given: &Given) -> Result<BrokerConfig, Failure> {
    let pair = |pair: &str| match pair.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err(Failure::Usage(format!("--override {pair} is not KEY=VALUE"))),
    };
    let args = ServeArgs {
        properties: given.words.first().map(Into::into),
        overrides: given.all("override").map(pair).collect::<Result<_, _>>()?,
        image: given.has("image"),
        ..ServeArgs::default()
    };
    let (sources, default_dir) = gather(args).map_err(Failure::Text)?;
    BrokerConfig::load(&sources, &default_dir).map_err(|error| Failure::text(error.to_string()))
}

fn show(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let format = Format::of(given)?;
    let all = given.has("all");
    let mut sheet = Sheet::new(&["key", "value", "source"]);
    if let Some(broker) = given.number::<i32>("broker")? {
        let mut client = client(given)?;
        let name = broker.to_string();
        let found = block_on(async {
            Ok(configs_of::describe(&mut client, To::Node(broker), BROKER_RESOURCE, &[&name], false).await?)
        })?;
        for entry in found.into_iter().flat_map(|one| one.configs) {
            if all || entry.config_source != DEFAULT_CONFIG {
                let value = if entry.is_sensitive {
                    Some(SECRET.to_owned())
                } else {
                    entry.value.map(|value| value.to_string())
                };
                let source = configs_of::source_name(entry.config_source);
                sheet.row([json!(&*entry.name), json!(value), json!(source)]);
            }
        }
        return sheet.print(screen, format);
    }
    let config = load(given)?;
    for entry in describe_broker(&config) {
        // A value may be written under another name of its key.
        let name = entry.synonyms.first().map_or(entry.name.as_str(), |synonym| synonym.name.as_str());
        if all || !entry.is_default {
            let value =
                if entry.sensitive && !entry.is_default { Some(SECRET.to_owned()) } else { entry.value };
            sheet.row([json!(entry.name), json!(value), json!(config.written().origin(name).to_string())]);
        }
    }
    sheet.print(screen, format)
}

fn check(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let format = Format::of(given)?;
    let config = load(given)?;
    let mut sheet = Sheet::new(&["warning"]);
    for warning in &config.warnings {
        sheet.row([json!(warning)]);
    }
    if format == Format::Table {
        config.warnings.iter().try_for_each(|warning| screen.say(format_args!("warning: {warning}")))?;
        let (keys, dirs) = (config.written().iter().count(), &config.log.dirs);
        let dirs: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
        screen.say(format_args!(
            "{keys} keys are set; node {}, data in {}",
            config.node_id,
            dirs.join(", ")
        ))?;
        return Ok(());
    }
    sheet.print(screen, format)
}

/// Columns of an explanation.
const COLUMNS: &[&str] = &["key", "of", "type", "default", "valid", "effect", "changes", "meaning"];

fn explain(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let format = Format::of(given)?;
    let name = given.words[0].as_str();
    let mut found: Vec<[Value; 8]> = Vec::new();
    found.extend(keys::find_or_base(name).map(|key| cells(key, "broker")));
    found.extend(topic_keys::find(name).map(|row| cells(&row.key, "topic")));
    if found.is_empty() {
        return like(screen, format, name);
    }
    let mut sheet = Sheet::new(COLUMNS);
    for (index, cells) in found.into_iter().enumerate() {
        if format != Format::Table {
            sheet.row(cells);
            continue;
        }
        if index > 0 {
            screen.say("")?;
        }
        for (column, cell) in COLUMNS.iter().zip(&cells) {
            screen.say(format_args!("{column:8} {}", super::sheet::text_of(cell)))?;
        }
    }
    if format == Format::Table { Ok(()) } else { sheet.print(screen, format) }
}

/// Keys with a word in their names or their meanings.
fn like(screen: &mut Screen, format: Format, word: &str) -> Result<(), Failure> {
    let mut sheet = Sheet::new(&["key", "of", "meaning"]);
    let mut is_empty = true;
    let topic = topic_keys::KEYS.iter().map(|row| (&row.key, "topic"));
    for (key, of) in keys::all().map(|key| (key, "broker")).chain(topic) {
        if !key.internal && key.name.contains(word) {
            is_empty = false;
            sheet.row([json!(key.name), json!(of), json!(key.doc)]);
        }
    }
    if !is_empty {
        return sheet.print(screen, format);
    }
    let names = keys::all().map(|key| key.name).chain(topic_keys::KEYS.iter().map(|row| row.key.name));
    let hint = nearest(word, names).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
    Err(Failure::text(format!("there is no key {word}{hint}")))
}

fn cells(key: &Key, of: &str) -> [Value; 8] {
    let effect = match key.effect {
        Effect::Honoured => "milena acts on it",
        Effect::AcceptedNoEffect => "read and described, and without effect",
    };
    let changes = match key.dynamic {
        _ if of == "topic" => "while the broker runs",
        Dynamic::ReadOnly => "by a restart",
        Dynamic::PerBroker => "while the broker runs, for one broker",
        Dynamic::ClusterWide => "while the broker runs, for one broker or all",
    };
    [
        json!(key.name),
        json!(of),
        json!(kind_name(key.kind)),
        json!(key.default),
        json!(valid_text(key.valid)),
        json!(effect),
        json!(changes),
        json!(key.doc),
    ]
}

fn kind_name(kind: Kind) -> String {
    format!("{kind:?}").to_lowercase()
}

fn valid_text(valid: Valid) -> String {
    match valid {
        Valid::Any => "everything of the type".to_owned(),
        Valid::AtLeast(min) => format!("{min} and more"),
        Valid::Between(min, max) => format!("{min} to {max}"),
        Valid::BetweenOr(min, max, or) => format!("{min} to {max}, or {or}"),
        Valid::Ratio(min, max) => format!("{min} to {max}"),
        Valid::OneOf(list) => list.join(", "),
        Valid::OneOfIgnoreCase(list) => format!("{}, in any case", list.join(", ")),
        Valid::EachOf(list) => format!("a list of {}", list.join(", ")),
        Valid::NonEmpty => "not empty".to_owned(),
        Valid::Voters => "id@host:port,...".to_owned(),
        Valid::Servers => "host:port,...".to_owned(),
        Valid::ThrottledReplicas => "*, or partition:broker,...".to_owned(),
        Valid::OffsetReset => "earliest, latest, by_duration:PnDTnHnMnS".to_owned(),
    }
}
