//! What the kernel says of a process: memory, descriptors, threads and processor time.

use nix::unistd::{SysconfVar, sysconf};
use std::collections::HashMap;
use std::fs;

/// Memory and handles of one process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident bytes, mapped pages of files included.
    pub resident: u64,
    /// The most that was resident, ever or since [`forget_peak`].
    pub peak: u64,
    /// Resident bytes that are not backed by a file.
    pub anonymous: u64,
    /// Open file descriptors.
    pub descriptors: usize,
    /// Mapped ranges of addresses.
    pub mappings: usize,
    /// Threads.
    pub threads: usize,
}

/// Reads the usage of `pid`, or `None` if there is no such process.
#[must_use]
pub fn usage(pid: u32) -> Option<Usage> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| -> u64 {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .unwrap_or(0)
    };
    Some(Usage {
        resident: field("VmRSS:") * 1024,
        peak: field("VmHWM:") * 1024,
        anonymous: field("RssAnon:") * 1024,
        descriptors: fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count),
        mappings: fs::read_to_string(format!("/proc/{pid}/maps")).map_or(0, |maps| maps.lines().count()),
        threads: usize::try_from(field("Threads:")).unwrap_or(0),
    })
}

/// Lets the kernel count the peak of `pid` anew, from what is resident now.
///
/// # Panics
/// If the process is gone, or not this user's.
pub fn forget_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("a process of one's own");
}

/// Processor seconds (user and system) that `pid` and all its descendants, ended ones that were waited for included,
/// have used so far.
#[must_use]
pub fn cpu_seconds(pid: u32) -> f64 {
    let mut parent_of = HashMap::new();
    let mut ticks_of = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Some((parent, ticks)) = stat(id) else { continue };
        parent_of.insert(id, parent);
        ticks_of.insert(id, ticks);
    }
    let descends = |mut id: u32| {
        while id != pid {
            match parent_of.get(&id) {
                Some(parent) if *parent != 0 => id = *parent,
                _ => return false,
            }
        }
        true
    };
    let ticks: u64 = ticks_of.iter().filter(|(id, _)| descends(**id)).map(|(_, ticks)| ticks).sum();
    ticks as f64 / ticks_per_second()
}

/// The smallest step of [`cpu_seconds`] is one over this.
#[must_use]
pub fn ticks_per_second() -> f64 {
    sysconf(SysconfVar::CLK_TCK).ok().flatten().map_or(100.0, |ticks| ticks as f64)
}

/// Parent and ticks of `pid`: the fields after the command, which may itself hold spaces and brackets.
fn stat(pid: u32) -> Option<(u32, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some((u32::try_from(number(1)?).ok()?, number(11)? + number(12)? + number(13)? + number(14)?))
}

#[cfg(test)]
mod tests {
    use super::{cpu_seconds, forget_peak, usage};

    #[test]
    fn reads_its_own_process() {
        let me = usage(std::process::id()).expect("this process runs");
        assert!(
            me.resident > 0 && me.anonymous <= me.resident && me.descriptors >= 3 && me.threads >= 1,
            "{me:?}"
        );
        assert!(me.peak >= me.resident, "{me:?}");
        assert!(cpu_seconds(std::process::id()) >= 0.0);
        assert_eq!(usage(u32::MAX), None);
    }

    #[test]
    fn a_peak_is_seen_after_it_is_over() {
        let me = std::process::id();
        forget_peak(me);
        let before = usage(me).expect("this process runs");
        drop(std::hint::black_box(vec![1_u8; 256 << 20]));
        let after = usage(me).expect("this process runs");
        assert!(after.peak >= before.resident + (200 << 20), "{before:?} {after:?}");
        forget_peak(me);
        assert!(usage(me).expect("this process runs").peak < after.peak);
    }
}
