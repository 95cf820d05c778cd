//! What consumers of the classic protocol put into their metadata and expect as their assignment.
//!
//! ```text
//! subscription  i16 version | [] string topic | bytes user data
//!               | from 1: [] { string topic, [] i32 partition } owned | from 2: i32 generation | from 3: string rack
//! assignment    i16 version | [] { string topic, [] i32 partition } | bytes user data
//! ```
//! Later versions add fields at the end, which are not read.

use bytes::{BufMut, Bytes};
use std::collections::BTreeSet;

use super::Partitions;
use crate::coordinator::Topics;

/// The latest version that is written.
const LATEST_ASSIGNMENT: i16 = 3;

/// Partitions by the name of their topic.
pub(super) type ByName = Vec<(String, Vec<i32>)>;

/// A subscription.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) topics: BTreeSet<String>,
    /// By name; topics that do not exist any more are among them.
    pub(super) owned: ByName,
    pub(super) rack_id: Option<String>,
}

/// Reads a subscription; None if the bytes are something else.
pub(super) fn read_subscription(bytes: &[u8]) -> Option<Subscription> {
    let mut rest = bytes;
    let version = i16::from_be_bytes(take(&mut rest)?);
    if version < 0 {
        return None;
    }
    let mut subscription = Subscription::default();
    for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
        subscription.topics.insert(string(&mut rest)??);
    }
    user_data(&mut rest)?;
    if version >= 1 {
        subscription.owned = by_topic(&mut rest)?;
    }
    if version >= 2 {
        let _generation: [u8; 4] = take(&mut rest)?;
    }
    if version >= 3 {
        subscription.rack_id = string(&mut rest)?;
    }
    Some(subscription)
}

/// Reads an assignment and whether there is more in it than partitions; None if the bytes are something else.
pub(super) fn read_assignment(bytes: &[u8]) -> Option<(ByName, bool)> {
    if bytes.is_empty() {
        return Some((Vec::new(), false));
    }
    let mut rest = bytes;
    let version = i16::from_be_bytes(take(&mut rest)?);
    if version < 0 {
        return None;
    }
    let partitions = by_topic(&mut rest)?;
    let data = user_data(&mut rest)?;
    Some((partitions, !data.is_empty()))
}

/// An assignment, in the version that the member's metadata has.
pub(super) fn write_assignment(partitions: &Partitions, metadata: &[u8], topics: &dyn Topics) -> Bytes {
    let version = metadata.first_chunk().map_or(0, |version| i16::from_be_bytes(*version));
    let named: Vec<(String, Vec<i32>)> = partitions
        .iter()
        .filter_map(|(id, partitions)| {
            Some((topics.topic_by_id(*id)?.0, partitions.iter().copied().collect()))
        })
        .collect();
    let mut bytes = Vec::new();
    bytes.put_i16(version.clamp(0, LATEST_ASSIGNMENT));
    bytes.put_i32(i32::try_from(named.len()).unwrap_or(i32::MAX));
    for (name, partitions) in named {
        bytes.put_i16(i16::try_from(name.len()).unwrap_or(i16::MAX));
        bytes.extend_from_slice(name.as_bytes());
        bytes.put_i32(i32::try_from(partitions.len()).unwrap_or(i32::MAX));
        for partition in partitions {
            bytes.put_i32(partition);
        }
    }
    bytes.put_i32(-1);
    bytes.into()
}

/// Partitions by topic id, of the topics that exist.
pub(super) fn by_id(named: ByName, topics: &dyn Topics) -> Partitions {
    let mut partitions = Partitions::new();
    for (name, of_topic) in named {
        if let Some((id, _)) = topics.topic(&name)
            && !of_topic.is_empty()
        {
            partitions.entry(id).or_default().extend(of_topic);
        }
    }
    partitions
}

fn by_topic(rest: &mut &[u8]) -> Option<ByName> {
    let mut all = Vec::new();
    for _ in 0..i32::from_be_bytes(take(rest)?) {
        let name = string(rest)??;
        let mut partitions = Vec::new();
        for _ in 0..i32::from_be_bytes(take(rest)?) {
            partitions.push(i32::from_be_bytes(take(rest)?));
        }
        all.push((name, partitions));
    }
    Some(all)
}

/// A string, or null.
fn string(rest: &mut &[u8]) -> Option<Option<String>> {
    let Ok(len) = usize::try_from(i16::from_be_bytes(take(rest)?)) else { return Some(None) };
    let (text, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(Some(std::str::from_utf8(text).ok()?.to_owned()))
}

/// Bytes, null as none.
fn user_data<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let Ok(len) = usize::try_from(i32::from_be_bytes(take(rest)?)) else { return Some(&[]) };
    let (bytes, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(bytes)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*head)
}
