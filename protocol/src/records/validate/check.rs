//! The checks of single records, which do not end at the first one that fails: the answer names them all.

use super::super::batch::{BatchHeader, NO_TIMESTAMP, TimestampType};
use super::super::record::SkimmedRecord;
use super::{RecordRejection, Rejected, RejectedKind, Rules};

/// An answer cannot name more records than this, however many small ones a batch packs.
const NAMED_RECORDS: usize = 1000;

/// What is known of the records once all have passed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checked {
    /// The greatest timestamp, -1 where no record has one.
    pub(super) max_timestamp: i64,
    /// Offset delta of the first record that has it.
    pub(super) offset_of_max_timestamp: i32,
    /// Whether the offset deltas were 0, 1, 2…
    pub(super) offsets_in_order: bool,
}

/// Looks at one record after the other.
pub(super) struct Checker<'a> {
    rules: &'a Rules,
    now_ms: i64,
    base_timestamp: i64,
    /// Stands in for every record's timestamp.
    sent_log_append_time: Option<i64>,
    checked: Checked,
    failures: Option<Box<Failures>>,
}

#[derive(Default)]
struct Failures {
    count: usize,
    timestamps: bool,
    named: Vec<RecordRejection>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(header: &BatchHeader, rules: &'a Rules, now_ms: i64) -> Self {
        Self {
            rules,
            now_ms,
            base_timestamp: header.base_timestamp,
            sent_log_append_time: header.log_append_time(),
            checked: Checked {
                max_timestamp: NO_TIMESTAMP,
                offset_of_max_timestamp: 0,
                offsets_in_order: true,
            },
            failures: None,
        }
    }

    /// Looks at record number `index`.
    #[inline(always)]
    pub(super) fn check(&mut self, index: i32, record: &SkimmedRecord) {
        let SkimmedRecord { timestamp_delta, offset_delta, has_key, .. } = *record;
        let timestamp =
            self.sent_log_append_time.unwrap_or_else(|| self.base_timestamp.wrapping_add(timestamp_delta));
        if timestamp > self.checked.max_timestamp {
            self.checked.max_timestamp = timestamp;
            self.checked.offset_of_max_timestamp = offset_delta;
        }
        self.checked.offsets_in_order &= offset_delta == index;
        if self.rules.compacted && !has_key {
            self.fail_key(index);
        } else if self.rules.timestamp_type == TimestampType::CreateTime && timestamp != NO_TIMESTAMP {
            // Wraps as in Kafka: a timestamp 2^63 ms away is out of range on either side.
            let age = self.now_ms.wrapping_sub(timestamp);
            if age > self.rules.before_max_ms || age.wrapping_neg() > self.rules.after_max_ms {
                self.fail_timestamp(index, timestamp);
            }
        } else if self.sent_log_append_time.is_some() {
            self.fail_timestamp_type(index);
        }
    }

    /// What all records came to, or the records that failed.
    #[inline]
    pub(super) fn finish(self) -> Result<Checked, Rejected> {
        match self.failures {
            None => Ok(self.checked),
            Some(failures) => Err(rejected(*failures)),
        }
    }

    #[cold]
    fn fail_key(&mut self, index: i32) {
        self.fail(index, false, "a record of a compacted topic needs a key".to_owned());
    }

    #[cold]
    fn fail_timestamp_type(&mut self, index: i32) {
        self.fail(index, true, "the timestamp type LogAppendTime is for the broker to set".to_owned());
    }

    #[cold]
    fn fail_timestamp(&mut self, index: i32, timestamp: i64) {
        let earliest = self.now_ms.saturating_sub(self.rules.before_max_ms);
        let latest = self.now_ms.saturating_add(self.rules.after_max_ms);
        self.fail(index, true, format!("the timestamp {timestamp} is not between {earliest} and {latest}"));
    }

    fn fail(&mut self, index: i32, timestamp: bool, message: String) {
        let failures = self.failures.get_or_insert_default();
        failures.count += 1;
        failures.timestamps |= timestamp;
        if failures.named.len() < NAMED_RECORDS {
            failures.named.push(RecordRejection { batch_index: index, message: Some(message) });
        }
    }
}

#[cold]
fn rejected(failures: Failures) -> Rejected {
    let Failures { count, timestamps, named } = failures;
    let first = named.first().and_then(|record| record.message.as_deref()).unwrap_or_default();
    let (kind, what) = if timestamps {
        (RejectedKind::InvalidTimestamp, "have an invalid timestamp")
    } else {
        (RejectedKind::InvalidRecord, "are invalid")
    };
    let message = format!("records of the batch {what}: {count} fail, the first because {first}");
    Rejected { kind, message, record_errors: named, of_request: false }
}
