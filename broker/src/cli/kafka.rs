//! Kafka's command line tools: their flags, their texts, their layout, their exit codes.

pub(super) mod api_versions;
pub(super) mod cluster;
pub(super) mod configs;
pub(super) mod configs_of;
pub(super) mod console_consumer;
pub(super) mod console_producer;
pub(super) mod consume;
pub(super) mod consumer_groups;
pub(super) mod delete_records;
pub(super) mod features;
mod filter;
pub(super) mod get_offsets;
pub(crate) mod groups;
pub(crate) mod ids;
pub(super) mod leader_election;
mod line_reader;
pub(super) mod log_dirs;
pub(super) mod metadata_quorum;
pub(super) mod reassign_partitions;
mod record_writer;
pub(super) mod storage;
mod table;
pub(super) mod times;
pub(super) mod topics;
pub(super) mod transactions;
