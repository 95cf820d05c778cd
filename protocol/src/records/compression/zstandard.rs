//! zstd through contexts that a thread keeps: setting one up costs more than a small batch.

use std::cell::Cell;
use std::io::{self, Read};

use zstd::zstd_safe::{
    CCtx, CParameter, DCtx, InBuffer, OutBuffer, ResetDirective, SafeResult, get_error_name,
    zstd_sys::ZSTD_EndDirective,
};

use super::{cut_off, invalid};

/// A context that grew beyond this (a large window) is freed rather than kept.
const KEPT_BYTES: usize = 8 * 1024 * 1024;
/// Output is appended in pieces of this size.
const PIECE: usize = 16 * 1024;

thread_local! {
    static DECODER: Cell<Option<DCtx<'static>>> = const { Cell::new(None) };
    static ENCODER: Cell<Option<CCtx<'static>>> = const { Cell::new(None) };
}

fn checked(result: SafeResult) -> io::Result<usize> {
    result.map_err(|code| invalid(get_error_name(code)))
}

fn out_of_memory() -> io::Error {
    io::Error::from(io::ErrorKind::OutOfMemory)
}

/// Unpacks frames, one after another.
pub(super) struct ZstdReader<'a> {
    packed: &'a [u8],
    context: Option<DCtx<'static>>,
    frame_ended: bool,
}

impl<'a> ZstdReader<'a> {
    pub(super) fn new(packed: &'a [u8]) -> Self {
        Self { packed, context: None, frame_ended: false }
    }

    fn context(&mut self) -> io::Result<&mut DCtx<'static>> {
        if self.context.is_none() {
            let mut context = match DECODER.take() {
                Some(context) => context,
                None => DCtx::try_create().ok_or_else(out_of_memory)?,
            };
            checked(context.reset(ResetDirective::SessionOnly))?;
            self.context = Some(context);
        }
        self.context.as_mut().ok_or_else(out_of_memory)
    }
}

impl Read for ZstdReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            if self.frame_ended && self.packed.is_empty() {
                return Ok(0);
            }
            let packed = self.packed;
            let mut input = InBuffer::around(packed);
            let mut output = OutBuffer::around(&mut *out);
            let left = checked(self.context()?.decompress_stream(&mut output, &mut input))?;
            let (taken, given) = (input.pos(), output.pos());
            self.packed = &packed[taken..];
            self.frame_ended = left == 0;
            if given > 0 {
                return Ok(given);
            }
            if !self.frame_ended && self.packed.is_empty() {
                return Err(cut_off());
            }
        }
    }
}

impl Drop for ZstdReader<'_> {
    fn drop(&mut self) {
        if let Some(context) = self.context.take().filter(|context| context.sizeof() <= KEPT_BYTES) {
            // The thread may be ending, its contexts gone.
            let _ = DECODER.try_with(|kept| kept.set(Some(context)));
        }
    }
}

/// Packs into one frame.
pub(super) struct ZstdWriter {
    out: Vec<u8>,
    context: Option<CCtx<'static>>,
}

impl ZstdWriter {
    pub(super) fn new(level: i32, out: Vec<u8>) -> io::Result<Self> {
        let mut context = match ENCODER.take() {
            Some(context) => context,
            None => CCtx::try_create().ok_or_else(out_of_memory)?,
        };
        checked(context.reset(ResetDirective::SessionAndParameters))?;
        checked(context.set_parameter(CParameter::CompressionLevel(level)))?;
        Ok(Self { out, context: Some(context) })
    }

    pub(super) fn written(&self) -> usize {
        self.out.len()
    }

    pub(super) fn write(&mut self, plain: &[u8]) -> io::Result<usize> {
        let mut input = InBuffer::around(plain);
        while input.pos() < plain.len() {
            self.step(&mut input, ZSTD_EndDirective::ZSTD_e_continue)?;
        }
        Ok(plain.len())
    }

    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        while self.step(&mut InBuffer::around(&[]), ZSTD_EndDirective::ZSTD_e_end)? > 0 {}
        Ok(std::mem::take(&mut self.out))
    }

    /// Returns what the context still holds back, at least.
    fn step(&mut self, input: &mut InBuffer<'_>, end: ZSTD_EndDirective) -> io::Result<usize> {
        let context = self.context.as_mut().ok_or_else(out_of_memory)?;
        let at = self.out.len();
        self.out.reserve(PIECE);
        let mut output = OutBuffer::around_pos(&mut self.out, at);
        checked(context.compress_stream2(&mut output, input, end))
    }
}

impl Drop for ZstdWriter {
    fn drop(&mut self) {
        if let Some(context) = self.context.take().filter(|context| context.sizeof() <= KEPT_BYTES) {
            let _ = ENCODER.try_with(|kept| kept.set(Some(context)));
        }
    }
}
