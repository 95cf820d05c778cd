//! What a crash left half done in a log's directory, and what a cut leaves behind it.

use super::Loader;
use crate::error::{Error, Result};
use crate::file_name::{self, FileStage, SegmentFile, SegmentFileKind};
use crate::index::ActiveIndexes;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What is set aside ends in this; Kafka passes over it, too.
const QUARANTINED: &str = ".quarantined";
/// Bytes that are copied at once.
const PIECE: usize = 1 << 20;

impl Loader<'_> {
    /// Removes what a crash left half done; returns base offset and length of every segment.
    pub(super) fn tidy(&mut self) -> Result<BTreeMap<i64, u64>> {
        let (mut logs, mut others) = (BTreeMap::new(), Vec::new());
        let (mut cleaned, mut swaps) = (Vec::new(), Vec::new());
        for name in self.disk.list(self.dir)? {
            let Some(name) = name.to_str() else { continue };
            if name.ends_with(file_name::TEMPORARY_SUFFIX) {
                self.disk.remove(&self.dir.join(name))?;
                continue;
            }
            self.has_epochs |= name == file_name::LEADER_EPOCH_CHECKPOINT;
            let Ok(file) = name.parse::<SegmentFile>() else { continue };
            match file.stage {
                FileStage::Deleted => self.disk.remove(&self.dir.join(name))?,
                FileStage::Cleaned => cleaned.push(file),
                FileStage::Swap => swaps.push(file),
                FileStage::Live if file.kind == SegmentFileKind::Log => {
                    logs.insert(file.base_offset, self.disk.length(&self.dir.join(name))?);
                }
                FileStage::Live => others.push(file),
            }
        }
        self.resolve_swaps(cleaned, swaps, &mut logs, &mut others)?;
        for file in others {
            if file.kind == SegmentFileKind::ProducerSnapshot {
                self.snapshots.insert(file.base_offset);
            } else if !logs.contains_key(&file.base_offset) {
                self.disk.remove(&self.dir.join(file.to_string()))?;
            } else {
                self.indexes.insert((file.base_offset, file.kind));
            }
        }
        Ok(logs)
    }

    /// Keeps what is about to be cut off a segment where a crash need not be the reason: a file beside it, named after the
    /// segment and the byte, which no broker reads.
    pub(super) fn set_tail_aside(&self, file: &File, base: i64, from: u32, length: u64) -> Result<()> {
        let to = aside(&self.path(base, SegmentFileKind::Log), &format!(".{from}"));
        let mut tmp = to.clone().into_os_string();
        tmp.push(file_name::TEMPORARY_SUFFIX);
        let tmp = PathBuf::from(tmp);
        let copy = self.disk.create(&tmp)?;
        let (mut piece, mut at) = (vec![0; PIECE], u64::from(from));
        while at < length {
            let len = piece.len().min(usize::try_from(length - at).unwrap_or(usize::MAX));
            file.read_exact_at(&mut piece[..len], at).map_err(|e| Error::io("read", &to, e))?;
            self.disk.write_at(&copy, &tmp, &piece[..len], at - u64::from(from))?;
            at += len as u64;
        }
        self.disk.sync(&copy, &tmp)?;
        self.disk.rename(&tmp, &to)?;
        self.disk.sync_dir(self.dir)?;
        tracing::error!(
            "the {} bytes from there on are set aside in {}",
            length - u64::from(from),
            to.display()
        );
        Ok(())
    }

    /// Sets segments aside: behind a cut their offsets would leave a hole.
    pub(super) fn quarantine(&self, bases: &[i64], why: &str) -> Result<()> {
        for &base in bases {
            let from = self.path(base, SegmentFileKind::Log);
            let to = aside(&from, "");
            tracing::error!("{} {why} and is set aside as .quarantined", from.display());
            self.disk.rename(&from, &to)?;
            for kind in
                [SegmentFileKind::OffsetIndex, SegmentFileKind::TimeIndex, SegmentFileKind::TransactionIndex]
            {
                self.disk.remove(&self.path(base, kind))?;
            }
        }
        if !bases.is_empty() {
            // What is appended now gets their offsets: a power cut must not bring them back beside it.
            self.disk.sync_dir(self.dir)?;
        }
        Ok(())
    }

    /// Removes the index files of a growing segment, whose indexes are in memory, if they hold something else: Kafka
    /// leaves zeros behind the entries when it dies, and a cut leaves entries of what is gone.
    pub(super) fn remove_stale_indexes(&mut self, base: i64, indexes: &ActiveIndexes) -> Result<()> {
        let mut closed = indexes.clone();
        closed.close();
        let (mut offsets, mut times) = (Vec::new(), Vec::new());
        closed.offsets().encode(0, &mut offsets);
        closed.times().encode(0, &mut times);
        for (kind, bytes) in [(SegmentFileKind::OffsetIndex, offsets), (SegmentFileKind::TimeIndex, times)] {
            let path = self.path(base, kind);
            if self.indexes.contains(&(base, kind))
                && (self.disk.length(&path)? != bytes.len() as u64
                    || !bytes.is_empty() && self.disk.read(&path)? != bytes)
            {
                self.disk.remove(&path)?;
                self.indexes.remove(&(base, kind));
            }
        }
        Ok(())
    }
}

/// A name beside a file for what is set aside of it, which nothing has that was set aside before.
fn aside(path: &Path, part: &str) -> PathBuf {
    let named = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!("{part}{suffix}{QUARANTINED}"));
        PathBuf::from(name)
    };
    let numbered = (1..).map(|n: u32| named(&format!(".again-{n}")));
    let mut names = std::iter::once(named("")).chain(numbered);
    names.find(|name| !name.exists()).unwrap_or_else(|| named(""))
}
