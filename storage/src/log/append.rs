//! Appending one batch: one copy into the active segment, then everything becomes visible at once.

use super::{Log, RollClock, Tail, Writer};
use crate::config::LogConfig;
use crate::error::{Error, Result};
use crate::file::Disk;
use crate::file_name::{SegmentFile, SegmentFileKind};
use crate::index::aborted::{self, AbortedTransaction};
use crate::index::{ActiveIndexes, IndexLimits, IndexedBatch};
use crate::mapped::{LIMIT_MAX, MappedTail};
use crate::producers::{Checked, Origin, ProducerError, Producers};
use crate::segment::{Published, Segment};
use milena_protocol::records::{BatchHeader, EndTransactionMarker, HEADER_LEN};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A live tail ends in these bytes: every reader of Kafka's takes them for a batch that is cut off at the end of the
/// file (base offset, length 0x7FFFFFF3, leader epoch, magic 2), so zeros behind them are never looked at.
pub(crate) const TERMINATOR: [u8; 17] = *b"\0\0\0\0\0\0\0\0\x7f\xff\xff\xf3\0\0\0\0\x02";
/// A tail is mapped once this many bytes came within a second.
const HOT_BYTES: usize = 64 << 10;
/// That second, in milliseconds.
const HOT_WINDOW_MS: i64 = 1000;
/// In place of that second's beginning: the kernel refused a mapping, and is not asked again for this segment.
const NEVER_MAP: i64 = i64::MAX;
/// With fewer records from one sync to the next nothing is mapped: a store makes a whole folio of the page cache dirty,
/// which may be as large as a step of zeros, and each sync would write it; `pwrite` makes dirty what it writes.
const MAPPED_MIN: i64 = 500;

/// What is said of a batch before it is appended.
pub(super) type Checking = std::result::Result<Checked, ProducerError>;

/// How a batch is appended.
#[derive(Clone, Copy, Debug)]
pub struct Append {
    /// Written into the batch.
    pub leader_epoch: i32,
    /// Who made it: decides how the producer's sequence is checked.
    pub origin: Origin,
    /// Wall clock, in milliseconds.
    pub now_ms: i64,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// Largest timestamp of the batch (of the original one for a duplicate).
    pub timestamp: i64,
    /// The batch was in the log already: a producer sent it again.
    pub duplicate: bool,
    /// `flush.messages` is reached: everything up to the last offset must be on the device before the acknowledgement
    /// ([`Log::flush_later`]).
    pub flush_due: bool,
}

pub(super) fn index_limits(config: &LogConfig) -> IndexLimits {
    IndexLimits { interval_bytes: config.index_interval_bytes, max_bytes: config.segment_index_bytes }
}

impl Log {
    /// Appends one batch that was validated: `header` with final CRC and `body` behind it. Base offset and leader
    /// epoch, which the CRC does not cover, are filled in here.
    ///
    /// # Errors
    /// [`Error::Producer`] if the sequence does not fit, [`Error::Full`], [`Error::Offline`],
    /// [`Error::BatchTooLarge`], [`Error::Closed`]. Nothing is appended then.
    ///
    /// # Panics
    /// If the header's length is not that of the body: the log would not be readable behind it.
    pub fn append(&self, header: &BatchHeader, body: &[u8], how: &Append) -> Result<Appended> {
        self.append_checked(header, body, how, |producers, marker| {
            producers.check(header, marker, how.origin)
        })
    }

