//! Whether the batches of a Produce belong to a transaction of their producer: asked once for all partitions, before
//! the first is appended (KIP-890; `ReplicaManager.handleProduceAppend`).

use super::Context;
use crate::coordinator::Verification;
use crate::error::response_error;
use crate::metadata::Image;
use crate::partition::{Partition, ProduceFailure};
use crate::transaction::{Operation, Partitions, Producer};
use kafka_protocol::ResponseError;
use milena_protocol::produce::{ProduceRequest, TopicData};
use milena_protocol::records::BatchHeader;
use std::collections::HashMap;
use std::sync::Arc;

/// The byte of a batch with the lower bits of its attributes.
const ATTRIBUTES: usize = 22;
/// The bit of transactional batches.
const TRANSACTIONAL: u8 = 1 << 4;

/// How each partition may be appended to, by the places of topic and partition in the request.
#[derive(Default)]
pub(super) struct Admissions {
    by_place: HashMap<(usize, usize), Result<Verification, ResponseError>>,
    /// The producer's last transaction is being ended, and the next may begin in a moment. A client that adds its
    /// partitions with the first batch has nothing else to find that out with.
    pub(super) must_wait: bool,
}

impl Admissions {
    /// Whether a batch may be appended.
    pub(super) fn of(&self, topic: usize, partition: usize) -> Result<Verification, ProduceFailure> {
        match self.by_place.get(&(topic, partition)) {
            None => Ok(Verification::Skipped),
            Some(Ok(verification)) => Ok(*verification),
            Some(Err(error)) => Err(failure(*error)),
        }
    }
}

/// A transactional batch: its places in the request, and its header.
struct Batch {
    topic: usize,
    partition: usize,
    index: i32,
    header: BatchHeader,
}

/// Asks the coordinator about the batches that would open their transaction in a partition.
///
/// # Errors
/// TRANSACTIONAL_ID_AUTHORIZATION_FAILED if the request has transactional batches and no transactional id,
/// INVALID_PRODUCER_ID_MAPPING if they are of several producers: nothing is appended then.
pub(super) fn admit(
    cx: &Context<'_>,
    image: &Image,
    request: &ProduceRequest<'_>,
    wanted: &[TopicData<'_>],
) -> Result<Admissions, ResponseError> {
    let batches = transactional_batches(wanted);
    let Some(first) = batches.first() else { return Ok(Admissions::default()) };
    let id = request.transactional_id.ok_or(ResponseError::TransactionalIdAuthorizationFailed)?;
    let producer = Producer { id: first.header.producer_id, epoch: first.header.producer_epoch };
    let is_other = |batch: &Batch| {
        (batch.header.producer_id, batch.header.producer_epoch) != (producer.id, producer.epoch)
    };
    if batches.iter().any(is_other) {
        return Err(ResponseError::InvalidProducerIdMapping);
    }
    let operation = Operation::of_produce(cx.version);
    let transactions = &cx.broker.transactions;
    if !transactions.verifies(operation) {
        return Ok(Admissions::default());
    }
    let mut admissions = Admissions::default();
    let mut unknown = Partitions::new();
    let mut asked: HashMap<(Arc<str>, i32), (usize, usize)> = HashMap::new();
    let now = cx.broker.clock.now_ms();
    for batch in &batches {
        // A partition that is not there is refused where it would be appended to.
        let Some(partition) = partition_of(cx, image, &wanted[batch.topic], batch.index) else { continue };
        let (sequence, bumps) = (batch.header.base_sequence, operation.bumps_epoch());
        let begun = partition.log().begin_verification(producer.id, producer.epoch, sequence, bumps, now);
        let place = (batch.topic, batch.partition);
        if let Ok(Some(_)) = begun {
            unknown.entry(Arc::clone(&partition.topic)).or_default().insert(batch.index);
            asked.insert((Arc::clone(&partition.topic), batch.index), place);
        }
        let verification = begun.map_err(|error| response_error(&error)).map(|guard| {
            if transactions.verifies_appends() { Verification::Done(guard) } else { Verification::Skipped }
        });
        admissions.by_place.insert(place, verification);
    }
    if !unknown.is_empty() {
        let id = String::from_utf8_lossy(id);
        for (partition, error) in transactions.admit(&id, producer, &unknown, operation) {
            admissions.must_wait |=
                operation == Operation::Add && error == ResponseError::ConcurrentTransactions;
            if let Some(place) = asked.get(&partition) {
                admissions.by_place.insert(*place, Err(as_produce_error(error, operation)));
            }
        }
    }
    Ok(admissions)
}

fn transactional_batches(wanted: &[TopicData<'_>]) -> Vec<Batch> {
    let mut batches = Vec::new();
    for (topic, data) in wanted.iter().enumerate() {
        for (partition, (index, records)) in data.partitions.iter().enumerate() {
            let records = records.unwrap_or_default();
            // Most batches are of no transaction, and read once more below.
            if records.get(ATTRIBUTES).is_none_or(|bits| bits & TRANSACTIONAL == 0) {
                continue;
            }
            // What is no batch is refused when it is validated.
            if let Ok(header) = BatchHeader::read(records) {
                batches.push(Batch { topic, partition, index: *index, header });
            }
        }
    }
    batches
}

fn partition_of(cx: &Context<'_>, image: &Image, data: &TopicData<'_>, index: i32) -> Option<Arc<Partition>> {
    let topic = super::topic_of(image, data.key)?;
    (!super::is_closed(cx, topic)).then(|| cx.broker.partitions.get(topic.id, index))?
}

/// Errors of the coordinator as producers know them: what passes makes them try again.
fn as_produce_error(error: ResponseError, operation: Operation) -> ResponseError {
    match error {
        ResponseError::CoordinatorLoadInProgress
        | ResponseError::CoordinatorNotAvailable
        | ResponseError::NotCoordinator => ResponseError::NotEnoughReplicas,
        ResponseError::ConcurrentTransactions if operation != Operation::Add => {
            ResponseError::NotEnoughReplicas
        }
        error => error,
    }
}

fn failure(error: ResponseError) -> ProduceFailure {
    let message = match error {
        ResponseError::InvalidTxnState => Some("Partition was not added to the transaction"),
        ResponseError::NotEnoughReplicas => {
            Some("Unable to verify the partition has been added to the transaction.")
        }
        _ => None,
    };
    ProduceFailure { error, message: message.map(str::to_owned), records: Vec::new(), before_log: true }
}
