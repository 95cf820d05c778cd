//! A full disk is an error for the producer, and nothing else.

use milena_integration_tests::broker::{Broker, skipped, unique};
use milena_integration_tests::records::{Batch, batches};
use milena_integration_tests::requests::{api_versions, append, create_topic, read_all};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::geteuid;
use std::path::Path;
use tempfile::TempDir;

/// A file system of a fixed size that goes with its owner.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        match set_size(folder.path(), size, MsFlags::empty()) {
            Ok(()) => Some(Self(folder)),
            Err(error) => {
                skipped(&format!("a tmpfs cannot be mounted here: {error}"));
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

fn set_size(folder: &Path, size: &str, flags: MsFlags) -> nix::Result<()> {
    let options = format!("size={size}");
    mount(Some("tmpfs"), folder, Some("tmpfs"), flags, Some(options.as_str()))
}

#[test]
fn a_full_disk_is_an_error_code_and_nothing_is_lost() {
    if !geteuid().is_root() {
        return skipped("only root can mount a small file system");
    }
    let Some(disk) = SmallDisk::new("96m") else { return };
    let data = tempfile::tempdir_in(disk.0.path()).expect("a folder on it");
    let Some(_) = Broker::milena(&[]) else { return };
    let mut broker = Broker::start_in(data, &[]);
    let topic = unique("full");
    let mut connection = broker.connect();
    create_topic(&mut connection, &topic, 1, &[]);
    let batch = Batch::of((0..63).map(|_| [7_u8; 16_384])).encode();
    let mut acknowledged = 0;
    let error = loop {
        let answer = append(&mut connection, &topic, 0, batch.clone());
        if answer.error_code != 0 {
            break answer.error_code;
        }
        acknowledged += 63;
        assert!(acknowledged < 63 * 200, "200 MiB on a disk of 96 MiB");
    };
    assert_eq!(error, 56, "KAFKA_STORAGE_ERROR, so that the client tries again");
    assert!(acknowledged >= 63 * 20, "{acknowledged} records were stored before the disk was full");
    // It goes on answering, and what was acknowledged can be read.
    assert_eq!(api_versions(&mut broker.connect()).error_code, 0);
    let count = |broker: &Broker| -> i32 {
        let stored = read_all(&mut broker.connect(), &topic, 0);
        batches(&stored).iter().map(|batch| if batch.is_sound() { batch.count() } else { i32::MIN }).sum()
    };
    assert_eq!(count(&broker), acknowledged);
    // With room again, and after a restart at the latest, it goes on where it was.
    broker.kill();
    set_size(disk.0.path(), "400m", MsFlags::MS_REMOUNT).expect("a tmpfs can grow");
    broker.launch();
    assert_eq!(count(&broker), acknowledged);
    let mut connection = broker.connect();
    let answer = append(&mut connection, &topic, 0, batch);
    assert_eq!((answer.error_code, answer.base_offset), (0, i64::from(acknowledged)));
    drop(broker);
}