    /// As [`Log::append`]; `check` decides what becomes of the batch.
    pub(super) fn append_checked(
        &self,
        header: &BatchHeader,
        body: &[u8],
        how: &Append,
        check: impl FnOnce(&Producers, Option<&EndTransactionMarker>) -> Checking,
    ) -> Result<Appended> {
        assert_eq!(header.size(), HEADER_LEN + body.len(), "a batch is as long as its header says");
        self.disk.check_online()?;
        let mut guard = self.writer.lock();
        let writer = &mut *guard;
        if writer.closed {
            return Err(Error::Closed);
        }
        let marker = super::recovery::marker_of(header, body);
        match check(&writer.producers, marker.as_ref())? {
            Checked::Append => {}
            Checked::Duplicate { base_offset, last_offset, timestamp } => {
                // The first copy may still be on its way to the device.
                let flush_due = last_offset >= self.recovery_point()
                    && self.flush_due(writer, self.config().flush_messages);
                return Ok(Appended { base_offset, last_offset, timestamp, duplicate: true, flush_due });
            }
        }
        let config = self.config();
        let mut header = *header;
        header.base_offset = writer.next_offset;
        header.partition_leader_epoch = how.leader_epoch;
        self.grow_again(writer);
        if writer.resumed {
            self.take_up(writer, &config)?;
        }
        self.roll_if_due(writer, &header, &config, how.now_ms)?;
        self.store_and_note(writer, &header, body, marker.as_ref(), &config, how.now_ms)?;
        self.stir();
        Ok(Appended {
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            timestamp: header.max_timestamp,
            duplicate: false,
            flush_due: self.flush_due(writer, config.flush_messages),
        })
    }

