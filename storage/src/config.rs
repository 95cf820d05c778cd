//! What a log needs to know of its topic's configuration.

/// Settings of one partition log; the names are those of Kafka's topic configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment rolls before it would become larger.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment rolls when record time has moved on this far, in milliseconds.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: up to this much earlier, drawn per segment.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: a segment rolls when an index is full.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: bytes of log between two index entries.
    pub index_interval_bytes: u32,
    /// `flush.messages`: this many records may be unsynced; `i64::MAX` leaves it to the kernel.
    pub flush_messages: i64,
    /// `flush.ms`: records may be unsynced this long.
    pub flush_ms: i64,
    /// `producer.id.expiration.ms`: idempotent producers are forgotten after this much silence.
    pub producer_id_expiration_ms: i64,
    /// Whether hot tails are mapped; `pwrite` otherwise (file systems on which a mapping is unsafe).
    pub mapped: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            producer_id_expiration_ms: 86_400_000,
            mapped: true,
        }
    }
}
