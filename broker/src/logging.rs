//! What is written to the log, and how much of it: levels by the names of Kafka's loggers.
//!
//! Kafka names a logger after the class that writes. Here a [`Part`] stands for some of our modules; it answers to the
//! names that operators use in Kafka for the same work, of Kafka 4 and of the releases before. Whichever of its names is
//! used, the level is that of the part. A part without a level of its own has that of the part above it.
//!
//! Levels are set by the environment at the start (`KAFKA_LOG4J_ROOT_LOGLEVEL`, `KAFKA_LOG4J_LOGGERS`, then `RUST_LOG`) and by
//! requests later (resource type BROKER_LOGGER). They are of the process, and gone with it, as in Kafka. What is below
//! its level costs the load of one flag at the place that would write it.

use parking_lot::Mutex;
use std::fmt;
use std::sync::OnceLock;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::Layered;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

/// The logger above all others.
pub(crate) const ROOT: &str = "root";
/// Target of the line for each request.
pub(crate) const REQUESTS: &str = "milena::request";

/// Index of [`ROOT`].
const ROOT_PART: usize = 0;

/// Some of our modules, under the names that their work has in Kafka.
struct Part {
    names: &'static [&'static str],
    /// Index of the part above.
    above: usize,
    /// Beginnings of module paths. The longest one that fits a module decides.
    targets: &'static [&'static str],
    /// Its own level at the start.
    initial: Option<Level>,
}

const fn part(names: &'static [&'static str], above: usize, targets: &'static [&'static str]) -> Part {
    Part { names, above, targets, initial: None }
}

/// The loggers. `milena` is also the beginning of `milena_storage` and `milena_protocol`.
static PARTS: &[Part] = &[
    Part { names: &[ROOT], above: ROOT_PART, targets: &[], initial: Some(Level::Info) },
    part(&["kafka", "org.apache.kafka"], ROOT_PART, &["milena"]),
    part(&["kafka.network", "org.apache.kafka.network"], 1, &["milena::net"]),
    part(
        &["kafka.server", "org.apache.kafka.server"],
        1,
        &["milena::api", "milena::broker", "milena::quotas"],
    ),
    part(
        &["kafka.log", "org.apache.kafka.storage.internals.log"],
        1,
        &["milena_storage", "milena::partition"],
    ),
    part(
        &["kafka.log.LogCleaner", "org.apache.kafka.storage.internals.log.LogCleaner"],
        4,
        &["milena::cleaner", "milena_storage::log::compaction"],
    ),
    part(&["kafka.controller", "org.apache.kafka.controller"], 1, &["milena::controller"]),
    part(&["kafka.coordinator.group", "org.apache.kafka.coordinator.group"], 1, &["milena::group"]),
    part(
        &["kafka.coordinator.transaction", "org.apache.kafka.coordinator.transaction"],
        1,
        &["milena::transaction"],
    ),
    // As in the configuration that Kafka comes with, the level of others does not turn it on.
    Part {
        names: &["kafka.request.logger", "kafka.network.RequestChannel$"],
        above: 1,
        targets: &[REQUESTS],
        initial: Some(Level::Warn),
    },
];

/// Kafka's levels, in rising detail. Nothing here is fatal and goes on, so `Fatal` is as quiet as `Off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Nothing.
    Off,
    /// What ends the process.
    Fatal,
    /// What did not work.
    Error,
    /// What an operator should look at.
    Warn,
    /// What happens rarely.
    Info,
    /// What happens often.
    Debug,
    /// What happens all the time.
    Trace,
    /// Everything.
    All,
}

impl Level {
    const NAMES: [(&'static str, Level); 8] = [
        ("OFF", Level::Off),
        ("FATAL", Level::Fatal),
        ("ERROR", Level::Error),
        ("WARN", Level::Warn),
        ("INFO", Level::Info),
        ("DEBUG", Level::Debug),
        ("TRACE", Level::Trace),
        ("ALL", Level::All),
    ];

    /// The level of this name, in any case.
    pub(crate) fn parse(name: &str) -> Option<Level> {
        Self::NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, level)| *level)
    }

    fn filter(self) -> LevelFilter {
        match self {
            Level::Off | Level::Fatal => LevelFilter::OFF,
            Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
            Level::Trace | Level::All => LevelFilter::TRACE,
        }
    }

    fn of(filter: LevelFilter) -> Level {
        let fits = |(_, level): &&(&str, Level)| level.filter() == filter;
        Self::NAMES.iter().find(fits).map_or(Level::Off, |(_, level)| *level)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, level)| level == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// The levels of a process, and what puts them into effect.
pub(crate) struct Loggers {
    levels: Mutex<Levels>,
    apply: Box<dyn Fn(Targets) + Send + Sync>,
}

struct Levels {
    /// Own level of each part.
    own: Vec<Option<Level>>,
    /// Modules that `RUST_LOG` names and no part is made of.
    modules: Vec<(String, LevelFilter)>,
}

impl Loggers {
    /// Loggers with these levels; `apply` is called with every change.
    fn new(levels: Levels, apply: impl Fn(Targets) + Send + Sync + 'static) -> Loggers {
        Loggers { levels: Mutex::new(levels), apply: Box::new(apply) }
    }

