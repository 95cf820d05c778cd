//! Bytes to messages and back: frames, headers, record batches, stored schemas. No I/O, no clock, no threads.

pub mod frame;
pub mod gather;
pub mod header;
pub mod records;
pub mod stored;
