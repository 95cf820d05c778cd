//! Sends a [`Gather`]: inline bytes by `send`, file ranges from the page cache to the socket by `sendfile`.

use milena_protocol::gather::Gather;
use nix::errno::Errno;
use nix::sys::sendfile::sendfile;
use nix::sys::socket::{MsgFlags, send};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// More bytes follow at once: the kernel may wait for them before it sends a packet.
const MSG_MORE: MsgFlags = MsgFlags::from_bits_retain(nix::libc::MSG_MORE);

/// What is on its way to a client, and how much of it has left.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    gather: Gather,
    /// Inline bytes sent.
    inline: usize,
    /// File ranges sent.
    ranges: usize,
    /// Bytes sent of the range after those.
    of_range: usize,
}

impl Outgoing {
    /// Where answers are written.
    pub(crate) fn gather(&mut self) -> &mut Gather {
        &mut self.gather
    }

    /// Whether everything has left.
    pub(crate) fn is_empty(&self) -> bool {
        self.gather.is_empty()
    }

    /// How much has left: inline bytes, file ranges, and bytes of the range after those. Nothing once all has.
    pub(crate) fn sent(&self) -> (usize, usize, usize) {
        (self.inline, self.ranges, self.of_range)
    }

    /// Memory that answers take: inline bytes, those that were sent included, because they are only let go when everything
    /// has left, and the places of file ranges.
    pub(crate) fn held_bytes(&self) -> usize {
        self.gather.held_bytes()
    }

    /// Sends until everything has left. A reset of the answer's memory keeps `keep` bytes.
    ///
    /// # Errors
    /// `WouldBlock` if the socket takes no more now; any other error ends the connection.
    pub(crate) fn send(&mut self, socket: BorrowedFd<'_>, keep: usize) -> io::Result<()> {
        loop {
            let (bytes, cuts) = (self.gather.bytes(), self.gather.cuts());
            let next = cuts.get(self.ranges);
            let until = next.map_or(bytes.len(), |c| c.at);
            if self.inline < until {
                let more = if next.is_some() { MSG_MORE } else { MsgFlags::empty() };
                let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT | more;
                self.inline += retry(|| send(socket.as_raw_fd(), &bytes[self.inline..until], flags))?;
                continue;
            }
            let Some(cut) = next else { break };
            let range = &cut.range;
            let mut position =
                i64::try_from(range.position + self.of_range as u64).map_err(io::Error::other)?;
            let left = range.len - self.of_range;
            let sent = retry(|| sendfile(socket, range.file.as_fd(), Some(&mut position), left))?;
            if sent == 0 {
                // Cannot be while published bytes are never cut off; the client must not wait for the rest for ever.
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "a log file is shorter than its published end",
                ));
            }
            self.of_range += sent;
            if self.of_range == range.len {
                (self.ranges, self.of_range) = (self.ranges + 1, 0);
            }
        }
        self.gather.clear(keep);
        (self.inline, self.ranges, self.of_range) = (0, 0, 0);
        Ok(())
    }
}

fn retry(mut call: impl FnMut() -> nix::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outgoing;
    use milena_protocol::gather::FileRange;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::sync::Arc;

    #[test]
    fn inline_bytes_and_ranges_leave_in_order_through_a_narrow_socket() {
        let mut file = tempfile::tempfile().unwrap();
        let stored: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
        file.write_all(&stored).unwrap();
        let file = Arc::new(file);
        let mut out = Outgoing::default();
        let mut expected = Vec::new();
        for (i, (from, len)) in
            [(5usize, 1usize), (100, 2_000_000), (7, 900_000), (1, 0)].into_iter().enumerate()
        {
            let head = vec![i as u8; 70_000 * i];
            out.gather().bytes_mut().extend_from_slice(&head);
            out.gather().put_range(FileRange { file: file.clone(), position: from as u64, len });
            expected.extend_from_slice(&head);
            expected.extend_from_slice(&stored[from..from + len]);
        }
        out.gather().bytes_mut().extend_from_slice(b"end");
        expected.extend_from_slice(b"end");

        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let (mut got, mut piece, mut blocked) = (Vec::new(), vec![0; 60_001], 0);
        loop {
            match out.send(ours.as_fd(), 0) {
                Ok(()) => break,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    blocked += 1;
                    let n = theirs.read(&mut piece).unwrap();
                    got.extend_from_slice(&piece[..n]);
                }
                Err(e) => panic!("{e}"),
            }
        }
        assert!(out.is_empty() && blocked > 3);
        drop(ours);
        theirs.read_to_end(&mut got).unwrap();
        assert!(got == expected);
    }

    /// A client that always leaves something unread must not make the rest pile up: what was sent counts until it is let go.
    #[test]
    fn what_was_sent_is_held_until_everything_has_left() {
        let (here, mut there) = std::os::unix::net::UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        let mut out = Outgoing::default();
        out.gather().bytes_mut().extend_from_slice(&vec![1; 3 << 20]);
        let blocked = out.send(here.as_fd(), 0).unwrap_err();
        assert_eq!(blocked.kind(), std::io::ErrorKind::WouldBlock);
        assert!(out.inline > 0 && out.held_bytes() == 3 << 20, "{} sent", out.inline);
        let mut read = 0;
        let mut piece = vec![0; 1 << 16];
        while read < 3 << 20 {
            read += there.read(&mut piece).unwrap();
            let _ = out.send(here.as_fd(), 0);
        }
        assert!(out.is_empty() && out.held_bytes() == 0);
        let file = Arc::new(tempfile::tempfile().unwrap());
        out.gather().put_range(FileRange { file, position: 0, len: 1 << 30 });
        assert!((1..1000).contains(&out.held_bytes()), "records of a range are not in memory, its place is");
    }
}
