//! Sends a [`Gather`]: inline bytes by `send`, file ranges from the page cache to the socket by `sendfile`.
//!
//! What is not in the page cache would make `sendfile`, and everybody who is served by this thread, wait for the device. So a
//! range is looked at piece by piece just before it is sent, however long ago it was found, and a piece that is not there
//! is handed out to be read by somebody else.

use milena_protocol::gather::{FileRange, Gather};
use nix::errno::Errno;
use nix::sys::sendfile::sendfile;
use nix::sys::socket::{MsgFlags, send};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

/// More bytes follow at once: the kernel may wait for them before it sends a packet.
const MSG_MORE: MsgFlags = MsgFlags::from_bits_retain(nix::libc::MSG_MORE);

/// Bytes of a file range that are looked at, and brought in, at once.
const PIECE: usize = 1 << 20;
/// Bytes of file ranges that leave in one go, which takes some 0.1 ms. A reader that keeps up would take a whole answer, and
/// everybody else who is served by this thread would wait for that.
const SHARE: usize = 256 << 10;
/// How long what was seen in memory is taken to be there, if the socket takes it bit by bit.
const SEEN_FOR: Duration = Duration::from_millis(100);

/// What became of sending.
#[derive(Debug)]
pub(crate) enum Sent {
    /// Everything has left.
    Everything,
    /// As much as may leave before it is the turn of others.
    Share,
    /// What comes next must be read from the device first. It is taken to be in memory the next time.
    Cold(FileRange),
}

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
    /// Bytes behind those that are in memory, as it seemed then.
    seen: (usize, Option<Instant>),
    /// Bytes behind those that somebody has brought in since.
    brought_in: usize,
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

    /// Sends until everything or its share has left, or something has to be read that is not in memory, which `is_cached`
    /// tells. A reset of the answer's memory keeps `keep` bytes.
    ///
    /// # Errors
    /// `WouldBlock` if the socket takes no more now; any other error ends the connection.
    pub(crate) fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        keep: usize,
        now: Instant,
        is_cached: impl Fn(&FileRange) -> bool,
    ) -> io::Result<Sent> {
        if self.brought_in > 0 {
            self.seen = (std::mem::take(&mut self.brought_in), Some(now));
        } else if self.seen.1.is_none_or(|seen| now.duration_since(seen) > SEEN_FOR) {
            self.seen.0 = 0;
        }
        let mut share = SHARE;
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
            if share == 0 {
                return Ok(Sent::Share);
            }
            let range = &cut.range;
            let at = range.position + self.of_range as u64;
            if self.seen.0 == 0 {
                let len = PIECE.min(range.len - self.of_range);
                let piece = FileRange { file: range.file.clone(), position: at, len };
                if !is_cached(&piece) {
                    self.brought_in = len;
                    return Ok(Sent::Cold(piece));
                }
                self.seen = (len, Some(now));
            }
            let mut position = i64::try_from(at).map_err(io::Error::other)?;
            let len = share.min(self.seen.0);
            let sent = retry(|| sendfile(socket, range.file.as_fd(), Some(&mut position), len))?;
            if sent == 0 {
                // Cannot be while published bytes are never cut off; the client must not wait for the rest for ever.
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "a log file is shorter than its published end",
                ));
            }
            self.of_range += sent;
            self.seen.0 -= sent;
            share -= sent;
            if self.of_range == range.len {
                (self.ranges, self.of_range) = (self.ranges + 1, 0);
            }
        }
        self.gather.clear(keep);
        (self.inline, self.ranges, self.of_range) = (0, 0, 0);
        Ok(Sent::Everything)
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
    use super::{Outgoing, PIECE, SEEN_FOR, SHARE, Sent};
    use milena_protocol::gather::FileRange;
    use std::fs::File;
    use std::io::{Read, Seek, SeekFrom, Write};
    use std::os::fd::AsFd;
    use std::sync::Arc;
    use std::time::Instant;

    fn file_of_three_megabytes() -> (Arc<File>, Vec<u8>) {
        let mut file = tempfile::tempfile().unwrap();
        let stored: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
        file.write_all(&stored).unwrap();
        (Arc::new(file), stored)
    }

    #[test]
    fn inline_bytes_and_ranges_leave_in_order_through_a_narrow_socket() {
        let (file, stored) = file_of_three_megabytes();
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
            match out.send(ours.as_fd(), 0, Instant::now(), |_| true) {
                Ok(Sent::Everything) => break,
                Ok(_) => {}
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

    /// Into a socket that takes everything at once, as that of a reader that keeps up.
    #[test]
    fn no_more_than_a_share_leaves_in_one_go() {
        let (file, stored) = file_of_three_megabytes();
        let socket = tempfile::tempfile().unwrap();
        let mut out = Outgoing::default();
        for (position, len) in [(7, 2_900_000), (0, 1000), (5, 2000)] {
            out.gather().put_range(FileRange { file: file.clone(), position, len });
        }
        let mut leaves = Vec::new();
        loop {
            let before = socket.metadata().unwrap().len();
            let sent = out.send(socket.as_fd(), 0, Instant::now(), |_| true).unwrap();
            leaves.push((socket.metadata().unwrap().len() - before) as usize);
            if let Sent::Everything = sent {
                break;
            }
        }
        let (last, before) = leaves.split_last().unwrap();
        assert!(before.iter().all(|share| *share == SHARE) && *last <= SHARE, "{leaves:?}");
        let mut got = Vec::new();
        (&socket).seek(SeekFrom::Start(0)).unwrap();
        (&socket).read_to_end(&mut got).unwrap();
        assert!(got == [&stored[7..2_900_007], &stored[..1000], &stored[5..2005]].concat());
    }

    /// Between a look and the next one the socket may be full for long.
    #[test]
    fn what_is_not_in_memory_is_asked_for_and_not_waited_for() {
        let (file, stored) = file_of_three_megabytes();
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut out = Outgoing::default();
        for (position, len) in [(7, 2_900_000), (0, 1000)] {
            out.gather().bytes_mut().extend_from_slice(b"head");
            out.gather().put_range(FileRange { file: file.clone(), position, len });
        }
        // Nothing is in memory unless it has just been brought in, and that not for long.
        let (mut asked, mut got, mut piece) = (Vec::new(), Vec::new(), vec![0; 100_000]);
        let mut now = Instant::now();
        loop {
            match out.send(ours.as_fd(), 0, now, |_| false) {
                Ok(Sent::Everything) => break,
                Ok(Sent::Share) => {}
                Ok(Sent::Cold(range)) => {
                    asked.push((range.position as usize, range.len));
                    // However long that takes.
                    now += 10 * SEEN_FOR;
                }
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                    let n = theirs.read(&mut piece).unwrap();
                    got.extend_from_slice(&piece[..n]);
                    // The client takes a break after the first MB.
                    now += if got.len() > 1_000_000 { SEEN_FOR * 2 } else { SEEN_FOR / 100 };
                }
            }
        }
        drop(ours);
        theirs.read_to_end(&mut got).unwrap();
        assert!(got == [b"head", &stored[7..2_900_007], b"head", &stored[..1000]].concat());
        // Each piece begins within the one before or behind it, and none reaches beyond its range.
        assert_eq!((asked[0], asked[asked.len() - 1]), ((7, PIECE), (0, 1000)));
        let of_first = &asked[..asked.len() - 1];
        assert!(of_first.iter().all(|(at, len)| (1..=PIECE).contains(len) && at + len <= 2_900_007));
        assert!(of_first.windows(2).all(|two| two[1].0 > two[0].0 && two[1].0 <= two[0].0 + two[0].1));
        assert_eq!(of_first.iter().filter(|(at, _)| *at < 900_000).count(), 1, "what was seen is trusted");
        assert!(of_first.len() > 5, "and no more after a while");
    }

    /// A client that always leaves something unread must not make the rest pile up: what was sent counts until it is let go.
    #[test]
    fn what_was_sent_is_held_until_everything_has_left() {
        let (here, mut there) = std::os::unix::net::UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        let mut out = Outgoing::default();
        out.gather().bytes_mut().extend_from_slice(&vec![1; 3 << 20]);
        let blocked = out.send(here.as_fd(), 0, Instant::now(), |_| true).unwrap_err();
        assert_eq!(blocked.kind(), std::io::ErrorKind::WouldBlock);
        assert!(out.inline > 0 && out.held_bytes() == 3 << 20, "{} sent", out.inline);
        let mut read = 0;
        let mut piece = vec![0; 1 << 16];
        while read < 3 << 20 {
            read += there.read(&mut piece).unwrap();
            let _ = out.send(here.as_fd(), 0, Instant::now(), |_| true);
        }
        assert!(out.is_empty() && out.held_bytes() == 0);
        let file = Arc::new(tempfile::tempfile().unwrap());
        out.gather().put_range(FileRange { file, position: 0, len: 1 << 30 });
        assert!((1..1000).contains(&out.held_bytes()), "records of a range are not in memory, its place is");
    }
}
