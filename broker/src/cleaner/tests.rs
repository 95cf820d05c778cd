//! When a log that could not be compacted is tried again.

use super::{Cleaner, DAMAGED_MS, SHORT_MS};
use crate::clock::{Clock, Hands};
use crate::controller::LogStore;
use crate::controller::testing::config;
use crate::coordinator::Verification;
use crate::metadata::{PartitionInfo, Topic};
use crate::partition::Partition;
use crate::partitions::Partitions;
use arc_swap::ArcSwap;
use milena_protocol::records::BatchBuilder;
use milena_storage::error::Error;
use milena_storage::file::{Disk, Op};
use milena_storage::log_dirs::{Survey, Wanted};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use uuid::Uuid;

const NOW_MS: i64 = 1_700_000_000_000;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;

/// A broker's partitions with one compacted log, whose files cannot be opened when somebody says why.
struct Bench {
    temp: tempfile::TempDir,
    clock: Arc<Clock>,
    errno: Arc<AtomicI32>,
    cleaner: Cleaner,
}

impl Bench {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let (clock, errno) = (Arc::new(Clock::Manual(Hands::from(NOW_MS))), Arc::new(AtomicI32::new(0)));
        let refused = errno.clone();
        let disk = |root: &Path| {
            let refused = refused.clone();
            let fault = move |op: Op, path: &Path| {
                let name = path.to_str().unwrap();
                let is_asked_for = match refused.load(Ordering::Relaxed) {
                    EMFILE => matches!(op, Op::Open | Op::OpenRead) && name.contains("a-0"),
                    ENOSPC => op == Op::Write && name.ends_with(".cleaned"),
                    _ => false,
                };
                let errno = refused.load(Ordering::Relaxed);
                if is_asked_for { Err(io::Error::from_raw_os_error(errno)) } else { Ok(()) }
            };
            Disk::with_faults(root, Box::new(fault))
        };
        let roots = [temp.path().to_path_buf()];
        let wanted = Wanted { roots: &roots, metadata: temp.path(), node_id: 1, cluster_id: None };
        let dirs = Survey::of(&wanted, disk).unwrap().open(0).unwrap();
        let config = Arc::new(ArcSwap::new(config(&[("log.cleaner.min.cleanable.ratio", "0.01")])));
        let partitions = Arc::new(Partitions::new(dirs, config, clock.clone()));
        partitions.begin().unwrap();
        let replicas: Box<[i32]> = Box::new([1]);
        let partition = PartitionInfo {
            leader: 1,
            replicas: replicas.clone(),
            isr: replicas,
            ..PartitionInfo::default()
        };
        let settings = [("cleanup.policy", "compact"), ("max.compaction.lag.ms", "3600000000")];
        let topic = Topic {
            name: "a".into(),
            id: Uuid::from_u128(7),
            partitions: vec![partition],
            configs: settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        };
        partitions.create(&Arc::new(topic), 0).unwrap();
        let cleaner = Cleaner::new(partitions);
        let bench = Self { temp, clock, errno, cleaner };
        (0..3).for_each(|_| bench.append());
        bench.roll();
        bench
    }

    fn partition(&self) -> Arc<Partition> {
        self.cleaner.partitions.all().remove(0)
    }

    fn append(&self) {
        let mut batch = BatchBuilder::new();
        batch.append(1, Some(b"key"), Some(b"value"), &[]);
        self.partition().append_internal(&batch.build().unwrap(), Verification::Skipped, NOW_MS).unwrap();
    }

    /// Ends the segment, and lets go of its files.
    fn roll(&self) {
        self.partition().log().begin_segment(NOW_MS).unwrap();
        self.partition().log().release_idle(0);
    }

    fn path(&self) -> PathBuf {
        self.temp.path().join("a-0/00000000000000000000.log")
    }

    /// One look and, if there is something to do, one pass; whether it came to something.
    fn look(&self) -> Option<bool> {
        self.cleaner.filthiest().map(|work| self.cleaner.clean(&work))
    }

    fn pass(&self, ms: i64) {
        self.clock.set(self.clock.now_ms() + ms);
    }

    fn fail(&self, errno: i32) {
        self.errno.store(errno, Ordering::Relaxed);
    }
}

#[test]
fn what_was_short_is_tried_again() {
    for errno in [EMFILE, ENOSPC] {
        let bench = Bench::new();
        bench.fail(errno);
        assert_ne!(bench.look(), Some(true), "{errno}");
        let failed = bench.partition().cleaning.lock().failed.take().expect("it is noted");
        bench.partition().cleaning.lock().failed = Some(failed);
        bench.fail(0);
        // The wall clock has no say in it.
        bench.clock.jump(10 * SHORT_MS);
        bench.pass(SHORT_MS - 1);
        assert_eq!(bench.look(), None, "{errno}: the others have their turn");
        bench.pass(1);
        assert_eq!(bench.look(), Some(true), "{errno}");
        assert!(bench.partition().cleaning.lock().failed.is_none());
    }
}

#[test]
fn what_cannot_be_read_is_tried_again_now_and_then_or_when_the_log_begins_elsewhere() {
    let bench = Bench::new();
    let aborted = bench.path().with_extension("txnindex");
    std::fs::write(&aborted, [0xff; 34]).unwrap();
    assert_eq!(bench.look(), Some(false));
    bench.pass(DAMAGED_MS - 1);
    assert_eq!(bench.look(), None);
    bench.pass(1);
    assert_eq!(bench.look(), Some(false), "it is still there");
    bench.partition().log().delete_before(1).unwrap();
    std::fs::remove_file(aborted).unwrap();
    assert_eq!(bench.look(), Some(true), "a record less may be what was in the way");
}

#[test]
fn a_directory_that_has_failed_is_not_looked_at() {
    let bench = Bench::new();
    bench.partition().log().disk().poison(&Error::Closed);
    assert_eq!(bench.look(), None);
    assert!(bench.partition().cleaning.lock().failed.is_none());
}
