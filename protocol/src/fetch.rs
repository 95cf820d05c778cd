//! Fetch responses, versions 4 to 18, written with the records as file ranges.

use crate::gather::{FileRange, Gather};
use bytes::BufMut;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use uuid::Uuid;

/// First version with sessions.
const SESSIONS: i16 = 7;
/// First version with compact lengths and tags.
const FLEXIBLE: i16 = 12;
/// First version that names topics by id.
const TOPIC_IDS: i16 = 13;

/// An answer takes no more memory than this for records that are copied.
const INLINE_MAX: usize = 1 << 20;

/// Records on their way from the log to the socket.
#[derive(Clone, Debug, Default)]
pub enum Records {
    /// None: sent as empty, never as null, which librdkafka does not parse.
    #[default]
    Empty,
    /// A range of a log file.
    File(FileRange),
}

impl Records {
    /// A range of an open file; a length of 0 is none.
    #[must_use]
    pub fn range(file: Arc<File>, position: u64, len: usize) -> Self {
        if len == 0 { Self::Empty } else { Self::File(FileRange { file, position, len }) }
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::File(range) => range.len,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A topic of the response.
#[derive(Clone, Debug)]
pub struct TopicResponse {
    /// Its name, sent up to version 12.
    pub name: Arc<str>,
    /// Its id, sent from version 13.
    pub id: Uuid,
    /// Its partitions.
    pub partitions: Vec<PartitionResponse>,
}

/// A partition of the response.
#[derive(Clone, Debug)]
pub struct PartitionResponse {
    /// Index.
    pub index: i32,
    /// Kafka error code.
    pub error_code: i16,
    /// -1 with an error.
    pub high_watermark: i64,
    /// -1 with an error.
    pub last_stable_offset: i64,
    /// -1 with an error.
    pub log_start_offset: i64,
    /// Epoch and end offset at which the fetcher's log departs from ours (KIP-595).
    pub diverging_epoch: Option<(i32, i64)>,
    /// Producer id and first offset; `None` (null) for read_uncommitted.
    pub aborted: Option<Vec<(i64, i64)>>,
    /// The records.
    pub records: Records,
}

impl PartitionResponse {
    /// A partition that is answered with an error.
    #[must_use]
    pub fn error(index: i32, error_code: i16) -> Self {
        Self {
            index,
            error_code,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: None,
            aborted: None,
            records: Records::Empty,
        }
    }
}

/// Writes the body of a response. Ranges shorter than `inline_below` bytes are copied, because two more system
/// calls cost more than a small copy; of many, only the first 1 MiB.
///
/// # Errors
/// The system's when a range cannot be copied; what was written must be taken back then.
pub fn write(
    out: &mut Gather,
    version: i16,
    error_code: i16,
    session_id: i32,
    topics: &[TopicResponse],
    inline_below: usize,
) -> std::io::Result<()> {
    let flexible = version >= FLEXIBLE;
    let b = out.bytes_mut();
    b.put_i32(0);
    if version >= SESSIONS {
        b.put_i16(error_code);
        b.put_i32(session_id);
    }
    put_length(out, flexible, topics.len());
    for topic in topics {
        let b = out.bytes_mut();
        if version >= TOPIC_IDS {
            b.put_slice(topic.id.as_bytes());
        } else if flexible {
            put_uvarint(b, topic.name.len() as u32 + 1);
            b.put_slice(topic.name.as_bytes());
        } else {
            b.put_i16(topic.name.len() as i16);
            b.put_slice(topic.name.as_bytes());
        }
        put_length(out, flexible, topic.partitions.len());
        for partition in &topic.partitions {
            write_partition(out, version, partition, inline_below)?;
        }
        put_no_tags(out, flexible);
    }
    put_no_tags(out, flexible);
    Ok(())
}

fn write_partition(
    out: &mut Gather,
    version: i16,
    partition: &PartitionResponse,
    inline_below: usize,
) -> std::io::Result<()> {
    let flexible = version >= FLEXIBLE;
    let b = out.bytes_mut();
    b.put_i32(partition.index);
    b.put_i16(partition.error_code);
    b.put_i64(partition.high_watermark);
    b.put_i64(partition.last_stable_offset);
    if version >= 5 {
        b.put_i64(partition.log_start_offset);
    }
    match &partition.aborted {
        None if flexible => b.put_u8(0),
        None => b.put_i32(-1),
        Some(aborted) => {
            put_length(out, flexible, aborted.len());
            for (producer_id, first_offset) in aborted {
                out.bytes_mut().put_i64(*producer_id);
                out.bytes_mut().put_i64(*first_offset);
                put_no_tags(out, flexible);
            }
        }
    }
    if version >= 11 {
        out.bytes_mut().put_i32(-1);
    }
    put_records(out, flexible, &partition.records, inline_below)?;
    match partition.diverging_epoch {
        Some((epoch, end_offset)) if flexible => {
            let b = out.bytes_mut();
            b.put_slice(&[1, 0, 13]);
            b.put_i32(epoch);
            b.put_i64(end_offset);
            b.put_u8(0);
        }
        _ => put_no_tags(out, flexible),
    }
    Ok(())
}

fn put_records(
    out: &mut Gather,
    flexible: bool,
    records: &Records,
    inline_below: usize,
) -> std::io::Result<()> {
    put_length(out, flexible, records.len());
    if let Records::File(range) = records {
        if range.len < inline_below && out.bytes().len() + range.len <= INLINE_MAX {
            let b = out.bytes_mut();
            let at = b.len();
            b.put_bytes(0, range.len);
            range.file.read_exact_at(&mut b[at..], range.position)?;
        } else {
            out.put_range(range.clone());
        }
    }
    Ok(())
}

fn put_length(out: &mut Gather, flexible: bool, n: usize) {
    if flexible {
        put_uvarint(out.bytes_mut(), n as u32 + 1);
    } else {
        out.bytes_mut().put_i32(n as i32);
    }
}

fn put_no_tags(out: &mut Gather, flexible: bool) {
    if flexible {
        out.bytes_mut().put_u8(0);
    }
}

fn put_uvarint(out: &mut impl BufMut, mut value: u32) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use super::{PartitionResponse, Records, TopicResponse, write};
    use crate::gather::Gather;
    use bytes::{Bytes, BytesMut};
    use kafka_protocol::messages::TopicName;
    use kafka_protocol::messages::fetch_response::{
        AbortedTransaction, EpochEndOffset, FetchResponse, FetchableTopicResponse, PartitionData,
    };
    use kafka_protocol::protocol::{Encodable, StrBytes};
    use std::io::Write;
    use std::os::unix::fs::FileExt;
    use std::sync::Arc;
    use uuid::Uuid;

    fn expand(out: &Gather) -> Vec<u8> {
        let (mut all, mut from) = (Vec::new(), 0);
        for cut in out.cuts() {
            all.extend_from_slice(&out.bytes()[from..cut.at]);
            from = cut.at;
            let mut bytes = vec![0; cut.range.len];
            cut.range.file.read_exact_at(&mut bytes, cut.range.position).unwrap();
            all.extend_from_slice(&bytes);
        }
        all.extend_from_slice(&out.bytes()[from..]);
        all
    }

    #[test]
    fn equals_the_crate_in_every_version() {
        let stored: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
        let handle = file_of(&stored, "versions");
        let lengths = [0usize, 1, 127, 128, 40_000, 100_000];
        let topics: Vec<TopicResponse> = (0..2)
            .map(|t| TopicResponse {
                name: format!("topic-{t}").into(),
                id: Uuid::from_u128(t + 1),
                partitions: (lengths.iter().enumerate())
                    .map(|(i, &len)| PartitionResponse {
                        index: i as i32,
                        error_code: i as i16,
                        high_watermark: 100 + i as i64,
                        last_stable_offset: 90,
                        log_start_offset: 3,
                        diverging_epoch: (i == 1).then_some((4, 17)),
                        aborted: (i % 2 == 1).then(|| (0..i as i64).map(|p| (p, p * 10)).collect()),
                        records: Records::range(handle.clone(), i as u64, len),
                    })
                    .collect(),
            })
            .collect();
        for version in 4..=18 {
            let expected = response(version, &topics, &stored);
            let mut bytes = BytesMut::new();
            expected.encode(&mut bytes, version).unwrap();
            for inline_below in [0, 1000, usize::MAX] {
                let mut out = Gather::default();
                write(
                    &mut out,
                    version,
                    if version >= 7 { 70 } else { 0 },
                    if version >= 7 { 9 } else { 0 },
                    &topics,
                    inline_below,
                )
                .unwrap();
                assert!(expand(&out) == bytes, "version {version}, inline below {inline_below}");
            }
        }
    }

    #[test]
    fn many_small_ranges_are_not_all_copied() {
        let stored: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
        let handle = file_of(&stored, "small");
        let partitions = (0..300).map(|index| PartitionResponse {
            records: Records::range(handle.clone(), index as u64, 15_000),
            ..PartitionResponse::error(index, 0)
        });
        let topics =
            [TopicResponse { name: "t".into(), id: Uuid::from_u128(1), partitions: partitions.collect() }];
        let (mut out, mut copied) = (Gather::default(), Gather::default());
        write(&mut out, 13, 0, 0, &topics, 16 << 10).unwrap();
        write(&mut copied, 13, 0, 0, &topics, 0).unwrap();
        assert!(expand(&out) == expand(&copied), "the same bytes");
        assert!(out.cuts().len() < 300 && copied.cuts().len() == 300);
        assert!(out.bytes().len() < super::INLINE_MAX + 300 * 100, "{} bytes", out.bytes().len());
    }

    use std::fs::File;

    /// A file without a name.
    fn file_of(stored: &[u8], test: &str) -> Arc<File> {
        let mut path = std::env::temp_dir();
        path.push(format!("milena-fetch-{test}-{}", std::process::id()));
        let mut handle =
            File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        handle.write_all(stored).unwrap();
        Arc::new(handle)
    }

    fn response(version: i16, topics: &[TopicResponse], stored: &[u8]) -> FetchResponse {
        let partition = |p: &PartitionResponse| {
            let aborted = p.aborted.as_ref().map(|all| {
                let one = |(id, first): &(i64, i64)| {
                    AbortedTransaction::default().with_producer_id((*id).into()).with_first_offset(*first)
                };
                all.iter().map(one).collect()
            });
            let from = p.index as usize;
            let mut data = PartitionData::default()
                .with_partition_index(p.index)
                .with_error_code(p.error_code)
                .with_high_watermark(p.high_watermark)
                .with_last_stable_offset(p.last_stable_offset)
                .with_log_start_offset(if version >= 5 { p.log_start_offset } else { -1 })
                .with_aborted_transactions(aborted)
                .with_records(Some(Bytes::copy_from_slice(&stored[from..from + p.records.len()])));
            if let (Some((epoch, end)), true) = (p.diverging_epoch, version >= 12) {
                data = data
                    .with_diverging_epoch(EpochEndOffset::default().with_epoch(epoch).with_end_offset(end));
            }
            data
        };
        let topic = |t: &TopicResponse| {
            let data = FetchableTopicResponse::default()
                .with_partitions(t.partitions.iter().map(partition).collect());
            if version >= 13 {
                data.with_topic_id(t.id)
            } else {
                data.with_topic(TopicName(StrBytes::from_string(t.name.to_string())))
            }
        };
        let all = FetchResponse::default().with_responses(topics.iter().map(topic).collect());
        if version >= 7 { all.with_error_code(70).with_session_id(9) } else { all }
    }
}
