//! Reassignments (`ReplicationControlManager.alterPartitionReassignments`), for a cluster of one broker.

use super::partitions::check_assignment;
use super::writer::Draft;
use super::{Controller, Refusal};
use crate::metadata::PartitionInfo;
use kafka_protocol::ResponseError;
use milena_protocol::stored::metadata::{MetadataRecord, PartitionChangeRecord};
use std::collections::BTreeSet;
use uuid::Uuid;

/// What shall become of one partition.
#[derive(Clone, Debug)]
pub(crate) struct Reassignment {
    /// Name of the topic.
    pub(crate) topic: String,
    /// Number of the partition.
    pub(crate) partition: i32,
    /// The brokers that shall hold it; `None` takes back what is under way.
    pub(crate) replicas: Option<Vec<i32>>,
}

impl Controller {
    /// Reassigns partitions; gives what became of each, in their order. All that can be done is stored as one batch.
    /// With `keeps_factor`, the number of replicas must stay.
    pub(crate) fn reassign(
        &self,
        wanted: &[Reassignment],
        keeps_factor: bool,
    ) -> Result<Vec<Result<(), Refusal>>, Refusal> {
        let mut writer = self.writer.lock();
        let mut draft = self.draft(&writer)?;
        let results =
            wanted.iter().map(|wanted| self.reassign_one(&mut draft, wanted, keeps_factor)).collect();
        self.commit(&mut writer, draft)?;
        Ok(results)
    }

    fn reassign_one(
        &self,
        draft: &mut Draft,
        wanted: &Reassignment,
        keeps_factor: bool,
    ) -> Result<(), Refusal> {
        let (name, index) = (&wanted.topic, wanted.partition);
        let unknown = |message| Refusal::new(ResponseError::UnknownTopicOrPartition, message);
        let topic = draft.image().topic(name);
        let topic = topic.ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
        let partition = usize::try_from(index).ok().and_then(|index| topic.partitions.get(index));
        let partition =
            partition.ok_or_else(|| unknown(format!("Unable to find partition {name}:{index}.")))?;
        let replicas = match &wanted.replicas {
            Some(replicas) => {
                check_assignment(self.node_id, replicas, None)?;
                if keeps_factor {
                    check_factor(partition, replicas.len())?;
                }
                if !partition.is_on(self.node_id) {
                    let message = format!(
                        "{name}-{index} has no replica on broker {}, and no other broker is there to copy it from.",
                        self.node_id
                    );
                    return Err(Refusal::new(ResponseError::InvalidReplicaAssignment, message));
                }
                replicas.clone()
            }
            None => reverted(partition, self.node_id, name, index)?,
        };
        if *replicas == *partition.replicas && !partition.is_reassigned() {
            return Ok(());
        }
        let record = self.move_to(topic.id, index, partition, replicas);
        draft.add_if(vec![record], |_| Ok(()))
    }

    /// The record after which these brokers hold the partition, without anything under way.
    fn move_to(
        &self,
        topic_id: Uuid,
        partition_id: i32,
        partition: &PartitionInfo,
        replicas: Vec<i32>,
    ) -> MetadataRecord {
        let place = |broker: &i32| partition.replicas.iter().position(|replica| replica == broker);
        let directory = |broker| place(broker).and_then(|place| partition.directories.get(place)).copied();
        let directories = replicas.iter().map(|broker| directory(broker).unwrap_or_default()).collect();
        let record = PartitionChangeRecord {
            partition_id,
            topic_id,
            isr: Some(vec![self.node_id]),
            leader: (partition.leader != self.node_id).then_some(self.node_id),
            replicas: Some(replicas),
            removing_replicas: Some(Vec::new()),
            adding_replicas: Some(Vec::new()),
            directories: Some(directories),
            ..PartitionChangeRecord::default()
        };
        record.into()
    }
}

/// The replicas from before the reassignment. This broker must be one of them: it leads, and nobody else could.
fn reverted(partition: &PartitionInfo, node: i32, topic: &str, index: i32) -> Result<Vec<i32>, Refusal> {
    if !partition.is_reassigned() {
        let message = "No partition reassignment is in progress.";
        return Err(Refusal::new(ResponseError::NoReassignmentInProgress, message));
    }
    let stays = |replica: &i32| !partition.adding.contains(replica);
    let replicas: Vec<i32> = partition.replicas.iter().copied().filter(stays).collect();
    if !replicas.contains(&node) {
        let message = format!(
            "Unable to revert partition assignment for {topic}:{index} because it would require an unclean leader election."
        );
        return Err(Refusal::new(ResponseError::InvalidReplicaAssignment, message));
    }
    Ok(replicas)
}

