//! A partition: its log, the rules for what is appended, and the fetches that wait for more.

use crate::config::{CompressionType, TimestampType, TopicConfig};
use crate::coordinator::Verification;
use crate::error::{report, response_error};
use arc_swap::{ArcSwap, Guard};
use kafka_protocol::ResponseError;
use milena_protocol::records::{
    self, BatchHeader, Codec, EndTransactionMarker, HEADER_LEN, Level, RecordRejection, Rejected, Rules,
    Target,
};
use milena_storage::config::LogConfig;
use milena_storage::error::Error;
use milena_storage::log::{Append, Appended, Log};
use milena_storage::producers::Origin;
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use tokio::sync::Notify;

/// Records that unpack to more are checked beside the connections of the thread.
const UNPACKED_AT_ONCE: u64 = 8 << 20;

/// Who is told that records are on the device, or cannot be there.
pub(crate) type Flushed = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// A partition that this broker leads.
#[derive(Debug)]
pub(crate) struct Partition {
    /// Name of the topic.
    pub(crate) topic: Arc<str>,
    /// Number within the topic.
    pub(crate) index: i32,
    /// Written into every batch.
    pub(crate) leader_epoch: i32,
    /// Its log; another one when it has moved to another data directory.
    log: ArcSwap<Log>,
    rules: RwLock<Rules>,
    parked: Mutex<Vec<Arc<Parked>>>,
    deleted: AtomicBool,
    /// Whether compaction is at work here, or had better not be.
    pub(crate) cleaning: Mutex<Cleaning>,
}

/// What compaction is doing with a partition.
#[derive(Debug, Default)]
pub(crate) struct Cleaning {
    /// A pass is running.
    pub(crate) is_running: bool,
    /// The last pass came to nothing.
    pub(crate) failed: Option<CleaningFailure>,
}

/// Why a pass of compaction came to nothing.
#[derive(Debug)]
pub(crate) struct CleaningFailure {
    /// When there is to be another one, by the steady clock; `i64::MAX` for never.
    pub(crate) again_ms: i64,
    /// Where the log began: when that has changed, what was in the way may be gone.
    pub(crate) log_start: i64,
    /// What was said of it.
    pub(crate) reason: String,
}

/// A fetch that waits until enough bytes have come to the partitions it asks for.
#[derive(Debug)]
pub(crate) struct Parked {
    /// Bytes that are still missing; an append counts them down.
    missing: AtomicI64,
    /// Woken when none are.
    pub(crate) enough: Notify,
}

impl Parked {
    /// Far more than can arrive: while a fetch looks, appends are counted and nobody is woken.
    const LOOKING: i64 = i64::MAX / 2;

    /// A fetch that has not looked yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { missing: AtomicI64::new(Self::LOOKING), enough: Notify::new() })
    }

    /// Starts counting what is appended from now on; comes before every look.
    pub(crate) fn look(&self) {
        self.missing.store(Self::LOOKING, Ordering::Release);
    }

    /// After a look that found so many bytes too few: whether what was appended meanwhile may be enough. If not, the
    /// fetch is woken when the rest has come. An append that the look has seen already may count once more, which
    /// only makes the fetch look again.
    pub(crate) fn is_enough_without(&self, missing: usize) -> bool {
        let missing = i64::try_from(missing).unwrap_or(i64::MAX).min(Self::LOOKING);
        let change = missing - Self::LOOKING;
        self.missing.fetch_add(change, Ordering::AcqRel) + change <= 0
    }

    fn arrived(&self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        if self.missing.fetch_sub(bytes, Ordering::AcqRel) <= bytes {
            self.enough.notify_one();
        }
    }
}

/// A produce that was done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Produced {
    /// Offset of the first record.
    pub(crate) base_offset: i64,
    /// The time that the records were given, on a topic with LogAppendTime; of a duplicate its largest timestamp.
    pub(crate) log_append_time: Option<i64>,
    /// What must be on the device before the acknowledgement: everything below this offset.
    pub(crate) flush_upto: Option<i64>,
}

