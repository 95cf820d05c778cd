//! The allocator of the command, and when its threads give memory back.

use rustix::time::{ClockId, clock_gettime};
use std::cell::Cell;

/// A frame of 23 bytes may announce an array of billions, and the codec crate reserves room for all of them before it
/// reads the first. This allocator takes such a reservation without touching memory, and the decoder then fails
/// cleanly; glibc's would abort the process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

thread_local! {
    /// The second in which this thread has given memory back.
    static TRIMMED_S: Cell<i64> = const { Cell::new(0) };
}

/// For a thread that is about to wait: once a second it gives the system what it has freed. Left alone, the allocator
/// keeps the pages of each size that a thread has ever needed until that thread allocates again, which after a load may
/// be never: 8 MiB and more of them.
pub(crate) fn trim() {
    // The coarse clock is read without a call of the system; a thread may wait a hundred thousand times a second.
    let now_s = clock_gettime(ClockId::MonotonicCoarse).tv_sec;
    if TRIMMED_S.replace(now_s) != now_s {
        collect();
    }
}

#[expect(unsafe_code, reason = "the allocator's own function, which has no other binding")]
fn collect() {
    // SAFETY: it may be called on any thread at any time (mimalloc.h), takes no pointer, and moves nothing that is in use.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
