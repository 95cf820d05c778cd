//! The codecs of record batches, framed as Kafka's clients frame them.
//!
//! * gzip: members of RFC 1952, one after another; what follows them and is none is passed over, as in Java.
//! * snappy: snappy-java's blocks (`xerial`) are written; those and one raw block (as librdkafka sends) are read.
//! * lz4: one LZ4 frame of independent blocks, of 64 KiB where written here.
//! * zstd: frames, one after another.
//!
//! Reading streams: memory is a block or a window of what was really produced, never what a length announces.
//! (Exceptions, both bounded by the bytes received: a snappy block is unpacked whole, and it cannot be longer than
//! 22 times its packed form; a zstd window of up to 128 MiB is reserved as announced but touched only as far as
//! output fills it.)

mod gzip;
mod lz4;
mod snappy;
mod zstandard;

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use thiserror::Error;

use gzip::GzipReader;
use lz4::Lz4Reader;
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use snappy::{SnappyReader, SnappyWriter};
use zstandard::{ZstdReader, ZstdWriter};

/// How the records of a batch are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Codec {
    /// Not at all.
    #[default]
    None,
    /// Id 1.
    Gzip,
    /// Id 2.
    Snappy,
    /// Id 3.
    Lz4,
    /// Id 4; not in Produce requests below version 7.
    Zstd,
}

impl Codec {
    /// All of them, by id.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec of the three low attribute bits.
    #[inline]
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// The id in the attributes, 0 to 4.
    #[inline]
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The name in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }
}

/// A level that its codec does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{codec:?} has no compression level {level}")]
pub struct InvalidLevel {
    /// The codec.
    pub codec: Codec,
    /// The level.
    pub level: i32,
}

/// A compression level within the range of its codec (KIP-390): gzip 1 to 9 and -1, the default (6 is meant); lz4 1 to
/// 17, by default 9; zstd -131072 to 22, by default 3.
///
/// lz4 is packed by one algorithm whatever the level: the library behind it has no others. None and snappy have no
/// levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(i32);

impl Level {
    /// The level that Kafka takes where none is configured.
    pub fn default_of(codec: Codec) -> Self {
        Self(match codec {
            Codec::None | Codec::Snappy => 0,
            Codec::Gzip => -1,
            Codec::Lz4 => 9,
            Codec::Zstd => 3,
        })
    }

    /// Checks a configured level.
    ///
    /// # Errors
    /// The codec does not have it.
    pub fn new(codec: Codec, level: i32) -> Result<Self, InvalidLevel> {
        let valid = match codec {
            Codec::None | Codec::Snappy => level == 0,
            Codec::Gzip => level == -1 || (1..=9).contains(&level),
            Codec::Lz4 => (1..=17).contains(&level),
            Codec::Zstd => (-131_072..=22).contains(&level),
        };
        if valid { Ok(Self(level)) } else { Err(InvalidLevel { codec, level }) }
    }

    /// The number.
    pub fn get(self) -> i32 {
        self.0
    }
}

/// Why bytes could not be packed or unpacked.
#[derive(Debug, Error)]
pub enum CompressionError {
    /// Not what the codec makes, or cut off.
    #[error("the {codec:?} data is broken: {source}")]
    Broken {
        /// The codec.
        codec: Codec,
        /// What it says.
        source: io::Error,
    },
    /// More output than the caller allows.
    #[error("the {codec:?} data unpacks to more than {limit} bytes")]
    TooLarge {
        /// The codec.
        codec: Codec,
        /// The bytes allowed.
        limit: usize,
    },
}

/// Unpacks `packed` into memory that grows as output comes, up to `limit` bytes.
///
/// # Errors
/// Broken data, or more than `limit` bytes of output.
pub fn decompress(codec: Codec, packed: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    let mut out = Vec::new();
    let mut reader = Decoder::new(codec, packed).take((limit as u64).saturating_add(1));
    reader.read_to_end(&mut out).map_err(|source| CompressionError::Broken { codec, source })?;
    if out.len() > limit { Err(CompressionError::TooLarge { codec, limit }) } else { Ok(out) }
}

/// Packs `plain`.
///
/// # Errors
/// None is known; the libraries' results are passed on.
pub fn compress(codec: Codec, level: Level, plain: &[u8]) -> Result<Vec<u8>, CompressionError> {
    let broken = |source| CompressionError::Broken { codec, source };
    let mut encoder = Encoder::new(codec, level, Vec::with_capacity(plain.len() / 2)).map_err(broken)?;
    encoder.write_all(plain).map_err(broken)?;
    encoder.finish().map_err(broken)
}