/// A produce that was refused.
#[derive(Debug)]
pub(crate) struct ProduceFailure {
    /// The code.
    pub(crate) error: ResponseError,
    /// For humans, where there is something to say.
    pub(crate) message: Option<String>,
    /// The records at fault.
    pub(crate) records: Vec<RecordRejection>,
    /// Refused before the log was asked: the request does not hold one batch of version 2, or no transaction takes it.
    pub(crate) before_log: bool,
}

impl From<ResponseError> for ProduceFailure {
    fn from(error: ResponseError) -> Self {
        Self { error, message: None, records: Vec::new(), before_log: false }
    }
}

impl From<Rejected> for ProduceFailure {
    fn from(rejected: Rejected) -> Self {
        let error =
            ResponseError::try_from_code(rejected.kind.code()).unwrap_or(ResponseError::InvalidRecord);
        let before_log = rejected.of_request;
        Self { error, message: Some(rejected.message), records: rejected.record_errors, before_log }
    }
}

impl Partition {
    /// A partition with an open log.
    pub(crate) fn new(
        topic: Arc<str>,
        index: i32,
        leader_epoch: i32,
        log: Log,
        config: &TopicConfig,
    ) -> Self {
        let rules = RwLock::new(rules(config));
        log.begin_epoch(leader_epoch);
        Self {
            topic,
            index,
            leader_epoch,
            log: ArcSwap::from_pointee(log),
            rules,
            parked: Mutex::new(Vec::new()),
            deleted: AtomicBool::new(false),
            cleaning: Mutex::default(),
        }
    }

    /// The log as it is now. What may meet the end of a move goes through [`Partition::on_log`].
    pub(crate) fn log(&self) -> Guard<Arc<Log>> {
        self.log.load()
    }

    /// Does something with the log, and again with the next one if the log has moved to another directory meanwhile.
    ///
    /// # Errors
    /// [`Error`] of the log that is in force.
    pub(crate) fn on_log<R>(&self, mut f: impl FnMut(&Log) -> Result<R, Error>) -> Result<R, Error> {
        loop {
            let log = self.log.load();
            match f(&log) {
                Err(_) if !Arc::ptr_eq(&log, &self.log.load()) => {}
                done => return done,
            }
        }
    }

    /// As [`Log::flush_later`]. A log that has moved meanwhile was brought to its new device by that.
    pub(crate) fn flush_later(self: &Arc<Self>, upto: i64, done: Flushed) {
        let (log, partition) = (self.log.load_full(), self.clone());
        log.clone().flush_later(upto, move |flushed| {
            if flushed.is_ok() || Arc::ptr_eq(&log, &partition.log.load()) {
                done(flushed);
            } else {
                partition.flush_later(upto, done);
            }
        });
    }

    /// As [`Log::flush_together`].
    fn flush_together(&self, upto: i64) -> Result<(), Error> {
        loop {
            let log = self.log.load_full();
            match log.flush_together(upto) {
                Err(_) if !Arc::ptr_eq(&log, &self.log.load()) => {}
                done => return done,
            }
        }
    }

    /// Goes over to the log in another data directory. The one before must take no append any more.
    pub(crate) fn set_log(&self, log: Arc<Log>) {
        self.log.store(log);
    }

    /// Whether the data directory of the log has failed.
    pub(crate) fn is_offline(&self) -> bool {
        self.log.load().disk().is_offline()
    }

    /// Checks the epoch that a client believes in (KIP-320); -1 does not ask.
    ///
    /// # Errors
    /// FENCED_LEADER_EPOCH for an older one, UNKNOWN_LEADER_EPOCH for one that is still to come.
    pub(crate) fn check_epoch(&self, current: i32) -> Result<(), ResponseError> {
        match current {
            -1 => Ok(()),
            _ if current < self.leader_epoch => Err(ResponseError::FencedLeaderEpoch),
            _ if current > self.leader_epoch => Err(ResponseError::UnknownLeaderEpoch),
            _ => Ok(()),
        }
    }

