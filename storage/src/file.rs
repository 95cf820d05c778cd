//! The only module that opens, writes, syncs, renames or removes files.
//!
//! A [`Disk`] is one log directory's access to its device. Faults are injected here, and here a failed write or sync
//! poisons the directory: such an error is never retried, because the kernel marks the pages clean after it reported
//! the failure once, and a second sync would succeed without the data being there.

mod device;
mod faults;

pub(crate) use device::WholeSync;
pub use faults::{Faults, Op};

use crate::error::{Error, Result};
use crate::page_cache;
use crate::sync::Syncer;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

static ZEROS: [u8; 8 << 10] = [0; 8 << 10];
/// Blocks of zeros in one call.
const ZERO_BLOCKS_MAX: usize = 256;

/// One log directory's access to its device.
#[derive(Clone)]
pub struct Disk(Arc<Inner>, Reads);

/// Whether a read may wait for the device.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    Wait,
    AtOnce,
}

struct Inner {
    root: PathBuf,
    /// What is written is to be found again after a power cut: a sync waits for the device.
    lasts: bool,
    offline: AtomicBool,
    faults: Option<Box<Faults>>,
    /// The root, open since before the first write: the kernel tells a file handle only of errors that happened after
    /// it was opened.
    handle: OnceLock<File>,
    /// `st_dev` of the root.
    device: OnceLock<Option<u64>>,
    /// What `syncfs` does here.
    whole: OnceLock<WholeSync>,
    /// Bytes of logs that recovery has read.
    scanned: AtomicU64,
    /// Who syncs this device.
    syncer: OnceLock<Arc<Syncer>>,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Disk").field(&self.0.root).finish()
    }
}

