//! Opening what is on the disk: the metadata log, then the logs of all partitions.

use super::progress::Progress;
use super::{Members, Partitions, log_config, offline};
use crate::controller::{AppendFailure, MetadataLog, StorageFailure};
use crate::metadata::{Image, Topic};
use crate::partition::{Partition, append_batches};
use milena_storage::config::LogConfig;
use milena_storage::error::{Error, Result};
use milena_storage::file_name::{self, MetadataSnapshotFile, MetadataSnapshotStage};
use milena_storage::log::{Append, Log, Start};
use milena_storage::log_dir::{Found, LogDir};
use milena_storage::producers::Origin;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use uuid::Uuid;

/// Topic and id of the metadata log.
pub(super) const METADATA_TOPIC: &str = "__cluster_metadata";
const METADATA_TOPIC_ID: Uuid = Uuid::from_u128(1);

/// Disk space kept for the metadata log, in bytes: on a full disk topics can be deleted, which is what makes room.
const SET_ASIDE: u32 = 64 << 10;

/// The metadata log and what lies beside it.
#[derive(Debug)]
pub(crate) struct MetadataDir {
    log: Log,
    dir: PathBuf,
    disk: milena_storage::file::Disk,
    directory_id: Uuid,
    now_ms: i64,
}

/// A snapshot file with its name taken apart.
#[derive(Debug)]
pub(crate) struct SnapshotFile {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// First offset that it does not cover.
    pub(crate) end_offset: i64,
    /// Epoch of the last record that it covers.
    pub(crate) epoch: i32,
}

impl MetadataDir {
    /// Opens `__cluster_metadata-0` in a data directory; it is always scanned, as in Kafka.
    pub(crate) fn open(dir: &LogDir, now_ms: i64) -> Result<(Self, Option<SnapshotFile>)> {
        let path = dir.path_of(METADATA_TOPIC, 0);
        let disk = dir.disk().clone();
        disk.create_dir(&path)?;
        if !path.join(file_name::PARTITION_METADATA).exists() {
            dir.write_topic_id(&path, METADATA_TOPIC_ID)?;
        }
        let mut snapshot: Option<MetadataSnapshotFile> = None;
        for name in disk.list(&path)? {
            let parsed = name.to_str().and_then(|n| n.parse::<MetadataSnapshotFile>().ok());
            let Some(found) = parsed.filter(|s| s.stage == MetadataSnapshotStage::Live) else { continue };
            if snapshot.as_ref().is_none_or(|s| (s.end_offset, s.epoch) < (found.end_offset, found.epoch)) {
                snapshot = Some(found);
            }
        }
        let log_start = snapshot.as_ref().map_or(0, |s| s.end_offset);
        let config = LogConfig { mapped: false, ..LogConfig::default() };
        let has_log = disk.list(&path)?.iter().any(|n| n.to_string_lossy().ends_with(".log"));
        let start =
            Start { clean: false, recovery_point: 0, log_start: if has_log { 0 } else { log_start }, now_ms };
        let log = Log::open(&disk, &path, config, &start)?;
        log.set_aside(SET_ASIDE)?;
        let snapshot = match snapshot {
            Some(found) => Some(SnapshotFile {
                bytes: disk.read(&path.join(found.to_string()))?,
                end_offset: found.end_offset,
                epoch: found.epoch,
            }),
            None => None,
        };
        let directory_id = dir.identity().directory_id;
        Ok((Self { log, dir: path, disk, directory_id, now_ms }, snapshot))
    }

    /// `directory.id` of the directory that it is in.
    pub(crate) fn directory_id(&self) -> Uuid {
        self.directory_id
    }

    /// `leaderEpoch` of `quorum-state`, 0 if it cannot be read.
    pub(crate) fn quorum_epoch(&self) -> i32 {
        let bytes = self
            .disk
            .read_if_there(&self.dir.join(file_name::QUORUM_STATE))
            .ok()
            .flatten()
            .unwrap_or_default();
        milena_protocol::stored::quorum_state::QuorumState::parse(&bytes)
            .map_or(0, |state| state.leader_epoch)
    }

    /// Writes `quorum-state` if it says something else.
    pub(crate) fn save_quorum_state(&self, state: &str) -> Result<()> {
        let path = self.dir.join(file_name::QUORUM_STATE);
        if self.disk.read_if_there(&path)?.as_deref() == Some(state.as_bytes()) {
            return Ok(());
        }
        self.disk.write_atomically(&path, state.as_bytes(), true)
    }

    /// Ends the log for a clean stop.
    pub(crate) fn close(&self) -> Result<()> {
        self.log.close()
    }
}

