//! What a log needs to know of its topic's configuration.

/// Settings of one partition log; the names are those of Kafka's topic configuration.
#[derive(Clone, Debug, PartialEq)]
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
    /// `cleanup.policy` has `delete`: old segments go by time and size.
    pub delete: bool,
    /// `cleanup.policy` has `compact`: of every key the last record stays.
    pub compact: bool,
    /// `retention.ms`: a segment goes when its newest record is older; negative for ever.
    pub retention_ms: i64,
    /// `retention.bytes`: the oldest segments go while the log is larger without them; negative without limit.
    pub retention_bytes: i64,
    /// `file.delete.delay.ms`: files of segments that left the log are unlinked this much later.
    pub file_delete_delay_ms: i64,
    /// `min.cleanable.dirty.ratio`: share of uncompacted bytes from which compaction is worth it, 0 to 1.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`: records stay uncompacted for at least this long.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: records are compacted after at most this long.
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`: tombstones and transaction markers stay this long after compaction has met them.
    pub delete_retention_ms: i64,
    /// `max.message.bytes`: largest batch that a client may append, in bytes.
    pub max_message_bytes: u32,
    /// `producer.id.expiration.ms`: idempotent producers are forgotten after this much silence.
    pub producer_id_expiration_ms: i64,
    /// Whether hot tails are mapped; `pwrite` otherwise (file systems on which a mapping is unsafe).
    pub mapped: bool,
}

impl LogConfig {
    /// Age at which a segment rolls: `segment.ms`, or `max.compaction.lag.ms` if that comes first, because only closed
    /// segments are compacted.
    #[must_use]
    pub fn oldest_segment_ms(&self) -> i64 {
        match self.max_compaction_lag_ms {
            lag if self.compact && lag > 0 => lag.min(self.segment_ms),
            _ => self.segment_ms,
        }
    }
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
            delete: true,
            compact: false,
            retention_ms: 7 * 24 * 3_600_000,
            retention_bytes: -1,
            file_delete_delay_ms: 60_000,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: 24 * 3_600_000,
            max_message_bytes: (1 << 20) + 12,
            producer_id_expiration_ms: 86_400_000,
            mapped: true,
        }
    }
}