/// Unpacks while read. Fails where the data is broken or cut off; what it gave out before then is not to be trusted.
pub struct Decoder<'a>(DecoderKind<'a>);

enum DecoderKind<'a> {
    None(&'a [u8]),
    Gzip(Box<GzipReader<'a>>),
    Snappy(SnappyReader<'a>),
    Lz4(Lz4Reader<'a>),
    Zstd(ZstdReader<'a>),
}

impl<'a> Decoder<'a> {
    /// Starts at the front of `packed`.
    pub fn new(codec: Codec, packed: &'a [u8]) -> Self {
        Self(match codec {
            Codec::None => DecoderKind::None(packed),
            Codec::Gzip => DecoderKind::Gzip(Box::new(GzipReader::new(packed))),
            Codec::Snappy => DecoderKind::Snappy(SnappyReader::new(packed)),
            Codec::Lz4 => DecoderKind::Lz4(Lz4Reader::new(packed)),
            Codec::Zstd => DecoderKind::Zstd(ZstdReader::new(packed)),
        })
    }
}

impl Read for Decoder<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            DecoderKind::None(reader) => reader.read(out),
            DecoderKind::Gzip(reader) => reader.read(out),
            DecoderKind::Snappy(reader) => reader.read(out),
            DecoderKind::Lz4(reader) => reader.read(out),
            DecoderKind::Zstd(reader) => reader.read(out),
        }
    }
}

/// Packs what is written and appends it to a vector.
pub struct Encoder(EncoderKind);

enum EncoderKind {
    None(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
    Snappy(Box<SnappyWriter>),
    Lz4(Box<FrameEncoder<Vec<u8>>>),
    Zstd(ZstdWriter),
}

impl Encoder {
    /// Appends to `out`, whose bytes so far stay.
    ///
    /// # Errors
    /// zstd found no memory.
    pub fn new(codec: Codec, level: Level, out: Vec<u8>) -> io::Result<Self> {
        Ok(Self(match codec {
            Codec::None => EncoderKind::None(out),
            Codec::Gzip => {
                let level = u32::try_from(level.0).map_or(Compression::default(), Compression::new);
                EncoderKind::Gzip(GzEncoder::new(out, level))
            }
            Codec::Snappy => EncoderKind::Snappy(Box::new(SnappyWriter::new(out))),
            Codec::Lz4 => {
                let info = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
                EncoderKind::Lz4(Box::new(FrameEncoder::with_frame_info(info, out)))
            }
            Codec::Zstd => EncoderKind::Zstd(ZstdWriter::new(level.0, out)?),
        }))
    }

    /// Bytes in the vector by now; the codec may hold back more.
    pub fn written(&self) -> usize {
        match &self.0 {
            EncoderKind::None(out) => out.len(),
            EncoderKind::Gzip(writer) => writer.get_ref().len(),
            EncoderKind::Snappy(writer) => writer.written(),
            EncoderKind::Lz4(writer) => writer.get_ref().len(),
            EncoderKind::Zstd(writer) => writer.written(),
        }
    }

    /// Writes the end of the codec's framing and returns the vector.
    ///
    /// # Errors
    /// None is known; the libraries' results are passed on.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        match self.0 {
            EncoderKind::None(out) => Ok(out),
            EncoderKind::Gzip(writer) => writer.finish(),
            EncoderKind::Snappy(writer) => writer.finish(),
            EncoderKind::Lz4(writer) => writer.finish().map_err(io::Error::other),
            EncoderKind::Zstd(writer) => writer.finish(),
        }
    }
}

impl Write for Encoder {
    fn write(&mut self, plain: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            EncoderKind::None(out) => out.write(plain),
            EncoderKind::Gzip(writer) => writer.write(plain),
            EncoderKind::Snappy(writer) => writer.write(plain),
            EncoderKind::Lz4(writer) => writer.write(plain),
            EncoderKind::Zstd(writer) => writer.write(plain),
        }
    }

    /// Does nothing: a block that is flushed early packs worse, and nobody reads before [`Encoder::finish`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An error about the packed bytes themselves.
fn invalid(text: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// The packed bytes end too early.
fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it is cut off")
}

/// Takes `N` bytes off the front.
fn take<const N: usize>(bytes: &mut &[u8]) -> io::Result<[u8; N]> {
    let (array, rest) = bytes.split_first_chunk::<N>().ok_or_else(cut_off)?;
    *bytes = rest;
    Ok(*array)
}

/// Takes `len` bytes off the front.
fn take_slice<'a>(bytes: &mut &'a [u8], len: usize) -> io::Result<&'a [u8]> {
    let (slice, rest) = bytes.split_at_checked(len).ok_or_else(cut_off)?;
    *bytes = rest;
    Ok(slice)
}
