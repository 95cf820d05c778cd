//! A compaction that was interrupted between its output and the files that it replaces.

use super::Loader;
use crate::error::Result;
use crate::file_name::{SegmentFile, SegmentFileKind};
use std::collections::BTreeMap;

impl Loader<'_> {
    /// A complete output of compaction replaces the segments whose offsets it covers.
    pub(super) fn finish_swap(
        &mut self,
        swap: &SegmentFile,
        all: &[SegmentFile],
        logs: &mut BTreeMap<i64, u64>,
    ) -> Result<()> {
        let from = self.dir.join(swap.to_string());
        let bytes = self.disk.read(&from)?;
        let next = milena_protocol::records::Batches::new(&bytes)
            .map_while(std::result::Result::ok)
            .last()
            .map_or(swap.base_offset, |(header, _)| header.next_offset());
        let replaced: Vec<i64> = logs.range(swap.base_offset..next).map(|(base, _)| *base).collect();
        for base in replaced {
            for kind in [
                SegmentFileKind::Log,
                SegmentFileKind::OffsetIndex,
                SegmentFileKind::TimeIndex,
                SegmentFileKind::TransactionIndex,
            ] {
                self.disk.remove(&self.path(base, kind))?;
            }
            logs.remove(&base);
        }
        for file in all.iter().filter(|f| f.base_offset == swap.base_offset) {
            let live = SegmentFile::live(file.base_offset, file.kind).to_string();
            self.disk.rename(&self.dir.join(file.to_string()), &self.dir.join(live))?;
            if file.kind != SegmentFileKind::Log {
                self.indexes.insert((file.base_offset, file.kind));
            }
        }
        logs.insert(swap.base_offset, bytes.len() as u64);
        Ok(())
    }
}
