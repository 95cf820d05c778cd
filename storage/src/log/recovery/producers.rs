//! Producer state at the end of a log: the newest usable snapshot, and what the log says after it.
//!
//! A snapshot behind the first segment that was scanned is not usable: it was written when the log may have held more than
//! now. After a power cut a compacted log can lack the end marker of a transaction that the snapshot behind the gap takes
//! for closed. Kafka throws such snapshots away and takes new ones as it reads (`ProducerStateManager.truncateAndReload`);
//! here those that differ are written again, so that the next start finds none that contradicts the log.

use super::batch_reader::{BatchReader, Step};
use super::{Loader, marker_of};
use crate::error::{Error, Result};
use crate::file_name::SegmentFileKind;
use crate::index::aborted::AbortedTransaction;
use crate::producers::Producers;
use crate::segment::Segment;
use milena_protocol::records::HEADER_LEN;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Loader<'_> {
    /// The newest usable snapshot, and what the log says after it.
    pub(super) fn producers(&mut self, segments: &[Arc<Segment>], end: i64) -> Result<Producers> {
        self.remove_old_snapshots(segments, end)?;
        // The aborted transactions of scanned segments are found again by replaying those segments.
        let scanned_from = self.scanned.first().copied().unwrap_or(i64::MAX);
        let mut snapshots: Vec<i64> = self.snapshots.range(..=scanned_from).copied().collect();
        let mut producers = Producers::new();
        let mut from = segments[0].base_offset;
        while let Some(offset) = snapshots.pop() {
            let bytes = self.disk.read(&self.path(offset, SegmentFileKind::ProducerSnapshot))?;
            match producers.restore(&bytes, self.start.now_ms, self.config.producer_id_expiration_ms) {
                Ok(()) => {
                    from = offset;
                    break;
                }
                Err(error) => tracing::warn!(
                    "producer snapshot {offset} in {}: {error}; trying an older one",
                    self.dir.display()
                ),
            }
        }
        let all_scanned = segments
            .iter()
            .all(|s| s.published().next_offset <= from || self.scanned.contains(&s.base_offset));
        let mut aborted = BTreeMap::new();
        if from < end && (self.producers_seen || !all_scanned) {
            self.replay(segments, (from, scanned_from), &mut producers, &mut aborted)?;
        } else {
            for segment in segments.iter().filter(|s| s.base_offset > scanned_from) {
                self.correct_snapshot(segment.base_offset, &producers)?;
            }
        }
        if end > scanned_from {
            self.correct_snapshot(end, &producers)?;
        }
        self.remove_unchecked_snapshots(segments, scanned_from, end)?;
        self.correct_aborted(segments, &aborted)?;
        producers.remove_expired(self.start.now_ms, self.config.producer_id_expiration_ms);
        producers.forget_ended_before(end);
        Ok(producers)
    }

    /// Keeps the snapshots at the beginning of a segment and the newest one behind the last beginning, as Kafka does.
    fn remove_old_snapshots(&mut self, segments: &[Arc<Segment>], end: i64) -> Result<()> {
        let newest = self.snapshots.range(..=end).next_back().copied();
        let starts: BTreeSet<i64> = segments.iter().map(|s| s.base_offset).collect();
        let kept = |offset: &i64| *offset <= end && (Some(*offset) == newest || starts.contains(offset));
        for offset in self.snapshots.iter().filter(|offset| !kept(offset)) {
            self.disk.remove(&self.path(*offset, SegmentFileKind::ProducerSnapshot))?;
        }
        self.snapshots.retain(kept);
        Ok(())
    }

    /// Writes the snapshot for an offset again if it is there and says something else than the log before it.
    fn correct_snapshot(&mut self, offset: i64, producers: &Producers) -> Result<()> {
        if !self.snapshots.contains(&offset) {
            return Ok(());
        }
        let path = self.path(offset, SegmentFileKind::ProducerSnapshot);
        let right = producers.snapshot();
        if self.disk.read_if_there(&path)?.is_some_and(|found| found == right) {
            return Ok(());
        }
        match self.disk.write_whole(&path, &right) {
            // It is gone then, and a start reads more of the log.
            Err(Error::Full(_)) => drop(self.snapshots.remove(&offset)),
            other => other?,
        }
        Ok(())
    }

    /// A snapshot within the last segment was taken by a stop before the last one.
    fn remove_unchecked_snapshots(
        &mut self,
        segments: &[Arc<Segment>],
        scanned_from: i64,
        end: i64,
    ) -> Result<()> {
        let is_checked = |offset| offset == end || segments.iter().any(|s| s.base_offset == offset);
        let behind: Vec<i64> = self.snapshots.iter().copied().filter(|o| *o > scanned_from).collect();
        for offset in behind.into_iter().filter(|offset| !is_checked(*offset)) {
            self.disk.remove(&self.path(offset, SegmentFileKind::ProducerSnapshot))?;
            self.snapshots.remove(&offset);
        }
        Ok(())
    }

    /// Brings the indexes of aborted transactions of the scanned segments into line with the log. They are on the device
    /// before anything else of those segments is made right: a start that finds their other indexes whole may trust all
    /// of them.
    fn correct_aborted(
        &mut self,
        segments: &[Arc<Segment>],
        aborted: &BTreeMap<i64, Vec<AbortedTransaction>>,
    ) -> Result<()> {
        let mut removed = false;
        for segment in segments.iter().filter(|s| self.scanned.contains(&s.base_offset)) {
            let key = (segment.base_offset, SegmentFileKind::TransactionIndex);
            let path = self.path(key.0, key.1);
            let found = if self.indexes.contains(&key) { self.disk.read_if_there(&path)? } else { None };
            let right = aborted.get(&segment.base_offset).map(|all| {
                let bytes: Vec<u8> = all.iter().flat_map(|one| one.encode()).collect();
                bytes
            });
            if found == right {
                continue;
            }
            match right {
                Some(bytes) => self.disk.write_atomically(&path, &bytes, true)?,
                None => {
                    self.disk.remove(&path)?;
                    removed = true;
                }
            }
        }
        if removed { self.disk.sync_dir(self.dir) } else { Ok(()) }
    }

    fn replay(
        &mut self,
        segments: &[Arc<Segment>],
        (from, scanned_from): (i64, i64),
        producers: &mut Producers,
        all_aborted: &mut BTreeMap<i64, Vec<AbortedTransaction>>,
    ) -> Result<()> {
        let first = segments.partition_point(|s| s.base_offset <= from).saturating_sub(1);
        for segment in &segments[first..] {
            if segment.base_offset > scanned_from {
                self.correct_snapshot(segment.base_offset, producers)?;
            }
            let end = segment.published();
            let Some(place) = segment.find(self.disk, from, end)? else { continue };
            let file = segment.file(self.disk)?;
            let path = segment.path(SegmentFileKind::Log);
            let mut reader = BatchReader::new(&file, u64::from(place.position), u64::from(end.position));
            loop {
                let (header, bytes) = match reader.next().map_err(|e| Error::io("read", &path, e))? {
                    Step::Batch(header, bytes) => (header, bytes),
                    Step::End => break,
                    Step::Tail(reason) => {
                        return Err(Error::Corrupt { path, position: reader.position(), reason });
                    }
                };
                if header.producer_id < 0 {
                    continue;
                }
                let marker = marker_of(&header, &bytes[HEADER_LEN..]);
                // What is in the log was accepted once: its state is taken as it comes.
                let aborted = producers.apply(&header, marker.as_ref(), header.base_offset);
                if let Some(aborted) = aborted.filter(|_| self.scanned.contains(&segment.base_offset)) {
                    all_aborted.entry(segment.base_offset).or_default().push(aborted);
                }
            }
            // There may be thousands of them.
            drop(file);
            segment.close_idle_file();
        }
        Ok(())
    }
}
