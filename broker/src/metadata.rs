//! What the cluster is: topics, features, configuration, producer ids.
//!
//! The truth is `__cluster_metadata-0`. An [`Image`] is what its records add up to; it is immutable once published,
//! readers hold an `Arc` of it and never wait. It changes in one way only, by replaying records, whether
//! they come from the disk at the start or from the [`controller`](crate::controller) a moment after they were stored.

pub(crate) mod advertise;
pub(crate) mod alone;
pub(crate) mod features;
mod image;
mod reader;
mod records;
mod replay;
mod shards;
mod topic;
pub(crate) mod topic_name;

pub(crate) use image::{
    BROKER_RESOURCE, CLIENT_METRICS_RESOURCE, GROUP_RESOURCE, Image, LOGGER_RESOURCE, QuotaEntity,
    TOPIC_RESOURCE,
};
pub(crate) use reader::Replay;
pub(crate) use replay::ReplayError;
pub(crate) use topic::{NO_LEADER, PartitionInfo, Topic};
