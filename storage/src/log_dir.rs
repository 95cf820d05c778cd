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
use std::collections::BTreeMap;
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
    recovery_points: Offsets,
    /// What `log-start-offset-checkpoint` says.
    log_starts: Mutex<Offsets>,
    /// What `cleaner-offset-checkpoint` says.
    cleaned: Mutex<Offsets>,
    _lock: File,
}

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
        let recovery_points = load(file_name::RECOVERY_POINT_CHECKPOINT)?;
        let log_starts = Mutex::new(load(file_name::LOG_START_OFFSET_CHECKPOINT)?);
        let cleaned = Mutex::new(load(file_name::CLEANER_CHECKPOINT)?);
        Ok(Self { disk, identity, clean, recovery_points, log_starts, cleaned, _lock: lock })
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
        let point = self.recovery_points.get(&(topic.to_owned(), partition)).copied().unwrap_or(0);
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
        let offset_of = |offsets: &Offsets| offsets.get(&key).copied().unwrap_or(0);
        let start = Start {
            clean: self.clean,
            recovery_point: offset_of(&self.recovery_points),
            log_start: offset_of(&self.log_starts.lock()),
            cleaned: self.cleaned.lock().contains_key(&key),
            now_ms,
        };
        let log = Log::open(&self.disk, path, config, &start)?;
        if let Some(offset) = self.cleaned.lock().get(&key) {
            log.set_cleaned_up_to(*offset);
        }
        Ok(log)
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
        self.forget_log_start(&name.topic, name.partition)?;
        let role = PartitionDirRole::Future(Uuid::new_v4());
        let dir = self.disk.root().join(name.clone().with_role(role).to_string());
        self.disk.create_dir_within(&dir)?;
        self.write_topic_id(&dir, topic_id)?;
        let start = Start {
            clean: true,
            recovery_point: base_offset,
            log_start: base_offset,
            cleaned: false,
            now_ms,
        };
        Log::open(&self.disk, &dir, config, &start)
    }

    /// Makes an empty log with its `partition.metadata`. Nothing is synced: the metadata log is, and a directory
    /// that a power cut took is made again from it.
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
        self.forget_log_start(topic, partition)?;
        let dir = self.path_of(topic, partition);
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

    /// A new log does not begin where one of the same name did that was deleted: should the process die before the next
    /// checkpoint, its records would lie below the log start.
    fn forget_log_start(&self, topic: &str, partition: i32) -> Result<()> {
        let mut starts = self.log_starts.lock();
        let Some((key, start)) = starts.remove_entry(&(topic.to_owned(), partition)) else { return Ok(()) };
        checkpoint::save_offsets(&self.disk, file_name::LOG_START_OFFSET_CHECKPOINT, &starts).inspect_err(
            |_| {
                starts.insert(key, start);
            },
        )
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

    /// Replaces the checkpoints: recovery points, log starts above the first segment, and high watermarks.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Io`]; the old ones stay.
    pub fn save_checkpoints(&self, recovery: &Offsets, starts: &Offsets, watermarks: &Offsets) -> Result<()> {
        checkpoint::save_offsets(&self.disk, file_name::RECOVERY_POINT_CHECKPOINT, recovery)?;
        {
            let mut saved = self.log_starts.lock();
            checkpoint::save_offsets(&self.disk, file_name::LOG_START_OFFSET_CHECKPOINT, starts)?;
            saved.clone_from(starts);
        }
        checkpoint::save_offsets(&self.disk, file_name::HIGH_WATERMARK_CHECKPOINT, watermarks)
    }

    /// Replaces the checkpoint of compaction, if it says something else: up to where each log was cleaned.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Io`]; the old one stays, and records that are clean count as dirty after a restart.
    pub fn save_cleaned(&self, offsets: Offsets) -> Result<()> {
        let mut saved = self.cleaned.lock();
        if *saved != offsets {
            checkpoint::save_offsets(&self.disk, file_name::CLEANER_CHECKPOINT, &offsets)?;
            *saved = offsets;
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
mod tests {
    use super::LogDir;
    use crate::config::LogConfig;
    use crate::error::Error;
    use crate::file::Disk;
    use crate::log::Append;
    use crate::producers::Origin;
    use milena_protocol::records::{BatchBuilder, BatchHeader, HEADER_LEN};
    use uuid::Uuid;

    #[test]
    fn a_new_log_does_not_begin_where_a_deleted_one_of_its_name_did() {
        let temp = tempfile::tempdir().unwrap();
        let offsets = |offset| [(("t".to_owned(), 0), offset), (("u".to_owned(), 0), offset)].into();
        let open = || LogDir::open(Disk::new(temp.path()), 1, None, 0).unwrap();
        let dir = open();
        dir.save_checkpoints(&offsets(1000), &offsets(1000), &offsets(1000)).unwrap();
        let log = dir.create_log("t", 0, Uuid::from_u128(7), LogConfig::default(), 0).unwrap();
        let mut batch = BatchBuilder::new();
        batch.append(0, Some(b"key"), Some(b"value"), &[]);
        let batch = batch.build().unwrap();
        let how = Append { leader_epoch: 0, origin: Origin::Client, now_ms: 0 };
        log.append(&BatchHeader::read(&batch).unwrap(), &batch[HEADER_LEN..], &how).unwrap();
        drop((log, dir));
        // Killed before the next checkpoint.
        let dir = open();
        let log = dir.open_log("t", 0, LogConfig::default(), 0).unwrap();
        assert_eq!((log.start_offset(), log.end_offset()), (0, 1));
        assert_eq!(dir.log_starts.lock().len(), 1, "that of another log stays");
    }

    #[test]
    fn a_directory_has_one_owner_and_one_identity() {
        let temp = tempfile::tempdir().unwrap();
        let disk = || Disk::new(temp.path());
        let first = LogDir::open(disk(), 1, None, 0).unwrap();
        assert!(!first.was_clean());
        assert!(matches!(LogDir::open(disk(), 1, None, 0), Err(Error::Locked(_))));
        let identity = first.identity().clone();
        first.mark_clean().unwrap();
        drop(first);
        let error = LogDir::open(disk(), 2, None, 0).unwrap_err().to_string();
        assert!(error.contains("node.id=1"), "{error}");
        assert!(matches!(LogDir::open(disk(), 1, Some("other"), 0), Err(Error::Identity { .. })));
        let again = LogDir::open(disk(), 1, Some(&identity.cluster_id), 0).unwrap();
        assert_eq!(*again.identity(), identity);
        assert!(again.was_clean(), "no refusal has removed the mark");
        drop(again);
        let again = LogDir::open(disk(), 1, None, 0).unwrap();
        assert!(again.was_clean(), "nor has a start that went no further");
        again.begin().unwrap();
        assert!(again.was_clean());
        drop(again);
        assert!(
            !LogDir::open(disk(), 1, None, 0).unwrap().was_clean(),
            "the mark is gone while a broker runs"
        );
    }

    #[test]
    fn a_directory_of_something_else_is_left_as_it_is() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("photos")).unwrap();
        std::fs::write(temp.path().join("notes.txt"), "not a directory").unwrap();
        let error = LogDir::open(Disk::new(temp.path()), 1, None, 0).unwrap_err();
        assert!(matches!(&error, Error::Identity { path, .. } if path.ends_with("photos")), "{error}");
        let mut names: Vec<_> =
            std::fs::read_dir(temp.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort_unstable();
        assert_eq!(names, ["notes.txt", "photos"]);
    }

    #[test]
    fn partitions_are_found_by_name_and_id() {
        let temp = tempfile::tempdir().unwrap();
        let dir = LogDir::open(Disk::new(temp.path()), 1, None, 0).unwrap();
        let id = Uuid::new_v4();
        dir.create_log("a-b", 7, id, LogConfig::default(), 0).unwrap();
        let log = dir.create_log("gone", 0, id, LogConfig::default(), 0).unwrap();
        log.retire(&dir.deleted_path_of("gone", 0)).unwrap();
        std::fs::create_dir(temp.path().join("lost+found")).unwrap();
        let found = dir.partitions().unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].name.topic.as_str(), found[0].name.partition, found[0].topic_id),
            ("a-b", 7, Some(id))
        );
        std::fs::create_dir(temp.path().join("photos")).unwrap();
        assert!(matches!(dir.partitions(), Err(Error::Identity { .. })));
    }
}
