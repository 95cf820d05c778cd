//! Snapshots of the metadata log that are not whole: a file system that was cut off may forget what it had promised, and
//! leave a name without a content. As long as the log still holds what such a snapshot stood for, it is of no importance.

use super::QUARANTINED;
use milena_protocol::records::{Batches, ControlType, HEADER_LEN, Records, crc_matches};
use milena_storage::error::Result;
use milena_storage::file::Disk;
use milena_storage::file_name::MetadataSnapshotFile;
use std::path::Path;

/// Takes the newest snapshots that are not whole from `all`, which is in their order.
pub(super) fn take_from(
    all: &mut Vec<MetadataSnapshotFile>,
    disk: &Disk,
    dir: &Path,
) -> Result<Vec<MetadataSnapshotFile>> {
    let mut damaged = Vec::new();
    while let Some(newest) = all.last() {
        if is_whole(&disk.read(&dir.join(newest.to_string()))?) {
            break;
        }
        damaged.extend(all.pop());
    }
    Ok(damaged)
}

/// Sets them aside: the log has what they stood for.
pub(super) fn set_aside(damaged: &[MetadataSnapshotFile], disk: &Disk, dir: &Path) -> Result<()> {
    for snapshot in damaged {
        let from = dir.join(snapshot.to_string());
        tracing::error!(
            "{} is not whole and is set aside as {QUARANTINED}; what it stood for is read from the log",
            from.display()
        );
        let mut to = from.clone().into_os_string();
        to.push(QUARANTINED);
        disk.rename(&from, Path::new(&to))?;
    }
    disk.sync_dir(dir)
}

/// Whether the batches are good, none is missing, and the last record is the one that ends a snapshot.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    let (mut ends, mut next_offset) = (false, 0);
    for batch in Batches::new(bytes) {
        let Some((header, batch)) = batch.ok().filter(|(_, batch)| crc_matches(batch)) else { return false };
        if header.base_offset != next_offset {
            return false;
        }
        next_offset = header.next_offset();
        ends = header.attributes.is_control()
            && Records::new(&batch[HEADER_LEN..], header.record_count).last().is_some_and(|record| {
                let key = record.ok().and_then(|record| record.key);
                key.is_some_and(|key| ControlType::from_key(key) == Ok(ControlType::SnapshotFooter))
            });
    }
    ends
}
