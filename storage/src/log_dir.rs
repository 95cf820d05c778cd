//! A data directory (an entry of `log.dirs`): its lock, its identity, its checkpoints, and the logs in it.

use crate::checkpoint::{self, Offsets};
use crate::config::LogConfig;
use crate::error::{Error, Result};
use crate::file::Disk;
use crate::file_name::{self, FileStage, PartitionDir, PartitionDirRole, SegmentFile, SegmentFileKind};
use crate::log::{Log, Start};
use crate::log_dirs::{Survey, Wanted};
use milena_protocol::stored::meta_properties::MetaProperties;
use milena_protocol::stored::partition_metadata;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The node and cluster that a directory belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `cluster.id`, 22 characters of base64url.
    pub cluster_id: String,
    /// `node.id`.
    pub node_id: i32,
    /// `directory.id`: what `PartitionRecord.directories` names.
    pub directory_id: Uuid,
}

/// An open data directory. Its lock is held until this is dropped.
#[derive(Debug)]
pub struct LogDir {
    disk: Disk,
    identity: Identity,
    /// The last broker stopped cleanly here.
    clean: bool,
    saved: Mutex<Saved>,
    _lock: File,
}

/// What the checkpoint files say, and which logs are newer than what somebody may be about to write into them.
#[derive(Debug, Default)]
struct Saved {
    recovery_points: Offsets,
    log_starts: Offsets,
    cleaned: Offsets,
    /// Logs that are there and could not be opened: what is said of them stays, for the start that can.
    unopened: BTreeSet<(String, i32)>,
    /// When each log was made, by [`Saved::clock`].
    made: BTreeMap<(String, i32), u64>,
    /// Counts the logs that were made.
    clock: u64,
    /// The moment of the last [`LogDir::save_checkpoints`].
    last: u64,
}

/// When somebody began to collect offsets for a checkpoint.
///
/// Checkpoints name a log by topic and partition alone. What was collected before a log was made is that of another one
/// of its name, which is gone, and must not be written any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(u64);

/// A partition directory that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Topic and index, from the name.
    pub name: PartitionDir,
    /// Where.
    pub path: PathBuf,
    /// From `partition.metadata`; `None` if that is missing or unreadable.
    pub topic_id: Option<Uuid>,
}

impl LogDir {
    /// Opens a directory, making it if needed. A new one gets `cluster_id` and `node_id`; an old one must have that
    /// node id, and that cluster id unless `cluster_id` is `None`.
    ///
    /// The clean-shutdown mark stays until [`LogDir::begin`], so that a start that is refused for another reason does
    /// not cost the next one a recovery.
    ///
    /// # Errors
    /// [`Error::Locked`] if another broker runs on it, [`Error::Identity`] if it is not ours or something else lives
    /// in it, too; nothing in it has changed then.
    pub fn open(disk: Disk, node_id: i32, cluster_id: Option<&str>, now_ms: i64) -> Result<Self> {
        let root = [disk.root().to_path_buf()];
        let wanted = Wanted { roots: &root, metadata: &root[0], node_id, cluster_id };
        let mut dirs = Survey::of(&wanted, |_| disk.clone())?.open(now_ms)?;
        Ok(dirs.online.remove(0))
    }

    /// A directory that is locked and identified.
    ///
    /// # Errors
    /// [`Error::Io`] if its checkpoints cannot be read.
    pub(crate) fn take(disk: Disk, identity: Identity, lock: File) -> Result<Self> {
        disk.hold()?;
        let clean = disk.root().join(file_name::CLEAN_SHUTDOWN_FILE).exists();
        let load = |name| checkpoint::load_offsets_or_none(&disk, name);
        let saved = Saved {
            recovery_points: load(file_name::RECOVERY_POINT_CHECKPOINT)?,
            log_starts: load(file_name::LOG_START_OFFSET_CHECKPOINT)?,
            cleaned: load(file_name::CLEANER_CHECKPOINT)?,
            ..Saved::default()
        };
        Ok(Self { disk, identity, clean, saved: Mutex::new(saved), _lock: lock })
    }

    /// Removes the clean-shutdown mark: from here on a death of the process is a crash. No log may be opened before,
    /// except one that is scanned at every start, as that of the metadata is.
    ///
    /// # Errors
    /// [`Error::Io`] if the mark cannot be removed for good.
    pub fn begin(&self) -> Result<()> {
        if self.clean {
            self.disk.remove(&self.disk.root().join(file_name::CLEAN_SHUTDOWN_FILE))?;
            self.disk.sync_dir(self.disk.root())?;
        }
        Ok(())
    }