    /// Stores a batch that has its offsets, with the transaction that it aborts, and takes note of it. After an error
    /// nothing has changed.
    pub(super) fn store_and_note(
        &self,
        writer: &mut Writer,
        header: &BatchHeader,
        body: &[u8],
        marker: Option<&EndTransactionMarker>,
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<()> {
        let aborted = marker.and_then(|m| writer.producers.aborted_by(header, m, header.base_offset));
        // First, because nothing may fail once the batch is stored.
        let indexed =
            aborted.map(|aborted| append_aborted(&self.disk, &writer.active, &aborted)).transpose()?;
        if let Err(error) = self.store(writer, header, body, config, now_ms) {
            if let Some(length) = indexed {
                cut_aborted(&self.disk, &writer.active, length)?;
            }
            return Err(error);
        }
        self.take_note(writer, header, marker, now_ms)
    }

    /// Before an append: the last segment is not as a stop has left it any more.
    pub(super) fn grow_again(&self, writer: &Writer) {
        if writer.complete_at == Some(writer.next_offset) {
            self.complete_below.fetch_min(writer.active.base_offset, Ordering::AcqRel);
        }
    }

    /// Before the first append after a clean stop: brings to memory what a growing segment needs.
    pub(super) fn take_up(&self, writer: &mut Writer, config: &LogConfig) -> Result<()> {
        writer.active.grow_indexes(&self.disk, index_limits(config))?;
        writer.roll.first_timestamp = Some(writer.active.first_timestamp(&self.disk)?);
        writer.resumed = false;
        Ok(())
    }

    /// Everything that follows from a stored batch, publication last.
    fn take_note(
        &self,
        writer: &mut Writer,
        header: &BatchHeader,
        marker: Option<&EndTransactionMarker>,
        now_ms: i64,
    ) -> Result<()> {
        let size = header.size();
        let batch = IndexedBatch {
            last_offset: header.last_offset(),
            max_timestamp: header.max_timestamp,
            position: writer.end,
            size: size as u32,
        };
        let active = writer.active.clone();
        if let Some(Err(error)) = active.with_active(|indexes| indexes.append(&batch)) {
            return Err(Error::Corrupt {
                path: active.path(SegmentFileKind::OffsetIndex),
                position: u64::from(writer.end),
                reason: error.to_string(),
            });
        }
        // A negative epoch stands for none and is not remembered.
        writer.epochs_changed |=
            writer.epochs.assign(header.partition_leader_epoch, header.base_offset).unwrap_or(false);
        writer.last_append_ms = now_ms;
        writer.roll.first_timestamp.get_or_insert(header.max_timestamp);
        writer.next_offset = header.next_offset();
        writer.end += size as u32;
        if header.producer_id >= 0 {
            writer.producers.apply(header, marker, header.base_offset);
            writer.producers.forget_ended_before(writer.next_offset);
            let unstable = writer.producers.first_unstable_offset(writer.next_offset).unwrap_or(i64::MAX);
            self.first_unstable.store(unstable, Ordering::Release);
        }
        active.publish(Published { next_offset: writer.next_offset, position: writer.end });
        Ok(())
    }

    /// Copies the batch behind the end. The bytes are invisible until they are published. After an error the file ends
    /// where it did before, unless the directory is offline.
    fn store(
        &self,
        writer: &mut Writer,
        header: &BatchHeader,
        body: &[u8],
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<()> {
        let active = writer.active.clone();
        let path = || active.path(SegmentFileKind::Log);
        let (end, size) = (writer.end as usize, header.size());
        self.map_if_hot(writer, size, config, now_ms)?;
        if let Tail::Mapped(tail) = &mut writer.tail {
            let reach = end + size + TERMINATOR.len();
            if !tail.is_ready(reach)
                && let Err(error) = tail.prepare(&self.disk, &*active.file(&self.disk)?, &path(), reach)
            {
                // Gives back what is reserved, too: there may be room for this batch without a step ahead of it.
                self.unmap(writer)?;
                if !matches!(error, Error::Full(_)) {
                    return Err(error);
                }
            }
        }
        let mut head = [0; HEADER_LEN];
        header.write(&mut head);
        match &mut writer.tail {
            Tail::Mapped(tail) => {
                // The terminator of the new end first, the prefix that makes the batch one last: a process that dies
                // in between leaves a tail that ends where it did before.
                tail.put(end + size, &TERMINATOR);
                tail.put(end + HEADER_LEN, body);
                tail.put(end + 12, &head[12..]);
                tail.put(end, &head[..12]);
                tail.release_behind(end + size);
            }
            Tail::Cold { .. } => {
                let file = active.file(&self.disk)?;
                let wrote = self.disk.write_both_at(&file, &path(), (&head, body), end as u64);
                if wrote.is_err() {
                    // A full disk takes a part of it. If that cannot be cut off, the next batch goes over it.
                    let _ = self.unmap(writer);
                }
                wrote?;
            }
        }
        Ok(())
    }

    /// Goes over to a mapped tail when enough bytes come.
    fn map_if_hot(&self, writer: &mut Writer, size: usize, config: &LogConfig, now_ms: i64) -> Result<()> {
        let reach = writer.end as usize + size + TERMINATOR.len();
        if reach > LIMIT_MAX {
            if let Tail::Mapped(_) = writer.tail {
                self.unmap(writer)?;
            }
            writer.tail = Tail::Cold { since_ms: NEVER_MAP, bytes: 0 };
            return Ok(());
        }
        let may_map = config.mapped && !self.elsewhere && config.flush_messages >= MAPPED_MIN;
        if let Tail::Mapped(tail) = &writer.tail {
            if tail.holds(reach) && may_map {
                return Ok(());
            }
            // `segment.bytes` was raised since the mapping was made, or `flush.messages` set.
            self.unmap(writer)?;
            writer.tail = Tail::Cold { since_ms: now_ms, bytes: HOT_BYTES };
        }
        let Tail::Cold { since_ms, bytes } = &mut writer.tail else { return Ok(()) };
        if *since_ms == NEVER_MAP || !may_map {
            return Ok(());
        }
        if now_ms - *since_ms > HOT_WINDOW_MS {
            (*since_ms, *bytes) = (now_ms, 0);
        }
        *bytes += size;
        if *bytes < HOT_BYTES {
            return Ok(());
        }
        let path = writer.active.path(SegmentFileKind::Log);
        let limit = (config.segment_bytes as usize).max(writer.end as usize + size) + TERMINATOR.len();
        let mapped = writer
            .active
            .file(&self.disk)
            .and_then(|file| MappedTail::new(&file, &path, writer.end as usize, limit));
        match mapped {
            Ok(tail) => {
                writer.tail = Tail::Mapped(tail);
                self.mapped.store(true, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::warn!("{error}; appending by pwrite");
                writer.tail = Tail::Cold { since_ms: NEVER_MAP, bytes: 0 };
            }
        }
        Ok(())
    }

    /// Ends the active segment unless it is empty: what is appended next lies in a segment of its own, and can stay when
    /// the one before goes.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Full`].
    pub fn begin_segment(&self, now_ms: i64) -> Result<()> {
        let config = self.config();
        let mut writer = self.writer.lock();
        if writer.closed || writer.end == 0 {
            return Ok(());
        }
        self.roll(&mut writer, &config, now_ms)
    }

    pub(super) fn roll_if_due(
        &self,
        writer: &mut Writer,
        header: &BatchHeader,
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<()> {
        let size = header.size();
        if size > config.segment_bytes as usize {
            return Err(Error::BatchTooLarge { size, max: config.segment_bytes as usize });
        }
        if writer.end == 0 {
            if header.base_offset != writer.active.base_offset {
                // Cannot be: an empty active segment starts at the log end.
                return Err(Error::Closed);
            }
            return Ok(());
        }
        let full = writer.end as usize + size > config.segment_bytes as usize;
        let waited = match writer.roll.first_timestamp {
            Some(first) if first >= 0 => header.max_timestamp - first,
            _ => now_ms - writer.roll.created_ms,
        };
        let old = waited > config.oldest_segment_ms() - writer.roll.jitter_ms;
        let unindexable = writer
            .active
            .with_active(|indexes| indexes.is_full() || !indexes.holds(header.last_offset()))
            .unwrap_or(true);
        if full || old || unindexable { self.roll(writer, config, now_ms) } else { Ok(()) }
    }

    /// Ends the active segment and begins one at the log end. The old one has its final length and complete files
    /// before the new one exists, so that no reader of the directory meets a tail in the middle of a log.
    pub(super) fn roll(&self, writer: &mut Writer, config: &LogConfig, now_ms: i64) -> Result<()> {
        let old = writer.active.clone();
        // Files that a clean stop has synced are not written again: nobody would sync them before a start trusts them.
        if writer.complete_at != Some(writer.next_offset) {
            self.unmap(writer)?;
            self.write_indexes(&old)?;
            self.write_snapshot(writer)?;
        }
        let base = writer.next_offset;
        let name = SegmentFile::live(base, SegmentFileKind::Log).to_string();
        let dir = self.dir();
        let file = Arc::new(self.disk.create(&dir.join(name))?);
        old.close_indexes();
        let indexes = ActiveIndexes::new(base, index_limits(config));
        let end = Published { next_offset: base, position: 0 };
        let active = Arc::new(Segment::active(&self.dir, base, Some(file), end, indexes));
        {
            let mut segments = self.segments.write();
            let mut list = Vec::clone(&segments);
            list.push(active.clone());
            *segments = Arc::new(list);
        }
        let hot = matches!(writer.tail, Tail::Mapped(_)) || now_ms - writer.last_append_ms < HOT_WINDOW_MS;
        self.complete_below.fetch_min(base, Ordering::AcqRel);
        writer.active = active;
        writer.resumed = false;
        writer.end = 0;
        writer.set_aside = 0;
        writer.roll =
            RollClock { first_timestamp: None, created_ms: now_ms, jitter_ms: jitter(config, base) };
        writer.tail = if hot { Tail::Cold { since_ms: now_ms, bytes: HOT_BYTES } } else { Tail::COLD };
        Ok(())
    }
}

/// Up to `segment.jitter.ms`, spread over segments by their base offset so that a restart draws the same.
pub(super) fn jitter(config: &LogConfig, base_offset: i64) -> i64 {
    let most = config.segment_jitter_ms.min(config.segment_ms);
    if most <= 0 {
        return 0;
    }
    let mixed = (base_offset as u64 ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed >> 1) as i64) % most
}

/// Puts an aborted transaction into the index of the segment that holds its marker. Returns the length before.
pub(super) fn append_aborted(disk: &Disk, segment: &Segment, aborted: &AbortedTransaction) -> Result<u64> {
    let path = segment.path(SegmentFileKind::TransactionIndex);
    let file = if path.exists() { disk.open(&path)? } else { disk.create(&path)? };
    let length = file.metadata().map_err(|e| Error::io("stat", &path, e))?.len();
    // A full disk may have let a part of an entry through.
    let end = length - length % aborted::ENTRY_SIZE as u64;
    segment.note_transactions();
    disk.write_at(&file, &path, &aborted.encode(), end)?;
    Ok(end)
}

/// Takes the last entry out again: the marker was not stored.
fn cut_aborted(disk: &Disk, segment: &Segment, length: u64) -> Result<()> {
    let path = segment.path(SegmentFileKind::TransactionIndex);
    disk.truncate(&disk.open(&path)?, &path, length)
}
