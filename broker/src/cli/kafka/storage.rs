//! `kafka-storage` (`StorageTool`): milena formats its directories itself when it starts, and this does it before.

use super::{features, ids};
use crate::cli::failure::Failure;
use crate::cli::flags::{self, Flag, Given, switch, value};
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::clock::Clock;
use crate::config::{BrokerConfig, Sources};
use milena_protocol::stored::meta_properties::{MetaProperties, MetaPropertiesVersion};
use milena_protocol::stored::uuid_to_base64;
use milena_storage::file::Disk;
use milena_storage::log_dir::LogDir;
use std::path::{Path, PathBuf};

/// The tool.
pub(crate) const RUN: Run = Run::Words(run);

const META: &str = "meta.properties";
/// The level that directories are formatted with.
const METADATA_VERSION: &str = "4.1-IV1";
const SHORT: [(&str, &str); 10] = [
    ("-c", "--config"),
    ("-t", "--cluster-id"),
    ("-g", "--ignore-formatted"),
    ("-S", "--add-scram"),
    ("-r", "--release-version"),
    ("-f", "--feature"),
    ("-s", "--standalone"),
    ("-N", "--no-initial-controllers"),
    ("-I", "--initial-controllers"),
    ("-h", "--help"),
];
const FLAGS: &[Flag] = &[
    value("config", "FILE", "The configuration of the broker."),
    value("cluster-id", "ID", "The id of the cluster; see random-uuid."),
    switch("ignore-formatted", "Leave directories alone that are formatted."),
    switch("standalone", "Read and not used: there is one node."),
    switch("no-initial-controllers", "Read and not used."),
    value("initial-controllers", "LIST", "Read and not used."),
    value("release-version", "VERSION", "For version-mapping; read and not used by format."),
    value("feature", "NAME=LEVEL", "For feature-dependencies; read and not used by format."),
    value("add-scram", "CREDENTIAL", "Refused: there are no SCRAM credentials yet."),
];

fn run(screen: &mut Screen, words: &[String]) -> Result<(), Failure> {
    let long = |word: &String| flags::long(&SHORT, word);
    // -t=ID is a form that people use, too.
    let words: Vec<String> = words
        .iter()
        .map(|word| match word.split_once('=') {
            Some((flag, value)) if flag.len() == 2 => format!("{}={value}", flags::long(&SHORT, flag)),
            _ => long(word),
        })
        .collect();
    let given = Given::read(FLAGS, &words)?;
    let usage = || {
        format!(
            "usage: kafka-storage {{info,format,version-mapping,feature-dependencies,random-uuid}} ...\n{}",
            flags::help(FLAGS)
        )
    };
    let words: Vec<&str> = given.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        _ if given.has("help") => screen.say(usage())?,
        ["random-uuid"] => screen.say(ids::random())?,
        ["format"] => format(screen, &given)?,
        ["info"] => info(screen, &given)?,
        ["version-mapping"] => features::mapping(screen, given.one("release-version")?)?,
        ["feature-dependencies"] if given.has("feature") => {
            given.all("feature").try_for_each(|feature| features::dependencies(screen, feature))?;
        }
        _ => return Err(Failure::Usage(usage())),
    }
    Ok(())
}

fn format(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let missing = |flag: &str| Failure::text(format!("kafka-storage: error: argument {flag} is required"));
    let config = configuration(given.one("config")?.ok_or_else(|| missing("--config/-c"))?)?;
    let cluster_id = given.one("cluster-id")?.ok_or_else(|| missing("--cluster-id/-t"))?;
    if given.has("add-scram") {
        let text = "--add-scram is not supported: there are no SCRAM credentials yet";
        return Err(Failure::text(text));
    }
    let (done, new): (Vec<_>, Vec<_>) =
        directories(&config).into_iter().partition(|dir| dir.join(META).exists());
    for dir in &done {
        let found = read_meta(dir)?.cluster_id.unwrap_or_default();
        if found != cluster_id {
            let path = dir.join(META);
            let text =
                format!("Invalid cluster.id in: {}. Expected {cluster_id}, but read {found}", path.display());
            return Err(Failure::text(text));
        }
    }
    if let (Some(dir), false) = (done.first(), given.has("ignore-formatted")) {
        let dir = dir.display();
        return Err(Failure::text(format!(
            "Log directory {dir} is already formatted. Use --ignore-formatted to ignore this directory and format the others."
        )));
    }
    if new.is_empty() {
        screen.say("All of the log directories are already formatted.")?;
    }
    for dir in new {
        let is_metadata = dir == config.log.metadata_dir;
        let (kind, path) = (if is_metadata { "metadata" } else { "data" }, dir.display());
        screen.say(format_args!(
            "Formatting {kind} directory {path} with metadata.version {METADATA_VERSION}."
        ))?;
        LogDir::open(Disk::new(&dir), config.node_id, Some(cluster_id), Clock::System.now_ms())
            .map_err(|error| Failure::text(format!("Error while formatting {path}: {error}")))?;
    }
    Ok(())
}

