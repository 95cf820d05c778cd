//! The hash over the topics that a group subscribes to: when it changes, the group is assigned anew. It is Kafka's
//! (XXH3 over the fields in little endian order, `Utils.computeGroupHash`), so a group that changes brokers stays stable.

use twox_hash::XxHash3_64;
use uuid::Uuid;

/// Version of the hash of a topic.
const MAGIC: u8 = 0;

/// The hash over topics in the order of their names; 0 for none.
pub(in crate::group) fn group_hash<'a>(topics: impl Iterator<Item = (&'a str, Uuid, i32)>) -> i64 {
    let mut bytes = Vec::new();
    for (name, id, partitions) in topics {
        bytes.extend_from_slice(&topic_hash(name, id, partitions).to_le_bytes());
    }
    if bytes.is_empty() { 0 } else { XxHash3_64::oneshot(&bytes).cast_signed() }
}

/// ```text
/// u8 0 | u64 upper half of the id | u64 lower half | u16.. name, UTF-16 | i32 its length | i32 partitions | i32.. indexes
/// ```
/// Racks would follow each index; a single broker has none.
fn topic_hash(name: &str, id: Uuid, partitions: i32) -> i64 {
    let mut bytes = vec![MAGIC];
    let (upper, lower) = id.as_u64_pair();
    bytes.extend_from_slice(&upper.to_le_bytes());
    bytes.extend_from_slice(&lower.to_le_bytes());
    let mut units = 0i32;
    for unit in name.encode_utf16() {
        bytes.extend_from_slice(&unit.to_le_bytes());
        units += 1;
    }
    bytes.extend_from_slice(&units.to_le_bytes());
    bytes.extend_from_slice(&partitions.to_le_bytes());
    for partition in 0..partitions {
        bytes.extend_from_slice(&partition.to_le_bytes());
    }
    XxHash3_64::oneshot(&bytes).cast_signed()
}