impl MetadataLog for MetadataDir {
    fn append(&self, batches: &[u8]) -> std::result::Result<i64, AppendFailure> {
        let header = milena_protocol::records::BatchHeader::read(batches)?;
        let how = Append {
            leader_epoch: header.partition_leader_epoch,
            origin: Origin::Coordinator,
            now_ms: self.now_ms,
        };
        let base_offset = match append_batches(&self.log, batches, &how) {
            Ok((base_offset, _)) => base_offset,
            Err(error @ Error::Full(_)) => return Err(AppendFailure::Undone(error.into())),
            Err(error) => return Err(error.into()),
        };
        // Other connections of this thread go on meanwhile.
        tokio::task::block_in_place(|| self.log.flush())?;
        self.log.set_aside(SET_ASIDE)?;
        Ok(base_offset)
    }

    fn read(&self, from: i64, max_bytes: usize) -> std::result::Result<Vec<u8>, StorageFailure> {
        Ok(self.log.read_batches(from, max_bytes)?)
    }

    fn end_offset(&self) -> i64 {
        self.log.end_offset()
    }

    fn start_offset(&self) -> i64 {
        self.log.start_offset()
    }
}

/// A log to open or to make.
pub(super) struct Job {
    pub(super) topic: Arc<Topic>,
    pub(super) index: usize,
    /// Where it was found, else it is made anew.
    pub(super) found: Option<usize>,
    /// A copy on its way to another directory.
    pub(super) copy: Option<(usize, PathBuf)>,
}

impl Partitions {
    /// Opens the log of every partition of the image, several at a time, and sets directories aside that belong to
    /// none. A log that cannot be opened leaves its partition offline; the others serve.
    ///
    /// Returns the partitions that are in another directory than the image says, each with that directory's id.
    pub(crate) fn open_all(&self, image: &Image, threads: usize) -> Result<Vec<(Uuid, i32, Uuid)>> {
        let jobs = self.sort_out(image)?;
        self.run(&jobs, threads);
        let node = self.config.load().node_id;
        let mut elsewhere = Vec::new();
        for Job { topic, index, copy, .. } in &jobs {
            let Some(partition) = self.get(topic.id, *index as i32) else { continue };
            let Some(id) = self.directory_of(&partition) else { continue };
            if topic.partitions[*index].directory_on(node) != Some(id) {
                elsewhere.push((topic.id, *index as i32, id));
            }
            if let Some((to, path)) = copy {
                self.resume_move(topic, &self.settings(topic).0, partition, (*to, path));
            }
        }
        Ok(elsewhere)
    }

    /// Sets a directory aside after its log was recovered: Kafka opens such directories, too, and after a clean stop
    /// it trusts them.
    pub(super) fn set_stray(&self, at: usize, entry: &Found) -> Result<PathBuf> {
        let (name, config) =
            (&entry.name, log_config(&self.config.load().topic_defaults, &self.config.load(), self.mapped));
        let dir = &self.dirs.online[at];
        let opened = dir.open_log_at(&entry.path, (&name.topic, name.partition), config, self.clock.now_ms());
        if let Err(error) = opened.and_then(|log| log.close()) {
            tracing::warn!("{}: {error}", entry.path.display());
            self.unopened.lock().insert(at);
        }
        dir.set_stray(entry)
    }

    fn run(&self, jobs: &[Job], threads: usize) {
        let (next, progress) = (AtomicUsize::new(0), Progress::new(jobs.len()));
        let opened: Mutex<HashMap<Uuid, Vec<Option<Arc<Partition>>>>> = Mutex::new(HashMap::new());
        let work = || {
            while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let failed = |error: &Error| {
                    offline(&job.topic.name, job.index as i32, error);
                    self.unopened.lock().extend(job.found);
                };
                let partition = self.open_one(job).inspect_err(failed).ok();
                let mut opened = opened.lock();
                let members =
                    opened.entry(job.topic.id).or_insert_with(|| vec![None; job.topic.partitions.len()]);
                members[job.index] = partition;
                drop(opened);
                progress.count();
            }
        };
        let clean = self.dirs.online.iter().all(LogDir::was_clean);
        // A thread is worth its start for some logs that are trusted, and for one that must be read.
        let threads = threads.min(if clean { jobs.len() / 16 + 1 } else { jobs.len() });
        std::thread::scope(|scope| {
            if !clean {
                scope.spawn(|| self.report(&progress, jobs));
            }
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        for (id, members) in opened.into_inner() {
            self.topics.insert(id, Members::new(members));
        }
    }

    fn open_one(&self, job: &Job) -> std::result::Result<Arc<Partition>, Error> {
        let index = job.index as i32;
        let Some(at) = job.found else { return self.create_one(&job.topic, job.index) };
        let (config, log_config) = self.settings(&job.topic);
        let log = self.dirs.online[at].open_log(&job.topic.name, index, log_config, self.clock.now_ms())?;
        self.dirs.add(at);
        let epoch = job.topic.partitions[job.index].leader_epoch;
        Ok(Arc::new(Partition::new(job.topic.name.clone(), index, epoch, log, &config)))
    }
}