impl Disk {
    /// The device under `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self::made(root, true, None)
    }

    /// The device under a directory that nobody opens again: a sync waits for nothing.
    #[must_use]
    pub fn ephemeral(root: &Path) -> Self {
        Self::made(root, false, None)
    }

    /// The same with operations that may fail.
    #[must_use]
    pub fn with_faults(root: &Path, faults: Box<Faults>) -> Self {
        Self::made(root, true, Some(faults))
    }

    fn made(root: &Path, lasts: bool, faults: Option<Box<Faults>>) -> Self {
        let inner = Arc::new(Inner {
            root: root.to_path_buf(),
            lasts,
            offline: AtomicBool::new(false),
            faults,
            handle: OnceLock::new(),
            device: OnceLock::new(),
            whole: OnceLock::new(),
            scanned: AtomicU64::new(0),
            syncer: OnceLock::new(),
        });
        Self(inner, Reads::Wait)
    }

    /// The same access, whose reads end with `WouldBlock` instead of waiting for the device.
    pub(crate) fn at_once(&self) -> Self {
        Self(self.0.clone(), Reads::AtOnce)
    }

    /// Whether reads may wait for the device.
    pub(crate) fn may_wait(&self) -> bool {
        self.1 == Reads::Wait
    }

    /// Fills `buf` with the bytes of an open file from `position` on.
    pub(crate) fn read_exact_at(&self, file: &File, buf: &mut [u8], position: u64) -> io::Result<()> {
        match self.1 {
            Reads::Wait => FileExt::read_exact_at(file, buf, position),
            Reads::AtOnce => {
                self.allowed(Op::ReadAtOnce, &self.0.root)?;
                page_cache::read_exact_at(file, buf, position)
            }
        }
    }

    /// Takes hold of the root directory, so that [`Disk::sync_all`] learns of every failed write from now on.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be opened.
    pub fn hold(&self) -> Result<()> {
        self.handle().map(drop)
    }

    fn handle(&self) -> Result<&File> {
        if let Some(handle) = self.0.handle.get() {
            return Ok(handle);
        }
        let opened = File::open(&self.0.root).map_err(|e| Error::io("open", &self.0.root, e))?;
        Ok(self.0.handle.get_or_init(|| opened))
    }

    /// Whether [`Disk::sync_all`] may stand for a sync of each file.
    pub(crate) fn whole_sync(&self) -> WholeSync {
        *self.0.whole.get_or_init(|| WholeSync::under(&self.0.root))
    }

    /// Bytes of logs that recovery has read here since the process began.
    #[must_use]
    pub fn scanned(&self) -> u64 {
        self.0.scanned.load(Ordering::Relaxed)
    }

    pub(crate) fn note_scanned(&self, bytes: u64) {
        self.0.scanned.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The one that syncs this device in the background, for all directories on it. A test's faults stay its own.
    pub(crate) fn syncer(&self) -> &Arc<Syncer> {
        let device = || if self.0.faults.is_some() { None } else { device::id_of(&self.0.root) };
        self.0.syncer.get_or_init(|| Syncer::of_device(device()))
    }

    /// Whether a directory in this one lies on another file system: behind a symbolic link, or a mount point itself. What
    /// holds of the file system of this one need not hold there.
    pub(crate) fn is_elsewhere(&self, path: &Path) -> bool {
        let root = *self.0.device.get_or_init(|| device::id_of(&self.0.root));
        root != device::id_of(path)
    }

    /// Whether both are the same directory.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The directory's path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// Whether both are access to the same directory, by the same start.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether an earlier failure has taken the directory offline.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.0.offline.load(Ordering::Relaxed)
    }

    /// Whether a store into a mapped, reserved range cannot meet a full disk on this file system; why, is written at the
    /// top of `mapped.rs`. On all others appends go by `pwrite`.
    #[must_use]
    pub fn maps_safely(&self) -> bool {
        use nix::sys::statfs::{EXT4_SUPER_MAGIC, TMPFS_MAGIC, statfs};
        statfs(&self.0.root)
            .is_ok_and(|found| [EXT4_SUPER_MAGIC, TMPFS_MAGIC].contains(&found.filesystem_type()))
    }

    /// # Errors
    /// [`Error::Offline`] after an earlier failed write or sync.
    pub fn check_online(&self) -> Result<()> {
        if self.is_offline() { Err(Error::Offline(self.0.root.clone())) } else { Ok(()) }
    }

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// [`Error::Io`], for example when the file is not there.
    pub fn open(&self, path: &Path) -> Result<File> {
        self.allowed(Op::Open, path)
            .and_then(|()| OpenOptions::new().read(true).write(true).open(path))
            .map_err(|e| Error::io("open", path, e))
    }

    /// Opens an existing file for reading.
    ///
    /// # Errors
    /// [`Error::Io`], for example when the file is not there.
    pub fn open_read(&self, path: &Path) -> Result<File> {
        self.allowed(Op::OpenRead, path)
            .and_then(|()| File::open(path))
            .map_err(|e| Error::io("open", path, e))
    }

    /// The same; nothing if it does not exist.
    ///
    /// # Errors
    /// [`Error::Io`] other than "not found".
    pub fn open_if_there(&self, path: &Path) -> Result<Option<File>> {
        match self.open_read(path) {
            Ok(file) => Ok(Some(file)),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates an empty file for reading and writing; an old one of that name is emptied.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Full`]. If the device does not work the log directory is offline.
    pub fn create(&self, path: &Path) -> Result<File> {
        self.allowed(Op::Open, path)
            .and_then(|()| OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path))
            .map_err(|e| self.broken("create", path, e))
    }

    /// Creates a directory and its missing parents. A power cut does not take them back: what is synced in there would go
    /// along.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Full`]. If the device does not work the log directory is offline.
    pub fn create_dir(&self, path: &Path) -> Result<()> {
        let missing: Vec<&Path> =
            path.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
        self.allowed(Op::Open, path)
            .and_then(|()| fs::create_dir_all(path))
            .map_err(|e| self.broken("create directory", path, e))?;
        for dir in missing.into_iter().rev() {
            let parent = match dir.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            // A directory that may be written and not be read cannot be synced.
            if let Ok(handle) = File::open(parent) {
                self.sync_open_dir(&handle, parent)?;
            }
        }
        Ok(())
    }

    /// Creates a directory in one that is there; it may be there already.
    ///
    /// # Errors
    /// [`Error::Io`], for example when the one around it has gone, or [`Error::Full`].
    pub fn create_dir_within(&self, path: &Path) -> Result<()> {
        match self.allowed(Op::Open, path).and_then(|()| fs::create_dir(path)) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                Err(self.broken("create directory", path, e))
            }
            _ => Ok(()),
        }
    }

    /// Reads a whole small file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn read(&self, path: &Path) -> Result<Vec<u8>> {
        read_small(path).map_err(|e| Error::io("read", path, e))
    }

    /// Reads a whole small file, or nothing if it does not exist.
    ///
    /// # Errors
    /// [`Error::Io`] other than "not found".
    pub fn read_if_there(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        match read_small(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("read", path, e)),
        }
    }

    /// The names in a directory.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn list(&self, path: &Path) -> Result<Vec<OsString>> {
        let names =
            fs::read_dir(path).and_then(|entries| entries.map(|e| e.map(|e| e.file_name())).collect());
        names.map_err(|e| Error::io("list", path, e))
    }

    /// Length of a file in bytes.
    ///
    /// # Errors
    /// [`Error::Io`], for example when it is not there.
    pub fn length(&self, path: &Path) -> Result<u64> {
        fs::metadata(path).map(|file| file.len()).map_err(|e| Error::io("stat", path, e))
    }

    /// The paths of the directories in a directory; what is a symbolic link counts as what it leads to.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn list_dirs(&self, path: &Path) -> Result<Vec<PathBuf>> {
        let list = || {
            let mut dirs = Vec::new();
            for entry in fs::read_dir(path)? {
                let entry = entry?;
                let kind = entry.file_type()?;
                if kind.is_dir() || kind.is_symlink() && entry.path().is_dir() {
                    dirs.push(entry.path());
                }
            }
            Ok(dirs)
        };
        list().map_err(|e| Error::io("list", path, e))
    }

    /// Writes all of `bytes` at `position`.
    ///
    /// # Errors
    /// [`Error::Full`], or [`Error::Io`] and the directory is offline.
    pub fn write_at(&self, file: &File, path: &Path, bytes: &[u8], position: u64) -> Result<()> {
        let wrote = self.allowed(Op::Write, path).and_then(|()| file.write_all_at(bytes, position));
        self.poisoning("write", path, wrote)
    }

    /// Writes `head` and `body` behind each other at `position`, in one call.
    ///
    /// # Errors
    /// [`Error::Full`], or [`Error::Io`] and the directory is offline.
    pub(crate) fn write_both_at(
        &self,
        file: &File,
        path: &Path,
        (head, body): (&[u8], &[u8]),
        position: u64,
    ) -> Result<()> {
        let wrote = self.allowed(Op::Write, path).and_then(|()| {
            let at = i64::try_from(position).map_err(io::Error::other)?;
            let done = loop {
                match nix::sys::uio::pwritev(file, &[io::IoSlice::new(head), io::IoSlice::new(body)], at) {
                    Err(nix::errno::Errno::EINTR) => {}
                    other => break other?,
                }
            };
            // The kernel may write less, above all on a disk that is nearly full: what is left says why.
            let head_left = &head[done.min(head.len())..];
            let body_left = &body[done.saturating_sub(head.len())..];
            let position = position + done as u64;
            file.write_all_at(head_left, position)?;
            file.write_all_at(body_left, position + head_left.len() as u64)
        });
        self.poisoning("write", path, wrote)
    }

    /// Writes `len` zeros at `position` in one call.
    ///
    /// # Errors
    /// [`Error::Full`], or [`Error::Io`] and the directory is offline.
    pub fn write_zeros_at(&self, file: &File, path: &Path, len: usize, position: u64) -> Result<()> {
        let wrote = self.allowed(Op::Write, path).and_then(|()| {
            let mut done = 0;
            while done < len {
                // The same small block again and again: it stays in the processor's cache.
                let left = len - done;
                let blocks: Vec<_> = (0..left.div_ceil(ZEROS.len()).min(ZERO_BLOCKS_MAX))
                    .map(|i| io::IoSlice::new(&ZEROS[..(left - i * ZEROS.len()).min(ZEROS.len())]))
                    .collect();
                let at = i64::try_from(position + done as u64).map_err(io::Error::other)?;
                done += match nix::sys::uio::pwritev(file, &blocks, at) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(n) => n,
                    Err(nix::errno::Errno::EINTR) => 0,
                    Err(errno) => return Err(errno.into()),
                };
            }
            Ok(())
        });
        self.poisoning("write", path, wrote)
    }

    /// Reserves disk blocks for `from..from + len` and grows the file over them, so that a store into a mapping of
    /// the range cannot meet a full disk.
    ///
    /// # Errors
    /// [`Error::Full`], or [`Error::Io`] and the directory is offline.
    pub fn allocate(&self, file: &File, path: &Path, from: u64, len: u64) -> Result<()> {
        self.fallocate(file, path, from, len, nix::fcntl::FallocateFlags::empty())
    }

    fn fallocate(
        &self,
        file: &File,
        path: &Path,
        from: u64,
        len: u64,
        flags: nix::fcntl::FallocateFlags,
    ) -> Result<()> {
        let done = self.allowed(Op::Write, path).and_then(|()| {
            let from = i64::try_from(from).map_err(io::Error::other)?;
            let len = i64::try_from(len).map_err(io::Error::other)?;
            match nix::fcntl::fallocate(file, flags, from, len) {
                // What is written next reserves the blocks instead.
                Err(nix::errno::Errno::EOPNOTSUPP | nix::errno::Errno::ENOSYS) => Ok(()),
                other => Ok(other?),
            }
        });
        self.poisoning("reserve space for", path, done)
    }

    /// Reserves disk blocks for `from..from + len` behind the end of a file without making it longer: what is written
    /// there does not meet a full disk. A file system that cannot do this is let off.
    ///
    /// # Errors
    /// [`Error::Full`], or [`Error::Io`] and the directory is offline.
    pub fn reserve(&self, file: &File, path: &Path, from: u64, len: u64) -> Result<()> {
        self.fallocate(file, path, from, len, nix::fcntl::FallocateFlags::FALLOC_FL_KEEP_SIZE)
    }

    /// Cuts or extends the file to `len` bytes.
    ///
    /// # Errors
    /// [`Error::Io`] and the directory is offline.
    pub fn truncate(&self, file: &File, path: &Path, len: u64) -> Result<()> {
        let done = self.allowed(Op::Write, path).and_then(|()| file.set_len(len));
        self.poisoning("truncate", path, done)
    }

    /// Waits until the file's data is on the device.
    ///
    /// # Errors
    /// [`Error::Io`] and the directory is offline; never retry.
    pub fn sync(&self, file: &File, path: &Path) -> Result<()> {
        let done = self.device_has(Op::Sync, path, || file.sync_data());
        self.lost("sync", path, done)
    }

    /// Waits until a directory's entries are on the device.
    ///
    /// # Errors
    /// [`Error::Io`] and the directory is offline; never retry.
    pub fn sync_dir(&self, path: &Path) -> Result<()> {
        let dir = File::open(path).map_err(|e| Error::io("open", path, e))?;
        self.sync_open_dir(&dir, path)
    }

    /// As [`Disk::sync_dir`], of one that is open.
    ///
    /// # Errors
    /// [`Error::Io`] and the directory is offline; never retry.
    pub(crate) fn sync_open_dir(&self, dir: &File, path: &Path) -> Result<()> {
        let done = self.device_has(Op::Sync, path, || dir.sync_all());
        self.lost("sync directory", path, done)
    }

    /// Whether [`Disk::sync_all`] reaches the device; otherwise each file is to be synced.
    #[must_use]
    pub fn syncs_as_a_whole(&self) -> bool {
        device::syncfs_reaches_device(&self.0.root)
    }

    /// Waits until everything written to the file system of this directory is on the device.
    ///
    /// # Errors
    /// [`Error::Io`] and the directory is offline; never retry.
    pub fn sync_all(&self) -> Result<()> {
        let handle = self.handle()?;
        let done = self.device_has(Op::SyncAll, &self.0.root, || Ok(nix::unistd::syncfs(handle)?));
        self.lost("sync file system of", &self.0.root, done)
    }

    /// [`Disk::sync_all`] for directories of one file system, once.
    ///
    /// # Errors
    /// [`Error::Io`], and all of them are offline: nobody knows whose data it was.
    pub(crate) fn sync_together(disks: &[&Self]) -> Result<()> {
        let Some(first) = disks.first() else { return Ok(()) };
        let handle = first.handle()?;
        let done = (disks[1..].iter().try_for_each(|disk| disk.allowed(Op::SyncAll, &disk.0.root)))
            .and_then(|()| first.device_has(Op::SyncAll, &first.0.root, || Ok(nix::unistd::syncfs(handle)?)));
        let Err(error) = done else { return Ok(()) };
        let copy = || error.raw_os_error().map_or(error.kind().into(), io::Error::from_raw_os_error);
        for disk in &disks[1..] {
            let _ = disk.lost("sync file system of", &disk.0.root, Err::<(), _>(copy()));
        }
        first.lost("sync file system of", &first.0.root, Err(error))
    }

    /// Renames a file or directory.
    ///
    /// # Errors
    /// [`Error::Io`]. If the device does not work the log directory is offline.
    pub fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.allowed(Op::Rename, from)
            .and_then(|()| fs::rename(from, to))
            .map_err(|e| self.broken("rename", from, e))
    }

    /// Gives a file that is to go another name until then, and removes it at once on a disk too full for that: who reads it
    /// has it open. Whether it is still there, under the other name.
    ///
    /// # Errors
    /// As [`Disk::rename`] and [`Disk::remove`].
    pub(crate) fn rename_or_remove(&self, from: &Path, to: &Path) -> Result<bool> {
        match self.rename(from, to) {
            Err(Error::Full(_)) => self.remove(from).map(|()| false),
            done => done.map(|()| true),
        }
    }

    /// Removes a file; one that is not there is fine.
    ///
    /// # Errors
    /// [`Error::Io`]. If the device does not work the log directory is offline.
    pub fn remove(&self, path: &Path) -> Result<()> {
        match self.allowed(Op::Rename, path).and_then(|()| fs::remove_file(path)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(self.broken("remove", path, e)),
            _ => Ok(()),
        }
    }

    /// Removes a directory with everything in it; one that is not there is fine.
    ///
    /// # Errors
    /// [`Error::Io`]. If the device does not work the log directory is offline.
    pub fn remove_dir(&self, path: &Path) -> Result<()> {
        match self.allowed(Op::Rename, path).and_then(|()| fs::remove_dir_all(path)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(self.broken("remove", path, e)),
            _ => Ok(()),
        }
    }

    /// Replaces a small file as a whole without waiting for the device: a later sync makes it durable.
    ///
    /// # Errors
    /// [`Error::Full`], or [`Error::Io`] and the directory is offline.
    pub fn write_whole(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let write = || {
            // Over the old content and not after emptying the file: ext4 takes that for a replacement which must not get
            // lost, and starts to write it to the device when the file is closed.
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
            file.write_all_at(bytes, 0)?;
            if file.metadata()?.len() == bytes.len() as u64 {
                Ok(())
            } else {
                file.set_len(bytes.len() as u64)
            }
        };
        let done = self.allowed(Op::Write, path).and_then(|()| write());
        let done = self.poisoning("write", path, done);
        if matches!(done, Err(Error::Full(_))) {
            // A part of it would be taken for the whole.
            let _ = fs::remove_file(path);
        }
        done
    }

    /// Replaces a small file so that a crash leaves the old or the new one: `.tmp`, sync, rename, and, if `durable`,
    /// sync of the directory.
    ///
    /// # Errors
    /// [`Error::Full`], or [`Error::Io`] and the directory is offline.
    pub fn write_atomically(&self, path: &Path, bytes: &[u8], durable: bool) -> Result<()> {
        let mut tmp = path.as_os_str().to_owned();
        tmp.push(".tmp");
        let tmp = PathBuf::from(tmp);
        let file = self.create(&tmp)?;
        let written = self
            .write_at(&file, &tmp, bytes, 0)
            .and_then(|()| if durable { self.sync(&file, &tmp) } else { Ok(()) })
            .and_then(|()| self.rename(&tmp, path));
        if written.is_err() {
            // What a full disk has taken of it is of no use to anybody.
            let _ = fs::remove_file(&tmp);
        }
        written?;
        if durable && let Some(parent) = path.parent() {
            self.sync_dir(parent)?;
        }
        Ok(())
    }

    /// Gives a file another time of its last change. Nothing depends on it: a failure is passed over.
    pub fn set_modified(&self, file: &File, path: &Path, time: Option<SystemTime>) {
        if let Some(time) = time
            && let Err(error) = self.allowed(Op::Touch, path).and_then(|()| file.set_modified(time))
        {
            tracing::debug!("set the time of {}: {error}", path.display());
        }
    }

    /// Takes the directory offline, for a failure after which nobody knows what is on the disk.
    pub(crate) fn fail(&self, error: Error) -> Error {
        self.poison(&error);
        error
    }

    /// Has something brought to the device, unless nothing here lasts.
    fn device_has(&self, op: Op, path: &Path, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if self.0.lasts { self.allowed(op, path).and_then(|()| sync()) } else { Ok(()) }
    }

    fn allowed(&self, op: Op, path: &Path) -> io::Result<()> {
        self.0.faults.as_ref().map_or(Ok(()), |faults| faults(op, path))
    }

    /// Turns a failure into an error and takes the directory offline, unless the disk is just full.
    fn poisoning<T>(&self, op: &'static str, path: &Path, done: io::Result<T>) -> Result<T> {
        done.map_err(|source| {
            let error = Error::io(op, path, source);
            if !matches!(error, Error::Full(_)) {
                self.poison(&error);
            }
            error
        })
    }

    /// As before, for a change of names: one that is refused says nothing of the device, unless the device says so.
    fn broken(&self, op: &'static str, path: &Path, source: io::Error) -> Error {
        use nix::libc::{EIO, ENODEV, ENXIO, EROFS, ESHUTDOWN, EUCLEAN};
        let of_device = [EIO, ENODEV, ENXIO, EROFS, ESHUTDOWN, EUCLEAN];
        let broken = source.raw_os_error().is_some_and(|errno| of_device.contains(&errno));
        let error = Error::io(op, path, source);
        if broken { self.fail(error) } else { error }
    }

    /// As before, for a sync: whatever its reason is, data that was written is lost. A device that grows on demand
    /// reports here, and only here, that it is full.
    fn lost<T>(&self, op: &'static str, path: &Path, done: io::Result<T>) -> Result<T> {
        done.map_err(|source| {
            let error = Error::Io { op, path: path.to_path_buf(), source };
            self.poison(&error);
            error
        })
    }

    /// Takes the directory offline: nothing is written to it any more. A shortage of file descriptors is none of the
    /// directory's, and leaves it as it is.
    pub fn poison(&self, error: &Error) {
        if !error.is_shortage() && !self.0.offline.swap(true, Ordering::Relaxed) {
            tracing::error!(
                "{error}; log directory {} is offline now: its partitions answer KAFKA_STORAGE_ERROR. \
                 Check the device, then restart the broker",
                self.0.root.display()
            );
        }
    }
}

/// As [`fs::read`], with three system calls instead of five for most of the files that a start reads.
fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let mut file = File::open(path)?;
    let mut bytes = vec![0; 1024];
    let filled = loop {
        match file.read(&mut bytes) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    let whole = filled < bytes.len();
    bytes.truncate(filled);
    if !whole {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
