//! Opening the logs of all partitions that are on the disk.

use super::progress::Progress;
use super::{Members, Partitions, log_config, offline};
use crate::config::TopicConfig;
use crate::metadata::{Image, Topic};
use crate::partition::Partition;
use milena_storage::error::{Error, Result};
use milena_storage::log_dir::{Found, LogDir};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use uuid::Uuid;

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
    /// `removed` are topics whose deletion is in the metadata: of them nothing is kept.
    ///
    /// Returns the partitions that are in another directory than the image says, each with that directory's id.
    pub(crate) fn open_all(
        &self,
        image: &Image,
        removed: &HashSet<Uuid>,
        threads: usize,
    ) -> Result<Vec<(Uuid, i32, Uuid)>> {
        for topic in image.topics() {
            let (_, ignored) = TopicConfig::stored(&self.config.load(), &topic.configs);
            if !ignored.is_empty() {
                tracing::warn!("topic {}: settings that have no effect: {}", topic.name, ignored.join(", "));
            }
        }
        let jobs = self.sort_out(image, removed)?;
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
    /// it trusts them. One that never held a record is what a death has left of a creation, and goes.
    pub(super) fn set_aside(&self, at: usize, entry: &Found, why: &str) -> Result<()> {
        let (name, config) =
            (&entry.name, log_config(&self.config.load().topic_defaults, &self.config.load(), self.mapped));
        let dir = &self.dirs.online[at];
        let opened = dir.open_log_at(&entry.path, (&name.topic, name.partition), config, self.clock.now_ms());
        match opened.and_then(|log| log.close().map(|()| log.end_offset())) {
            Ok(0) => return dir.disk().remove_dir(&entry.path),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!("{}: {error}", entry.path.display());
                self.unopened.lock().insert(at);
            }
        }
        let to = dir.set_stray(entry)?;
        tracing::warn!("{} {why}; it is kept as {}", entry.path.display(), to.display());
        Ok(())
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