fn info(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let path = given.one("config")?;
    let path = path.ok_or_else(|| Failure::text("kafka-storage: error: argument --config/-c is required"))?;
    let dirs = directories(&configuration(path)?);
    let (mut found, mut problems, mut first) = (Vec::new(), Vec::new(), None::<MetaProperties>);
    for dir in &dirs {
        let name = dir.display();
        if !dir.is_dir() {
            problems.push(format!(
                "{name} {}",
                if dir.exists() { "is not a directory" } else { "does not exist" }
            ));
            continue;
        }
        found.push(dir);
        if !dir.join(META).exists() {
            problems.push(format!("{name} is not formatted."));
            continue;
        }
        match (read_meta(dir), &first) {
            (Err(error), _) => problems.push(error.to_string()),
            (Ok(meta), None) => first = Some(meta),
            (Ok(meta), Some(first)) if meta.cluster_id != first.cluster_id => {
                problems.push("Mismatched cluster IDs between storage directories.".into());
            }
            (Ok(meta), Some(first)) if meta.node_id != first.node_id => {
                problems.push("Mismatched node IDs between storage directories.".into());
            }
            _ => {}
        }
    }
    let list = |one: &str, many: &str, lines: Vec<String>| {
        let head = if lines.len() == 1 { one } else { many };
        format!("{head}:\n{}", lines.iter().map(|line| format!("  {line}\n")).collect::<String>())
    };
    if !found.is_empty() {
        let lines = found.iter().map(|dir| dir.display().to_string()).collect();
        screen.say(list("Found log directory", "Found log directories", lines))?;
    }
    if let Some(meta) = first {
        screen.say(format_args!("Found metadata: {}\n", meta_text(&meta)))?;
    }
    if problems.is_empty() {
        return Ok(());
    }
    screen.say(list("Found problem", "Found problems", problems))?;
    Err(Failure::Said)
}

fn meta_text(meta: &MetaProperties) -> String {
    let version = if meta.version == MetaPropertiesVersion::V0 { 0 } else { 1 };
    let fields = [
        meta.cluster_id.as_ref().map(|id| format!("cluster.id={id}")),
        meta.directory_id.map(|id| format!("directory.id={}", uuid_to_base64(id))),
        meta.node_id.map(|id| format!("node.id={id}")),
        Some(format!("version={version}")),
    ];
    format!("{{{}}}", fields.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

fn read_meta(dir: &Path) -> Result<MetaProperties, Failure> {
    let path = dir.join(META);
    let failed =
        |error: &dyn std::fmt::Display| Failure::text(format!("Error loading {}: {error}", path.display()));
    let bytes = std::fs::read(&path).map_err(|error| failed(&error))?;
    MetaProperties::parse(&bytes).map_err(|error| failed(&error))
}

fn configuration(path: &str) -> Result<BrokerConfig, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::text(format!("{path}: {error}")))?;
    let sources = Sources { file: Some((PathBuf::from(path), bytes)), ..Sources::default() };
    // Where Kafka keeps its data when nobody says.
    BrokerConfig::load(&sources, Path::new("/tmp/kafka-logs"))
        .map_err(|error| Failure::text(error.to_string()))
}

fn directories(config: &BrokerConfig) -> Vec<PathBuf> {
    let mut all = config.log.dirs.clone();
    all.push(config.log.metadata_dir.clone());
    all.sort_unstable();
    all.dedup();
    all
}
