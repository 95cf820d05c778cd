//! A walk over records that come out of a decompressor, in a window of constant size.

use std::io::{self, Read, Write};

use thiserror::Error;

use super::record::{RecordError, SkimmedRecord, read_varint, read_varlong};
use super::scratch::Scratch;

/// Records up to this size, length field included, are seen whole; of longer ones the bytes pass by.
const WINDOW: usize = 64 * 1024;
/// A record's length, attributes, timestamp delta, offset delta and key length at their longest fit.
const FIELDS: usize = 32;

/// Why a stream of records ends early.
#[derive(Debug, Error)]
pub enum StreamError {
    /// The decompressor, or whatever is read from.
    #[error("{0}")]
    Read(io::Error),
    /// Where the bytes are copied to.
    #[error("{0}")]
    Write(io::Error),
    /// The bytes are not records.
    #[error("{0}")]
    Record(#[from] RecordError),
    /// More bytes than the caller allows.
    #[error("the records unpack to more than {0} bytes")]
    TooLarge(u64),
}

/// Reads records one by one and passes over their keys, values and headers, checking all lengths on the way.
pub struct RecordStream<R> {
    reader: R,
    window: Scratch,
    start: usize,
    end: usize,
    /// Bytes that may still be read.
    allowance: u64,
    limit: u64,
}

impl<R: Read> RecordStream<R> {
    /// `limit`: bytes after which the stream is given up.
    pub fn new(reader: R, limit: u64) -> Self {
        let mut window = Scratch::take();
        window.grow(WINDOW);
        Self { reader, window, start: 0, end: 0, allowance: limit, limit }
    }

    /// The next record, which has to be there.
    ///
    /// # Errors
    /// Broken input, bytes that are no record, or none left.
    #[inline]
    pub fn skim(&mut self) -> Result<SkimmedRecord, StreamError> {
        // A record that is whole in the window is the common case.
        let mut bytes = &self.window[self.start..self.end];
        if let Ok(record) = SkimmedRecord::read(&mut bytes) {
            self.start = self.end - bytes.len();
            return Ok(record);
        }
        self.skim_refilled()
    }

    #[cold]
    fn skim_refilled(&mut self) -> Result<SkimmedRecord, StreamError> {
        self.fill(FIELDS)?;
        let mut bytes = self.available();
        let length = read_varint(&mut bytes)?;
        let body = usize::try_from(length).map_err(|_| RecordError::Length(length))?;
        let prefix = self.available().len() - bytes.len();
        if prefix + body <= WINDOW {
            self.fill(prefix + body)?;
            let mut bytes = self.available();
            let record = SkimmedRecord::read(&mut bytes)?;
            self.start = self.end - bytes.len();
            return Ok(record);
        }
        self.start += prefix;
        self.skim_long(body).map_err(|error| match error {
            // Fields that run out of the record, while the stream goes on.
            StreamError::Record(RecordError::Truncated) if !self.at_end() => {
                RecordError::Length(length).into()
            }
            other => other,
        })
    }

    /// A record longer than the window, field by field; `left` counts what the record still has.
    fn skim_long(&mut self, mut left: usize) -> Result<SkimmedRecord, StreamError> {
        self.fill(FIELDS)?;
        let mut bytes = self.available();
        let before = bytes.len();
        let Some((&attributes, rest)) = bytes.split_first() else {
            return Err(RecordError::Truncated.into());
        };
        bytes = rest;
        let timestamp_delta = read_varlong(&mut bytes)?;
        let offset_delta = read_varint(&mut bytes)?;
        let taken = before - bytes.len();
        self.start += taken;
        left -= taken;

        let key = self.long_varint(&mut left)?;
        self.skip(key, &mut left)?;
        let value = self.long_varint(&mut left)?;
        self.skip(value, &mut left)?;
        let headers = self.long_varint(&mut left)?;
        if headers < 0 || headers as usize > left / 2 {
            return Err(RecordError::HeaderCount(headers).into());
        }
        for _ in 0..headers {
            let key = self.long_varint(&mut left)?;
            if key < 0 {
                return Err(RecordError::HeaderKeyLength(key).into());
            }
            self.skip(key, &mut left)?;
            let value = self.long_varint(&mut left)?;
            self.skip(value, &mut left)?;
        }
        if left > 0 {
            return Err(RecordError::Truncated.into());
        }
        Ok(SkimmedRecord { attributes: attributes as i8, timestamp_delta, offset_delta, has_key: key >= 0 })
    }

