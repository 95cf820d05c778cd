//! What Kafka 4.1's tool knows of features without asking a cluster (`MetadataVersion`, `Feature`).

/// The feature that all others go by.
pub(super) const METADATA: &str = "metadata.version";
/// The first level of `metadata.version` that is known.
pub(super) const FIRST: &str = NAMES[0];
/// The last one of a release.
pub(super) const LATEST: (i16, &str) = (27, "4.1-IV1");

/// The level of the first name, and then one more for each.
const FIRST_LEVEL: i16 = 7;
const NAMES: [&str; 23] = [
    "3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2", "3.7-IV0",
    "3.7-IV1", "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0", "4.0-IV1", "4.0-IV2",
    "4.0-IV3", "4.1-IV0", "4.1-IV1", "4.2-IV0", "4.2-IV1",
];

/// A feature beside `metadata.version`.
pub(super) struct Feature {
    /// Its name.
    pub(super) name: &'static str,
    /// For each of its levels from 1 on, the `metadata.version` from which on a new cluster has it.
    since: &'static [i16],
    /// The `metadata.version` that it needs from level 1 on.
    needs: Option<i16>,
}

/// The features of Kafka 4.1, in its order.
pub(super) const FEATURES: &[Feature] = &[
    Feature { name: "kraft.version", since: &[21], needs: None },
    Feature { name: "transaction.version", since: &[24, 24], needs: None },
    Feature { name: "group.version", since: &[22], needs: None },
    Feature { name: "eligible.leader.replicas.version", since: &[26], needs: Some(23) },
    Feature { name: "share.version", since: &[28], needs: None },
    Feature { name: "streams.version", since: &[29], needs: None },
];

impl Feature {
    /// Its level in a new cluster of this `metadata.version`.
    pub(super) fn level_at(&self, metadata: i16) -> i16 {
        (1..)
            .zip(self.since)
            .filter(|(_, since)| **since <= metadata)
            .map(|(level, _)| level)
            .last()
            .unwrap_or(0)
    }

    /// Whether it has this level.
    pub(super) fn has(&self, level: i16) -> bool {
        usize::try_from(level).is_ok_and(|level| level <= self.since.len())
    }

    /// The `metadata.version` that a level of it needs.
    pub(super) fn metadata_for(&self, level: i16) -> Option<i16> {
        self.needs.filter(|_| level > 0)
    }
}

/// Name of a level of `metadata.version`.
pub(super) fn name_of(level: i16) -> Option<&'static str> {
    let at = usize::try_from(level.checked_sub(FIRST_LEVEL)?).ok()?;
    NAMES.get(at).copied()
}

/// A level as people read it.
pub(super) fn shown(feature: &str, level: i16) -> String {
    match feature {
        METADATA => name_of(level).map_or_else(|| format!("UNKNOWN {level}"), str::to_owned),
        _ => level.to_string(),
    }
}

/// The level of `metadata.version` of a release: `4.0-IV3`, or `4.0` and `4.0.1` for the last one of that release.
pub(super) fn of_release(text: &str) -> Option<i16> {
    let key = match text.match_indices('.').nth(1) {
        Some((at, _)) => &text[..at],
        None => text,
    };
    let leveled = || (FIRST_LEVEL..).zip(NAMES);
    let exact = leveled().find(|(_, name)| *name == key);
    let released = || {
        let of = |name: &str| name.split_once('-').is_some_and(|(release, _)| release == key);
        leveled().filter(|(level, name)| *level <= LATEST.0 && of(name)).last()
    };
    exact.or_else(released).map(|(level, _)| level)
}

/// Names of the levels that were released.
pub(super) fn production() -> impl Iterator<Item = &'static str> {
    (FIRST_LEVEL..=LATEST.0).filter_map(name_of)
}

#[cfg(test)]
mod tests {
    use super::{FEATURES, LATEST, name_of, of_release, production, shown};

    #[test]
    fn releases_and_their_levels() {
        for (text, expected) in [
            ("3.3-IV3", Some(7)),
            ("3.3", Some(7)),
            ("3.7", Some(19)),
            ("3.7-IV2", Some(17)),
            ("4.0.1", Some(25)),
            ("4.1", Some(27)),
            ("4.2-IV1", Some(29)),
            ("4.2", None),
            ("3.3-IV0", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(of_release(text), expected, "{text}");
        }
        assert_eq!(name_of(LATEST.0), Some(LATEST.1));
        assert_eq!((name_of(6), name_of(30), name_of(i16::MIN)), (None, None, None));
        assert_eq!(production().last(), Some(LATEST.1));
        assert_eq!((shown("metadata.version", 99), shown("x", 9)), ("UNKNOWN 99".into(), "9".into()));
    }

    #[test]
    fn features_of_new_clusters() {
        let at = |metadata| FEATURES.iter().map(|feature| feature.level_at(metadata)).collect::<Vec<_>>();
        assert_eq!(at(7), [0, 0, 0, 0, 0, 0]);
        assert_eq!(at(22), [1, 0, 1, 0, 0, 0]);
        assert_eq!(at(27), [1, 2, 1, 1, 0, 0]);
        assert_eq!(at(29), [1, 2, 1, 1, 1, 1]);
        let elr = &FEATURES[3];
        assert_eq!((elr.metadata_for(0), elr.metadata_for(1)), (None, Some(23)));
        assert_eq!([-1, 0, 1, 2].map(|level| elr.has(level)), [false, true, true, false]);
    }
}
