//! Bytes to messages and back: frames, headers, record batches, stored schemas. No I/O, no clock, no threads.

pub mod fetch;
pub mod frame;
pub mod gather;
pub mod header;
pub mod java;
pub mod produce;
pub mod records;
pub mod request;
pub mod stored;
pub mod wire;
