//! Buffers that a thread uses again and again while it packs and unpacks records.

use std::cell::RefCell;
use std::mem;
use std::ops::{Deref, DerefMut};

/// A buffer that grew beyond this in one batch is given back to the allocator.
const KEPT_BYTES: usize = 256 * 1024;
/// A reader has a window and a block at the same time, and a rewrite reads and writes.
const KEPT_BUFFERS: usize = 4;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer with whatever contents its last user left, which spares clearing it. Returns to its thread when dropped.
#[derive(Debug)]
pub(super) struct Scratch(Vec<u8>);

impl Scratch {
    pub(super) fn take() -> Self {
        Self(BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default())
    }

    /// Makes it at least `len` bytes long.
    pub(super) fn grow(&mut self, len: usize) {
        if self.0.len() < len {
            self.0.resize(len, 0);
        }
    }
}

impl Deref for Scratch {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.0.capacity() > KEPT_BYTES {
            return;
        }
        let buffer = mem::take(&mut self.0);
        // The thread may be ending, its buffers gone.
        let _ = BUFFERS.try_with(|buffers| {
            let mut buffers = buffers.borrow_mut();
            if buffers.len() < KEPT_BUFFERS {
                buffers.push(buffer);
            }
        });
    }
}
