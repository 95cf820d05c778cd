use super::{Level, Levels, Loggers, PARTS, exists};
use parking_lot::Mutex;
use std::sync::Arc;
use tracing::Level as Event;
use tracing_subscriber::filter::Targets;

/// Loggers with the levels of a start without any variable, and the filter that is in force.
pub(crate) fn loggers() -> (Loggers, Arc<Mutex<Targets>>) {
    let levels = from(&[]).0;
    let filter = Arc::new(Mutex::new(levels.targets()));
    let applied = filter.clone();
    (Loggers::new(levels, move |targets| *applied.lock() = targets), filter)
}

fn from(variables: &[(&str, &str)]) -> (Levels, Vec<String>) {
    let find = |wanted: &str| variables.iter().find(|(name, _)| *name == wanted);
    Levels::from_environment(|wanted| find(wanted).map(|(_, value)| (*value).to_owned()))
}

#[test]
fn every_name_is_there_once_and_below_another_part() {
    let mut names: Vec<_> = PARTS.iter().flat_map(|part| part.names).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    for (at, part) in PARTS.iter().enumerate().skip(1) {
        assert!(part.above < at, "{:?}", part.names);
    }
}

/// Every part is made of modules that exist: a renamed module must not lose its level.
#[test]
fn the_targets_are_modules() {
    let root = env!("CARGO_MANIFEST_DIR");
    for target in PARTS.iter().flat_map(|part| part.targets).filter(|target| **target != super::REQUESTS) {
        let path = match target.strip_prefix("milena_storage") {
            Some(rest) => format!("{root}/../storage/src{}", rest.replace("::", "/")),
            None => format!("{root}/src{}", target.strip_prefix("milena").unwrap().replace("::", "/")),
        };
        let is_module =
            std::path::Path::new(&path).is_dir() || std::path::Path::new(&format!("{path}.rs")).is_file();
        assert!(is_module, "{target}: {path}");
    }
}

#[test]
fn levels_are_inherited_until_they_are_set() {
    let (loggers, filter) = loggers();
    let level = |name| loggers.all().into_iter().find(|(known, _)| *known == name).unwrap().1;
    let enabled = |target, event| filter.lock().would_enable(target, &event);
    assert!(enabled("milena::net::connection", Event::INFO) && !enabled("milena::net", Event::DEBUG));
    assert!(!enabled("milena::request", Event::INFO), "requests are not written unless asked for");

    loggers.set("org.apache.kafka.storage.internals.log", Some(Level::Debug));
    assert_eq!((level("kafka.log"), level("kafka.log.LogCleaner")), (Level::Debug, Level::Debug));
    assert!(
        enabled("milena_storage::log::append", Event::DEBUG) && enabled("milena::partitions", Event::DEBUG)
    );
    assert!(!enabled("milena::group", Event::DEBUG));

    loggers.set("kafka.log.LogCleaner", Some(Level::Fatal));
    assert!(!enabled("milena_storage::log::compaction::pass", Event::ERROR));
    assert!(enabled("milena_storage::log", Event::DEBUG));

    loggers.set("kafka", Some(Level::Error));
    loggers.set("kafka.log", None);
    assert!(!enabled("milena_storage::log", Event::WARN) && enabled("milena_storage::log", Event::ERROR));
    loggers.set("kafka", None);
    loggers.set("root", Some(Level::Trace));
    assert!(enabled("milena::group::shard", Event::TRACE) && enabled("another_crate", Event::TRACE));
    assert!(!enabled("milena::request", Event::INFO), "it has a level of its own");
    loggers.set("kafka.request.logger", None);
    assert!(enabled("milena::request", Event::DEBUG));

    assert!(!exists("kafka.nothing"));
    let before = loggers.all();
    loggers.set("kafka.nothing", Some(Level::Off));
    assert_eq!(loggers.all(), before);
}

/// Variables, a logger, its level, and what is said.
type Row = (&'static [(&'static str, &'static str)], &'static str, &'static str, Option<&'static str>);

#[test]
fn the_environment() {
    const ROOT: &str = "KAFKA_LOG4J_ROOT_LOGLEVEL";
    const LOGGERS: &str = "KAFKA_LOG4J_LOGGERS";
    let rows: [Row; 10] = [
        (&[], "root", "INFO", None),
        (&[(ROOT, "debug")], "kafka.network", "DEBUG", None),
        (&[(ROOT, " ")], "kafka.network", "INFO", None),
        (&[(ROOT, "LOUD")], "root", "INFO", Some("KAFKA_LOG4J_ROOT_LOGLEVEL=LOUD is no level")),
        (&[(LOGGERS, "kafka.controller=TRACE, kafka=WARN")], "org.apache.kafka.controller", "TRACE", None),
        (&[(LOGGERS, "kafka.controller=TRACE,kafka=WARN,")], "kafka.server", "WARN", None),
        (
            &[(LOGGERS, "kafka.log")],
            "kafka.log",
            "INFO",
            Some("KAFKA_LOG4J_LOGGERS: kafka.log is not logger=LEVEL"),
        ),
        (
            &[(LOGGERS, "state.change.logger=TRACE,org.x=INFO,root=OFF")],
            "kafka",
            "OFF",
            Some("KAFKA_LOG4J_LOGGERS: nothing here logs as state.change.logger, org.x"),
        ),
        (&[(ROOT, "ERROR"), ("RUST_LOG", "debug,milena::net=trace")], "kafka.network", "TRACE", None),
        (&[("RUST_LOG", "warn,milena::net::listener=trace")], "kafka.network", "WARN", None),
    ];
    for (variables, logger, expected, said) in rows {
        let (levels, notes) = from(variables);
        let loggers = Loggers::new(levels, |_| {});
        let level = loggers.all().into_iter().find(|(name, _)| *name == logger).unwrap().1;
        assert_eq!(
            (level.to_string().as_str(), notes),
            (expected, said.map_or(Vec::new(), |said| vec![said.to_owned()])),
            "{variables:?}"
        );
    }
    assert_eq!(from(&[("RUST_LOG", "a=b=c")]).1.len(), 1);
}

#[test]
fn a_module_of_rust_log_counts_until_its_part_is_set() {
    let (mut levels, _) = from(&[("RUST_LOG", "milena::net::listener=trace")]);
    let enabled = |levels: &Levels| levels.targets().would_enable("milena::net::listener", &Event::TRACE);
    assert!(enabled(&levels));
    levels.set(super::find("kafka.network").unwrap(), Some(Level::Warn));
    assert!(!enabled(&levels));
}

#[test]
fn names_of_levels() {
    for (name, level) in Level::NAMES {
        assert_eq!((Level::parse(name), level.to_string().as_str()), (Some(level), name));
    }
    assert_eq!(Level::parse("verbose"), None);
}
