//! The single writer of the metadata log.
//!
//! ```text
//! request -> decision on a draft of the image -> partition logs made -> records appended and synced -> draft published
//! ```
//! A request is answered after the last step, so what a client was told is what every client sees. Creations of topics
//! that come together share one sync ([`Controller::commit_together`]).
//!
//! **Invariant:** a published image is the replay of the log up to its offset. The draft is changed by
//! [`Image::apply`] alone, with the very records that are appended.
//!
//! A full disk refuses an append and leaves the log as it was: so the request is refused, and the next may succeed. After
//! any other failure nobody knows whether its records will be there after a restart; the controller then refuses every
//! further change, and only the start finds out.

mod brokers;
mod configs;
mod error;
mod feature_levels;
mod log;
mod new_topics;
mod partitions;
mod producer_ids;
pub(crate) mod quotas;
mod reassign;
mod snapshot;
mod start;
mod writer;

pub(crate) use crate::error::{Refusal, outcome};
pub(crate) use configs::{ConfigChange, ConfigEdit};
pub(crate) use error::ControllerError;
pub(crate) use feature_levels::{FeatureUpdate, UpgradeType};
pub(crate) use log::{AppendFailure, LogStore, MetadataLog, StorageFailure};
pub(crate) use new_topics::{Assignment, NewTopic};
pub(crate) use partitions::NewPartitions;
pub(crate) use quotas::QuotaAlteration;
pub(crate) use reassign::Reassignment;
pub(crate) use start::{Snapshot, Start};

use crate::clock::Clock;
use crate::config::BrokerConfig;
use crate::metadata::{Image, Topic};
use arc_swap::{ArcSwap, Guard};
use kafka_protocol::ResponseError;
use milena_protocol::stored::metadata::RemoveTopicRecord;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use uuid::Uuid;
use writer::Writer;

/// Partitions that one request may ask for (`ReplicationControlManager.MAX_PARTITIONS_PER_BATCH`).
const PARTITIONS_PER_REQUEST_MAX: i64 = 10_000;
/// Topics that one request may delete (`QuorumController.MAX_RECORDS_PER_USER_OP`).
const DELETIONS_PER_REQUEST_MAX: usize = 10_000;
/// What Kafka says when a request would write more records than it allows.
const TOO_LARGE: &str = "Unable to perform excessively large batch operation.";

/// Turns requests into metadata records, and publishes what they add up to.
pub(crate) struct Controller {
    image: ArcSwap<Image>,
    writer: Mutex<Writer>,
    log: Arc<dyn MetadataLog>,
    store: Arc<dyn LogStore>,
    config: Arc<ArcSwap<BrokerConfig>>,
    node_id: i32,
    clock: Arc<Clock>,
    removed_topics: HashSet<Uuid>,
}

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let image = self.image();
        f.debug_struct("Controller")
            .field("node_id", &self.node_id)
            .field("offset", &image.offset())
            .field("topics", &image.topic_count())
            .field("partitions", &image.partition_count())
            .finish_non_exhaustive()
    }
}

impl Controller {
    /// What the cluster is right now. Hold it for the length of a request, not longer.
    pub(crate) fn image(&self) -> Guard<Arc<Image>> {
        self.image.load()
    }

    /// Ids of topics whose deletion was found in the log at the start: the process may have died before their logs went.
    pub(crate) fn removed_topics(&self) -> &HashSet<Uuid> {
        &self.removed_topics
    }

    /// Node id of this broker, which is also the controller.
    pub(crate) fn node_id(&self) -> i32 {
        self.node_id
    }

    /// Deletes topics, each by its id; gives what became of each, in their order.
    pub(crate) fn delete_topics(&self, ids: &[Uuid]) -> Result<Vec<Result<(), Refusal>>, Refusal> {
        if ids.len() > DELETIONS_PER_REQUEST_MAX {
            return Err(Refusal::new(ResponseError::PolicyViolation, TOO_LARGE));
        }
        let mut writer = self.writer.lock();
        let mut draft = self.draft(&writer)?;
        let mut deleted: Vec<Arc<Topic>> = Vec::new();
        let mut results = Vec::new();
        for id in ids {
            let Some(topic) = draft.image().topic_by_id(*id).map(Arc::clone) else {
                let message = "This server does not host this topic ID.";
                results.push(Err(Refusal::new(ResponseError::UnknownTopicId, message)));
                continue;
            };
            let record = RemoveTopicRecord { topic_id: *id, ..RemoveTopicRecord::default() };
            results.push(draft.add(vec![record.into()]));
            deleted.push(topic);
        }
        self.commit(&mut writer, draft)?;
        for topic in &deleted {
            writer.collisions.remove(&topic.name);
        }
        // Under the lock: a topic of the same name may only be made when these logs are out of its way.
        for topic in &deleted {
            tracing::info!(
                "topic {} ({}) deleted, {} partitions",
                topic.name,
                topic.id,
                topic.partitions.len()
            );
            self.store.delete(topic);
        }
        Ok(results)
    }

    /// The topic of this name; made with the defaults, or with the settings of the coordinator it belongs to, unless
    /// it is there.
    pub(crate) fn ensure_topic(&self, name: &str) -> Result<Arc<Topic>, Refusal> {
        if let Some(topic) = self.image().topic(name) {
            return Ok(Arc::clone(topic));
        }
        let created = self.create_topics(vec![self.default_topic(name)], false)?.remove(0);
        match created {
            // Somebody else was faster.
            Err(refusal) if refusal.error == ResponseError::TopicAlreadyExists => {
                self.image().topic(name).map(Arc::clone).ok_or(refusal)
            }
            created => created,
        }
    }
}

/// Number of partitions as the protocol counts them.
pub(crate) fn partition_count(topic: &Topic) -> i32 {
    i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX)
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
