//! What a log must hold, told without files: a list of batches, from which every answer is derived anew.

use crate::random::Random;
use milena_protocol::records::{
    BatchBuilder, BatchHeader, Batches, Codec, EndTransactionMarker, HEADER_LEN, Level, crc_matches,
    end_transaction_batch,
};
use milena_storage::error::Error;
use milena_storage::log::{Append, Bound, Log, Slice};
use milena_storage::producers::Origin;
use std::os::unix::fs::FileExt;

/// A record, as far as lookups by time see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) timestamp: i64,
    pub(crate) offset: i64,
}

/// A batch with the offset and the epoch that it got.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) header: BatchHeader,
    pub(crate) marker: Option<EndTransactionMarker>,
    /// None in a batch that compaction has emptied.
    pub(crate) records: Vec<Record>,
}

/// What a producer would say of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Producer {
    pub(crate) next_sequence: i32,
    pub(crate) transaction: Option<i64>,
}

/// An aborted transaction: producer, first offset, offset of the marker.
pub(crate) type Aborted = (i64, i64, i64);

/// Everything that was appended, in order; less what compaction has removed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) batches: Vec<Batch>,
    /// The aborted transactions of which compaction may have removed records.
    pub(crate) forgotten: Vec<Aborted>,
    /// The log ends here at least: what was before is gone.
    pub(crate) gone: i64,
}

/// The bounds of a legal state: what end and start of a log may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Legal {
    pub(crate) end: (i64, i64),
    /// Offsets below may be compacted.
    pub(crate) compacted: i64,
    /// Of what is behind this a power cut may have taken batches from a compacted log, and kept later ones.
    pub(crate) whole: i64,
    pub(crate) start: (i64, i64),
    /// Epochs of offsets below may be forgotten.
    pub(crate) moved: i64,
}

impl Batch {
    /// `sent` at its place in the log; `records` by their distance from the first one.
    pub(crate) fn stored(sent: &[u8], records: &[Record], base_offset: i64, leader_epoch: i32) -> Self {
        let mut bytes = sent.to_vec();
        bytes[..8].copy_from_slice(&base_offset.to_be_bytes());
        bytes[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
        let header = BatchHeader::read(&bytes).unwrap();
        let marker = header
            .attributes
            .is_control()
            .then(|| EndTransactionMarker::read(&bytes[66..70], &bytes[71..77]).unwrap().unwrap());
        let at = |record: &Record| Record { offset: base_offset + record.offset, ..*record };
        Self { bytes, header, marker, records: records.iter().map(at).collect() }
    }

    pub(crate) fn next_offset(&self) -> i64 {
        self.header.next_offset()
    }
}

/// A batch of random records, as a client sends it.
pub(crate) fn random_batch(
    random: &mut Random,
    around_ms: i64,
    producer: Option<(i64, i32)>,
    transactional: bool,
) -> (Vec<u8>, Vec<Record>) {
    let codec = random.pick(&[
        Codec::None,
        Codec::None,
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ]);
    let mut builder = BatchBuilder::new().transactional(transactional);
    if codec != Codec::None {
        builder = builder.compression(codec, Level::default_of(codec));
    }
    if let Some((id, sequence)) = producer {
        builder = builder.producer(id, 0, sequence);
    }
    let count = 1 + random.below(5);
    let size = random.pick(&[0, 10, 200, 200, 900, 900, 2000]);
    let mut records = Vec::new();
    for offset in 0..count as i64 {
        let timestamp = around_ms + random.within(-50..50);
        let key = [b'a' + random.below(8) as u8];
        let value = random.bytes(size);
        builder.append(timestamp, Some(&key), (!random.one_in(6)).then_some(&value), &[]);
        records.push(Record { timestamp, offset });
    }
    (builder.build().unwrap(), records)
}

/// The marker that ends a producer's transaction.
pub(crate) fn marker_batch(now_ms: i64, producer_id: i64, commit: bool) -> (Vec<u8>, Vec<Record>) {
    let marker = EndTransactionMarker { commit, coordinator_epoch: 0 };
    let bytes = end_transaction_batch(0, 0, now_ms, producer_id, 0, marker);
    (bytes.to_vec(), vec![Record { timestamp: now_ms, offset: 0 }])
}

/// Sends a batch to the log, which must not have changed if it refuses.
pub(crate) fn send(log: &Log, batch: &[u8], how: &Append) -> Result<(i64, bool), Error> {
    let header = BatchHeader::read(batch).unwrap();
    log.append(&header, &batch[HEADER_LEN..], how).map(|done| (done.base_offset, done.duplicate))
}

impl Model {
    pub(crate) fn end(&self) -> i64 {
        self.batches.last().map_or(0, Batch::next_offset).max(self.gone)
    }

    /// The history up to `end`, which must be the end of a batch.
    pub(crate) fn up_to(&self, end: i64) -> Self {
        let kept = self.batches.partition_point(|batch| batch.next_offset() <= end);
        let (batches, forgotten) = (self.batches[..kept].to_vec(), self.forgotten.clone());
        let model = Self { batches, forgotten, gone: self.gone.min(end) };
        assert_eq!(model.end(), end, "the log ends within a batch");
        model
    }

