//! Moving a log to another data directory: a second log copies the first, batch for batch with its offsets and epochs,
//! and takes its place when it has caught up (KIP-113).

use super::{Log, Start, Tail, Writer};
use crate::config::LogConfig;
use crate::error::{Error, Result};
use crate::file_name::{SegmentFile, SegmentFileKind};
use milena_protocol::records::{BatchHeader, Batches, HEADER_LEN, crc_matches};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bytes that are copied at once while appends wait.
const CHUNK: usize = 1 << 20;

impl Log {
    /// Where a copy of this log begins: the first offset of the batch that holds the log start, or the log start where
    /// compaction has taken that batch.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub fn copy_base(&self) -> Result<i64> {
        let start = self.start_offset();
        let bytes = self.read_batches(start, 1)?;
        Ok(BatchHeader::read(&bytes).map_or(start, |first| first.base_offset.min(start)))
    }

    /// Appends what `source` has behind the end of this log, about `max_bytes` of it, as it is; takes over its log
    /// start. Returns the bytes that were copied, 0 at its end.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a batch of the source with a wrong CRC; [`Error`] of the read or the append.
    pub fn copy_from(&self, source: &Log, max_bytes: usize, now_ms: i64) -> Result<usize> {
        let from = self.end_offset().max(source.start_offset());
        if from > self.end_offset() {
            // What they went on to write was removed before it was copied (`UnifiedLog.truncateFullyAndStartAt`).
            self.writer.lock().producers.clear();
        }
        let bytes = source.read_batches(from, max_bytes)?;
        for batch in Batches::new(&bytes) {
            let corrupt = |reason: String| Error::Corrupt { path: source.dir(), position: 0, reason };
            let (header, batch) = batch.map_err(|e| corrupt(e.to_string()))?;
            if !crc_matches(batch) {
                return Err(corrupt(format!(
                    "the CRC of the batch at offset {} is wrong",
                    header.base_offset
                )));
            }
            self.append_copy(&header, &batch[HEADER_LEN..], now_ms)?;
        }
        self.log_start.fetch_max(source.start_offset().min(self.end_offset()), Ordering::AcqRel);
        Ok(bytes.len())
    }

    /// Appends a batch that has its offsets and its epoch. It may begin behind the log end: compaction leaves gaps.
    fn append_copy(&self, header: &BatchHeader, body: &[u8], now_ms: i64) -> Result<()> {
        self.disk.check_online()?;
        let mut guard = self.writer.lock();
        let writer = &mut *guard;
        if writer.closed {
            return Err(Error::Closed);
        }
        if header.base_offset < writer.next_offset {
            let reason = format!("offset {} is there already", header.base_offset);
            return Err(Error::Corrupt { path: self.dir(), position: writer.end.into(), reason });
        }
        // What was accepted under another segment.bytes is taken as it is.
        let mut config = (*self.config()).clone();
        config.segment_bytes = config.segment_bytes.max(header.size() as u32);
        self.grow_again(writer);
        if writer.resumed {
            self.take_up(writer, &config)?;
        }
        let holds = |last| writer.active.with_active(|indexes| indexes.holds(last)).unwrap_or(false);
        let gap = header.base_offset > writer.next_offset;
        let fits = holds(header.last_offset());
        writer.next_offset = header.base_offset;
        if writer.end > 0 {
            self.roll_if_due(writer, header, &config, now_ms)?;
        } else if gap && !fits {
            self.roll_over_gap(writer, &config, now_ms)?;
        }
        let marker = super::recovery::marker_of(header, body);
        self.store_and_note(writer, header, body, marker.as_ref(), &config, now_ms)
    }

    /// Goes on at `offset`, behind the log end: the source has no batch before it any more.
    fn skip_to(&self, offset: i64, now_ms: i64) -> Result<()> {
        let config = self.config();
        let mut writer = self.writer.lock();
        self.grow_again(&writer);
        if writer.resumed {
            self.take_up(&mut writer, &config)?;
        }
        writer.next_offset = offset;
        self.roll_over_gap(&mut writer, &config, now_ms)
    }

    /// Begins a segment behind a gap. The one before may never have got a file, which its indexes would miss.
    fn roll_over_gap(&self, writer: &mut Writer, config: &LogConfig, now_ms: i64) -> Result<()> {
        let _made = writer.active.file(&self.disk)?;
        self.roll(writer, config, now_ms)
    }

    /// Takes over the producers of the source at the log end, of which some may have no batch here that tells of them:
    /// theirs went before they were copied. A segment begins there then, because a start after a death reads the last one
    /// again, and believes the snapshot before it. Returns whether there was anything to take over.
    fn adopt_producers(&self, snapshot: &[u8], now_ms: i64) -> Result<bool> {
        let config = self.config();
        let mut writer = self.writer.lock();
        if writer.producers.snapshot() == snapshot {
            return Ok(false);
        }
        self.grow_again(&writer);
        if writer.resumed {
            self.take_up(&mut writer, &config)?;
        }
        let restored = writer.producers.restore(snapshot, now_ms, config.producer_id_expiration_ms);
        restored.map_err(|e| Error::Corrupt { path: self.dir(), position: 0, reason: e.to_string() })?;
        if writer.end > 0 {
            self.roll(&mut writer, &config, now_ms)?;
        }
        Ok(true)
    }

    /// Lets `copy` take the place of this log: appends wait while it takes the rest and moves to the directory `to`.
    /// `publish` gets the log that serves from then on; this one is closed, and is left to [`Log::retire`].
    ///
    /// Idempotent producers go on as if nothing had happened, and what was synced here, or is about to be because
    /// somebody waits for it, is synced there before.
    ///
    /// # Errors
    /// [`Error`]; this log goes on then, and the copy is of no use any more.
    pub fn hand_over(
        &self,
        copy: &Log,
        to: &Path,
        now_ms: i64,
        publish: impl FnOnce(Arc<Log>),
    ) -> Result<()> {
        // Nobody cleans or removes segments meanwhile; a pass that is under way ends.
        self.stopping.store(true, Ordering::Release);
        let _cleaning = self.cleaning.lock();
        let _removing = self.removing.lock();
        let mut writer = self.writer.lock();
        let done = if writer.closed {
            Err(Error::Closed)
        } else {
            self.give_to(copy, to, now_ms, &writer).map(|log| {
                publish(Arc::new(log));
                writer.closed = true;
                writer.tail = Tail::COLD;
                self.mapped.store(false, Ordering::Relaxed);
            })
        };
        self.stopping.store(writer.closed, Ordering::Release);
        done
    }

    /// The log that `copy` becomes in the directory `to`, with all that this one has.
    fn give_to(&self, copy: &Log, to: &Path, now_ms: i64, writer: &Writer) -> Result<Log> {
        let unfit = |reason: &str| Error::Corrupt { path: copy.dir(), position: 0, reason: reason.into() };
        while copy.end_offset() < writer.next_offset {
            if copy.copy_from(self, CHUNK, now_ms)? == 0 {
                copy.skip_to(writer.next_offset, now_ms)?;
            }
        }
        copy.log_start.fetch_max(self.start_offset(), Ordering::AcqRel);
        // Syncs under the lock only where what is acknowledged must be on the device.
        let config = self.config();
        let producers = writer.producers.snapshot();
        let adopted = copy.adopt_producers(&producers, now_ms)?;
        let durable =
            adopted || config.flush_messages < i64::MAX || self.recovery_point() > copy.recovery_point();
        if durable {
            copy.flush()?;
        }
        {
            let mut next = copy.writer.lock();
            next.epochs = writer.epochs.clone();
            next.epochs_changed = true;
        }
        copy.close()?;
        // A copy without files has not written it.
        let snapshot = SegmentFile::live(writer.next_offset, SegmentFileKind::ProducerSnapshot).to_string();
        copy.disk.write_whole(&copy.dir().join(snapshot), &producers)?;
        copy.disk.rename(&copy.dir(), to)?;
        let start = Start {
            clean: true,
            recovery_point: copy.recovery_point(),
            log_start: self.start_offset(),
            cleaned: copy.cleaned_up_to().is_some(),
            gapless: false,
            now_ms,
        };
        // The settings in force are those of this log: the copy may have been made before a change of them.
        let opened = Log::open(&copy.disk, to, (*config).clone(), &start).and_then(|log| {
            let same = (log.start_offset(), log.end_offset()) == (self.start_offset(), writer.next_offset);
            same.then_some(log).ok_or_else(|| unfit("the copy has other offsets than the log"))
        });
        // A later flush of a file says nothing of the name that its directory has got here.
        let named = |log| match to.parent().filter(|_| durable) {
            Some(root) => copy.disk.sync_dir(root).map(|()| log),
            None => Ok(log),
        };
        let opened = opened.and_then(named);
        let opened = opened.inspect_err(|_| {
            // Two logs of one partition must not be found: the next start would have to choose.
            let _ = copy.disk.rename(to, &copy.dir());
        })?;
        // What `close` has written here is not on the device, and a segment counts as complete when its indexes are.
        let complete = copy.complete_below.load(Ordering::Acquire).min(opened.active().base_offset);
        opened.complete_below.fetch_min(complete, Ordering::AcqRel);
        if opened.active().is_unborn() {
            // Without files nobody else tells it.
            let mut next = opened.writer.lock();
            (next.epochs, next.epochs_changed) = (writer.epochs.clone(), true);
        }
        if let Some(cleaned) = copy.cleaned_up_to() {
            opened.set_cleaned_up_to(cleaned);
        }
        Ok(opened)
    }
}

#[cfg(test)]
mod tests;
