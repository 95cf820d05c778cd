//! What the device under a directory is, and what a sync of its whole file system is worth.

use nix::sys::statfs::{self, FsType, statfs};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Magic number of XFS, which `nix` has on some targets only.
const XFS_SUPER_MAGIC: FsType = FsType(0x5846_5342);
/// The first kernel whose `syncfs` reports errors of writes that the kernel did on its own (commit 735e4ae5ba28).
const REPORTS_SINCE: (u32, u32) = (5, 8);

/// Whether `syncfs` may stand for an `fdatasync` of each file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WholeSync {
    /// It does not report every error, or nobody has looked at what it does on this file system.
    Never,
    /// It writes the data, commits the journal and empties the cache of the device.
    Alone,
    /// As before, but an overwrite that leaves nothing to log stays in the cache of the device; an `fdatasync` of any
    /// one file behind it empties that.
    ThenOneFile,
}

impl WholeSync {
    /// What holds for the file system of a directory.
    pub(crate) fn under(root: &Path) -> Self {
        let reports = nix::sys::utsname::uname()
            .ok()
            .and_then(|name| version_of(name.release().to_str()?))
            .is_some_and(|version| version >= REPORTS_SINCE);
        match statfs(root) {
            Ok(_) | Err(_) if !reports => Self::Never,
            Ok(found) if found.filesystem_type() == statfs::EXT4_SUPER_MAGIC => Self::Alone,
            Ok(found) if found.filesystem_type() == XFS_SUPER_MAGIC => Self::ThenOneFile,
            _ => Self::Never,
        }
    }
}

/// Major and minor of a kernel release such as `5.15.0-91-generic`.
fn version_of(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// File systems whose `syncfs` ends in the kernel: what was written is with whoever serves them then, who is asked by
/// `fsync` alone to bring it to a device.
const SERVED_BY_OTHERS: [FsType; 4] = [
    // FUSE
    FsType(0x6573_5546),
    // 9P
    FsType(0x0102_1997),
    // SMB, SMB 2
    FsType(0xff53_4d42),
    FsType(0xfe53_4d42),
];

/// Whether `syncfs` on the file system of a directory brings everything to its device.
pub(crate) fn syncfs_reaches_device(root: &Path) -> bool {
    statfs(root).is_ok_and(|found| !SERVED_BY_OTHERS.contains(&found.filesystem_type()))
}

/// `st_dev` of a path: directories with the same one share a device.
pub(crate) fn id_of(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|found| found.dev())
}

#[cfg(test)]
mod tests {
    use super::version_of;

    #[test]
    fn kernel_releases_are_understood() {
        for (release, version) in [
            ("5.15.0-91-generic", Some((5, 15))),
            ("6.18.44-fc-v595", Some((6, 18))),
            ("5.4", Some((5, 4))),
            ("4.19+", Some((4, 19))),
            ("", None),
            ("six", None),
        ] {
            assert_eq!(version_of(release), version, "{release}");
        }
    }
}
