//! Offset checkpoints: small text files that are replaced as a whole.
//!
//! A reader sees the old content or the new, never a part, whenever the process or the machine dies: the new content
//! goes to the disk under a temporary name first.

use crate::error::Result;
use crate::file::Disk;
use milena_protocol::stored::checkpoint;
use std::collections::BTreeMap;

/// Topic and partition to an offset.
pub type Offsets = BTreeMap<(String, i32), i64>;

/// Reads an offset checkpoint that recovery can do without: a missing one has no entries, a malformed one neither, with
/// a warning, so that the log is read from its start (recovery points) or the first segment counts (log starts).
///
/// # Errors
/// [`crate::error::Error::Io`] if it cannot be read.
pub fn load_offsets_or_none(disk: &Disk, name: &str) -> Result<Offsets> {
    let path = disk.root().join(name);
    let bytes = disk.read_if_there(&path)?.unwrap_or_default();
    match checkpoint::parse_offsets(&bytes) {
        Ok(entries) => {
            Ok(entries.into_iter().map(|entry| ((entry.topic, entry.partition), entry.offset)).collect())
        }
        Err(error) => {
            tracing::warn!("{}: {error}; its offsets are taken to be 0", path.display());
            Ok(Offsets::new())
        }
    }
}

/// Replaces an offset checkpoint, unless it says so already. It is on the device then; what it said already is, too, but
/// for its name if the process before died right then: a power cut brings back an older one then.
///
/// # Errors
/// [`crate::error::Error::Full`] or [`crate::error::Error::Io`]. The old content may be there still, or the new.
pub fn save_offsets(disk: &Disk, name: &str, offsets: &Offsets) -> Result<()> {
    let entries = offsets.iter().map(|((topic, partition), offset)| (topic.as_str(), *partition, *offset));
    let (path, text) = (disk.root().join(name), checkpoint::format_offsets(entries));
    match disk.read_if_there(&path) {
        Ok(Some(there)) if there == text.as_bytes() => Ok(()),
        _ => disk.write_atomically(&path, text.as_bytes(), true),
    }
}

#[cfg(test)]
mod tests {
    use super::{Offsets, load_offsets_or_none, save_offsets};
    use crate::file::{Disk, Op};
    use crate::file_name::{HIGH_WATERMARK_CHECKPOINT, RECOVERY_POINT_CHECKPOINT};
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn offsets(entries: &[(&str, i32, i64)]) -> Offsets {
        entries.iter().map(|&(topic, partition, offset)| ((topic.to_owned(), partition), offset)).collect()
    }

    #[test]
    fn offsets_are_saved_in_kafkas_form_and_loaded_again() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::new(dir.path());
        let cases = [
            (offsets(&[]), "0\n0\n"),
            (
                offsets(&[("b", 10, 3), ("b", 2, 0), ("a.b-c", 0, i64::MAX)]),
                "0\n3\na.b-c 0 9223372036854775807\nb 2 0\nb 10 3\n",
            ),
        ];
        for (offsets, text) in cases {
            save_offsets(&disk, HIGH_WATERMARK_CHECKPOINT, &offsets).unwrap();
            assert_eq!(fs::read_to_string(dir.path().join(HIGH_WATERMARK_CHECKPOINT)).unwrap(), text);
            assert_eq!(load_offsets_or_none(&disk, HIGH_WATERMARK_CHECKPOINT).unwrap(), offsets);
        }
        let names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [HIGH_WATERMARK_CHECKPOINT], "nothing temporary is left");
    }

    #[test]
    fn what_a_checkpoint_says_already_is_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let written = Arc::new(AtomicUsize::new(0));
        let count = written.clone();
        let hook = move |op, _: &Path| {
            count.fetch_add(usize::from(op == Op::Write), Ordering::Relaxed);
            Ok(())
        };
        let disk = Disk::with_faults(dir.path(), Box::new(hook));
        for (entries, writes) in [(vec![], 1), (vec![], 1), (vec![("a", 0, 1)], 2), (vec![("a", 0, 1)], 2)] {
            save_offsets(&disk, RECOVERY_POINT_CHECKPOINT, &offsets(&entries)).unwrap();
            assert_eq!(written.load(Ordering::Relaxed), writes, "{entries:?}");
        }
    }

    #[test]
    fn a_malformed_checkpoint_is_empty_but_one_that_cannot_be_read_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::new(dir.path());
        let path = dir.path().join(RECOVERY_POINT_CHECKPOINT);
        for text in ["0\n2\nt 0 1\n", "1\n0\n", "0\n1\nt 0\n", "0\n1\nt 0 x\n", "garbage\n"] {
            fs::write(&path, text).unwrap();
            assert_eq!(
                load_offsets_or_none(&disk, RECOVERY_POINT_CHECKPOINT).unwrap(),
                Offsets::new(),
                "{text:?}"
            );
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(load_offsets_or_none(&disk, RECOVERY_POINT_CHECKPOINT).unwrap(), Offsets::new());
        fs::create_dir(&path).unwrap();
        assert!(load_offsets_or_none(&disk, RECOVERY_POINT_CHECKPOINT).is_err());
    }
}
