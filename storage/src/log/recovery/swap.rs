//! A compaction that was interrupted while its output took the place of what it was made from: each state that
//! `log/compaction/swap_in.rs` can leave, by Kafka's rules (`LogLoader`).
//!
//! | found | then |
//! |---|---|
//! | a `.cleaned` file | every `.swap` from its offset on goes, after them the `.cleaned` ones: the old segments are all there |
//! | a `.log.swap` | live segments from its offset up to its last record go, then it takes its name |
//! | another `.swap` | it takes its name: that of its log file it has already |

use super::Loader;
use super::batch_reader::{BatchReader, Step};
use crate::error::{Error, Result};
use crate::file_name::{SegmentFile, SegmentFileKind};
use milena_protocol::records::crc_matches;
use std::collections::BTreeMap;

impl Loader<'_> {
    /// Undoes or completes what was found; brings `logs`, lengths by base offset, and the `others` that are live up to
    /// date.
    pub(super) fn resolve_swaps(
        &self,
        mut cleaned: Vec<SegmentFile>,
        mut swaps: Vec<SegmentFile>,
        logs: &mut BTreeMap<i64, u64>,
        others: &mut Vec<SegmentFile>,
    ) -> Result<()> {
        if let Some(first) = cleaned.iter().map(|file| file.base_offset).min() {
            let undone = swaps.extract_if(.., |file| file.base_offset >= first).collect::<Vec<_>>();
            // The lowest `.cleaned` goes last, so that an interruption of this comes back here.
            cleaned.sort_unstable_by_key(|file| std::cmp::Reverse(file.base_offset));
            for file in undone.iter().chain(&cleaned) {
                self.disk.remove(&self.dir.join(file.to_string()))?;
            }
        }
        let mut replaced: Option<(i64, i64)> = None;
        for swap in swaps.iter().filter(|file| file.kind == SegmentFileKind::Log) {
            let end = self.end_of(swap)?;
            let (from, to) = replaced.unwrap_or((i64::MAX, i64::MIN));
            replaced = Some((from.min(swap.base_offset), to.max(end)));
        }
        if let Some((from, to)) = replaced {
            let is_old = |file: &SegmentFile| {
                (from..to).contains(&file.base_offset) && file.kind != SegmentFileKind::ProducerSnapshot
            };
            let old_logs = logs.extract_if(from..to.max(from), |_, _| true);
            let old_logs = old_logs.map(|(base, _)| SegmentFile::live(base, SegmentFileKind::Log));
            for file in old_logs.chain(others.extract_if(.., |file| is_old(file))) {
                self.disk.remove(&self.dir.join(file.to_string()))?;
            }
        }
        for swap in swaps {
            let live = SegmentFile::live(swap.base_offset, swap.kind);
            self.disk.rename(&self.dir.join(swap.to_string()), &self.dir.join(live.to_string()))?;
            if swap.kind == SegmentFileKind::Log {
                logs.insert(swap.base_offset, self.disk.length(&self.dir.join(live.to_string()))?);
            } else if !others.contains(&live) {
                others.push(live);
            }
        }
        Ok(())
    }

    /// The offset behind the last batch of a segment that waits for its name.
    fn end_of(&self, swap: &SegmentFile) -> Result<i64> {
        let path = self.dir.join(swap.to_string());
        let file = self.disk.open_read(&path)?;
        let mut reader = BatchReader::new(&file, 0, self.disk.length(&path)?);
        let mut end = swap.base_offset;
        while let Step::Batch(header, bytes) = reader.next().map_err(|e| Error::io("read", &path, e))? {
            // One that went bad may name any offset as its last one, and what lies there is not to go.
            end =
                if crc_matches(bytes) { header.next_offset() } else { header.base_offset.saturating_add(1) };
        }
        Ok(end)
    }
}
