//! What has to be done so that a seed is there.

use crate::seed::file::{Seed, SeedRecord};
use std::collections::BTreeMap;
use std::fmt;

/// What is there, by the name of the topic.
pub(crate) type Present = BTreeMap<String, PresentTopic>;

/// A topic that is there.
#[derive(Clone, Debug, Default)]
pub(crate) struct PresentTopic {
    pub(crate) partitions: i32,
    /// What is set for it alone.
    pub(crate) config: BTreeMap<String, String>,
    /// Whether no partition has ever held a record.
    pub(crate) is_empty: bool,
}

/// One thing to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Step<'a> {
    /// A topic, with `None` for the default number of partitions.
    Create { topic: String, partitions: Option<i32>, config: BTreeMap<String, String> },
    /// More partitions, so many in all.
    Grow { topic: String, partitions: i32 },
    /// Settings that are not there or different.
    Configure { topic: String, config: BTreeMap<String, String> },
    /// Records of an empty topic.
    Write { topic: String, records: Vec<&'a SeedRecord> },
}

/// One line, as in the output of `diff`.
impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Create { topic, partitions, config } => {
                write!(f, "+ topic {topic}")?;
                if let Some(partitions) = partitions {
                    write!(f, ", {partitions} partitions")?;
                }
                config.iter().try_for_each(|(key, value)| write!(f, ", {key}={value}"))
            }
            Step::Grow { topic, partitions } => write!(f, "~ topic {topic}, {partitions} partitions"),
            Step::Configure { topic, config } => {
                write!(f, "~ topic {topic}")?;
                config.iter().try_for_each(|(key, value)| write!(f, ", {key}={value}"))
            }
            Step::Write { topic, records } => write!(f, "+ {} records in topic {topic}", records.len()),
        }
    }
}

/// What is missing, in the order in which it can be done. A topic that only records name is created, too.
pub(crate) fn plan<'a>(seed: &'a Seed, present: &Present) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    let mut created: Vec<&str> = Vec::new();
    for wanted in &seed.topics {
        let topic = wanted.name.clone();
        let Some(there) = present.get(&wanted.name) else {
            if !created.contains(&&*wanted.name) {
                let (partitions, config) = (wanted.partitions, wanted.config.clone());
                steps.push(Step::Create { topic, partitions, config });
                created.push(&wanted.name);
            }
            continue;
        };
        match wanted.partitions {
            Some(partitions) if partitions > there.partitions => {
                steps.push(Step::Grow { topic: topic.clone(), partitions });
            }
            _ => {}
        }
        let differs = |(key, value): &(&String, &String)| there.config.get(*key) != Some(*value);
        let config: BTreeMap<_, _> = wanted.config.iter().filter(differs).collect();
        if !config.is_empty() {
            let config = config.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect();
            steps.push(Step::Configure { topic, config });
        }
    }
    let mut topics: Vec<(&str, Vec<&SeedRecord>)> = Vec::new();
    for record in &seed.records {
        match topics.iter_mut().find(|(topic, _)| *topic == record.topic) {
            Some((_, records)) => records.push(record),
            None => topics.push((&record.topic, vec![record])),
        }
    }
    for (topic, records) in topics {
        let there = present.get(topic);
        if there.is_none() && !created.contains(&topic) {
            let topic = topic.to_owned();
            steps.push(Step::Create { topic, partitions: None, config: BTreeMap::new() });
        }
        if there.is_none_or(|there| there.is_empty) {
            steps.push(Step::Write { topic: topic.to_owned(), records });
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::{Present, PresentTopic, Step, plan};
    use crate::seed::file::{Seed, SeedRecord, SeedTopic};
    use std::collections::BTreeMap;

    fn config(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn seed() -> Seed {
        let topic = |name: &str, partitions, pairs: &[(&str, &str)]| SeedTopic {
            name: name.into(),
            partitions,
            config: config(pairs),
        };
        let record = |topic: &str| SeedRecord { topic: topic.into(), ..SeedRecord::default() };
        Seed {
            topics: vec![
                topic("a", Some(3), &[("retention.ms", "1"), ("segment.ms", "2")]),
                topic("b", None, &[]),
            ],
            records: vec![record("a"), record("only"), record("a")],
        }
    }

    #[test]
    fn on_an_empty_broker_everything_is_made() {
        let seed = seed();
        let [one, only, other] = &seed.records[..] else { panic!() };
        let steps = plan(&seed, &Present::new());
        let both = config(&[("retention.ms", "1"), ("segment.ms", "2")]);
        let create =
            |topic: &str, partitions, config| Step::Create { topic: topic.into(), partitions, config };
        assert_eq!(
            steps,
            [
                create("a", Some(3), both),
                create("b", None, config(&[])),
                Step::Write { topic: "a".into(), records: vec![one, other] },
                create("only", None, config(&[])),
                Step::Write { topic: "only".into(), records: vec![only] },
            ]
        );
        let lines: Vec<String> = steps.iter().map(ToString::to_string).collect();
        assert_eq!(lines[0], "+ topic a, 3 partitions, retention.ms=1, segment.ms=2");
        assert_eq!(lines[1..3], ["+ topic b", "+ 2 records in topic a"]);
    }

    #[test]
    fn what_is_there_stays() {
        let seed = seed();
        let there = |partitions, pairs: &[(&str, &str)], is_empty| PresentTopic {
            partitions,
            config: config(pairs),
            is_empty,
        };
        let all = [("retention.ms", "1"), ("segment.ms", "2"), ("retention.bytes", "9")];
        let mut present: Present = [
            ("a".to_owned(), there(7, &all, false)),
            ("b".to_owned(), there(1, &[], true)),
            ("only".to_owned(), there(1, &[], false)),
        ]
        .into();
        assert_eq!(plan(&seed, &present), []);
        present.insert("a".into(), there(2, &[("segment.ms", "3"), ("retention.ms", "1")], false));
        assert_eq!(
            plan(&seed, &present),
            [
                Step::Grow { topic: "a".into(), partitions: 3 },
                Step::Configure { topic: "a".into(), config: config(&[("segment.ms", "2")]) },
            ]
        );
        let lines: Vec<String> = plan(&seed, &present).iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["~ topic a, 3 partitions", "~ topic a, segment.ms=2"]);
        present.insert("only".into(), there(1, &[], true));
        assert!(matches!(&plan(&seed, &present)[2..], [Step::Write { topic, .. }] if topic == "only"));
    }
}
