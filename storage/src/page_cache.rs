//! What the page cache holds of a file, so that who serves others does not wait for the device.
//!
//! Nothing here is a promise: the kernel may drop pages at any time. A file system that cannot tell (tmpfs and overlayfs
//! among them, depending on the kernel) is taken to be in memory.

use rustix::io::{Errno, ReadWriteFlags, preadv2};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;

/// Distance between the bytes at which a range is probed. What was not read or written lately goes in long stretches, so
/// few probes tell.
const PROBE: usize = 512 << 10;
/// Bytes that one read brings in.
const PIECE: usize = 128 << 10;

/// Fills `buf` from `position` on.
///
/// # Errors
/// `WouldBlock` if that would wait for the device; otherwise as `read_exact_at`.
pub(crate) fn read_exact_at(file: &File, mut buf: &mut [u8], mut position: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match preadv2(file, &mut [IoSliceMut::new(buf)], position, ReadWriteFlags::NOWAIT) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => (buf, position) = (&mut buf[n..], position + n as u64),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(_) => return FileExt::read_exact_at(file, buf, position),
        }
    }
    Ok(())
}

/// Whether a range is in memory, as far as a look here and there tells.
#[must_use]
pub fn holds(file: &File, position: u64, len: usize) -> bool {
    let Some(last) = len.checked_sub(1) else { return true };
    let mut probes = (0..last).step_by(PROBE).chain([last]);
    probes.all(|at| {
        let read = read_exact_at(file, &mut [0], position + at as u64);
        read.map_or_else(|error| error.kind() != io::ErrorKind::WouldBlock, |()| true)
    })
}

/// Reads a range, so that it is in memory afterwards; blocks.
///
/// # Errors
/// The system's, if the device cannot be read.
pub fn bring_in(file: &File, position: u64, len: usize) -> io::Result<()> {
    let mut piece = vec![0; PIECE.min(len)];
    let mut done = 0;
    while done < len {
        let n = piece.len().min(len - done);
        FileExt::read_exact_at(file, &mut piece[..n], position + done as u64)?;
        done += n;
    }
    Ok(())
}