    /// Access to the device.
    #[must_use]
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Whose directory it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether the last broker stopped cleanly.
    #[must_use]
    pub fn was_clean(&self) -> bool {
        self.clean
    }

    /// The partition directories in it, live ones and copies that are to take their place. Directories of deleted topics are removed on the way.
    ///
    /// # Errors
    /// [`Error::Identity`] for a directory whose name is not that of a partition: Kafka refuses such a data
    /// directory, and something else may live in it.
    pub fn partitions(&self) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        for (path, name) in partition_dirs(&self.disk)? {
            match name.role {
                PartitionDirRole::Deleted(_) => self.disk.remove_dir(&path)?,
                PartitionDirRole::Live | PartitionDirRole::Future(_) => {
                    found.push(Found { name, path, topic_id: None });
                }
                PartitionDirRole::Stray(_) => {}
            }
        }
        self.read_topic_ids(&mut found)?;
        Ok(found)
    }

    /// Reads `partition.metadata` of each, several at a time where there are many.
    fn read_topic_ids(&self, found: &mut [Found]) -> Result<()> {
        let read = |part: &mut [Found]| {
            part.iter_mut().try_for_each(|entry| {
                let file = self.disk.read_if_there(&entry.path.join(file_name::PARTITION_METADATA))?;
                entry.topic_id = file.and_then(|bytes| partition_metadata::parse(&bytes).ok());
                Ok(())
            })
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(found.len() / 64 + 1);
        let part = found.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let mut parts = found.chunks_mut(part);
            let first = parts.next();
            let others: Vec<_> = parts.map(|part| scope.spawn(move || read(part))).collect();
            let done = first.map_or(Ok(()), read);
            others.into_iter().fold(done, |done, other| {
                done.and(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            })
        })
    }

    /// Bytes that opening a log must read if it was not stopped cleanly: those of the segments from the recovery point
    /// on.
    ///
    /// # Errors
    /// [`Error::Io`] if its directory cannot be read.
    pub fn unscanned(&self, topic: &str, partition: i32) -> Result<u64> {
        if self.clean {
            return Ok(0);
        }
        let point = self.saved.lock().recovery_points.get(&(topic.to_owned(), partition)).copied();
        let point = point.unwrap_or(0);
        let dir = self.path_of(topic, partition);
        let mut segments = BTreeMap::new();
        for name in self.disk.list(&dir)? {
            let file = name.to_str().and_then(|name| name.parse::<SegmentFile>().ok());
            if let Some(file) = file.filter(|f| f.kind == SegmentFileKind::Log && f.stage == FileStage::Live)
            {
                segments.insert(file.base_offset, self.disk.length(&dir.join(name))?);
            }
        }
        let first = segments.range(..=point).next_back().map_or(point, |(base, _)| *base);
        Ok(segments.range(first..).map(|(_, length)| length).sum())
    }

    /// Sets a directory aside that belongs to no topic of this broker, as Kafka does.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be renamed.
    pub fn set_stray(&self, found: &Found) -> Result<PathBuf> {
        let to = found.name.clone().with_role(PartitionDirRole::Stray(Uuid::new_v4()));
        let to = self.disk.root().join(to.to_string());
        self.disk.rename(&found.path, &to)?;
        Ok(to)
    }

    /// Where the log of a partition is or would be.
    #[must_use]
    pub fn path_of(&self, topic: &str, partition: i32) -> PathBuf {
        self.disk.root().join(PartitionDir::live(topic, partition).to_string())
    }

    /// The name under which a deleted partition's directory waits for its removal.
    #[must_use]
    pub fn deleted_path_of(&self, topic: &str, partition: i32) -> PathBuf {
        let name = PartitionDir::live(topic, partition).with_role(PartitionDirRole::Deleted(Uuid::new_v4()));
        self.disk.root().join(name.to_string())
    }

    /// Opens a partition's log that is there.
    ///
    /// # Errors
    /// [`Error`] if it cannot be read or repaired.
    pub fn open_log(&self, topic: &str, partition: i32, config: LogConfig, now_ms: i64) -> Result<Log> {
        self.open_log_at(&self.path_of(topic, partition), (topic, partition), config, now_ms)
    }

    /// The same for a log that does not serve, in a directory of another name.
    ///
    /// # Errors
    /// As [`LogDir::open_log`].
    pub fn open_log_at(
        &self,
        path: &Path,
        (topic, partition): (&str, i32),
        config: LogConfig,
        now_ms: i64,
    ) -> Result<Log> {
        let key = (topic.to_owned(), partition);
        let opened = self.open_known(path, &key, config, now_ms);
        let mut saved = self.saved.lock();
        match &opened {
            Ok(_) => saved.unopened.remove(&key),
            Err(_) => saved.unopened.insert(key),
        };
        opened
    }

    fn open_known(&self, path: &Path, key: &(String, i32), config: LogConfig, now_ms: i64) -> Result<Log> {
        let (start, cleaned) = {
            let saved = self.saved.lock();
            let offset_of = |offsets: &Offsets| offsets.get(key).copied().unwrap_or(0);
            let cleaned = saved.cleaned.get(key).copied();
            let start = Start {
                clean: self.clean,
                recovery_point: offset_of(&saved.recovery_points),
                log_start: offset_of(&saved.log_starts),
                cleaned: cleaned.is_some(),
                gapless: false,
                now_ms,
            };
            (start, cleaned)
        };
        let log = Log::open(&self.disk, path, config, &start)?;
        if let Some(offset) = cleaned {
            // Of a log that was cut all counts as dirty.
            log.set_cleaned_up_to(if offset > log.end_offset() { log.start_offset() } else { offset });
        }
        self.correct_offsets(key, &log)?;
        Ok(log)
    }

    /// A power cut or damage may have taken the end of a log, so that checkpoints lie behind it. Before anything is appended
    /// they say what is true: the records that get those offsets anew are neither on the device nor clean.
    fn correct_offsets(&self, key: &(String, i32), log: &Log) -> Result<()> {
        let mut saved = self.saved.lock();
        let saved = &mut *saved;
        let end = log.end_offset();
        let correct = |name: &str, offsets: &mut Offsets, highest: i64, to: i64| {
            if offsets.get(key).is_none_or(|offset| *offset <= highest) {
                return Ok(());
            }
            let mut corrected = offsets.clone();
            corrected.insert(key.clone(), to);
            checkpoint::save_offsets(&self.disk, name, &corrected)?;
            *offsets = corrected;
            Ok(())
        };
        // One at the very end says that the last segment is whole with all its files. If it had to be mended it is not, and
        // a roll right there would make the next start trust it.
        let safe = log.recovery_checkpoint();
        let highest = if safe < end { end - 1 } else { end };
        correct(file_name::RECOVERY_POINT_CHECKPOINT, &mut saved.recovery_points, highest, safe)?;
        correct(file_name::CLEANER_CHECKPOINT, &mut saved.cleaned, end, log.start_offset())
    }

    /// Makes an empty log that begins at `base_offset` and is to take the place of one in another data directory.
    ///
    /// # Errors
    /// As [`LogDir::create_log`].
    pub fn create_copy(
        &self,
        name: &PartitionDir,
        topic_id: Uuid,
        base_offset: i64,
        config: LogConfig,
        now_ms: i64,
    ) -> Result<Log> {
        self.disk.check_online()?;
        self.forget_offsets(&name.topic, name.partition)?;
        let role = PartitionDirRole::Future(Uuid::new_v4());
        let dir = self.disk.root().join(name.clone().with_role(role).to_string());
        self.disk.create_dir_within(&dir)?;
        self.write_topic_id(&dir, topic_id)?;
        let start = Start {
            clean: true,
            recovery_point: base_offset,
            log_start: base_offset,
            cleaned: false,
            gapless: false,
            now_ms,
        };
        Log::open(&self.disk, &dir, config, &start)
    }

    /// Makes an empty log with its `partition.metadata`. Nothing is synced: the metadata log is, and a directory
    /// that a power cut took is made again from it. What is under that name of another topic is kept as `-stray`.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Io`] or [`Error::Offline`].
    pub fn create_log(
        &self,
        topic: &str,
        partition: i32,
        topic_id: Uuid,
        config: LogConfig,
        now_ms: i64,
    ) -> Result<Log> {
        self.disk.check_online()?;
        self.forget_offsets(topic, partition)?;
        let dir = self.path_of(topic, partition);
        self.free_name(&dir, topic_id)?;
        let is_new = !dir.exists();
        let made =
            self.disk.create_dir_within(&dir).and_then(|()| self.write_topic_id(&dir, topic_id)).and_then(
                |()| Log::open(&self.disk, &dir, config, &Start { clean: true, now_ms, ..Start::default() }),
            );
        if made.is_err() && is_new {
            // A full disk may have taken a part of it.
            let _ = self.disk.remove_dir(&dir);
        }
        made
    }

    /// Sets a directory aside that has the name of a log which is made and is not that log's: its records are those of
    /// another topic, one that was deleted and could not be renamed, for example.
    fn free_name(&self, dir: &Path, topic_id: Uuid) -> Result<()> {
        if !dir.exists() {
            return Ok(());
        }
        let id = self.disk.read_if_there(&dir.join(file_name::PARTITION_METADATA))?;
        let id = id.and_then(|bytes| partition_metadata::parse(&bytes).ok());
        let name = dir.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        let (Some(name), false) = (name, id == Some(topic_id)) else { return Ok(()) };
        if id.is_none() && self.disk.list(dir)?.is_empty() {
            return Ok(());
        }
        let found = Found { name, path: dir.to_path_buf(), topic_id: id };
        let to = self.set_stray(&found)?;
        tracing::error!(
            "{} is not of the topic that is made, and is kept as {}",
            dir.display(),
            to.display()
        );
        Ok(())
    }

    /// Before a new log is there, the checkpoints stop naming one of the same name that was deleted or has moved away:
    /// should the power fail before they are written again, its recovery point would save the new log from being
    /// scanned, its records would lie below the log start, and what is dirty would count as clean.
    ///
    /// Partitions are made in ascending order: what else is left of that topic goes with the first one, so that a topic
    /// with many costs one write of each file. A partition that is not new is only scanned once too often.
    fn forget_offsets(&self, topic: &str, partition: i32) -> Result<()> {
        let mut saved = self.saved.lock();
        let saved = &mut *saved;
        saved.clock += 1;
        let key = (topic.to_owned(), partition);
        saved.made.insert(key.clone(), saved.clock);
        saved.unopened.remove(&key);
        let behind = (topic.to_owned(), i32::MAX);
        let forget = |name: &str, offsets: &mut Offsets, all: bool| {
            if !offsets.contains_key(&key) {
                return Ok(());
            }
            let gone = |other: &(String, i32)| *other == key || all && (&key..=&behind).contains(&other);
            let left: Offsets =
                offsets.iter().filter(|(other, _)| !gone(other)).map(|(k, v)| (k.clone(), *v)).collect();
            checkpoint::save_offsets(&self.disk, name, &left)?;
            *offsets = left;
            Ok(())
        };
        forget(file_name::RECOVERY_POINT_CHECKPOINT, &mut saved.recovery_points, true)?;
        forget(file_name::LOG_START_OFFSET_CHECKPOINT, &mut saved.log_starts, false)?;
        forget(file_name::CLEANER_CHECKPOINT, &mut saved.cleaned, false)
    }

    /// Writes `partition.metadata`.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Io`].
    pub fn write_topic_id(&self, dir: &Path, topic_id: Uuid) -> Result<()> {
        self.disk.write_whole(
            &dir.join(file_name::PARTITION_METADATA),
            partition_metadata::format(topic_id).as_bytes(),
        )
    }

    /// To be asked for before offsets are collected for [`LogDir::save_checkpoints`] or [`LogDir::save_cleaned`].
    pub fn moment(&self) -> Moment {
        Moment(self.saved.lock().clock)
    }

    /// Replaces the checkpoints: recovery points, log starts above the first segment, and high watermarks. Logs that were
    /// made after `since` are left out; of those that could not be opened it says what it has said.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Io`]; the old ones stay.
    pub fn save_checkpoints(
        &self,
        since: Moment,
        mut recovery: Offsets,
        mut starts: Offsets,
        watermarks: &Offsets,
    ) -> Result<()> {
        {
            let mut saved = self.saved.lock();
            recovery.retain(|key, _| !saved.is_newer(key, since));
            starts.retain(|key, _| !saved.is_newer(key, since));
            saved.add_unopened(&saved.recovery_points, &mut recovery);
            saved.add_unopened(&saved.log_starts, &mut starts);
            checkpoint::save_offsets(&self.disk, file_name::RECOVERY_POINT_CHECKPOINT, &recovery)?;
            saved.recovery_points = recovery;
            checkpoint::save_offsets(&self.disk, file_name::LOG_START_OFFSET_CHECKPOINT, &starts)?;
            saved.log_starts = starts;
            // Whoever collects still has begun after the checkpoints before these.
            let last = std::mem::replace(&mut saved.last, since.0);
            saved.made.retain(|_, made| *made > last);
        }
        checkpoint::save_offsets(&self.disk, file_name::HIGH_WATERMARK_CHECKPOINT, watermarks)
    }

    /// Replaces the checkpoint of compaction, if it says something else: up to where each log was cleaned. Logs that were
    /// made after `since` are left out.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Io`]; the old one stays, and records that are clean count as dirty after a restart.
    pub fn save_cleaned(&self, since: Moment, mut offsets: Offsets) -> Result<()> {
        let mut saved = self.saved.lock();
        offsets.retain(|key, _| !saved.is_newer(key, since));
        saved.add_unopened(&saved.cleaned, &mut offsets);
        if saved.cleaned != offsets {
            checkpoint::save_offsets(&self.disk, file_name::CLEANER_CHECKPOINT, &offsets)?;
            saved.cleaned = offsets;
        }
        Ok(())
    }

    /// Marks the directory as cleanly stopped. Every log in it must be closed and on the device.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Io`]; the next start recovers then.
    pub fn mark_clean(&self) -> Result<()> {
        self.disk.check_online()?;
        let path = self.disk.root().join(file_name::CLEAN_SHUTDOWN_FILE);
        self.disk.write_atomically(&path, br#"{"version":0,"brokerEpoch":-1}"#, true)
    }
}