    pub(crate) fn producer(&self, id: i64) -> Producer {
        let mut producer = Producer::default();
        for batch in self.batches.iter().filter(|batch| batch.header.producer_id == id) {
            if batch.marker.is_some() {
                producer.transaction = None;
                continue;
            }
            producer.next_sequence = batch.header.last_sequence() + 1;
            if batch.header.attributes.is_transactional() {
                producer.transaction.get_or_insert(batch.header.base_offset);
            }
        }
        producer
    }

    /// The last batch of data of a producer.
    pub(crate) fn last_of(&self, id: i64) -> Option<&Batch> {
        self.batches.iter().rev().find(|batch| batch.header.producer_id == id && batch.marker.is_none())
    }

    pub(crate) fn last_stable(&self, start: i64) -> i64 {
        let ids = self.batches.iter().map(|batch| batch.header.producer_id).filter(|id| *id >= 0);
        ids.filter_map(|id| self.producer(id).transaction).min().map_or(self.end(), |first| first.max(start))
    }

    pub(crate) fn aborted(&self) -> Vec<Aborted> {
        let mut found = self.forgotten.clone();
        for (at, batch) in self.batches.iter().enumerate() {
            if batch.marker.is_some_and(|marker| !marker.commit) {
                let id = batch.header.producer_id;
                let before = Self { batches: self.batches[..at].to_vec(), ..Self::default() };
                let marker = batch.header.base_offset;
                if found.iter().any(|(_, _, last)| *last == marker) {
                    continue;
                }
                let first = before.producer(id).transaction;
                found.extend(first.map(|first| (id, first, batch.header.base_offset)));
            }
        }
        found
    }

    fn records(&self, start: i64) -> impl Iterator<Item = Record> {
        self.batches.iter().flat_map(|batch| batch.records.clone()).filter(move |r| r.offset >= start)
    }

    /// Compares a log that has just been opened with all that it may be, and returns the history that it holds.
    pub(crate) fn check_opened(&self, log: &Log, legal: Legal, random: &mut Random) -> Self {
        let (start, end) = (log.start_offset(), log.end_offset());
        assert!((legal.end.0..=legal.end.1).contains(&end), "the log ends at {end}, legal is {legal:?}");
        // What the start was moved over may be gone.
        let lowest = legal.start.0.min(end);
        assert!((lowest..=legal.start.1).contains(&start), "the log starts at {start}, legal is {legal:?}");
        // Of a log that a power cut took as a whole nothing is left but where DeleteRecords said that it starts: within a
        // batch perhaps, and without producers. What was on the device cannot go that way.
        let taken = end == start && legal.end.0 < end && log.max_producer_id().is_none();
        let mut model = if taken { Self { gone: end, ..Self::default() } } else { self.up_to(end) };
        if legal.compacted > 0 || legal.whole < end && log.config().compact {
            model = model.compacted(log, legal.compacted, legal.whole);
        }
        model.check(log, random, legal.moved);
        for id in 0..6 {
            let Some(batch) = model.last_of(id).filter(|batch| batch.header.base_offset >= start) else {
                continue;
            };
            let how = Append { leader_epoch: 0, origin: Origin::Client, now_ms: 0 };
            let sent = send(log, &batch.bytes, &how).unwrap();
            assert_eq!(sent, (batch.header.base_offset, true), "producer {id} sends its last batch again");
        }
        model
    }

    /// Compares everything that can be asked of a log. Its start was at `moved` once, and a death may have brought it
    /// back: the epochs of what lies below may be forgotten.
    pub(crate) fn check(&self, log: &Log, random: &mut Random, moved: i64) {
        assert_eq!(log.end_offset(), self.end());
        assert_eq!(log.last_stable_offset(), self.last_stable(log.start_offset()), "last stable offset");
        self.check_all_bytes(log, 1 + random.below(30_000));
        for _ in 0..4 {
            self.check_read(log, random);
        }
        self.check_times(log, random);
        let start = log.start_offset();
        let kept: Vec<&Batch> = self.batches.iter().filter(|batch| batch.next_offset() > start).collect();
        if !kept.is_empty() {
            let header = kept[random.below(kept.len())].header;
            let (offset, epoch) = (header.last_offset(), log.epoch_at(header.last_offset()));
            let known = epoch == header.partition_leader_epoch;
            assert!(known || epoch == -1 && offset < moved, "epoch {epoch} at {offset}, {moved}");
        }
    }

    pub(crate) fn holding(&self, offset: i64) -> Option<&Batch> {
        self.batches.get(self.batches.partition_point(|batch| batch.next_offset() <= offset))
    }

    fn check_all_bytes(&self, log: &Log, max_bytes: usize) {
        let mut offset = log.start_offset();
        while offset < self.end() {
            let bytes = log.read_batches(offset, max_bytes).unwrap();
            if bytes.is_empty() {
                assert!(
                    self.holding(offset).is_none(),
                    "nothing at {offset}, the log ends at {}",
                    self.end()
                );
                return;
            }
            offset = self.check_bytes(&bytes, offset);
        }
        assert!(log.read_batches(offset, max_bytes).unwrap().is_empty());
    }

