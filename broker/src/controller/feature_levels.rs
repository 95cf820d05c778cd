//! UpdateFeatures (`FeatureControlManager.updateFeatures`): all of a request, or nothing.

use super::{Controller, Refusal};
use crate::metadata::{BROKER_RESOURCE, Image, features};
use kafka_protocol::ResponseError;
use milena_protocol::stored::metadata::{ConfigRecord, FeatureLevelRecord, MetadataRecord};

const METADATA_VERSION: &str = "metadata.version";
const KRAFT_VERSION: &str = "kraft.version";
const ELIGIBLE_LEADERS: &str = "eligible.leader.replicas.version";
const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// In what direction a level may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpgradeType {
    /// Up only.
    Upgrade,
    /// Down, if nothing is lost.
    SafeDowngrade,
    /// Down, whatever is lost.
    UnsafeDowngrade,
    /// One that Kafka does not know.
    Unknown,
}

/// The level that a feature shall have.
#[derive(Clone, Debug)]
pub(crate) struct FeatureUpdate {
    /// Name of the feature.
    pub(crate) feature: String,
    /// Its level; 0 turns it off.
    pub(crate) level: i16,
    /// In what direction it may move.
    pub(crate) upgrade_type: UpgradeType,
}

impl Controller {
    /// Sets the finalized levels of features, or with `validate_only` checks whether they could be.
    ///
    /// # Errors
    /// INVALID_UPDATE_VERSION for the first update that cannot be made; nothing is changed then.
    pub(crate) fn update_features(
        &self,
        updates: &[FeatureUpdate],
        validate_only: bool,
    ) -> Result<(), Refusal> {
        let mut writer = self.writer.lock();
        let mut draft = self.draft(&writer)?;
        for update in updates {
            let changes = check(draft.image(), update, self.node_id)
                .map_err(|reason| Refusal::new(ResponseError::InvalidUpdateVersion, reason))?;
            if !changes {
                continue;
            }
            let mut records = Vec::new();
            if update.feature == ELIGIBLE_LEADERS && update.level > 0 {
                records = self.shared_min_insync(draft.image());
            }
            let (name, feature_level) = (update.feature.clone(), update.level);
            records.push(FeatureLevelRecord { name, feature_level, ..FeatureLevelRecord::default() }.into());
            draft.add(records)?;
        }
        if validate_only {
            return Ok(());
        }
        self.commit(&mut writer, draft)?;
        self.adopt_configs(&self.image());
        Ok(())
    }

    /// With eligible leader replicas the size of the in-sync set must be the same on all brokers: one setting for the
    /// cluster, none of a broker's own (`maybeGenerateElrSafetyRecords`).
    fn shared_min_insync(&self, image: &Image) -> Vec<MetadataRecord> {
        let record = |resource_name: &str, value| {
            let (resource_name, name) = (resource_name.to_owned(), MIN_INSYNC_REPLICAS.to_owned());
            let default = ConfigRecord::default();
            ConfigRecord { resource_type: BROKER_RESOURCE, resource_name, name, value, ..default }.into()
        };
        let is_set = |broker: &str| {
            image.broker_configs(broker).is_some_and(|configs| configs.contains_key(MIN_INSYNC_REPLICAS))
        };
        let mut records = Vec::new();
        if !is_set("") {
            records.push(record("", Some(self.config.load().topic_defaults.min_insync_replicas.to_string())));
        }
        let of_brokers =
            image.configured(BROKER_RESOURCE).filter(|broker| !broker.is_empty() && is_set(broker));
        records.extend(of_brokers.map(|broker| record(broker, None)));
        records
    }
}

/// Whether an update changes something; an error is why it cannot be made.
fn check(image: &Image, update: &FeatureUpdate, node: i32) -> Result<bool, String> {
    let FeatureUpdate { feature, level, upgrade_type } = update;
    let (level, upgrade_type) = (*level, *upgrade_type);
    let refuse =
        |reason: &str| Err(format!("Invalid update version {level} for feature {feature}. {reason}"));
    let current = match feature.as_str() {
        KRAFT_VERSION => image.kraft_version(),
        _ => image.features().0.get(feature).copied().unwrap_or(0),
    };
    if upgrade_type == UpgradeType::Unknown {
        return refuse("The controller does not support the given upgrade type.");
    }
    if level < 0 {
        return refuse("A feature version cannot be less than 0.");
    }
    match features::range(feature) {
        Some((min, max)) if !(min..=max).contains(&level) => {
            return refuse(&format!("Local controller {node} only supports versions {min}-{max}"));
        }
        None if level > 0 => {
            return refuse(&format!("Local controller {node} does not support this feature."));
        }
        None if !features::UNSERVED.contains(&feature.as_str()) => {
            return refuse(&format!("Feature {feature} not found."));
        }
        _ => {}
    }
    if level < current && upgrade_type == UpgradeType::Upgrade {
        return refuse(
            "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.",
        );
    }
    if level > current && upgrade_type != UpgradeType::Upgrade {
        return refuse("Can't downgrade to a newer version.");
    }
    if feature == METADATA_VERSION && level < current && features::loses_metadata(current, level) {
        let reason = match upgrade_type {
            UpgradeType::UnsafeDowngrade => "Unsafe metadata downgrade is not supported in this version.",
            _ => "Refusing to perform the requested downgrade because it might delete metadata information.",
        };
        return Err(format!("Invalid metadata.version {level}. {reason}"));
    }
    if feature == KRAFT_VERSION && level != current {
        return refuse(match level < current {
            true => "Can't downgrade the version of this feature.",
            false => {
                "The voters of this cluster are not kept in its log, and with one node they never change."
            }
        });
    }
    Ok(level != current)
}

