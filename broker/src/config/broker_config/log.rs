//! Data directories and the chores on the logs in them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::broker_config::{Values, millis, requirement};
use crate::config::error::ConfigError;
use crate::config::raw::RawConfig;

/// What all partition logs share. What a topic may set itself is in `TopicConfig`.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// `log.dirs`, or `log.dir`; at least one, each once.
    pub dirs: Vec<PathBuf>,
    /// `metadata.log.dir`, or the first of `dirs`.
    pub metadata_dir: PathBuf,
    /// `num.recovery.threads.per.data.dir`
    pub recovery_threads_per_dir: i32,
    /// `log.initial.task.delay.ms`
    pub initial_task_delay: Duration,
    /// `log.retention.check.interval.ms`
    pub retention_check_interval: Duration,
    /// `log.flush.scheduler.interval.ms`
    pub flush_scheduler_interval: Duration,
    /// `log.flush.offset.checkpoint.interval.ms`
    pub recovery_point_checkpoint_interval: Duration,
    /// `log.flush.start.offset.checkpoint.interval.ms`
    pub start_offset_checkpoint_interval: Duration,
    /// `replica.high.watermark.checkpoint.interval.ms`
    pub high_watermark_checkpoint_interval: Duration,
    /// `replica.alter.log.dirs.io.max.bytes.per.second`: bytes copied of partitions that move, at least 1.
    pub move_bytes_per_second: f64,
    /// Compaction.
    pub cleaner: CleanerConfig,
}

/// What compaction may use.
#[derive(Clone, Debug, PartialEq)]
pub struct CleanerConfig {
    /// `log.cleaner.enable`
    pub enable: bool,
    /// `log.cleaner.threads`
    pub threads: usize,
    /// `log.cleaner.backoff.ms`
    pub backoff: Duration,
    /// `log.cleaner.dedupe.buffer.size`, in bytes, of all threads.
    pub dedupe_buffer_bytes: usize,
    /// `log.cleaner.io.buffer.load.factor`
    pub load_factor: f64,
    /// `log.cleaner.io.buffer.size`, in bytes, of all threads.
    pub io_buffer_bytes: usize,
    /// `log.cleaner.io.max.bytes.per.second`, of all threads.
    pub io_max_bytes_per_second: f64,
}

/// Kafka's limit on what is left of `log.cleaner.dedupe.buffer.size` for one thread: more than so many bytes.
const DEDUPE_BUFFER_BYTES_MIN: usize = 1 << 20;

impl CleanerConfig {
    fn new(effective: &RawConfig, values: &Values) -> Result<Self, ConfigError> {
        let bytes = |value: i64| usize::try_from(value).unwrap_or(0);
        let config = Self {
            enable: values.boolean("log.cleaner.enable"),
            threads: bytes(values.int("log.cleaner.threads").into()),
            backoff: millis(values.long("log.cleaner.backoff.ms")),
            dedupe_buffer_bytes: bytes(values.long("log.cleaner.dedupe.buffer.size")),
            load_factor: values.double("log.cleaner.io.buffer.load.factor"),
            io_buffer_bytes: bytes(values.int("log.cleaner.io.buffer.size").into()),
            io_max_bytes_per_second: values.double("log.cleaner.io.max.bytes.per.second"),
        };
        let refused = |key: &str, reason: &str, advice: &str| {
            let (reason, origin, advice) = (reason.to_owned(), effective.origin(key), advice.to_owned());
            Err(ConfigError::Refused { reason, origin, advice })
        };
        if config.dedupe_buffer_bytes / config.threads.max(1) <= DEDUPE_BUFFER_BYTES_MIN {
            let key = "log.cleaner.dedupe.buffer.size";
            let reason = requirement(&format!("{key} must be at least 1MB per cleaner thread."));
            return refused(key, &reason, "raise it, or lower log.cleaner.threads");
        }
        if !(config.load_factor > 0.0 && config.load_factor <= 1.0) {
            let reason = format!("log.cleaner.io.buffer.load.factor={}", config.load_factor);
            return refused("log.cleaner.io.buffer.load.factor", &reason, "use a share above 0 and up to 1");
        }
        Ok(config)
    }
}