    /// A varint inside a record that still has `left` bytes.
    fn long_varint(&mut self, left: &mut usize) -> Result<i32, StreamError> {
        if self.end - self.start < FIELDS {
            self.fill(FIELDS)?;
        }
        let available = self.available();
        let mut bytes = &available[..available.len().min(*left)];
        let before = bytes.len();
        let value = read_varint(&mut bytes)?;
        let taken = before - bytes.len();
        self.start += taken;
        *left -= taken;
        Ok(value)
    }

    /// Passes over `length` bytes; a negative length is a null, without bytes.
    fn skip(&mut self, length: i32, left: &mut usize) -> Result<(), StreamError> {
        let length = usize::try_from(length).unwrap_or(0);
        *left = left.checked_sub(length).ok_or(RecordError::Truncated)?;
        self.copy(length, &mut io::sink())
    }

    /// The fields in front of the next record's key, and how many bytes follow them; for records skimmed before in
    /// another walk. The caller has to take those bytes by [`RecordStream::copy`].
    pub(super) fn open(&mut self) -> Result<(SkimmedRecord, usize), StreamError> {
        self.fill(FIELDS)?;
        let mut bytes = self.available();
        let length = read_varint(&mut bytes)?;
        let body = usize::try_from(length).map_err(|_| RecordError::Length(length))?;
        let start = bytes.len();
        let Some((&attributes, rest)) = bytes.split_first() else {
            return Err(RecordError::Truncated.into());
        };
        bytes = rest;
        let timestamp_delta = read_varlong(&mut bytes)?;
        let offset_delta = read_varint(&mut bytes)?;
        let tail = body.checked_sub(start - bytes.len()).ok_or(RecordError::Length(length))?;
        let has_key = read_varint(&mut { bytes })? >= 0;
        self.start = self.end - bytes.len();
        Ok((SkimmedRecord { attributes: attributes as i8, timestamp_delta, offset_delta, has_key }, tail))
    }

    /// Passes `length` bytes on to `out`.
    pub(super) fn copy(&mut self, mut length: usize, out: &mut impl Write) -> Result<(), StreamError> {
        loop {
            let available = self.available();
            let n = available.len().min(length);
            out.write_all(&available[..n]).map_err(StreamError::Write)?;
            self.start += n;
            length -= n;
            if length == 0 {
                return Ok(());
            }
            self.fill(1)?;
            if self.at_end() {
                return Err(RecordError::Truncated.into());
            }
        }
    }

    /// Ends the walk: nothing may follow the last record, and the input has to be whole.
    ///
    /// # Errors
    /// Bytes that follow, or input that breaks after the last record.
    pub fn finish(mut self) -> Result<(), StreamError> {
        self.fill(1)?;
        match self.end - self.start {
            0 => Ok(()),
            trailing => Err(RecordError::TrailingBytes(trailing).into()),
        }
    }

    fn available(&self) -> &[u8] {
        &self.window[self.start..self.end]
    }

    /// No byte in the window; behind [`RecordStream::fill`] that means the end of the input.
    fn at_end(&self) -> bool {
        self.start == self.end
    }

    /// Reads until `want` bytes are in the window (at most [`WINDOW`]), or the input ends.
    fn fill(&mut self, want: usize) -> Result<(), StreamError> {
        if self.end - self.start >= want {
            return Ok(());
        }
        self.window.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while self.end < want {
            // The window may have been larger in another use.
            match self.reader.read(&mut self.window[self.end..WINDOW]) {
                Ok(0) => break,
                Ok(n) => {
                    self.end += n;
                    self.allowance =
                        self.allowance.checked_sub(n as u64).ok_or(StreamError::TooLarge(self.limit))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(StreamError::Read(error)),
            }
        }
        Ok(())
    }
}
