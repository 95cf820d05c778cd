//! What shall be there from the start: topics, their settings, records. It is said in a file and applied as often as one
//! likes; what is there already stays.
//!
//! ```yaml
//! defaults: {partitions: 3}
//! topics:
//!   - name: orders
//!     partitions: 6
//!     config: {cleanup.policy: compact, retention.ms: -1}
//!   - name: payments
//! records:
//!   - {topic: orders, key: order-1, json: {amount_cents: 1200}, headers: {source: seed}}
//!   - {topic: payments, file: payments.ndjson}
//! ```
//!
//! * A topic is created, or given the partitions and settings that it lacks. Nothing is taken away.
//! * Records are written where the topic holds none, so that a restart does not write them again. A topic that holds the
//!   first ones of each partition and nothing else gets the rest: whoever wrote them was killed.
//! * A line of a `file` is a JSON object like an entry of `records`. JSON is YAML, so the whole file may be JSON.

mod apply;
mod base64;
mod file;
mod place;
mod plan;

pub(crate) use apply::apply;
pub(crate) use base64::encode as base64;
pub(crate) use file::{Seed, SeedRecord, read, record};
pub(crate) use place::{Bounds, Placed, begun, is_same, place};
pub(crate) use plan::{Held, Present, PresentTopic, Step, by_topic, plan};