impl LogConfig {
    pub(super) fn new(effective: &RawConfig, values: &Values) -> Result<LogConfig, ConfigError> {
        check_times(effective, values)?;
        let dirs = dirs(effective, values)?;
        let metadata = values.text("metadata.log.dir").map(str::trim).filter(|dir| !dir.is_empty());
        Ok(LogConfig {
            metadata_dir: metadata.map_or_else(|| dirs[0].clone(), PathBuf::from),
            dirs,
            recovery_threads_per_dir: values.int("num.recovery.threads.per.data.dir"),
            initial_task_delay: millis(values.long("log.initial.task.delay.ms")),
            retention_check_interval: millis(values.long("log.retention.check.interval.ms")),
            flush_scheduler_interval: millis(values.long("log.flush.scheduler.interval.ms")),
            recovery_point_checkpoint_interval: millis(
                values.int("log.flush.offset.checkpoint.interval.ms").into(),
            ),
            start_offset_checkpoint_interval: millis(
                values.int("log.flush.start.offset.checkpoint.interval.ms").into(),
            ),
            high_watermark_checkpoint_interval: millis(
                values.long("replica.high.watermark.checkpoint.interval.ms"),
            ),
            move_bytes_per_second: values.long("replica.alter.log.dirs.io.max.bytes.per.second").max(1)
                as f64,
            cleaner: CleanerConfig::new(effective, values)?,
        })
    }
}

/// `$XDG_DATA_HOME/milena`, or `$HOME/.local/share/milena`, or where there is no home `/var/lib/milena`.
pub fn default_log_dir(xdg_data_home: Option<&OsStr>, home: Option<&OsStr>) -> PathBuf {
    // The XDG specification says to pass over relative paths.
    let absolute = |path: Option<&OsStr>| path.map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(xdg_data_home)
        .or_else(|| absolute(home).map(|home| home.join(".local/share")))
        .unwrap_or_else(|| PathBuf::from("/var/lib"))
        .join("milena")
}

fn dirs(effective: &RawConfig, values: &Values) -> Result<Vec<PathBuf>, ConfigError> {
    let key = if values.text("log.dirs").is_some() { "log.dirs" } else { "log.dir" };
    let mut dirs: Vec<PathBuf> = Vec::new();
    for dir in values.text(key).unwrap_or_default().split(',').map(str::trim).filter(|dir| !dir.is_empty()) {
        let dir = Path::new(dir);
        if dirs.iter().any(|other| other == dir) {
            return Err(ConfigError::Refused {
                reason: format!("{key} names {} twice", dir.display()),
                origin: effective.origin(key),
                advice: "name every data directory once".into(),
            });
        }
        dirs.push(dir.to_owned());
    }
    if dirs.is_empty() {
        return Err(ConfigError::Refused {
            reason: "At least one log directory must be defined via log.dirs or log.dir.".into(),
            origin: effective.origin(key),
            advice: "set log.dirs to the directory for the data".into(),
        });
    }
    Ok(dirs)
}

/// Ranges that Kafka checks after it has parsed everything.
fn check_times(effective: &RawConfig, values: &Values) -> Result<(), ConfigError> {
    let check = |names: &[&str], admitted: fn(i64) -> bool, must: &str| {
        let first_set = names.iter().find_map(|name| match values.get(name) {
            Some(crate::config::Value::Int(value)) => Some((*name, i64::from(*value))),
            Some(crate::config::Value::Long(value)) => Some((*name, *value)),
            _ => None,
        });
        match first_set {
            Some((name, value)) if !admitted(value) => Err(ConfigError::Refused {
                reason: requirement(&format!("{} {must}", names[0])),
                origin: effective.origin(name),
                advice: format!("{name}={value} is not"),
            }),
            _ => Ok(()),
        }
    };
    check(&["log.roll.ms", "log.roll.hours"], |value| value >= 1, "must be greater than or equal to 1")?;
    check(
        &["log.roll.jitter.ms", "log.roll.jitter.hours"],
        |value| value >= 0,
        "must be greater than or equal to 0",
    )?;
    check(
        &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
        // What is negative means no limit.
        |value| value != 0,
        "must be unlimited (-1) or, greater than or equal to 1",
    )
}