    /// Compares whole batches, the first of which holds `offset`; returns the offset behind them.
    fn check_bytes(&self, bytes: &[u8], offset: i64) -> i64 {
        let mut next = offset;
        for found in Batches::new(bytes) {
            let (header, found) = found.expect("whole batches");
            let wanted = self.holding(next).expect("no more than was appended");
            assert!(crc_matches(found), "a wrong CRC at offset {}", header.base_offset);
            assert!(found == wanted.bytes, "other bytes than were appended at offset {next}");
            next = wanted.next_offset();
        }
        next
    }

    fn check_read(&self, log: &Log, random: &mut Random) {
        let (start, end) = (log.start_offset(), self.end());
        for outside in [start - 1, end + 1] {
            let error = log.read(outside, 100, true, Bound::End).unwrap_err();
            assert!(matches!(error, Error::OffsetOutOfRange { .. }), "{outside}: {error}");
        }
        let offset = random.within(start..end + 1);
        let max_bytes = random.pick(&[1, 100, 1000, 10_000, 1 << 20]);
        let (at_least_one, bound) = (random.one_in(2), random.pick(&[Bound::End, Bound::Stable]));
        let slice = log.read(offset, max_bytes, at_least_one, bound).unwrap();
        if let Some(at_once) = log.read_at_once(offset, max_bytes, at_least_one, bound).unwrap() {
            let told = |slice: &Slice| (slice.position, slice.len, slice.last_stable, slice.aborted.clone());
            assert_eq!(told(&at_once), told(&slice), "{offset} {max_bytes} {at_least_one} {bound:?}");
        }
        assert_eq!(
            (slice.log_start, slice.high_watermark, slice.last_stable),
            (start, end, self.last_stable(start))
        );
        let stop = if bound == Bound::Stable { self.last_stable(start) } else { end };
        let first = self.holding(offset).filter(|batch| batch.header.base_offset < stop && offset < stop);
        let Some(first) = first else {
            assert_eq!(slice.len, 0, "nothing is to be read at {offset}, {bound:?}");
            return;
        };
        let fits = first.bytes.len() <= max_bytes;
        assert_eq!(slice.len > 0, fits || at_least_one, "{offset} {max_bytes} {at_least_one}");
        assert!(slice.len <= max_bytes.max(first.bytes.len()));
        let mut bytes = vec![0; slice.len];
        if let Some(file) = &slice.file {
            file.read_exact_at(&mut bytes, slice.position).unwrap();
        }
        let next = self.check_bytes(&bytes, offset);
        assert!(slice.len == 0 || next <= stop, "reads beyond {stop}");
        if bound == Bound::Stable {
            self.check_aborted(&slice, offset, next);
        }
    }

    fn check_aborted(&self, slice: &Slice, offset: i64, next: i64) {
        let known = self.aborted();
        let found: Vec<Aborted> =
            slice.aborted.iter().map(|a| (a.producer_id, a.first_offset, a.last_offset)).collect();
        for aborted in &found {
            // Compaction may have removed the first records of the transaction before an index was made again.
            let is = |k: &&Aborted| k.0 == aborted.0 && k.1 <= aborted.1 && k.2 == aborted.2;
            assert!(known.iter().any(|k| is(&k)), "{aborted:?} was not aborted; {known:?} were");
        }
        let read = self.batches.iter().filter(|b| b.next_offset() > offset && b.next_offset() <= next);
        for batch in read.filter(|batch| batch.marker.is_none() && !batch.records.is_empty()) {
            let of = |a: &&Aborted| {
                batch.header.attributes.is_transactional()
                    && a.0 == batch.header.producer_id
                    && (a.1..a.2).contains(&batch.header.base_offset)
            };
            if let Some(aborted) = known.iter().find(of) {
                assert!(
                    found.iter().any(|a| of(&a)),
                    "{aborted:?} lies in {offset}..{next}, found {found:?}"
                );
            }
        }
    }

    fn check_times(&self, log: &Log, random: &mut Random) {
        let start = log.start_offset();
        let all: Vec<Record> = self.records(start).collect();
        let earliest = all.iter().map(|record| record.timestamp).min().unwrap_or(0);
        let latest = all.iter().map(|record| record.timestamp).max().unwrap_or(0);
        for timestamp in [0, random.within(earliest..latest + 1), latest, latest + 1] {
            let wanted = all.iter().find(|record| record.timestamp >= timestamp);
            let found = log.offset_for_timestamp(timestamp).unwrap();
            let found = found.map(|at| Record { timestamp: at.timestamp, offset: at.offset });
            assert_eq!(found.as_ref(), wanted, "lookup of {timestamp} from {start}");
        }
        if self.batches.iter().any(|batch| batch.records.is_empty()) {
            // Compaction leaves the timestamp of an empty batch.
            return;
        }
        let wanted = all.iter().find(|record| record.timestamp == latest).map(|record| record.offset);
        assert_eq!(log.offset_of_max_timestamp().unwrap().map(|at| at.offset), wanted, "largest timestamp");
    }
}
