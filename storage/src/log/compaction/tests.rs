//! Compaction rule by rule, against a model, and through every crash.

mod crashes;
mod model;
mod rules;

use super::{Cleanable, Cleaned, CleanerMemory};
use crate::config::LogConfig;
use crate::error::Result;
use crate::file::Disk;
use crate::log::{Append, Log, Start};
use crate::producers::Origin;
use milena_protocol::records::{
    BatchBuilder, BatchHeader, Batches, Codec, HEADER_LEN, Level, Records, decompress,
};
use std::path::Path;

const NOW: i64 = 1_000_000;
const MEMORY: CleanerMemory = CleanerMemory { map_bytes: 1 << 20, load_factor: 0.9, io_bytes: 64 << 10 };

/// One record of a log: offset, timestamp, key, value.
type Line = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>);

fn compacted() -> LogConfig {
    LogConfig {
        delete: false,
        compact: true,
        segment_bytes: 4000,
        index_interval_bytes: 300,
        delete_retention_ms: 1000,
        mapped: false,
        ..LogConfig::default()
    }
}

fn open_on(disk: &Disk, dir: &Path, config: &LogConfig, clean: bool) -> Result<Log> {
    let start = Start { clean, now_ms: NOW, ..Start::default() };
    Log::open(disk, dir, config.clone(), &start)
}

fn open(dir: &Path, config: &LogConfig) -> Log {
    open_on(&Disk::new(dir), dir, config, true).unwrap()
}

fn append(log: &Log, batch: &[u8], origin: Origin) -> i64 {
    let header = BatchHeader::read(batch).unwrap();
    let how = Append { leader_epoch: 3, origin, now_ms: NOW };
    log.append(&header, &batch[HEADER_LEN..], &how).unwrap().base_offset
}

/// One batch: key and value, `-` for null.
fn put(log: &Log, builder: BatchBuilder, records: &[(&str, &str)]) -> i64 {
    let mut builder = builder;
    for (at, (key, value)) in records.iter().enumerate() {
        let text = |text: &str| (text != "-").then(|| text.as_bytes().to_vec());
        builder.append(500 + at as i64, text(key).as_deref(), text(value).as_deref(), &[]);
    }
    append(log, &builder.build().unwrap(), Origin::Client)
}

fn plain() -> BatchBuilder {
    BatchBuilder::new()
}

fn packed(codec: Codec) -> BatchBuilder {
    BatchBuilder::new().compression(codec, Level::default_of(codec))
}

/// Ends the active segment.
fn roll(log: &Log) {
    let config = log.config();
    let mut writer = log.writer.lock();
    if writer.end > 0 {
        log.roll(&mut writer, &config, NOW).unwrap();
    }
}

fn clean_at(log: &Log, now_ms: i64) -> Option<(Cleanable, Cleaned)> {
    let work = log.cleanable(now_ms).unwrap()?;
    Some((work, log.clean(&work, &MEMORY, now_ms, &mut |_| true).unwrap()))
}

/// Every batch, read as a consumer reads: from the log start on, each read from behind the last.
fn batches(log: &Log, max_bytes: usize) -> Vec<(BatchHeader, Vec<u8>)> {
    let (mut all, mut offset) = (Vec::new(), log.start_offset());
    loop {
        let bytes = log.read_batches(offset, max_bytes).unwrap();
        if bytes.is_empty() {
            return all;
        }
        for batch in Batches::new(&bytes) {
            let (header, bytes) = batch.unwrap();
            assert!(milena_protocol::records::crc_matches(bytes));
            assert!(all.is_empty() || header.base_offset >= offset, "no offset comes twice");
            offset = header.next_offset();
            all.push((header, bytes.to_vec()));
        }
    }
}

fn lines_of(header: &BatchHeader, batch: &[u8]) -> Vec<Line> {
    let body = decompress(header.attributes.codec().unwrap(), &batch[HEADER_LEN..], 1 << 24).unwrap();
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    Records::new(&body, header.record_count)
        .map(|record| {
            let record = record.unwrap();
            let timestamp =
                header.log_append_time().unwrap_or(header.base_timestamp + record.timestamp_delta);
            let offset = header.base_offset + i64::from(record.offset_delta);
            (offset, timestamp, owned(record.key), owned(record.value))
        })
        .collect()
}

/// Every record that is not a control record.
fn lines(log: &Log) -> Vec<Line> {
    batches(log, 700)
        .iter()
        .filter(|(header, _)| !header.attributes.is_control())
        .flat_map(|(header, bytes)| lines_of(header, bytes))
        .collect()
}

/// The same, short: `offset:key=value`.
fn short(log: &Log) -> Vec<String> {
    texts(&lines(log))
}

fn texts(lines: &[Line]) -> Vec<String> {
    let text = |bytes: &Option<Vec<u8>>| {
        bytes.as_ref().map_or("-".to_owned(), |bytes| String::from_utf8(bytes.clone()).unwrap())
    };
    lines.iter().map(|(offset, _, key, value)| format!("{offset}:{}={}", text(key), text(value))).collect()
}

/// Names in the directory with one of these suffixes.
fn names_with(dir: &Path, suffixes: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| suffixes.iter().any(|suffix| name.ends_with(suffix)))
        .collect();
    names.sort_unstable();
    names
}