impl Saved {
    /// Adds what is said of logs that could not be opened to what is to be said of the others.
    fn add_unopened(&self, said: &Offsets, to_say: &mut Offsets) {
        for key in &self.unopened {
            if let Some(offset) = said.get(key) {
                to_say.entry(key.clone()).or_insert(*offset);
            }
        }
    }

    /// Whether a log was made after a moment.
    fn is_newer(&self, key: &(String, i32), since: Moment) -> bool {
        self.made.get(key).is_some_and(|made| *made > since.0)
    }
}

/// The directories in a data directory, all of which must be those of partitions.
pub(crate) fn partition_dirs(disk: &Disk) -> Result<Vec<(PathBuf, PartitionDir)>> {
    let mut dirs = Vec::new();
    for path in disk.list_dirs(disk.root())? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if [file_name::REMOTE_LOG_INDEX_CACHE, "lost+found"].contains(&name) {
            continue;
        }
        let Ok(name) = name.parse::<PartitionDir>() else {
            let reason =
                "this directory is not named topic-partition; is it the right log.dirs? Move it away".into();
            return Err(Error::Identity { path, reason });
        };
        dirs.push((path, name));
    }
    Ok(dirs)
}

/// Takes the lock that Kafka takes: a record lock over the whole `.lock`.
pub(crate) fn lock(disk: &Disk, root: &Path) -> Result<File> {
    let path = root.join(file_name::LOCK_FILE);
    let file = disk.create(&path)?;
    let whole = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole)) {
        Ok(_) => Ok(file),
        Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => Err(Error::Locked(root.to_path_buf())),
        Err(errno) => Err(Error::io("lock", &path, errno.into())),
    }
}

/// Writes `meta.properties`.
pub(crate) fn write_identity(disk: &Disk, identity: &Identity, now_ms: i64) -> Result<()> {
    let Identity { cluster_id, node_id, directory_id } = identity.clone();
    let meta = MetaProperties::v1(cluster_id, node_id, directory_id);
    let path = disk.root().join(file_name::META_PROPERTIES);
    disk.write_atomically(&path, meta.format(now_ms / 1000).as_bytes(), true)
}

pub(crate) fn new_cluster_id() -> String {
    milena_protocol::stored::uuid_to_base64(random_uuid())
}

/// A random id whose text does not begin with a dash, which command lines would take for an option (Kafka's rule).
#[must_use]
pub fn random_uuid() -> Uuid {
    loop {
        let id = Uuid::new_v4();
        if !milena_protocol::stored::uuid_to_base64(id).starts_with('-') {
            return id;
        }
    }
}

#[cfg(test)]
mod tests;
