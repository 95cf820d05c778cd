//! The mapped tail of an active segment. All unsafe code of the workspace is in this file.
//!
//! ```text
//! 0            released       end                ready              reserved            limit
//! |  published  |  published  |  zeros, mapped   |  on disk, zeros  |  not in the file  |
//! |  not mapped |  mapped     |  may be written  |                  |                   |
//! ```
//! The mapping spans the largest size the segment may reach, once; the file grows below it. **Invariant:** a byte is
//! stored only below `ready`, and `ready` never passes what [`Disk::allocate`] has reserved: a full disk is an error
//! of `prepare`, never a SIGBUS of `put`. Pages are brought in by writing zeros ahead of the end and then populating
//! the page tables, in steps that grow with the traffic of the segment: two system calls for up to 1 MiB instead of
//! a fault per page, and large folios where the file system has them.
//!
//! Why a reserved block is enough, file system by file system ([`Disk::maps_safely`] knows the list):
//!
//! | file system | a store to a page that was written back, or let go, needs |
//! |---|---|
//! | ext4 (and ext2, ext3) | nothing: blocks are overwritten in place, there are no shared ones, and `fallocate` took them. Turning an unwritten extent into a written one may split it, for which ext4 keeps blocks of its own aside. Without `fallocate` (no extents) the zeros take them |
//! | tmpfs | nothing: `fallocate` made the pages, which count against its size from then on; at most they come back from the swap |
//! | XFS, btrfs, ZFS, bcachefs | a new block, where the old one is shared with a reflink copy (`cp` makes such by default) or always: not mapped |
//! | FUSE, NFS, SMB, overlayfs, anything else | unknown: not mapped |
//!
//! What remains is a device that fails, or a file that somebody else cuts short: reading back a page that the kernel
//! has dropped then raises SIGBUS, and the process ends. Nothing acknowledged is lost by that which was not lost already.

use crate::error::{Error, Result};
use crate::file::Disk;
use memmap2::{MmapOptions, MmapRaw};
use nix::libc;
use std::fs::File;
use std::path::Path;

const PAGE: usize = 4096;
/// No file is longer than Kafka takes it, 2^31 - 1, whatever is kept ready behind its end.
pub(crate) const LIMIT_MAX: usize = i32::MAX as usize / PAGE * PAGE;
/// Zeros are written ahead in steps of this size at first ...
const STEP_MIN: usize = 64 << 10;
/// ... which double up to this.
const STEP_MAX: usize = 1 << 20;
/// Disk blocks are reserved in multiples of a step.
const RESERVE_STEPS: usize = 4;
/// Published pages are let go in stretches of this size and alignment; they stay in the page cache. Those are the steps
/// in which they came, so that a large folio goes as a whole: the kernel marks all buffers of a folio dirty for any part
/// of it that is unmapped.
const RELEASE: usize = STEP_MAX;

/// The mapped tail of an active segment.
#[derive(Debug)]
pub(crate) struct MappedTail {
    map: MmapRaw,
    limit: usize,
    reserved: usize,
    ready: usize,
    released: usize,
    step: usize,
}

impl MappedTail {
    /// Maps `limit` bytes, up to [`LIMIT_MAX`], of a file whose first `end` bytes are published.
    ///
    /// # Errors
    /// [`Error::Io`] if the kernel refuses the mapping (the caller goes on with `pwrite`).
    pub(crate) fn new(file: &File, path: &Path, end: usize, limit: usize) -> Result<Self> {
        let limit = limit.next_multiple_of(PAGE).min(LIMIT_MAX);
        let map = MmapOptions::new().len(limit).map_raw(file).map_err(|e| Error::io("map", path, e))?;
        let page = end / PAGE * PAGE;
        Ok(Self { map, limit, reserved: end, ready: end, released: page, step: STEP_MIN })
    }

    /// Makes `end..to` writable.
    ///
    /// # Errors
    /// [`Error::Full`] if the disk is; [`Error::Io`] otherwise, and then the log directory is offline.
    pub(crate) fn prepare(&mut self, disk: &Disk, file: &File, path: &Path, to: usize) -> Result<()> {
        while self.ready < to {
            let goal = to.max(self.ready + self.step).next_multiple_of(self.step).min(self.limit);
            if goal < to {
                return Err(Error::BatchTooLarge { size: to, max: self.limit });
            }
            let goal = goal.min(self.ready + STEP_MAX);
            self.reserve(disk, file, path, goal)?;
            self.populate(disk, file, path, goal)?;
            self.step = (self.step * 2).min(STEP_MAX);
        }
        Ok(())
    }

    fn reserve(&mut self, disk: &Disk, file: &File, path: &Path, to: usize) -> Result<()> {
        if self.reserved >= to {
            return Ok(());
        }
        let ample = to.max(self.reserved + self.step * RESERVE_STEPS).min(self.limit);
        let goal = match disk.allocate(file, path, self.reserved as u64, (ample - self.reserved) as u64) {
            Ok(()) => ample,
            Err(Error::Full(_)) => {
                disk.allocate(file, path, self.reserved as u64, (to - self.reserved) as u64)?;
                to
            }
            Err(other) => return Err(other),
        };
        self.reserved = goal;
        Ok(())
    }

