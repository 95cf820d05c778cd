//! Whether a cluster is of one node: what other nodes have left in its metadata.

use super::image::Image;
use milena_protocol::stored::quorum_state::{QuorumState, QuorumStateVersion};

/// Whether `node` may serve the cluster without taking it from others, who would go on without it.
///
/// # Errors
/// The first sign of another node.
pub(crate) fn check(image: &Image, quorum: Option<&QuorumState>, node: i32) -> Result<(), String> {
    let is_other = |id: &i32| *id != node;
    let voters = voters(image, quorum);
    if voters.iter().any(is_other) {
        let ids = voters.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
        return Err(match voters.len() {
            1 => format!("the voter of its quorum is node {ids}"),
            _ => format!("the voters of its quorum are the nodes {ids}"),
        });
    }
    if let Some(id) = image.cluster.brokers.keys().find(|id| is_other(id)) {
        return Err(format!("broker {id} is registered, and was not unregistered"));
    }
    for topic in image.topics() {
        let mut replicas = topic.partitions.iter().flat_map(|partition| partition.replicas.iter());
        if let Some(id) = replicas.find(|id| is_other(id)) {
            return Err(format!("topic {} has replicas on broker {id}", topic.name));
        }
    }
    Ok(())
}

/// The voters are in the log (KIP-853), or else those of the configuration, which `quorum-state` repeats. A broker that
/// was no voter there knows at least who led.
fn voters(image: &Image, quorum: Option<&QuorumState>) -> Vec<i32> {
    if let Some(voters) = image.voters() {
        return voters.voters.iter().map(|voter| voter.id).collect();
    }
    let Some(QuorumState { leader_id, version: QuorumStateVersion::V0 { current_voters, .. }, .. }) = quorum
    else {
        return Vec::new();
    };
    let mut voters = current_voters.clone().unwrap_or_default();
    if *leader_id >= 0 && !voters.contains(leader_id) {
        voters.push(*leader_id);
    }
    voters
}
