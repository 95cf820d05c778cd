//! Lines of standard input or of a file, read on a thread of its own: a read cannot be called off.

use std::io::{self, BufRead, BufReader, Read};
use std::vec::IntoIter;
use tokio::sync::mpsc::{Receiver, channel};

/// Bytes that are read at a time, and those of a piece.
const PIECE: usize = 1 << 16;
/// Pieces that were read and not yet taken. More of them wait in the pipe: a line may be as long as it likes, and the next ones
/// are not read until there is room.
const AHEAD: usize = 4;

/// Lines with their ends, in pieces: those that were there at once.
type Piece = io::Result<Vec<Vec<u8>>>;

/// Lines that come.
pub(crate) struct Lines {
    pieces: Receiver<Piece>,
    piece: IntoIter<Vec<u8>>,
}

impl Lines {
    /// Begins to read.
    pub(crate) fn read(input: impl Read + Send + 'static) -> Self {
        let (sender, pieces) = channel(AHEAD);
        std::thread::spawn(move || {
            let mut input = BufReader::with_capacity(PIECE, input);
            loop {
                let piece = piece(&mut input);
                let is_last = piece.as_ref().map_or(true, Vec::is_empty);
                if sender.blocking_send(piece).is_err() || is_last {
                    return;
                }
            }
        });
        Self { pieces, piece: IntoIter::default() }
    }

    /// The next line, when there is one; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        loop {
            if let Some(line) = self.piece.next() {
                return Some(Ok(line));
            }
            match self.pieces.recv().await? {
                Ok(piece) => self.piece = piece.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The next line, if it is there already.
    pub(crate) fn ready(&mut self) -> Option<io::Result<Vec<u8>>> {
        loop {
            if let Some(line) = self.piece.next() {
                return Some(Ok(line));
            }
            match self.pieces.try_recv().ok()? {
                Ok(piece) => self.piece = piece.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// One line, and what has come with it; nothing at the end.
fn piece(input: &mut BufReader<impl Read>) -> Piece {
    let (mut lines, mut bytes) = (Vec::new(), 0);
    loop {
        let mut line = Vec::new();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(lines);
        }
        bytes += line.len();
        lines.push(line);
        if bytes >= PIECE || !input.buffer().contains(&b'\n') {
            return Ok(lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Lines, PIECE};
    use std::io::{self, Read};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// What is read in steps of its own, and counted.
    struct Steps(Vec<io::Result<Vec<u8>>>, Arc<AtomicUsize>);

    impl Read for Steps {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let mut step = self.0.remove(0)?;
            let rest = step.split_off(step.len().min(room.len()));
            room[..step.len()].copy_from_slice(&step);
            if !rest.is_empty() {
                self.0.insert(0, Ok(rest));
            }
            self.1.fetch_add(step.len(), Ordering::SeqCst);
            Ok(step.len())
        }
    }

    async fn all(steps: Vec<io::Result<Vec<u8>>>) -> Vec<Result<String, String>> {
        let mut lines = Lines::read(Steps(steps, Arc::default()));
        let mut found = Vec::new();
        while let Some(line) = lines.next().await {
            found.push(line.map(|line| String::from_utf8(line).unwrap()).map_err(|error| error.to_string()));
        }
        found
    }

    #[tokio::test]
    async fn lines_come_as_they_are() {
        let ok = |text: &str| Ok(text.as_bytes().to_vec());
        for (steps, expected) in [
            (vec![], vec![]),
            (vec![ok("a\nb"), ok("c\r\n\n"), ok("d")], vec![Ok("a\n"), Ok("bc\r\n"), Ok("\n"), Ok("d")]),
            (vec![ok("a\n"), Err(io::Error::other("torn"))], vec![Ok("a\n"), Err("torn")]),
        ] {
            let expected: Vec<_> =
                expected.into_iter().map(|line| line.map(str::to_owned).map_err(str::to_owned)).collect();
            assert_eq!(all(steps).await, expected);
        }
    }

    #[tokio::test]
    async fn long_lines_are_not_read_before_there_is_room() {
        let length = 4 * PIECE;
        let mut line = vec![b'x'; length];
        line.push(b'\n');
        let count = Arc::new(AtomicUsize::new(0));
        let steps = (0..100).map(|_| Ok(line.clone())).collect();
        let mut lines = Lines::read(Steps(steps, count.clone()));
        for taken in 1..=100 {
            assert_eq!(lines.next().await.unwrap().unwrap().len(), line.len());
            // Those that wait, one that has no room yet, and the beginning of the next.
            assert!(count.load(Ordering::SeqCst) <= (taken + 6) * line.len() + PIECE);
        }
        assert!(lines.next().await.is_none());
    }

    #[tokio::test]
    async fn what_is_there_at_once_comes_at_once() {
        let mut lines = Lines::read(&b"a\nb\nc"[..]);
        assert_eq!(lines.next().await.unwrap().unwrap(), b"a\n");
        assert_eq!(lines.ready().unwrap().unwrap(), b"b\n");
    }
}
