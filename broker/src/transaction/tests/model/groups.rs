//! The groups of the model: a group coordinator over a log that knows its producers, and what clients ask of it.

use super::{Client, DataPartition, Entry, Fate, Model, PARTITIONS, Run, TIMEOUT_MS, TOPIC};
use crate::clock::Clock;
use crate::coordinator::runtime::InTransaction;
use crate::coordinator::{CoordinatorError, StateLog, Topics, Verification};
use crate::group::{GroupCoordinator, GroupSettings};
use crate::metadata::topic_name;
use crate::transaction::{Outcome, Partitions, Producer};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopics;
use kafka_protocol::messages::{OffsetCommitRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use milena_protocol::records::{BatchHeader, EndTransactionMarker, HEADER_LEN, Records};
use milena_protocol::stored::group::{GroupRecord, group_partition};
use milena_storage::producers::{Origin, ProducerError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use uuid::Uuid;

/// Groups whose offsets clients commit, several clients for the same group.
const GROUPS: [&str; 3] = ["g", "h", "i"];
/// Partitions of the topic that groups have offsets for.
const READ_PARTITIONS: usize = 2;
/// Base sequence of the batches of a group coordinator.
const NO_SEQUENCE: i32 = -1;

/// What an offset is for: a group and a partition.
pub(super) type Place = (&'static str, i32);

/// A group coordinator over what is left of the one before.
pub(super) fn coordinator(model: &Arc<Model>, clock: &Arc<Clock>) -> Arc<GroupCoordinator> {
    let log = Arc::new(ModelGroupLog(model.clone()));
    let groups = GroupCoordinator::new(GroupSettings::default(), log, Arc::new(ReadTopic), clock.clone());
    assert_eq!(groups.load().is_err(), model.is_unreadable.load(Ordering::Relaxed));
    Arc::new(groups)
}

impl DataPartition {
    /// Takes what a group coordinator appends: an offset, in a transaction or not, or the marker of one.
    fn append_offset(
        &mut self,
        header: &BatchHeader,
        batch: &[u8],
        how: Verification,
    ) -> Result<(), ProducerError> {
        let record = Records::new(&batch[HEADER_LEN..], header.record_count).next().unwrap().unwrap();
        let (id, at, origin) = (header.producer_id, self.end_offset(), Origin::Coordinator);
        let key = record.key.unwrap();
        if header.attributes.is_control() {
            let marker = EndTransactionMarker::read(key, record.value.unwrap()).unwrap().unwrap();
            self.producers.check(header, Some(&marker), origin)?;
            self.producers.apply(header, Some(&marker), at);
            self.entries.push(Entry::End(id, if marker.commit { Outcome::Commit } else { Outcome::Abort }));
            self.producers.forget_ended_before(self.end_offset());
            return Ok(());
        }
        match how {
            Verification::Skipped => self.producers.check(header, None, origin)?,
            Verification::Done(guard) => self.producers.check_verified(header, None, origin, guard)?,
        };
        let GroupRecord::OffsetCommit(_, Some(offset)) = GroupRecord::decode(key, record.value).unwrap()
        else {
            panic!("nobody asks for anything but offsets");
        };
        self.producers.apply(header, None, at);
        self.entries.push(Entry::Data(id, u32::try_from(offset.offset).unwrap()));
        Ok(())
    }
}

struct ModelGroupLog(Arc<Model>);

impl ModelGroupLog {
    fn store(&self, partition: i32, batch: &[u8], how: Verification) -> Result<i64, CoordinatorError> {
        let header = BatchHeader::read(batch).unwrap();
        let mut all = self.0.group_partitions.lock();
        let of_log = &mut all[partition as usize];
        if of_log.refuses {
            return Err(CoordinatorError::Storage { partition, source: "full".into() });
        }
        of_log.append_offset(&header, batch, how).map_err(|reason| CoordinatorError::Producer {
            partition,
            error: match reason {
                ProducerError::InvalidEpoch { .. } => ResponseError::InvalidProducerEpoch,
                _ => ResponseError::InvalidTxnState,
            },
            reason: reason.to_string(),
        })?;
        let offset = self.0.group_log.append(partition, batch, how)?;
        assert_eq!(offset + 1, of_log.end_offset(), "a record a batch");
        Ok(offset)
    }
}

impl StateLog for ModelGroupLog {
    fn ensure(&self) -> Result<i32, CoordinatorError> {
        self.0.group_log.ensure()
    }

    fn exists(&self) -> Option<i32> {
        Some(PARTITIONS as i32)
    }

    fn append(&self, partition: i32, batch: &[u8], how: Verification) -> Result<i64, CoordinatorError> {
        self.0.append(partition, || self.store(partition, batch, how))
    }

    fn read(&self, partition: i32, from: i64, max: usize) -> Result<Vec<u8>, CoordinatorError> {
        self.0.read(&self.0.group_log, partition, from, max)
    }

    fn start_offset(&self, partition: i32) -> Result<i64, CoordinatorError> {
        self.0.group_log.start_offset(partition)
    }
}

/// The topic that groups have offsets for.
struct ReadTopic;

impl Topics for ReadTopic {
    fn topic(&self, name: &str) -> Option<(Uuid, i32)> {
        (name == TOPIC).then(|| (Uuid::from_u128(1), READ_PARTITIONS as i32))
    }

    fn topic_by_id(&self, _: Uuid) -> Option<(String, i32)> {
        None
    }

    fn names(&self) -> Vec<String> {
        vec![TOPIC.to_owned()]
    }

    fn version(&self) -> i64 {
        0
    }

    fn group_config(&self, _: &str, _: &str) -> Option<i64> {
        None
    }
}

impl Run {
    /// A client commits an offset in its transaction.
    pub(super) fn commit(&mut self, client: &mut Client, producer: Producer) {
        let (place, index) = self.any_place();
        let partitions = Partitions::from([(Arc::from(topic_name::CONSUMER_OFFSETS), [index].into())]);
        if client.version == 1 {
            match self.coordinator.add(client.id, producer, &partitions, 0) {
                Ok(()) => {}
                Err(ResponseError::ConcurrentTransactions) => return,
                Err(_) => return self.give_up(client),
            }
        }
        let value = self.value_for(place);
        let is_first = !client.has_partitions;
        // Time passes between the question and the append.
        let lapse = if self.random.once_in(20) { i64::from(TIMEOUT_MS) + super::CHECK_MS } else { 0 };
        let later = self.now + lapse;
        let operation = client.operation();
        let errors = self.groups.commit_offsets_in_transaction(&request(place, value), |index| {
            let guard = {
                let mut all = self.model.group_partitions.lock();
                let of_log = &mut all[index as usize].producers;
                let bumps = operation.bumps_epoch();
                of_log.begin_verification(producer.id, producer.epoch, NO_SEQUENCE, bumps, self.now)
            };
            let guard = guard.map_err(|_| ResponseError::InvalidProducerEpoch)?;
            if guard.is_some() {
                let refused = self.coordinator.admit(client.id, producer, &partitions, operation);
                if let Some(error) = refused.into_values().next() {
                    return Err(error);
                }
            }
            if later > self.now {
                self.clock.set(later);
                self.coordinator.tick(later);
            }
            let verification = Verification::Done(guard);
            Ok(InTransaction { producer_id: producer.id, producer_epoch: producer.epoch, verification })
        });
        self.now = self.clock.now_ms();
        match errors[0][0] {
            Some(ResponseError::ConcurrentTransactions) if is_first => {}
            refused => {
                // What was refused may be in the log all the same.
                client.values.push(value);
                client.has_partitions = true;
                if refused.is_some() {
                    self.give_up(client);
                }
            }
        }
    }

    /// Somebody commits an offset outside of transactions.
    pub(super) fn commit_outside(&mut self) {
        let (place, _) = self.any_place();
        let value = self.value_for(place);
        let errors = self.groups.commit_offsets(&request(place, value), true);
        let fate = if errors[0][0].is_none() { Fate::All } else { Fate::AllOrNothing };
        self.fates.push((vec![value], fate));
    }

    fn any_place(&mut self) -> (Place, i32) {
        let group = GROUPS[self.random.below(GROUPS.len())];
        let partition = self.random.below(READ_PARTITIONS) as i32;
        ((group, partition), group_partition(group, PARTITIONS as i32))
    }

    fn value_for(&mut self, place: Place) -> u32 {
        let value = self.next_value;
        self.next_value += 1;
        self.offsets.insert(value, place);
        value
    }

    /// Every group goes on where the last record that counts says, and nothing may change that any more.
    pub(super) fn check_groups(&self, seed: u64) {
        let mut expected: BTreeMap<Place, i64> = BTreeMap::new();
        for partition in &*self.model.group_partitions.lock() {
            expected.extend(partition.visible().iter().map(|value| (self.offsets[value], i64::from(*value))));
        }
        for group in GROUPS {
            for partition in 0..READ_PARTITIONS as i32 {
                let topic = OffsetFetchRequestTopics::default()
                    .with_name(topic())
                    .with_partition_indexes(vec![partition]);
                let fetched = self.groups.fetch_offsets(group, None, Some(&[topic]), true).unwrap();
                let found = &fetched[0].partitions[0];
                let wanted = expected.get(&(group, partition)).copied().unwrap_or(-1);
                let place = format!("seed {seed}: {group} {partition}");
                assert_eq!((found.committed_offset, found.error_code), (wanted, 0), "{place}");
            }
        }
    }
}

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str(TOPIC))
}

fn request((group, partition): Place, offset: u32) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(partition)
        .with_committed_offset(offset.into());
    let of_topic = OffsetCommitRequestTopic::default().with_name(topic()).with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(StrBytes::from_static_str(group).into())
        .with_generation_id_or_member_epoch(-1)
        .with_retention_time_ms(-1)
        .with_topics(vec![of_topic])
}