    /// Every name with the level that counts for it, sorted by name.
    pub(crate) fn all(&self) -> Vec<(&'static str, Level)> {
        let levels = self.levels.lock();
        let mut all: Vec<_> = (0..PARTS.len())
            .flat_map(|at| PARTS[at].names.iter().map(move |name| (*name, at)))
            .map(|(name, at)| (name, levels.of(at)))
            .collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        all
    }

    /// Gives a logger a level, or takes it back; a name that is none changes nothing.
    pub(crate) fn set(&self, name: &str, level: Option<Level>) {
        let Some(at) = find(name) else { return };
        let mut levels = self.levels.lock();
        levels.set(at, level);
        (self.apply)(levels.targets());
    }
}

/// Whether there is a logger of this name.
pub(crate) fn exists(name: &str) -> bool {
    find(name).is_some()
}

fn find(name: &str) -> Option<usize> {
    PARTS.iter().position(|part| part.names.contains(&name))
}

impl Levels {
    /// The levels that the environment asks for, and one line each about what cannot be done.
    fn from_environment(variable: impl Fn(&str) -> Option<String>) -> (Levels, Vec<String>) {
        let own = PARTS.iter().map(|part| part.initial).collect();
        let (mut levels, mut notes) = (Levels { own, modules: Vec::new() }, Vec::new());
        if let Some(text) = variable("KAFKA_LOG4J_ROOT_LOGLEVEL").filter(|text| !text.trim().is_empty()) {
            match Level::parse(text.trim()) {
                Some(level) => levels.own[ROOT_PART] = Some(level),
                None => notes.push(format!("KAFKA_LOG4J_ROOT_LOGLEVEL={text} is no level")),
            }
        }
        let loggers = variable("KAFKA_LOG4J_LOGGERS").unwrap_or_default();
        let mut strangers = Vec::new();
        for pair in loggers.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
            match (find(name.trim()), Level::parse(text.trim())) {
                (Some(at), Some(level)) => levels.own[at] = Some(level),
                (_, None) => notes.push(format!("KAFKA_LOG4J_LOGGERS: {pair} is not logger=LEVEL")),
                (None, _) => strangers.push(name.trim().to_owned()),
            }
        }
        if !strangers.is_empty() {
            notes.push(format!("KAFKA_LOG4J_LOGGERS: nothing here logs as {}", strangers.join(", ")));
        }
        match variable("RUST_LOG").filter(|text| !text.trim().is_empty()).map(|text| text.parse()) {
            Some(Ok(targets)) => levels.add(&targets),
            Some(Err(error)) => notes.push(format!("RUST_LOG is not used: {error}")),
            None => {}
        }
        (levels, notes)
    }

    /// Takes over levels by module.
    fn add(&mut self, targets: &Targets) {
        if let Some(level) = targets.default_level() {
            self.own[ROOT_PART] = Some(Level::of(level));
        }
        for (target, level) in targets.iter() {
            match PARTS.iter().position(|part| part.targets == [target]) {
                Some(at) => self.own[at] = Some(Level::of(level)),
                None => self.modules.push((target.to_owned(), level)),
            }
        }
    }

    /// The level that counts for a part.
    fn of(&self, at: usize) -> Level {
        match self.own[at] {
            Some(level) => level,
            None if at == ROOT_PART => Level::Info,
            None => self.of(PARTS[at].above),
        }
    }

    /// What was said of single modules of the part is forgotten: the last word counts.
    fn set(&mut self, at: usize, level: Option<Level>) {
        self.own[at] = level;
        self.modules.retain(|(module, _)| !PARTS[at].targets.iter().any(|target| module.starts_with(target)));
    }

    fn targets(&self) -> Targets {
        let parts = PARTS.iter().enumerate();
        let of_parts = parts.flat_map(|(at, part)| part.targets.iter().map(move |target| (*target, at)));
        Targets::new()
            .with_default(self.of(ROOT_PART).filter())
            .with_targets(of_parts.map(|(target, at)| (target, self.of(at).filter())))
            .with_targets(self.modules.iter().map(|(module, level)| (module.as_str(), *level)))
    }
}

static INSTALLED: OnceLock<Loggers> = OnceLock::new();

/// What a layer that writes lines stands on.
pub type Filtered = Layered<reload::Layer<Targets, Registry>, Registry>;

/// Begins to write the log through `lines`, at the levels that the environment asks for. To be called once, by whoever owns
/// the process; a broker within another program writes where that one says, and has no loggers of its own.
///
/// # Errors
/// The process has a log already.
pub fn install(
    variable: impl Fn(&str) -> Option<String>,
    lines: impl Layer<Filtered> + Send + Sync,
) -> Result<(), String> {
    let (levels, notes) = Levels::from_environment(variable);
    let (filter, handle) = reload::Layer::new(levels.targets());
    tracing_subscriber::registry().with(filter).with(lines).try_init().map_err(|error| error.to_string())?;
    let apply = move |targets| {
        if let Err(error) = handle.reload(targets) {
            tracing::error!("the levels of the log cannot be changed: {error}");
        }
    };
    let _ = INSTALLED.set(Loggers::new(levels, apply));
    for note in notes {
        tracing::warn!("{note}");
    }
    Ok(())
}

/// The loggers of this process; `None` where another program owns the log.
pub(crate) fn installed() -> Option<&'static Loggers> {
    INSTALLED.get()
}

#[cfg(test)]
pub(crate) mod tests;