fn check_factor(partition: &PartitionInfo, wanted: usize) -> Result<(), Refusal> {
    let mut replicas: BTreeSet<i32> = partition.replicas.iter().chain(&partition.adding).copied().collect();
    replicas.retain(|replica| !partition.removing.contains(replica));
    if replicas.len() == wanted {
        return Ok(());
    }
    let message = format!("The replication factor is changed from {} to {wanted}", replicas.len());
    Err(Refusal::new(ResponseError::InvalidReplicationFactor, message))
}

#[cfg(test)]
mod tests {
    use super::Reassignment;
    use crate::controller::testing::Bench;
    use milena_protocol::stored::metadata::PartitionChangeRecord;

    /// A topic of which a cluster says this.
    fn left_by_a_cluster(replicas: &[i32], adding: &[i32], removing: &[i32]) -> Bench {
        let bench = Bench::new();
        let topic_id = bench.controller.ensure_topic("t").unwrap().id;
        let mut writer = bench.controller.writer.lock();
        let mut draft = bench.controller.draft(&writer).unwrap();
        let record = PartitionChangeRecord {
            partition_id: 0,
            topic_id,
            replicas: Some(replicas.to_vec()),
            adding_replicas: Some(adding.to_vec()),
            removing_replicas: Some(removing.to_vec()),
            ..PartitionChangeRecord::default()
        };
        draft.add(vec![record.into()]).unwrap();
        bench.controller.commit(&mut writer, draft).unwrap();
        drop(writer);
        bench
    }

    fn reassign(bench: &Bench, replicas: Option<&[i32]>, keeps_factor: bool) -> i16 {
        let replicas = replicas.map(<[i32]>::to_vec);
        let wanted = Reassignment { topic: "t".to_owned(), partition: 0, replicas };
        let results = bench.controller.reassign(&[wanted], keeps_factor).unwrap();
        results[0].as_ref().map_or_else(|refusal| refusal.code(), |()| 0)
    }

    #[test]
    fn what_a_cluster_has_left() {
        // Replicas, adding, removing; wanted, whether the factor must stay; code, replicas then.
        type Row = (
            &'static [i32],
            &'static [i32],
            &'static [i32],
            Option<&'static [i32]>,
            bool,
            i16,
            &'static [i32],
        );
        let rows: [Row; 9] = [
            (&[1, 2, 3], &[], &[], Some(&[1]), false, 0, &[1]),
            (&[3, 1, 2], &[], &[], Some(&[1]), false, 0, &[1]),
            (&[1, 2, 3], &[], &[], Some(&[1]), true, 38, &[1, 2, 3]),
            (&[1, 2], &[2], &[1], None, false, 0, &[1]),
            (&[1, 2], &[2], &[1], Some(&[1]), true, 0, &[1]),
            (&[1, 2], &[1], &[2], None, false, 39, &[1, 2]),
            (&[1, 2], &[1], &[2], Some(&[1]), true, 0, &[1]),
            (&[2, 3], &[], &[], Some(&[1]), false, 39, &[2, 3]),
            (&[1, 2], &[], &[], None, false, 85, &[1, 2]),
        ];
        for (replicas, adding, removing, wanted, keeps_factor, code, after) in rows {
            let bench = left_by_a_cluster(replicas, adding, removing);
            let row = format!("{replicas:?} +{adding:?} -{removing:?} to {wanted:?}");
            assert_eq!(reassign(&bench, wanted, keeps_factor), code, "{row}");
            for bench in [&bench, &bench.restart()] {
                let image = bench.controller.image();
                let partition = &image.topic("t").unwrap().partitions[0];
                assert_eq!(*partition.replicas, *after, "{row}");
                if code == 0 {
                    assert!(!partition.is_reassigned());
                    assert_eq!((partition.leader, &*partition.isr), (1, &[1][..]), "{row}");
                    assert_eq!(partition.directories.len(), after.len());
                }
            }
        }
    }
}