    /// Puts another configuration in force.
    pub(crate) fn reconfigure(&self, config: &TopicConfig, log: LogConfig) {
        *self.rules.write() = rules(config);
        // Setting it waits for the end of a move, behind which another log serves.
        loop {
            let current = self.log.load_full();
            current.set_config(log.clone());
            if Arc::ptr_eq(&current, &self.log.load()) {
                return;
            }
        }
    }

    /// Validates and appends what a producer sent, and wakes the fetches that wait for it. A batch that opens its
    /// transaction here was verified before.
    pub(crate) fn produce(
        &self,
        batch: &[u8],
        produce_version: i16,
        verification: Verification,
        now_ms: i64,
    ) -> Result<Produced, ProduceFailure> {
        let rules = *self.rules.read();
        let validated =
            match records::validate_up_to(batch, &rules, now_ms, produce_version, UNPACKED_AT_ONCE)? {
                Some(validated) => validated,
                // The other connections of this thread go on meanwhile.
                None => {
                    tokio::task::block_in_place(|| records::validate(batch, &rules, now_ms, produce_version))?
                }
            };
        let how = Append { leader_epoch: self.leader_epoch, origin: Origin::Client, now_ms };
        let appended =
            self.append(&validated.header, &validated.body, &how, verification).map_err(|error| {
                report("cannot append to", &self.topic, self.index, &error);
                let message = matches!(error, Error::Producer(_)).then(|| error.to_string());
                ProduceFailure {
                    error: response_error(&error),
                    message,
                    records: Vec::new(),
                    before_log: false,
                }
            })?;
        // Of a duplicate Kafka tells the timestamp, whoever gave it.
        let log_append_time =
            if appended.duplicate { Some(appended.timestamp) } else { validated.log_append_time };
        let flush_upto = appended.flush_due.then_some(appended.last_offset + 1);
        Ok(Produced { base_offset: appended.base_offset, log_append_time, flush_upto })
    }

    /// Appends one batch of a coordinator; returns the offset of its first record. It is on the device if
    /// `flush.messages` asks for it.
    ///
    /// # Errors
    /// [`Error`] of the append, or of the flush.
    pub(crate) fn append_internal(
        &self,
        batch: &[u8],
        verification: Verification,
        now_ms: i64,
    ) -> Result<i64, Error> {
        let header = BatchHeader::read(batch).map_err(|error| Error::Corrupt {
            path: self.log().dir(),
            position: 0,
            reason: error.to_string(),
        })?;
        let how = Append { leader_epoch: self.leader_epoch, origin: Origin::Coordinator, now_ms };
        let appended = self.append(&header, &batch[HEADER_LEN..], &how, verification)?;
        if appended.flush_due {
            let upto = appended.last_offset + 1;
            tokio::task::block_in_place(|| self.flush_together(upto))?;
        }
        Ok(appended.base_offset)
    }

    /// Writes the end of a producer's transaction, and lets those go on who waited for it. It is on the device if
    /// `flush.messages` asks for it.
    ///
    /// # Errors
    /// As [`Partition::append_internal`]; [`Error::Producer`] if a newer producer or coordinator was here.
    pub(crate) fn end_transaction(
        &self,
        producer_id: i64,
        producer_epoch: i16,
        marker: EndTransactionMarker,
        now_ms: i64,
    ) -> Result<i64, Error> {
        let epoch = self.leader_epoch;
        let batch = records::end_transaction_batch(0, epoch, now_ms, producer_id, producer_epoch, marker);
        self.append_internal(&batch, Verification::Skipped, now_ms)
    }

    fn append(
        &self,
        header: &BatchHeader,
        body: &[u8],
        how: &Append,
        verification: Verification,
    ) -> Result<Appended, Error> {
        let appended = self.on_log(|log| match verification {
            Verification::Skipped => log.append(header, body, how),
            Verification::Done(guard) => log.append_verified(header, body, how, guard),
        })?;
        if header.attributes.is_control() {
            // The last stable offset may have moved by far more than the bytes of the marker.
            self.wake_all();
        } else if !appended.duplicate {
            self.wake(header.size());
        }
        Ok(appended)
    }

