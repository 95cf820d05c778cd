//! Partitions that Apache Kafka 4.1.1 wrote: its rules, run over the batches of each `.log`, must give the bytes of the
//! files beside it. See `testdata/README.md`.

use std::fs;
use std::path::{Path, PathBuf};

use milena_protocol::records::{BatchHeader, EndTransactionMarker};

use crate::file_name::{FileStage, LEADER_EPOCH_CHECKPOINT, SegmentFile, SegmentFileKind};
use crate::index::aborted::{self, AbortedTransaction};
use crate::index::{ActiveIndexes, IndexLimits, IndexedBatch, offset, time};
use crate::leader_epochs::LeaderEpochs;
use crate::producers::{Checked, Origin, Producers};

/// The directory of a partition and its `index.interval.bytes`.
const PARTITIONS: [(&str, u32); 4] =
    [("compacted-0", 128), ("rolled-0", 128), ("txn-0", 128), ("txn-open-0", 4096)];

/// Far more than the age of any record.
const NEVER: i64 = i64::MAX;

struct Replay {
    dir: PathBuf,
    interval_bytes: u32,
    producers: Producers,
    epochs: LeaderEpochs,
    /// How many files were compared.
    compared: usize,
}

impl Replay {
    fn new(dir: PathBuf, interval_bytes: u32) -> Self {
        Self { dir, interval_bytes, producers: Producers::new(), epochs: LeaderEpochs::new(), compared: 0 }
    }

    fn run(mut self) -> usize {
        // The leader takes up its epoch at the end of the log, before it appends anything.
        self.epochs.assign(0, 0).unwrap();
        let mut end = 0;
        for base_offset in segments(&self.dir) {
            self.compare_snapshot(base_offset);
            end = self.segment(base_offset);
        }
        self.compare_snapshot(end);
        let epochs = fs::read(self.dir.join(LEADER_EPOCH_CHECKPOINT)).unwrap_or_default();
        assert_eq!(self.epochs.encode(), epochs, "leader epochs in {}", self.dir.display());
        self.compared + 1
    }

    fn segment(&mut self, base_offset: i64) -> i64 {
        let log = self.read(base_offset, SegmentFileKind::Log).expect("a segment has a log");
        let limits = IndexLimits { interval_bytes: self.interval_bytes, ..IndexLimits::default() };
        let mut indexes = ActiveIndexes::new(base_offset, limits);
        let mut aborted = Vec::new();
        let (mut position, mut end) = (0, base_offset);
        while position < log.len() {
            let header = BatchHeader::read(&log[position..]).unwrap();
            indexes.append(&indexed(&header, position)).unwrap();
            self.epochs.assign(header.partition_leader_epoch, header.base_offset).unwrap();
            aborted.extend(self.producer(&header, &log[position..]));
            position += header.size();
            end = header.next_offset();
        }
        indexes.close();
        let (mut offsets, mut times) = (Vec::new(), Vec::new());
        indexes.offsets().encode(0, &mut offsets);
        indexes.times().encode(0, &mut times);
        let aborted: Vec<u8> = aborted.iter().flat_map(AbortedTransaction::encode).collect();
        self.compare(base_offset, SegmentFileKind::OffsetIndex, &offsets);
        self.compare(base_offset, SegmentFileKind::TimeIndex, &times);
        if !aborted.is_empty() || self.read(base_offset, SegmentFileKind::TransactionIndex).is_some() {
            self.compare(base_offset, SegmentFileKind::TransactionIndex, &aborted);
        }
        offset::check(&offsets[..], base_offset, log.len() as u64).unwrap();
        time::check(&times[..], base_offset).unwrap();
        aborted::check(&aborted[..], base_offset..i64::MAX).unwrap();
        end
    }

    fn producer(&mut self, header: &BatchHeader, batch: &[u8]) -> Option<AbortedTransaction> {
        let marker = marker(header, batch);
        // What Kafka appended passes as a client's.
        let origin = if marker.is_some() { Origin::Coordinator } else { Origin::Client };
        assert_eq!(self.producers.check(header, marker.as_ref(), origin), Ok(Checked::Append), "{header:?}");
        self.producers.apply(header, marker.as_ref(), header.base_offset)
    }

    fn compare_snapshot(&mut self, offset: i64) {
        // The first segment has none, and neither has an empty log.
        if offset == 0 {
            return;
        }
        self.compare(offset, SegmentFileKind::ProducerSnapshot, &self.producers.snapshot());
        let mut restored = Producers::new();
        restored.restore(&self.producers.snapshot(), 0, NEVER).unwrap();
        assert_eq!(restored.snapshot(), self.producers.snapshot());
        assert_eq!(restored.first_open_offset(), self.producers.first_open_offset());
    }

    fn compare(&mut self, base_offset: i64, kind: SegmentFileKind, bytes: &[u8]) {
        let name = SegmentFile::live(base_offset, kind);
        let file = self.read(base_offset, kind).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(bytes, file, "{name} in {}", self.dir.display());
        self.compared += 1;
    }

    fn read(&self, base_offset: i64, kind: SegmentFileKind) -> Option<Vec<u8>> {
        fs::read(self.dir.join(SegmentFile::live(base_offset, kind).to_string())).ok()
    }
}

fn segments(dir: &Path) -> Vec<i64> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files = names.filter_map(|name| name.parse::<SegmentFile>().ok());
    let logs = files.filter(|file| file.kind == SegmentFileKind::Log && file.stage == FileStage::Live);
    let mut offsets: Vec<_> = logs.map(|file| file.base_offset).collect();
    offsets.sort_unstable();
    offsets
}

fn indexed(header: &BatchHeader, position: usize) -> IndexedBatch {
    IndexedBatch {
        last_offset: header.last_offset(),
        max_timestamp: header.max_timestamp,
        position: position as u32,
        size: header.size() as u32,
    }
}

/// Key and value of a marker are always at the same place.
fn marker(header: &BatchHeader, batch: &[u8]) -> Option<EndTransactionMarker> {
    let marker = || EndTransactionMarker::read(&batch[66..70], &batch[71..77]).unwrap();
    (header.attributes.is_control() && header.producer_id >= 0).then(marker)?
}

#[test]
fn replaying_a_log_gives_the_bytes_of_kafkas_files() {
    let compared = PARTITIONS.map(|(name, interval_bytes)| {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/kafka-4.1.1").join(name);
        Replay::new(dir, interval_bytes).run()
    });
    assert_eq!(compared, [7, 19, 8, 4]);
}
