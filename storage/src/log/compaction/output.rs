//! The segment that a group is cleaned into, while it is written: files with the suffix `.cleaned`.

use super::filter::Written;
use crate::error::{Error, Result};
use crate::file::Disk;
use crate::file_name::{FileStage, SegmentFile, SegmentFileKind};
use crate::index::aborted::AbortedTransaction;
use crate::index::{ActiveIndexes, IndexLimits, IndexedBatch};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A segment that is being written.
pub(super) struct Output {
    base_offset: i64,
    dir: PathBuf,
    file: File,
    /// What is to be written behind `flushed`.
    pending: Vec<u8>,
    flushed: u64,
    indexes: ActiveIndexes,
    aborted: Vec<AbortedTransaction>,
    is_sound: bool,
    piece: usize,
}

/// A segment whose files are complete, still `.cleaned`.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) base_offset: i64,
    pub(super) bytes: u32,
    /// All batches in it are as they were written.
    pub(super) is_sound: bool,
    /// Kinds of the files, in the order in which they change their names.
    pub(super) kinds: Vec<SegmentFileKind>,
}

/// The path of a file of a segment at a stage.
pub(super) fn path_of(dir: &Path, base_offset: i64, kind: SegmentFileKind, stage: FileStage) -> PathBuf {
    dir.join(SegmentFile::live(base_offset, kind).at(stage).to_string())
}

impl Output {
    /// `piece`: bytes that are written at once.
    pub(super) fn create(
        disk: &Disk,
        dir: &Path,
        base_offset: i64,
        limits: IndexLimits,
        piece: usize,
    ) -> Result<Self> {
        let path = path_of(dir, base_offset, SegmentFileKind::Log, FileStage::Cleaned);
        Ok(Self {
            base_offset,
            dir: dir.to_path_buf(),
            file: disk.create(&path)?,
            pending: Vec::new(),
            flushed: 0,
            indexes: ActiveIndexes::new(base_offset, limits),
            aborted: Vec::new(),
            is_sound: true,
            piece,
        })
    }

    /// Takes a batch; `false` if it must begin another segment: this one would be too large, or its indexes cannot
    /// hold the offset.
    pub(super) fn append(&mut self, written: &Written, batch: &[u8]) -> Result<bool> {
        let position = self.flushed + self.pending.len() as u64;
        if position > 0
            && (position + batch.len() as u64 > i32::MAX as u64
                || self.indexes.is_full()
                || !self.indexes.holds(written.header.last_offset()))
        {
            return Ok(false);
        }
        let indexed = IndexedBatch {
            last_offset: written.header.last_offset(),
            max_timestamp: written.header.max_timestamp,
            position: position as u32,
            size: batch.len() as u32,
        };
        self.indexes.append(&indexed).map_err(|e| Error::Corrupt {
            path: self.path(SegmentFileKind::Log),
            position,
            reason: e.to_string(),
        })?;
        self.aborted.extend(written.aborted);
        self.is_sound &= written.is_sound;
        self.pending.extend_from_slice(batch);
        Ok(true)
    }

    /// Writes what is pending if it is enough to be worth it. Returns the bytes written.
    pub(super) fn write_some(&mut self, disk: &Disk) -> Result<u64> {
        if self.pending.len() < self.piece { Ok(0) } else { self.write_pending(disk) }
    }

    fn write_pending(&mut self, disk: &Disk) -> Result<u64> {
        let bytes = self.pending.len() as u64;
        if bytes > 0 {
            disk.write_at(&self.file, &self.path(SegmentFileKind::Log), &self.pending, self.flushed)?;
            self.flushed += bytes;
            self.pending.clear();
        }
        Ok(bytes)
    }

    /// Brings the log file to the device.
    pub(super) fn sync_log(&mut self, disk: &Disk) -> Result<()> {
        self.write_pending(disk)?;
        disk.sync(&self.file, &self.path(SegmentFileKind::Log))
    }

    /// Adds the other files to a log file that is on the device. All are there then, as old as what they replace.
    pub(super) fn finish(mut self, disk: &Disk, modified: Option<SystemTime>) -> Result<Finished> {
        self.indexes.close();
        let (mut offsets, mut times) = (Vec::new(), Vec::new());
        self.indexes.offsets().encode(0, &mut offsets);
        self.indexes.times().encode(0, &mut times);
        let aborted: Vec<u8> = self.aborted.iter().flat_map(AbortedTransaction::encode).collect();
        let mut files = vec![(SegmentFileKind::OffsetIndex, offsets), (SegmentFileKind::TimeIndex, times)];
        if !aborted.is_empty() {
            files.push((SegmentFileKind::TransactionIndex, aborted));
        }
        let mut kinds = vec![SegmentFileKind::Log];
        for (kind, bytes) in files {
            let path = self.path(kind);
            let file = disk.create(&path)?;
            disk.write_at(&file, &path, &bytes, 0)?;
            disk.sync(&file, &path)?;
            disk.set_modified(&file, &path, modified);
            kinds.push(kind);
        }
        disk.set_modified(&self.file, &self.path(SegmentFileKind::Log), modified);
        Ok(Finished {
            base_offset: self.base_offset,
            bytes: self.flushed as u32,
            is_sound: self.is_sound,
            kinds,
        })
    }

    fn path(&self, kind: SegmentFileKind) -> PathBuf {
        path_of(&self.dir, self.base_offset, kind, FileStage::Cleaned)
    }
}

/// Removes what an earlier pass could not remove. A start would take a stray `.cleaned` for a sign that a swap was not
/// begun, and undo one that was.
pub(super) fn remove_stray(disk: &Disk, dir: &Path) -> Result<()> {
    for name in disk.list(dir)? {
        let file = name.to_str().and_then(|name| name.parse::<SegmentFile>().ok());
        if file.is_some_and(|file| matches!(file.stage, FileStage::Cleaned | FileStage::Swap)) {
            disk.remove(&dir.join(name))?;
        }
    }
    Ok(())
}

/// Removes what an interrupted pass has written, as well as that can be done.
pub(super) fn remove_leftovers(disk: &Disk, dir: &Path, base_offset: i64) {
    for kind in SegmentFileKind::ALL {
        for stage in [FileStage::Cleaned, FileStage::Swap] {
            // The next pass or a start removes what is left.
            let _ = disk.remove(&path_of(dir, base_offset, kind, stage));
        }
    }
}
