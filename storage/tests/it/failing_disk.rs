//! Every operation of a run fails once: what was acknowledged stays, what was refused never appears.

use crate::random::{for_seeds, note};
use crate::world::{Action, Promised, World};
use milena_storage::error::Error;
use milena_storage::file::{Faults, Op};
use nix::libc::{EIO, EMFILE, ENOSPC};
use parking_lot::Mutex;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How an operation fails.
#[derive(Clone, Copy, Debug)]
struct Failure {
    errno: i32,
    /// Some of the bytes of a write get through.
    short: bool,
}

const FAILURES: [Failure; 5] = [
    Failure { errno: EIO, short: false },
    Failure { errno: EIO, short: true },
    Failure { errno: ENOSPC, short: false },
    Failure { errno: ENOSPC, short: true },
    Failure { errno: EMFILE, short: false },
];

/// Lets the `n`-th operation fail.
fn fail_at(
    n: usize,
    failure: Failure,
    calls: &Arc<AtomicUsize>,
    promised: &Arc<Mutex<Promised>>,
) -> Box<Faults> {
    let (calls, promised) = (calls.clone(), promised.clone());
    Box::new(move |op, path| {
        // Only an opening needs a descriptor, and none needs space that only reads.
        let can_fail = match failure.errno {
            EMFILE => matches!(op, Op::Open | Op::OpenRead),
            ENOSPC => !matches!(op, Op::OpenRead | Op::ReadAtOnce),
            _ => true,
        };
        if !can_fail || promised.lock().checking || calls.fetch_add(1, Ordering::Relaxed) != n {
            return Ok(());
        }
        if failure.short && op == Op::Write {
            write_some(path, &promised.lock());
        }
        Err(io::Error::from_raw_os_error(failure.errno))
    })
}

/// Of a batch that goes to the end of its file, the first bytes; of a small file that is replaced, nothing.
fn write_some(path: &Path, promised: &Promised) {
    match &promised.writes {
        Some(bytes) if path.extension().is_some_and(|kind| kind == "log") => {
            let mut file = OpenOptions::new().append(true).open(path).unwrap();
            file.write_all(&bytes[..bytes.len() * 2 / 3]).unwrap();
        }
        _ if path.extension().is_some_and(|kind| kind != "log") => fs::write(path, "").unwrap(),
        _ => {}
    }
}

/// A run in which the `n`-th operation fails; answers whether there were so many.
fn run(seed: u64, steps: usize, n: usize, failure: Failure) -> bool {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let world = World::new(dir.path(), seed);
    let promised = world.promised.clone();
    let mut world = world.with_faults(Box::new({
        let calls = calls.clone();
        move || fail_at(n, failure, &calls, &promised)
    }));
    for step in 0..steps {
        note(format!("operation {n}, {failure:?}, step {step}"));
        match world.step() {
            Ok(_) => {}
            // The broker is started again.
            Err(Error::Offline(_) | Error::Io { .. }) if failure.errno == EIO => world.kill(),
            Err(Error::Full(_) | Error::Offline(_) | Error::Io { .. }) if failure.errno == ENOSPC => {}
            Err(error) if failure.errno == EMFILE && error.is_shortage() => {}
            Err(error) => panic!("{error}"),
        }
    }
    let reached = calls.load(Ordering::Relaxed) > n;
    note(format!("operation {n}, {failure:?}, at the end"));
    world.kill();
    let stopped = world.act(Action::Stop);
    assert!(!reached || stopped.is_ok(), "{stopped:?}");
    for _ in 0..2 {
        world.kill();
        let _ = world.act(Action::Stop);
    }
    world.act(Action::Check).unwrap();
    reached
}

#[test]
fn every_operation_may_fail_once() {
    for_seeds(1, |seed| {
        for failure in FAILURES {
            // Few operations open a file.
            let steps = if failure.errno == EMFILE { 50 } else { 25 };
            let mut n = 0;
            while run(seed, steps, n, failure) {
                n += 1;
            }
            assert!(n > if failure.errno == EMFILE { 5 } else { 20 }, "a run of {n} operations");
        }
    });
}

#[test]
fn any_operation_of_a_long_run_may_fail() {
    for_seeds(8, |seed| {
        let n = (seed as usize).wrapping_mul(7919) % 400;
        run(seed, 120, n, FAILURES[seed as usize % FAILURES.len()]);
    });
}
