//! File descriptors that connections may not take.
//!
//! Connections and files count against one limit. If clients could take all of it, nothing could be stored, no topic made
//! and no checkpoint written, and whoever can connect can open connections.

use nix::sys::resource::{Resource, getrlimit};
use std::os::fd::RawFd;

/// One in so many descriptors is for files alone ...
const SHARE: u64 = 8;
/// ... up to this many.
const RESERVED_MAX: u64 = 1024;

/// Takes in a connection that was accepted as `socket`, or says why not. The kernel gives the lowest number that is free,
/// so a high one means that all below are taken. The limit is asked for each time: it may change while the process runs.
pub(super) fn admit(socket: RawFd) -> Result<(), String> {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((limit, _)) if is_reserved(socket, limit) => {
            Err(format!("the last file descriptors of {limit} are kept for files (ulimit -n)"))
        }
        _ => Ok(()),
    }
}

fn is_reserved(descriptor: RawFd, limit: u64) -> bool {
    u64::try_from(descriptor).is_ok_and(|descriptor| descriptor >= limit - (limit / SHARE).min(RESERVED_MAX))
}

#[cfg(test)]
mod tests {
    use super::is_reserved;

    #[test]
    fn the_last_eighth_is_kept_but_never_more_than_1024() {
        for (limit, first_reserved) in
            [(8, 7), (64, 56), (1024, 896), (8192, 7168), (20_000, 18_976), (1 << 30, (1 << 30) - 1024)]
        {
            assert!(!is_reserved(first_reserved - 1, limit), "{limit}");
            assert!(is_reserved(first_reserved, limit), "{limit}");
        }
        assert!(!is_reserved(i32::MAX, u64::MAX), "no limit");
    }
}