    /// Writes zeros over `ready..to`, which no append has reached, and maps the pages.
    fn populate(&mut self, disk: &Disk, file: &File, path: &Path, to: usize) -> Result<()> {
        disk.write_zeros_at(file, path, to - self.ready, self.ready as u64)?;
        let from = self.ready / PAGE * PAGE;
        // SAFETY: the range lies inside the mapping (`to <= limit`, checked by `prepare`) and starts on a page;
        // populating changes no byte.
        #[expect(unsafe_code, reason = "the mapping is this module's to handle")]
        let done = unsafe {
            libc::madvise(self.map.as_mut_ptr().add(from).cast(), to - from, libc::MADV_POPULATE_WRITE)
        };
        if done != 0 {
            let error = std::io::Error::last_os_error();
            // A kernel before 5.14 does not know the advice, and one that is short of memory does not take it: the stores
            // fault the pages in, which only costs time.
            if speaks_of_device(&error) {
                return Err(disk.fail(Error::io("populate", path, error)));
            }
        }
        self.ready = to;
        Ok(())
    }

    /// Whether the mapping reaches up to `to`.
    pub(crate) fn holds(&self, to: usize) -> bool {
        to <= self.limit
    }

    /// Whether `..to` may be written without another call of [`MappedTail::prepare`].
    pub(crate) fn is_ready(&self, to: usize) -> bool {
        to <= self.ready
    }

    /// Copies `bytes` to `at`.
    ///
    /// # Panics
    /// If the range was not prepared: storing there could raise SIGBUS.
    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) {
        assert!(
            at.checked_add(bytes.len()).is_some_and(|to| to <= self.ready),
            "append beyond the prepared pages"
        );
        // SAFETY: `at..at + len` is inside the mapping and below `ready`, so the pages exist and have disk blocks.
        // `bytes` is ordinary memory and cannot overlap the mapping, of which no reference is ever made. Readers
        // of the file stop at the published end, and the caller publishes only after this store.
        #[expect(unsafe_code, reason = "the mapping is this module's to handle")]
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.map.as_mut_ptr().add(at), bytes.len());
        }
    }

    /// Lets go of the pages of published bytes, so that resident memory stays flat; the page cache keeps them.
    pub(crate) fn release_behind(&mut self, end: usize) {
        let page = end / RELEASE * RELEASE;
        if page <= self.released {
            return;
        }
        // SAFETY: the range lies inside the mapping and on page bounds; the mapping is shared and backed by a file,
        // so dropping the page table entries loses nothing, and no reference into it exists.
        #[expect(unsafe_code, reason = "the mapping is this module's to handle")]
        unsafe {
            libc::madvise(
                self.map.as_mut_ptr().add(self.released).cast(),
                page - self.released,
                libc::MADV_DONTNEED,
            );
        }
        self.released = page;
    }
}

/// Whether pages could not be brought in because of what is under the file.
fn speaks_of_device(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EFAULT | libc::EHWPOISON | libc::EIO))
}

#[cfg(test)]
mod tests {
    use super::{MappedTail, PAGE, speaks_of_device};
    use crate::error::Error;
    use crate::file::Disk;

    #[test]
    fn stores_are_in_the_file_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, path) = (Disk::new(dir.path()), dir.path().join("a"));
        let file = disk.create(&path).unwrap();
        let mut tail = MappedTail::new(&file, &path, 0, 3 << 20).unwrap();
        let block: Vec<u8> = (0..=255u8).cycle().take(300_000).collect();
        let mut end = 0;
        while end + block.len() <= 3 << 20 {
            tail.prepare(&disk, &file, &path, end + block.len()).unwrap();
            tail.put(end, &block);
            end += block.len();
            tail.release_behind(end);
        }
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes[..end].chunks(block.len()).all(|b| b == block));
        assert!(bytes[end..].iter().all(|b| *b == 0));
        assert!(matches!(
            tail.prepare(&disk, &file, &path, (3 << 20) + PAGE),
            Err(Error::BatchTooLarge { .. })
        ));
    }

    #[test]
    fn a_shortage_of_memory_says_nothing_of_the_device() {
        use nix::libc::{EAGAIN, EFAULT, EHWPOISON, EINTR, EINVAL, EIO, ENOMEM};
        for (errno, of_device) in [
            (EFAULT, true),
            (EHWPOISON, true),
            (EIO, true),
            (ENOMEM, false),
            (EAGAIN, false),
            (EINTR, false),
            (EINVAL, false),
        ] {
            assert_eq!(speaks_of_device(&std::io::Error::from_raw_os_error(errno)), of_device, "{errno}");
        }
    }

    #[test]
    fn a_full_disk_is_an_error_before_anything_is_stored() {
        let dir = tempfile::tempdir().unwrap();
        let full = |op, _: &std::path::Path| {
            if op == crate::file::Op::Write {
                Err(std::io::Error::from_raw_os_error(nix::libc::ENOSPC))
            } else {
                Ok(())
            }
        };
        let (disk, path) = (Disk::with_faults(dir.path(), Box::new(full)), dir.path().join("a"));
        let file = disk.create(&path).unwrap();
        let mut tail = MappedTail::new(&file, &path, 0, 1 << 20).unwrap();
        assert!(matches!(tail.prepare(&disk, &file, &path, 10), Err(Error::Full(_))));
        assert!(!disk.is_offline(), "a full disk is not a broken one");
    }
}
