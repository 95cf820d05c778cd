//! Kafka's command line tools: their flags, their texts, their layout, their exit codes.

pub(super) mod api_versions;
pub(super) mod cluster;
mod configs_of;
pub(super) mod delete_records;
mod filter;
pub(super) mod get_offsets;
pub(crate) mod ids;
pub(super) mod topics;
