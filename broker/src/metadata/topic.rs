//! A topic and its partitions as the image holds them.

use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// No broker leads the partition.
pub(crate) const NO_LEADER: i32 = -1;

/// `DirectoryId.MIGRATING`: the partition may be in any directory.
const MIGRATING: Uuid = Uuid::from_u128(2);

/// A topic. Deleting it and creating one of the same name gives a new id.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Topic {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Its id; never nil.
    pub(crate) id: Uuid,
    /// Its partitions, from number 0 on without a gap.
    pub(crate) partitions: Vec<PartitionInfo>,
    /// What was configured for it alone.
    pub(crate) configs: BTreeMap<String, String>,
}

/// A partition as its records describe it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PartitionInfo {
    /// Who leads it, [`NO_LEADER`] if nobody.
    pub(crate) leader: i32,
    /// Rises with each change of leader; batches carry it.
    pub(crate) leader_epoch: i32,
    /// Rises with each change of this description.
    pub(crate) partition_epoch: i32,
    /// Brokers that hold it.
    pub(crate) replicas: Box<[i32]>,
    /// Log directory of each replica, in their order; nil where the broker has not said.
    pub(crate) directories: Box<[Uuid]>,
    /// Replicas in sync.
    pub(crate) isr: Box<[i32]>,
    /// Replicas that may lead although they are not in sync (KIP-966).
    pub(crate) eligible_leaders: Box<[i32]>,
    /// The last replicas that were in sync or eligible (KIP-966).
    pub(crate) last_known_eligible: Box<[i32]>,
    /// Replicas that a reassignment takes away.
    pub(crate) removing: Box<[i32]>,
    /// Replicas that a reassignment adds.
    pub(crate) adding: Box<[i32]>,
    /// 1 while the partition recovers from an unclean election.
    pub(crate) leader_recovery_state: i8,
}

impl PartitionInfo {
    /// Whether this broker holds a replica.
    pub(crate) fn is_on(&self, broker: i32) -> bool {
        self.replicas.contains(&broker)
    }

    /// Whether it is on its way to other brokers.
    pub(crate) fn is_reassigned(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    /// The log directory of the replica of this broker; `None` if it holds none or has not said where.
    pub(crate) fn directory_on(&self, broker: i32) -> Option<Uuid> {
        let place = self.replicas.iter().position(|replica| *replica == broker)?;
        self.directories
            .get(place)
            .copied()
            .filter(|directory| !directory.is_nil() && *directory != MIGRATING)
    }

    /// Replicas whose broker is another than this one: with a single broker none of them is alive.
    pub(crate) fn offline_replicas(&self, broker: i32) -> impl Iterator<Item = i32> {
        self.replicas.iter().copied().filter(move |replica| *replica != broker)
    }

    /// The same partition while the directory of the one replica does not serve, as Kafka's controller records it: no
    /// leader, nobody in sync, and the replica may lead as soon as it is back.
    pub(crate) fn without_directory(&self, broker: i32) -> Self {
        Self {
            leader: NO_LEADER,
            isr: Box::default(),
            eligible_leaders: Box::new([broker]),
            last_known_eligible: Box::default(),
            ..self.clone()
        }
    }
}