    fn wake(&self, bytes: usize) {
        for parked in self.parked.lock().iter() {
            parked.arrived(bytes);
        }
    }

    /// Lets a fetch know of every append from now on.
    pub(crate) fn park(&self, fetch: &Arc<Parked>) {
        self.parked.lock().push(fetch.clone());
    }

    /// Ends what [`Partition::park`] began.
    pub(crate) fn unpark(&self, fetch: &Arc<Parked>) {
        let mut parked = self.parked.lock();
        if let Some(at) = parked.iter().position(|other| Arc::ptr_eq(other, fetch)) {
            parked.swap_remove(at);
        }
    }

    /// Notes that the topic is gone, and wakes the fetches that wait here to say so.
    pub(crate) fn mark_deleted(&self) {
        self.deleted.store(true, Ordering::Release);
        self.wake_all();
    }

    /// Whether the topic is gone.
    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// Wakes every fetch that waits here: the partition is going away.
    pub(crate) fn wake_all(&self) {
        for parked in self.parked.lock().iter() {
            parked.enough.notify_one();
        }
    }
}

/// Appends whole batches one after the other; returns the offset of the first, and whether a flush is due.
///
/// # Errors
/// [`Error`] of the first append that failed; [`Error::Corrupt`] if the bytes are no batches.
pub(crate) fn append_batches(log: &Log, batches: &[u8], how: &Append) -> Result<(i64, bool), Error> {
    let (mut first, mut flush_due) = (None, false);
    for batch in records::Batches::new(batches) {
        let corrupt = |reason: String| Error::Corrupt { path: log.dir(), position: 0, reason };
        let (header, bytes) = batch.map_err(|e| corrupt(e.to_string()))?;
        let appended = log.append(&header, &bytes[HEADER_LEN..], how)?;
        first.get_or_insert(appended.base_offset);
        flush_due |= appended.flush_due;
    }
    Ok((first.unwrap_or_else(|| log.end_offset()), flush_due))
}

fn rules(config: &TopicConfig) -> Rules {
    let levels = config.compression_levels;
    let with = |codec, level| {
        Target::Codec(codec, Level::new(codec, level).unwrap_or_else(|_| Level::default_of(codec)))
    };
    Rules {
        max_message_bytes: usize::try_from(config.max_message_bytes).unwrap_or(0),
        compacted: config.cleanup_policy.compact,
        timestamp_type: match config.message_timestamp_type {
            TimestampType::CreateTime => records::TimestampType::CreateTime,
            TimestampType::LogAppendTime => records::TimestampType::LogAppendTime,
        },
        before_max_ms: config.message_timestamp_before_max_ms,
        after_max_ms: config.message_timestamp_after_max_ms,
        compression: match config.compression_type {
            CompressionType::Producer => Target::Producer,
            CompressionType::Uncompressed => Target::Uncompressed,
            CompressionType::Gzip => with(Codec::Gzip, levels.gzip),
            CompressionType::Snappy => Target::Codec(Codec::Snappy, Level::default_of(Codec::Snappy)),
            CompressionType::Lz4 => with(Codec::Lz4, levels.lz4),
            CompressionType::Zstd => with(Codec::Zstd, levels.zstd),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::Parked;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn is_woken(parked: &Parked) -> bool {
        pin!(parked.enough.notified()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn what_comes_during_a_look_counts() {
        let parked = Parked::new();
        parked.look();
        parked.arrived(60);
        assert!(!parked.is_enough_without(100) && !is_woken(&parked));
        parked.arrived(39);
        assert!(!is_woken(&parked));
        parked.arrived(1);
        assert!(is_woken(&parked));
        parked.look();
        parked.arrived(100);
        assert!(!is_woken(&parked) && parked.is_enough_without(100));
    }
}
