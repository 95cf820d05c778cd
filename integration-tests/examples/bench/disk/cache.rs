//! Less page cache than there is.

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Where the kernel's control groups are; of version 1, the memory controller has a folder of its own.
const GROUPS: &str = "/sys/fs/cgroup";

/// A bound on the memory of a process and of the files that it touches, until this is dropped.
#[derive(Debug)]
pub(super) struct Limit {
    group: PathBuf,
}

impl Limit {
    /// Bounds `pid`.
    ///
    /// # Errors
    /// Why that cannot be done: only root may, and only where there is a memory controller.
    pub(super) fn on(pid: u32, bytes: u64) -> Result<Self, String> {
        let groups = Path::new(GROUPS);
        let old = groups.join("memory");
        let unified = groups.join("cgroup.controllers").exists();
        let (parent, key) =
            if unified { (groups, "memory.max") } else { (old.as_path(), "memory.limit_in_bytes") };
        let limit = Self { group: parent.join(format!("milena-bench-{pid}")) };
        let explain = |error: std::io::Error| format!("no bound on memory in {}: {error}", parent.display());
        if unified {
            fs::write(groups.join("cgroup.subtree_control"), "+memory").map_err(explain)?;
        }
        fs::create_dir(&limit.group).map_err(explain)?;
        fs::write(limit.group.join(key), bytes.to_string()).map_err(explain)?;
        fs::write(limit.group.join("cgroup.procs"), pid.to_string()).map_err(explain)?;
        Ok(limit)
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        // Empty once the process is gone; a group that stays bounds nobody.
        let _ = fs::remove_dir(&self.group);
    }
}

/// Writes out what the files below `folder` have in the page cache, and lets go of it.
///
/// # Panics
/// If a file cannot be opened.
pub(super) fn forget(folder: &Path) {
    for entry in fs::read_dir(folder).expect("the broker's folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            forget(&path);
        } else if path.extension().is_some_and(|extension| extension == "log") {
            let file = File::open(&path).expect("a segment");
            file.sync_data().expect("a disk that keeps what it is given");
            posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).expect("advice is taken");
        }
    }
}
