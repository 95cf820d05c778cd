//! Small files that are replaced as a whole: offset checkpoints and the leader epochs of a partition.
//!
//! A reader sees the old content or the new, never a part, whenever the process or the machine dies: the new content
//! goes to the disk under a temporary name first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use milena_protocol::stored::StoredError;
use milena_protocol::stored::checkpoint;
use thiserror::Error;

use crate::file_name::{LEADER_EPOCH_CHECKPOINT, TEMPORARY_SUFFIX};
use crate::leader_epochs::{InvalidEpochEntry, LeaderEpochs};

/// Topic and partition to an offset.
pub type Offsets = BTreeMap<(String, i32), i64>;

/// Why a checkpoint could not be loaded or saved.
#[derive(Debug, Error)]
#[error("{}: {fault}", .path.display())]
pub struct CheckpointError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: CheckpointFault,
}

/// What is wrong with a checkpoint.
#[derive(Debug, Error)]
pub enum CheckpointFault {
    /// The file system failed. The log directory is not to be used any more.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The content is not that of a checkpoint.
    #[error(transparent)]
    Malformed(#[from] StoredError),
    /// An entry of a leader epoch checkpoint is below zero.
    #[error(transparent)]
    InvalidEpoch(#[from] InvalidEpochEntry),
}

/// Reads an offset checkpoint. A file that is not there, as in a new log directory, has no entries.
///
/// # Errors
/// [`CheckpointError`]: it cannot be read, or is malformed.
pub fn load_offsets(dir: &Path, name: &str) -> Result<Offsets, CheckpointError> {
    let path = dir.join(name);
    parse_offsets(&path).map_err(|fault| CheckpointError { path, fault })
}

/// Reads an offset checkpoint that recovery can do without: a malformed one is a warning and has no entries, so that
/// the log is read from its start (recovery points) or the first segment counts (log starts).
///
/// # Errors
/// [`CheckpointError`]: it cannot be read.
pub fn load_offsets_or_none(dir: &Path, name: &str) -> Result<Offsets, CheckpointError> {
    match load_offsets(dir, name) {
        Err(CheckpointError { path, fault: CheckpointFault::Malformed(error) }) => {
            tracing::warn!(path = %path.display(), %error, "malformed checkpoint, its offsets are taken to be 0");
            Ok(Offsets::new())
        }
        other => other,
    }
}

/// Replaces an offset checkpoint.
///
/// # Errors
/// [`CheckpointError`]: it cannot be written. The old content may be there still, or the new.
pub fn save_offsets(dir: &Path, name: &str, offsets: &Offsets) -> Result<(), CheckpointError> {
    let entries = offsets.iter().map(|((topic, partition), offset)| (topic.as_str(), *partition, *offset));
    save(dir, name, checkpoint::format_offsets(entries).as_bytes())
}

/// Reads the leader epochs of a partition. A file that is not there has none.
///
/// # Errors
/// [`CheckpointError`]: it cannot be read, or is malformed. As in Kafka, that is no warning: the epochs decide which
/// records a replica must give up.
pub fn load_leader_epochs(partition_dir: &Path) -> Result<LeaderEpochs, CheckpointError> {
    let path = partition_dir.join(LEADER_EPOCH_CHECKPOINT);
    parse_leader_epochs(&path).map_err(|fault| CheckpointError { path, fault })
}

/// Replaces the leader epochs of a partition.
///
/// # Errors
/// [`CheckpointError`]: they cannot be written.
pub fn save_leader_epochs(partition_dir: &Path, epochs: &LeaderEpochs) -> Result<(), CheckpointError> {
    save(partition_dir, LEADER_EPOCH_CHECKPOINT, &epochs.encode())
}

fn parse_offsets(path: &Path) -> Result<Offsets, CheckpointFault> {
    let entries = checkpoint::parse_offsets(&read_if_exists(path)?)?;
    Ok(entries.into_iter().map(|entry| ((entry.topic, entry.partition), entry.offset)).collect())
}

fn parse_leader_epochs(path: &Path) -> Result<LeaderEpochs, CheckpointFault> {
    let entries = checkpoint::parse_leader_epochs(&read_if_exists(path)?)?;
    Ok(LeaderEpochs::restore(entries)?)
}

fn save(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), CheckpointError> {
    write_atomically(dir, name, bytes)
        .map_err(|error| CheckpointError { path: dir.join(name), fault: error.into() })
}

/// The content of a file, nothing if it is not there.
fn read_if_exists(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}

/// Replaces the file `name` in `dir` by `bytes`. Once it returns, the new content survives the death of the machine.
///
/// # Errors
/// What the file system reports. The old content may be there still, or the new.
pub fn write_atomically(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = dir.join(format!("{name}{TEMPORARY_SUFFIX}"));
    let mut file = fs::File::create(&temporary)?;
    io::Write::write_all(&mut file, bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, dir.join(name))?;
    // Without this the rename itself may be lost, and with it what the caller relies on.
    fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_name::{HIGH_WATERMARK_CHECKPOINT, RECOVERY_POINT_CHECKPOINT};

    fn offsets(entries: &[(&str, i32, i64)]) -> Offsets {
        entries.iter().map(|&(topic, partition, offset)| ((topic.to_owned(), partition), offset)).collect()
    }

    #[test]
    fn offsets_are_saved_in_kafkas_form_and_loaded_again() {
        let dir = tempfile::tempdir().unwrap();
        let cases = [
            (offsets(&[]), "0\n0\n"),
            (
                offsets(&[("b", 10, 3), ("b", 2, 0), ("a.b-c", 0, i64::MAX)]),
                "0\n3\na.b-c 0 9223372036854775807\nb 2 0\nb 10 3\n",
            ),
        ];
        for (offsets, text) in cases {
            save_offsets(dir.path(), HIGH_WATERMARK_CHECKPOINT, &offsets).unwrap();
            let path = dir.path().join(HIGH_WATERMARK_CHECKPOINT);
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(load_offsets(dir.path(), HIGH_WATERMARK_CHECKPOINT).unwrap(), offsets);
        }
        let names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [HIGH_WATERMARK_CHECKPOINT], "nothing temporary is left");
    }

    #[test]
    fn a_temporary_file_of_a_crash_is_no_obstacle_and_not_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("replication-offset-checkpoint.tmp"), "0\n100000\ntorn").unwrap();
        assert_eq!(load_offsets(dir.path(), HIGH_WATERMARK_CHECKPOINT).unwrap(), Offsets::new());
        let saved = offsets(&[("t", 0, 1)]);
        save_offsets(dir.path(), HIGH_WATERMARK_CHECKPOINT, &saved).unwrap();
        assert_eq!(load_offsets(dir.path(), HIGH_WATERMARK_CHECKPOINT).unwrap(), saved);
    }

    #[test]
    fn a_malformed_checkpoint_is_an_error_or_empty() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["0\n2\nt 0 1\n", "1\n0\n", "0\n1\nt 0\n", "0\n1\nt 0 x\n", "garbage\n"] {
            fs::write(dir.path().join(RECOVERY_POINT_CHECKPOINT), text).unwrap();
            let error = load_offsets(dir.path(), RECOVERY_POINT_CHECKPOINT).unwrap_err();
            assert!(matches!(error.fault, CheckpointFault::Malformed(_)), "{text:?}");
            assert!(error.to_string().contains(RECOVERY_POINT_CHECKPOINT));
            assert_eq!(load_offsets_or_none(dir.path(), RECOVERY_POINT_CHECKPOINT).unwrap(), Offsets::new());
        }
        fs::remove_file(dir.path().join(RECOVERY_POINT_CHECKPOINT)).unwrap();
        fs::create_dir(dir.path().join(RECOVERY_POINT_CHECKPOINT)).unwrap();
        let error = load_offsets_or_none(dir.path(), RECOVERY_POINT_CHECKPOINT).unwrap_err();
        assert!(matches!(error.fault, CheckpointFault::Io(_)), "what cannot be read is not taken for empty");
    }

    #[test]
    fn leader_epochs_are_saved_and_loaded_again() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load_leader_epochs(dir.path()).unwrap(), LeaderEpochs::new());
        let mut epochs = LeaderEpochs::new();
        epochs.assign(0, 0).unwrap();
        epochs.assign(3, 12).unwrap();
        save_leader_epochs(dir.path(), &epochs).unwrap();
        let path = dir.path().join(LEADER_EPOCH_CHECKPOINT);
        assert_eq!(fs::read_to_string(&path).unwrap(), "0\n2\n0 0\n3 12\n");
        assert_eq!(load_leader_epochs(dir.path()).unwrap(), epochs);
        for text in ["0\n1\n0 x\n", "0\n1\n-1 5\n"] {
            fs::write(&path, text).unwrap();
            assert!(load_leader_epochs(dir.path()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn writing_into_a_directory_that_is_not_there_fails() {
        let dir = tempfile::tempdir().unwrap();
        let error =
            save_offsets(&dir.path().join("gone"), HIGH_WATERMARK_CHECKPOINT, &Offsets::new()).unwrap_err();
        assert!(matches!(error.fault, CheckpointFault::Io(error) if error.kind() == io::ErrorKind::NotFound));
    }
}
