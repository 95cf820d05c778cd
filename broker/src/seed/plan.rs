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
    /// What it holds.
    pub(crate) held: Held,
}

/// What a topic holds of the records of a seed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Held {
    /// No partition has ever held a record.
    #[default]
    Nothing,
    /// So many of the first ones by partition, and nothing else: somebody was killed while writing them.
    Begun(BTreeMap<i32, usize>),
    /// All of them, or others.
    Enough,
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
    /// Records of a topic, but for the first ones of each partition that it holds already.
    Write { topic: String, records: Vec<&'a SeedRecord>, held: BTreeMap<i32, usize> },
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
            Step::Write { topic, records, held } => {
                let (all, held) = (records.len(), held.values().sum::<usize>());
                match held {
                    0 => write!(f, "+ {all} records in topic {topic}"),
                    _ => write!(f, "+ {} of {all} records in topic {topic}", all - held),
                }
            }
        }
    }
}

/// What is missing, in the order in which it can be done. A topic that only records name is created, too.
pub(crate) fn plan<'a>(seed: &'a Seed, present: &Present) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    let by_topic = by_topic(&seed.records);
    // What was begun goes on before anything else: with more partitions, keys would lead somewhere else.
    for (topic, records) in &by_topic {
        if let Some(Held::Begun(held)) = present.get(*topic).map(|there| &there.held) {
            let (topic, records, held) = ((*topic).to_owned(), records.clone(), held.clone());
            steps.push(Step::Write { topic, records, held });
        }
    }
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
    for (topic, records) in by_topic {
        let there = present.get(topic);
        if there.is_none() && !created.contains(&topic) {
            let topic = topic.to_owned();
            steps.push(Step::Create { topic, partitions: None, config: BTreeMap::new() });
        }
        if there.is_none_or(|there| there.held == Held::Nothing) {
            steps.push(Step::Write { topic: topic.to_owned(), records, held: BTreeMap::new() });
        }
    }
    steps
}

/// The records of each topic, topics and records in their order.
pub(crate) fn by_topic(records: &[SeedRecord]) -> Vec<(&str, Vec<&SeedRecord>)> {
    let mut topics: Vec<(&str, Vec<&SeedRecord>)> = Vec::new();
    for record in records {
        match topics.iter_mut().find(|(topic, _)| *topic == record.topic) {
            Some((_, records)) => records.push(record),
            None => topics.push((&record.topic, vec![record])),
        }
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::{Held, Present, PresentTopic, Step, plan};
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
                Step::Write { topic: "a".into(), records: vec![one, other], held: BTreeMap::new() },
                create("only", None, config(&[])),
                Step::Write { topic: "only".into(), records: vec![only], held: BTreeMap::new() },
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
            held: if is_empty { Held::Nothing } else { Held::Enough },
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
        let held = BTreeMap::from([(1, 1)]);
        let begun = PresentTopic { held: Held::Begun(held.clone()), ..there(2, &all, false) };
        present.insert("a".into(), begun);
        let steps = plan(&seed, &present);
        assert!(
            matches!(&steps[0], Step::Write { topic, held: found, .. } if topic == "a" && *found == held)
        );
        let lines: Vec<String> = steps.iter().map(ToString::to_string).collect();
        let expected =
            ["+ 1 of 2 records in topic a", "~ topic a, 3 partitions", "+ 1 records in topic only"];
        assert_eq!(lines, expected);
    }
}
