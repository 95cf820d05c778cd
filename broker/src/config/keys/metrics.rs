//! Metrics and telemetry.

use crate::config::key::{Key, int, list, long, string};

#[rustfmt::skip] // a table: one key, then its sentence
pub(super) const KEYS: &[Key] = &[
    int("kafka.metrics.polling.interval.secs", Some("10")).at_least(1)
        .doc("Seconds between polls of Kafka's metrics reporters."),
    list("kafka.metrics.reporters", Some(""))
        .doc("Java classes that report Kafka's older metrics; not loaded."),
    list("metric.reporters", Some("org.apache.kafka.common.metrics.JmxReporter")).cluster_wide()
        .doc("Java classes that report metrics; not loaded."),
    int("metrics.num.samples", Some("2")).at_least(1)
        .doc("Samples kept to compute a metric."),
    string("metrics.recording.level", Some("INFO"))
        .doc("Detail of recorded metrics: INFO, DEBUG or TRACE."),
    long("metrics.sample.window.ms", Some("30000")).at_least(1)
        .doc("Milliseconds of one metrics sample."),
    int("telemetry.max.bytes", Some("1048576")).at_least(1)
        .doc("Largest metrics push in bytes that a client may send."),
];
