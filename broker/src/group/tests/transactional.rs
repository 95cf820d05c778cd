//! TxnOffsetCommit and the markers that follow it.

use super::{GROUP, Harness, MemoryLog, code, name};
use crate::coordinator::Verification;
use crate::coordinator::runtime::InTransaction;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, TopicName};
use milena_protocol::records::EndTransactionMarker;
use milena_protocol::stored::group::group_partition;

const EPOCH: i16 = 3;

fn request(offset: i64, member: (&str, i32)) -> OffsetCommitRequest {
    let partition =
        OffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(name("orders")))
        .with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(name(GROUP).into())
        .with_member_id(name(member.0))
        .with_generation_id_or_member_epoch(member.1)
        .with_retention_time_ms(-1)
        .with_topics(vec![topic])
}

impl Harness {
    pub(super) fn commit_in(
        &self,
        producer_id: i64,
        offset: i64,
        member: (&str, i32),
    ) -> Option<ResponseError> {
        let verification = Verification::Skipped;
        let transaction = InTransaction { producer_id, producer_epoch: EPOCH, verification };
        let errors = self.groups.commit_offsets_in_transaction(&request(offset, member), |_| Ok(transaction));
        errors[0][0]
    }

    fn end(&self, producer_id: i64, commit: bool) {
        let partition = group_partition(GROUP, MemoryLog::PARTITIONS as i32);
        let marker = EndTransactionMarker { commit, coordinator_epoch: 0 };
        self.groups.end_transaction(partition, producer_id, EPOCH, marker).unwrap();
    }
}

const ANYONE: (&str, i32) = ("", -1);
const UNSTABLE: (i64, i16) = (-1, 88);

#[test]
fn offsets_of_a_transaction_count_from_its_commit_on() {
    let mut harness = Harness::new();
    for (producer_id, offset, commit, after) in [(7, 5, true, 5), (7, 6, false, 5), (8, 3, true, 3)] {
        assert_eq!(harness.commit_in(producer_id, offset, ANYONE), None);
        assert_eq!(harness.fetch(GROUP, "orders", 0), UNSTABLE);
        harness = harness.restart();
        assert_eq!(harness.fetch(GROUP, "orders", 0), UNSTABLE, "after a restart");
        harness.end(producer_id, commit);
        assert_eq!(harness.fetch(GROUP, "orders", 0), (after, 0));
        harness = harness.restart();
        assert_eq!(harness.fetch(GROUP, "orders", 0), (after, 0), "after a restart");
    }
    for (header, _) in harness.log.records() {
        let producer = (header.producer_epoch, header.base_sequence, header.attributes.is_transactional());
        assert_eq!(producer, (EPOCH, 0, true), "as Kafka's coordinator writes them");
    }
}

#[test]
fn the_latest_commit_counts_whichever_transaction_ends_first() {
    let harness = Harness::new();
    assert_eq!((harness.commit_in(7, 5, ANYONE), harness.commit_in(8, 6, ANYONE)), (None, None));
    harness.end(8, true);
    assert_eq!(harness.fetch(GROUP, "orders", 0), UNSTABLE, "the other one is open");
    harness.end(7, true);
    assert_eq!(harness.fetch(GROUP, "orders", 0), (6, 0));
}

#[test]
fn who_may_commit_in_a_transaction() {
    let harness = Harness::new();
    assert_eq!(harness.commit_in(7, 5, ("somebody", 3)), Some(ResponseError::GroupIdNotFound));
    let id = harness.stable("client");
    for (member, expected) in [
        (ANYONE, None),
        ((&*id, 1), None),
        ((&*id, 2), Some(ResponseError::IllegalGeneration)),
        (("somebody", 1), Some(ResponseError::UnknownMemberId)),
        (("somebody", -1), Some(ResponseError::UnknownMemberId)),
    ] {
        assert_eq!(harness.commit_in(7, 5, member), expected, "{member:?}");
    }
}

#[test]
fn what_the_transaction_coordinator_refuses_is_not_stored() {
    let harness = Harness::new();
    let refused = harness
        .groups
        .commit_offsets_in_transaction(&request(5, ANYONE), |_| Err(ResponseError::InvalidTxnState));
    assert_eq!(refused, [[Some(ResponseError::InvalidTxnState)]]);
    let mut nameless = request(5, ANYONE);
    nameless.group_id = name("").into();
    let refused = harness.groups.commit_offsets_in_transaction(&nameless, |_| panic!("nobody is asked"));
    assert_eq!(refused, [[Some(ResponseError::InvalidGroupId)]]);
    let mut elsewhere = request(5, ANYONE);
    elsewhere.topics[0].partitions[0].partition_index = 9;
    let refused =
        harness.groups.commit_offsets_in_transaction(&elsewhere, |_| panic!("there is nothing to be stored"));
    assert_eq!(refused, [[Some(ResponseError::UnknownTopicOrPartition)]]);
    assert!(harness.log.records().is_empty());
    assert_eq!(code(ResponseError::UnstableOffsetCommit), UNSTABLE.1);
}
