//! Reading a log that nobody has opened, without changing anything: before a start is known to go on, its files are not
//! ours to repair.

use super::recovery::batch_reader::{BatchReader, Step};
use crate::error::{Error, Result};
use crate::file::Disk;
use crate::file_name::{FileStage, SegmentFile, SegmentFileKind};
use milena_protocol::records::{BatchHeader, HEADER_LEN, crc_matches};
use std::fs::File;
use std::path::Path;

/// Shows header and body of every good batch in `dir` to `each`, oldest first. Of what is not good nothing is said:
/// opening the log mends it or says so.
///
/// # Errors
/// [`Error::Io`] if the directory or a file cannot be read.
pub fn peek(disk: &Disk, dir: &Path, mut each: impl FnMut(&BatchHeader, &[u8])) -> Result<()> {
    let names = disk.list(dir)?;
    let files = names.iter().filter_map(|name| name.to_str()?.parse::<SegmentFile>().ok());
    let mut logs: Vec<_> =
        files.filter(|file| file.kind == SegmentFileKind::Log && file.stage == FileStage::Live).collect();
    logs.sort_unstable_by_key(|file| file.base_offset);
    for log in logs {
        let path = dir.join(log.to_string());
        let failed = |e| Error::io("read", &path, e);
        let file = File::open(&path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut reader = BatchReader::new(&file, 0, length);
        while let Step::Batch(header, bytes) = reader.next().map_err(failed)? {
            if crc_matches(bytes) {
                each(&header, &bytes[HEADER_LEN..]);
            }
        }
    }
    Ok(())
}