#[cfg(test)]
mod tests {
    use super::{FeatureUpdate, UpgradeType};
    use crate::controller::testing::Bench;
    use UpgradeType::{SafeDowngrade, Unknown, UnsafeDowngrade, Upgrade};

    fn update(bench: &Bench, feature: &str, level: i16, upgrade_type: UpgradeType) -> Option<String> {
        let update = FeatureUpdate { feature: feature.to_owned(), level, upgrade_type };
        let updated = bench.controller.update_features(&[update], true);
        updated.err().map(|refusal| {
            assert_eq!(refusal.code(), 95);
            refusal.message
        })
    }

    #[test]
    fn levels_move_as_far_as_kafka_lets_them() {
        let bench = Bench::new();
        let rows = [
            ("metadata.version", 27, Upgrade, None),
            ("metadata.version", 26, Upgrade, Some("without setting the upgrade type")),
            ("metadata.version", 26, SafeDowngrade, None),
            ("metadata.version", 23, SafeDowngrade, None),
            ("metadata.version", 22, SafeDowngrade, Some("Invalid metadata.version 22. Refusing")),
            ("metadata.version", 7, UnsafeDowngrade, Some("Invalid metadata.version 7. Unsafe")),
            ("metadata.version", 6, UnsafeDowngrade, Some("Local controller 1 only supports versions 7-27")),
            ("metadata.version", 28, Upgrade, Some("Local controller 1 only supports versions 7-27")),
            ("metadata.version", -1, SafeDowngrade, Some("A feature version cannot be less than 0.")),
            ("transaction.version", 1, SafeDowngrade, None),
            ("transaction.version", 0, UnsafeDowngrade, None),
            ("transaction.version", 2, Unknown, Some("does not support the given upgrade type")),
            ("transaction.version", 3, Upgrade, Some("only supports versions 0-2")),
            ("group.version", 0, SafeDowngrade, None),
            ("kraft.version", 0, Upgrade, None),
            ("kraft.version", 1, SafeDowngrade, Some("Can't downgrade to a newer version.")),
            ("kraft.version", 1, Upgrade, Some("never change")),
            ("share.version", 0, SafeDowngrade, None),
            ("share.version", 1, Upgrade, Some("Local controller 1 does not support this feature.")),
            ("nope", 0, Upgrade, Some("Invalid update version 0 for feature nope. Feature nope not found.")),
            ("nope", 1, Upgrade, Some("Local controller 1 does not support this feature.")),
        ];
        for (feature, level, upgrade_type, refused) in rows {
            let seen = update(&bench, feature, level, upgrade_type);
            match refused {
                None => assert_eq!(seen, None, "{feature} {level} {upgrade_type:?}"),
                Some(words) => assert!(seen.unwrap().contains(words), "{feature} {level} {upgrade_type:?}"),
            }
        }
        assert_eq!(bench.log.appends(), 1, "nothing was written but the first records");
    }

    #[test]
    fn all_or_nothing_and_for_good() {
        let bench = Bench::new();
        let update = |feature: &str, level, upgrade_type| FeatureUpdate {
            feature: feature.to_owned(),
            level,
            upgrade_type,
        };
        let down = update("transaction.version", 1, SafeDowngrade);
        let updates = [down.clone(), update("nope", 1, Upgrade)];
        assert!(bench.controller.update_features(&updates, false).is_err());
        let level = |bench: &Bench, name: &str| bench.controller.image().features().0.get(name).copied();
        assert_eq!(level(&bench, "transaction.version"), Some(2));
        let updates = [down, update("eligible.leader.replicas.version", 0, SafeDowngrade)];
        bench.controller.update_features(&updates, false).unwrap();
        let bench = bench.restart();
        assert_eq!(level(&bench, "transaction.version"), Some(1));
        assert_eq!(level(&bench, "eligible.leader.replicas.version"), None);
    }
}
