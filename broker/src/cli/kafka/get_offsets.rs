//! `kafka-get-offsets` (`GetOffsetShell`).

use super::filter::{Include, is_internal};
use crate::cli::connect::{block_on, client};
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Given, switch, value};
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::client::{Client, TopicPartition};

/// The tool.
pub(crate) const RUN: Run = Run::Flags(FLAGS, run);

const FLAGS: &[Flag] = &[
    value("bootstrap-server", "HOST:PORT", "REQUIRED. The brokers to connect to."),
    value("topic-partitions", "LIST", "Topics with partitions: t1:1,t2:0-3,t3,t4:5-,t5:-3."),
    value("topic", "REGEX", "The topics; all if not given."),
    value("partitions", "IDS", "The partitions; all if not given."),
    value("time", "TIME", "A timestamp, or -1/latest, -2/earliest, -3/max-timestamp, ... (default: latest)."),
    value("command-config", "FILE", "Properties of the client."),
    switch("exclude-internal-topics", "Leave out Kafka's own topics."),
];

/// Names of the times that are none.
const TIMES: [(&str, i64); 6] = [
    ("latest", -1),
    ("earliest", -2),
    ("max-timestamp", -3),
    ("earliest-local", -4),
    ("latest-tiered", -5),
    ("earliest-pending-upload", -6),
];

fn run(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    given.required("bootstrap-server")?;
    print_offsets(screen, given).map_err(|failure| match failure {
        Failure::Text(_) | Failure::Word(_) | Failure::Client(_) => {
            Failure::text(format!("Error occurred: {failure}"))
        }
        other => other,
    })
}

fn print_offsets(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    if given.has("topic-partitions") && (given.has("topic") || given.has("partitions")) {
        return Err(Failure::text("--topic-partitions cannot be used with --topic or --partitions"));
    }
    let time = time_of(given.one("time")?.unwrap_or("latest"))?;
    let rules = rules_of(given)?;
    let mut client = client(given)?;
    block_on(async {
        let wanted = partitions(&mut client, &rules, given.has("exclude-internal-topics")).await?;
        if wanted.is_empty() {
            return Err(Failure::text("Could not match any topic-partitions with the specified filters"));
        }
        let wanted: Vec<_> = wanted.into_iter().map(|tp| (tp, time)).collect();
        let answers = client.list_offsets(&wanted, false).await?;
        // The order is that of the names with the number in them: t-10 comes before t-2.
        let mut rows: Vec<_> = answers.into_iter().map(|(tp, answer)| (tp.to_string(), tp, answer)).collect();
        rows.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (name, tp, answer) in rows {
            match answer {
                Ok(found) if found.offset < 0 => {}
                Ok(found) => screen.say(format_args!("{}:{}:{}", tp.topic, tp.partition, found.offset))?,
                Err(error) => screen.complain(format_args!(
                    "Skip getting offsets for topic-partition {name} due to error: {error}"
                ))?,
            }
        }
        Ok(())
    })
}

async fn partitions(
    client: &mut Client,
    rules: &[Rule],
    exclude_internal: bool,
) -> Result<Vec<TopicPartition>, Failure> {
    let mut all = Vec::new();
    for topic in client.metadata(None).await? {
        if exclude_internal && (topic.is_internal || is_internal(&topic.name)) {
            continue;
        }
        let mine: Vec<&Rule> = rules.iter().filter(|rule| rule.topics.allows(&topic.name)).collect();
        for partition in &topic.partitions {
            if mine.iter().any(|rule| rule.partitions.holds(partition.index)) {
                all.push(TopicPartition::new(&topic.name, partition.index));
            }
        }
    }
    Ok(all)
}

/// Some topics and some of their partitions.
#[derive(Debug)]
struct Rule {
    topics: Include,
    partitions: Numbers,
}

#[derive(Debug, PartialEq, Eq)]
enum Numbers {
    /// From the first up to, and not with, the second.
    Row(i32, i32),
    These(Vec<i32>),
}

impl Numbers {
    const ALL: Self = Self::Row(0, i32::MAX);

    fn holds(&self, number: i32) -> bool {
        match self {
            Self::Row(from, to) => (*from..*to).contains(&number),
            Self::These(all) => all.contains(&number),
        }
    }
}

fn rules_of(given: &Given) -> Result<Vec<Rule>, Failure> {
    if let Some(list) = given.one("topic-partitions")? {
        return list.split(',').map(rule_of).collect();
    }
    let partitions = match given.one("partitions")?.filter(|text| !text.is_empty()) {
        None => Numbers::ALL,
        Some(text) => {
            let numbers: Result<Vec<i32>, _> = text.split(',').map(str::parse).collect();
            Numbers::These(numbers.map_err(|_| {
                Failure::text(format!(
                    "--partitions expects a comma separated list of numeric partition ids, but received: {text}"
                ))
            })?)
        }
    };
    Ok(vec![Rule { topics: Include::new(given.one("topic")?.unwrap_or(".*"))?, partitions }])
}

fn rule_of(text: &str) -> Result<Rule, Failure> {
    let invalid = || Failure::text(format!("Invalid rule specification: {text}"));
    let (topics, numbers) = text.split_once(':').unwrap_or((text, ""));
    let bound = |text: &str, open: i32| match text {
        "" => Ok(open),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().map_err(|_| invalid()),
        _ => Err(invalid()),
    };
    let partitions = match numbers.split_once('-') {
        Some((from, to)) => Numbers::Row(bound(from, 0)?, bound(to, i32::MAX)?),
        None if numbers.is_empty() => Numbers::ALL,
        None => Numbers::These(vec![bound(numbers, 0)?]),
    };
    Ok(Rule { topics: Include::new(if topics.is_empty() { ".*" } else { topics })?, partitions })
}

fn time_of(text: &str) -> Result<i64, Failure> {
    if let Some((_, time)) = TIMES.iter().find(|(name, _)| *name == text) {
        return Ok(*time);
    }
    text.parse().map_err(|_| {
        let names = "-1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered";
        Failure::text(format!(
            "Malformed time argument {text}. Please use {names}, or a specified long format timestamp"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::{Numbers, rule_of, time_of};

    #[test]
    fn rules_name_topics_and_partitions() {
        for (text, topic, numbers) in [
            ("t", "t", Numbers::ALL),
            ("t:1", "t", Numbers::These(vec![1])),
            ("t:1-3", "t", Numbers::Row(1, 3)),
            ("t:5-", "t", Numbers::Row(5, i32::MAX)),
            ("t:-3", "t", Numbers::Row(0, 3)),
            (":2", "anything", Numbers::These(vec![2])),
            ("t.*:", "tx", Numbers::ALL),
        ] {
            let rule = rule_of(text).expect(text);
            assert!(rule.topics.allows(topic), "{text}");
            assert_eq!(rule.partitions, numbers, "{text}");
        }
        for text in ["t:x", "t:1-x", "t:1:2", "t:99999999999"] {
            assert!(rule_of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_have_names() {
        for (text, time) in
            [("latest", -1), ("earliest", -2), ("-3", -3), ("1700000000000", 1_700_000_000_000)]
        {
            assert_eq!(time_of(text).expect(text), time);
        }
        assert!(time_of("soon").is_err());
    }
}
