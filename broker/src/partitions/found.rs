//! Which of the partition directories found at the start belong to what.
//!
//! | found for a partition of the image | what becomes of it |
//! |---|---|
//! | one live directory | it serves, wherever it is; the metadata log is told if it says something else |
//! | several live ones | the one in the recorded directory serves, else the first; the others are kept as `-stray` |
//! | a copy (`-future`) beside it, in another directory | the move goes on |
//! | a copy in the recorded directory, and no live one | the move had come so far: the copy serves |
//! | any other copy | removed |
//! | nothing, the recorded directory serves | a new one: creations are not synced, the metadata log is |
//! | nothing, no directory is recorded, all of them serve | the same |
//! | nothing otherwise | the partition is offline |
//! | another topic's id | kept as `-stray` |
//! | the id of a topic whose deletion is in the metadata log | removed: the process died within the deletion |
//! | no topic's, and no record was ever in it | removed: the process died within the creation |

use super::Partitions;
use super::start::Job;
use crate::metadata::{Image, Topic};
use milena_storage::error::Result;
use milena_storage::file_name::PartitionDirRole;
use milena_storage::log_dir::Found;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use uuid::Uuid;

/// What was found of one partition: data directory and partition directory.
#[derive(Debug, Default)]
struct Candidates {
    live: Vec<(usize, Found)>,
    copies: Vec<(usize, Found)>,
}

impl Partitions {
    /// What is to be opened for the partitions of the image. What belongs to none of them is set aside.
    pub(super) fn sort_out(&self, image: &Image, removed: &HashSet<Uuid>) -> Result<Vec<Job>> {
        let mut found = self.find(removed)?;
        let (mut jobs, mut missing) = (Vec::new(), BTreeMap::<Uuid, usize>::new());
        let node = self.config.load().node_id;
        for topic in image.topics() {
            for (index, partition) in topic.partitions.iter().enumerate() {
                if !partition.is_on(node) {
                    continue;
                }
                let recorded = partition.directory_on(node);
                let key = (topic.name.to_string(), index as i32);
                let candidates = found.remove(&key).unwrap_or_default();
                let job = self.choose(topic, index, recorded, candidates)?;
                let is_known = recorded.map_or(!self.dirs.some_offline(), |id| self.dirs.by_id(id).is_some());
                if job.found.is_some() || is_known {
                    jobs.push(job);
                } else {
                    *missing.entry(recorded.unwrap_or_default()).or_default() += 1;
                }
            }
        }
        for (at, entry) in found.into_values().flat_map(|c| c.live.into_iter().chain(c.copies)) {
            self.set_aside(at, &entry, "belongs to no topic")?;
        }
        for (id, count) in missing {
            self.some_missing.store(true, Ordering::Relaxed);
            let id = milena_protocol::stored::uuid_to_base64(id);
            tracing::error!(
                "{count} partitions are offline: they are in the directory with directory.id={id}, which is not there; \
                 bring it back into log.dirs and restart the broker"
            );
        }
        Ok(jobs)
    }

    fn find(&self, removed: &HashSet<Uuid>) -> Result<HashMap<(String, i32), Candidates>> {
        let mut found: HashMap<(String, i32), Candidates> = HashMap::new();
        for (at, dir) in self.dirs.online.iter().enumerate() {
            for entry in self.dirs.or_fail(dir, dir.partitions())?.unwrap_or_default() {
                if entry.name.topic == super::metadata_dir::METADATA_TOPIC {
                    continue;
                }
                if entry.topic_id.is_some_and(|id| removed.contains(&id)) {
                    dir.disk().remove_dir(&entry.path)?;
                    continue;
                }
                let candidates = found.entry((entry.name.topic.clone(), entry.name.partition)).or_default();
                match entry.name.role {
                    PartitionDirRole::Future(_) => candidates.copies.push((at, entry)),
                    _ => candidates.live.push((at, entry)),
                }
            }
        }
        Ok(found)
    }

    fn choose(
        &self,
        topic: &Arc<Topic>,
        index: usize,
        recorded: Option<Uuid>,
        candidates: Candidates,
    ) -> Result<Job> {
        let recorded = recorded.and_then(|id| self.dirs.by_id(id));
        let mut live = Vec::new();
        for (at, entry) in candidates.live {
            live.extend(self.adopt(topic, at, &entry)?.map(|at| (at, entry)));
        }
        live.sort_by_key(|(at, _)| Some(*at) != recorded);
        let mut live = live.into_iter();
        let mut chosen = live.next().map(|(at, _)| at);
        for (at, entry) in live {
            self.set_aside(at, &entry, "is in another directory, too, which serves")?;
        }
        let mut copy: Option<(usize, PathBuf)> = None;
        for (at, entry) in candidates.copies {
            let ours = entry.topic_id == Some(topic.id);
            if ours && chosen.is_none() && Some(at) == recorded {
                let live = self.dirs.online[at].path_of(&topic.name, index as i32);
                self.dirs.online[at].disk().rename(&entry.path, &live)?;
                tracing::info!("{} was about to serve; it does now", entry.path.display());
                chosen = Some(at);
            } else if ours && copy.is_none() && chosen.is_some_and(|chosen| chosen != at) {
                copy = Some((at, entry.path));
            } else {
                tracing::warn!("{} is a copy of no use; it is removed", entry.path.display());
                self.dirs.online[at].disk().remove_dir(&entry.path)?;
            }
        }
        Ok(Job { topic: topic.clone(), index, found: chosen, copy })
    }

    /// Whether a directory is that of the topic; its data directory then. One that holds an older topic of the same
    /// name is set aside.
    fn adopt(&self, topic: &Topic, at: usize, entry: &Found) -> Result<Option<usize>> {
        match entry.topic_id {
            Some(id) if id == topic.id => Ok(Some(at)),
            Some(_) => {
                self.set_aside(at, entry, "is of another topic of that name")?;
                Ok(None)
            }
            None => {
                // A power cut took the unsynced file: the name says which topic it was.
                self.dirs.online[at].write_topic_id(&entry.path, topic.id)?;
                Ok(Some(at))
            }
        }
    }
}
