//! The features whose meaning is known here, and up to which level (KIP-584).

use std::collections::BTreeMap;

/// Name, lowest and highest level. What Kafka 4.1 has in preview is not served: share groups, streams groups.
const KNOWN: [(&str, i16, i16); 5] = [
    // 3.3-IV3, the first of KRaft in production, to 4.1-IV1.
    ("metadata.version", 7, 27),
    ("kraft.version", 0, 1),
    ("transaction.version", 0, 2),
    ("group.version", 0, 1),
    ("eligible.leader.replicas.version", 0, 1),
];

/// Features of Kafka 4.1 that are not served, and so can only be off.
pub(crate) const UNSERVED: [&str; 2] = ["share.version", "streams.version"];

/// Levels of `metadata.version` from which on metadata is written that the level below cannot say.
const METADATA_CHANGES: [i16; 8] = [7, 8, 11, 13, 14, 15, 17, 23];

/// Lowest and highest level of a feature that is served.
pub(crate) fn range(feature: &str) -> Option<(i16, i16)> {
    KNOWN.iter().find(|(known, ..)| *known == feature).map(|(_, min, max)| (*min, *max))
}

/// Whether going down from one `metadata.version` to another may lose metadata (`checkIfMetadataChanged`).
pub(crate) fn loses_metadata(from: i16, to: i16) -> bool {
    METADATA_CHANGES.iter().any(|change| (to + 1..=from).contains(change))
}

/// Whether a cluster with these finalized levels may be served.
///
/// # Errors
/// The first feature that may not, and what to do.
pub(crate) fn check(levels: &BTreeMap<String, i16>) -> Result<(), String> {
    for (name, level) in levels {
        match KNOWN.iter().find(|(known, ..)| known == name) {
            Some((_, min, max)) if (*min..=*max).contains(level) => {}
            Some((_, min, _)) if level < min => {
                return Err(format!(
                    "the cluster's {name} is {level}, and this broker knows those from {min} on; raise it with the \
                     kafka-features.sh of an older Kafka"
                ));
            }
            Some((_, _, max)) => {
                return Err(format!(
                    "the cluster's {name} is {level}, and this broker knows those up to {max}; run the Kafka that \
                     raised it, or lower it there with kafka-features.sh"
                ));
            }
            None if *level == 0 => {}
            None => {
                return Err(format!(
                    "the cluster uses the feature {name} (level {level}), which this broker does not know; run the \
                     Kafka that has it, or lower it to 0 there with kafka-features.sh"
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;
    use std::collections::BTreeMap;

    #[test]
    fn levels_of_kafka_4_1_are_served_and_no_others() {
        let cases = [
            ("metadata.version", 27, None),
            ("metadata.version", 7, None),
            ("metadata.version", 6, Some("from 7 on")),
            ("metadata.version", 28, Some("up to 27")),
            ("group.version", 1, None),
            ("group.version", 2, Some("up to 1")),
            ("transaction.version", 2, None),
            ("transaction.version", 3, Some("up to 2")),
            ("kraft.version", 1, None),
            ("eligible.leader.replicas.version", 2, Some("up to 1")),
            ("share.version", 1, Some("share.version (level 1)")),
            ("tomorrow.version", 1, Some("does not know")),
            ("tomorrow.version", 0, None),
        ];
        for (name, level, refused) in cases {
            let checked = check(&BTreeMap::from([(name.to_owned(), level)]));
            match refused {
                None => assert_eq!(checked, Ok(()), "{name} {level}"),
                Some(words) => assert!(checked.unwrap_err().contains(words), "{name} {level}"),
            }
        }
    }
}
