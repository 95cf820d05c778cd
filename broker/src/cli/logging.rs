//! How the lines of the log look.

use crate::config::LogFormat;
use crate::logging::{self, Filtered};
use std::fmt;
use std::io::IsTerminal;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, fmt as lines};

/// Begins to write the log of the process. The environment says what is in it ([`logging::install`]).
///
/// # Errors
/// The process has a log already.
pub fn start_log(format: LogFormat) -> Result<(), String> {
    let lines: Box<dyn Layer<Filtered> + Send + Sync> = match format {
        LogFormat::Pretty => Box::new(
            lines::layer()
                .with_target(false)
                .with_ansi(std::io::stderr().is_terminal())
                .with_writer(std::io::stderr),
        ),
        LogFormat::Kafka | LogFormat::Redpanda => {
            Box::new(lines::layer().event_format(Lines(format)).with_writer(std::io::stdout))
        }
        LogFormat::Json => Box::new(lines::layer().event_format(Lines(format)).with_writer(std::io::stderr)),
    };
    logging::install(|name| std::env::var(name).ok(), lines)
}

/// The lines that scripts and test libraries wait for, in a format of the log. They are written once, when every listener
/// accepts and what was to be there from the start is there.
pub fn ready_lines(format: LogFormat, node_id: i32) -> String {
    let kafka = [
        ("kafka.server.KafkaServer", format!("[KafkaServer id={node_id}] started")),
        (
            "kafka.server.BrokerLifecycleManager",
            format!(
                "[BrokerLifecycleManager id={node_id}] The broker has been unfenced. Transitioning from RECOVERY to \
                 RUNNING."
            ),
        ),
        ("kafka.server.KafkaRaftServer", format!("[KafkaRaftServer nodeId={node_id}] Kafka Server started")),
    ];
    // Two more, of which the first says to GraalVM builds and the second to old modules that they may connect.
    let of_images = [
        ("kafka.Kafka", "Kafka broker started".to_owned()),
        ("kafka.log.LogManager", "Creating new log file".to_owned()),
    ];
    let redpanda = ["Started Kafka API server", "Successfully started Redpanda!"]
        .map(|line| ("redpanda", line.to_owned()));
    let lines: Vec<_> = match format {
        LogFormat::Redpanda => redpanda.into(),
        LogFormat::Kafka => kafka.into_iter().chain(of_images).collect(),
        LogFormat::Pretty | LogFormat::Json => kafka.into(),
    };
    let now = now();
    let written = lines.into_iter().map(|(class, line)| match format {
        LogFormat::Kafka => kafka_line(&now, "INFO", &line, class) + "\n",
        LogFormat::Redpanda => redpanda_line(&now, "INFO", &line, class) + "\n",
        LogFormat::Pretty | LogFormat::Json => line + "\n",
    });
    written.collect()
}

/// The line that one test library waits for after it has told the broker its address: Kafka writes it five seconds
/// after the start.
pub fn late_line() -> String {
    let (line, class) =
        ("Checking need to trigger auto leader balancing", "kafka.controller.KafkaController");
    kafka_line(&now(), "DEBUG", line, class) + "\n"
}

struct Lines(LogFormat);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut message = Message(String::new());
        event.record(&mut message);
        let level = event.metadata().level().as_str();
        let target = event.metadata().target();
        let line = match self.0 {
            LogFormat::Kafka => kafka_line(&now(), level, &message.0, target),
            LogFormat::Redpanda => redpanda_line(&now(), level, &message.0, target),
            _ => json_line(&now(), level, &message.0, target),
        };
        writeln!(out, "{line}")
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        use fmt::Write;
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, "{name}={value:?}"),
        };
    }
}

/// The time of day as `2026-01-31T12:00:00.000000Z`.
fn now() -> String {
    let mut text = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

/// Log4j's `[%d] %p %m (%c)`.
fn kafka_line(time: &str, level: &str, message: &str, class: &str) -> String {
    format!("[{}] {level} {message} ({class})", to_the_millisecond(time))
}

/// Seastar's, of the one shard that there is.
fn redpanda_line(time: &str, level: &str, message: &str, module: &str) -> String {
    format!("{level:5} {} [shard 0] {module} - {message}", to_the_millisecond(time))
}

/// `2026-01-31 12:00:00,000`
fn to_the_millisecond(time: &str) -> String {
    let (day, time) = time.split_once('T').unwrap_or((time, ""));
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, "000"));
    format!("{day} {seconds},{}", fraction.get(..3).unwrap_or("000"))
}

fn json_line(time: &str, level: &str, message: &str, target: &str) -> String {
    let message = serde_json::Value::from(message);
    format!(r#"{{"time":"{time}","level":"{level}","target":"{target}","message":{message}}}"#)
}

#[cfg(test)]
mod tests {
    use super::{json_line, kafka_line, late_line, now, ready_lines, redpanda_line};
    use crate::config::LogFormat;

    #[test]
    fn lines_of_both_formats() {
        let time = "2026-01-31T12:00:00.123456Z";
        assert_eq!(
            kafka_line(time, "WARN", "a \"b\"", "milena::net"),
            "[2026-01-31 12:00:00,123] WARN a \"b\" (milena::net)"
        );
        assert_eq!(
            json_line(time, "WARN", "a \"b\"\n", "milena::net"),
            r#"{"time":"2026-01-31T12:00:00.123456Z","level":"WARN","target":"milena::net","message":"a \"b\"\n"}"#
        );
        assert_eq!(
            redpanda_line(time, "INFO", "a", "milena::net"),
            "INFO  2026-01-31 12:00:00,123 [shard 0] milena::net - a"
        );
        assert_eq!(now().len(), time.len());
    }

    #[test]
    fn what_others_wait_for_comes_once() {
        for format in [LogFormat::Kafka, LogFormat::Pretty, LogFormat::Json] {
            let text = ready_lines(format, 7);
            for awaited in [
                "[KafkaServer id=7] started",
                "Transitioning from RECOVERY to RUNNING",
                "Kafka Server started",
            ] {
                assert_eq!(text.matches(awaited).count(), 1, "{format:?}: {awaited}");
            }
            assert_eq!(text.matches("Kafka broker started").count(), usize::from(format == LogFormat::Kafka));
        }
        let text = ready_lines(LogFormat::Redpanda, 7);
        for awaited in ["Started Kafka API server", "Successfully started Redpanda!"] {
            assert_eq!(text.lines().filter(|line| line.ends_with(awaited)).count(), 1, "{awaited}");
        }
        assert_eq!(text.lines().count(), 2);
        assert!(late_line().ends_with(
            "Checking need to trigger auto leader balancing (kafka.controller.KafkaController)\n"
        ));
    }
}
