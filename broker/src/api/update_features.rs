//! UpdateFeatures (57), versions 0 to 2 (KIP-584, KIP-778): the finalized levels of features.
//!
//! All of a request is done, or nothing: the error is the one of the first update that cannot be made. A feature that
//! comes twice counts as it comes last.
//!
//! | version | change |
//! |---|---|
//! | 0 | upgrades only: that a downgrade is allowed does not count, as in Kafka 4.1 |
//! | 1 | safe and unsafe downgrades; may only be checked |
//! | 2 | no result for each feature |

use super::{Answer, Context};
use crate::controller::{FeatureUpdate, UpgradeType};
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::update_features_response::UpdatableFeatureResult;
use kafka_protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use kafka_protocol::protocol::StrBytes;
use std::collections::HashSet;

const WHICH: &str = "The update failed for all features since the following feature had an error: ";

pub(crate) fn handle(cx: &Context<'_>, request: UpdateFeaturesRequest) -> Answer<UpdateFeaturesResponse> {
    let mut names = HashSet::new();
    let last = request.feature_updates.iter().rev().filter(|update| names.insert(&*update.feature));
    let mut updates: Vec<_> = last.map(|update| wanted(cx.version, update)).collect();
    updates.reverse();
    let validate_only = cx.version >= 1 && request.validate_only;
    let response = UpdateFeaturesResponse::default();
    if let Err(refusal) = cx.broker.controller.update_features(&updates, validate_only) {
        let message = StrBytes::from_string(format!("{WHICH}{}", refusal.message));
        return response.with_error_code(refusal.code()).with_error_message(Some(message)).into();
    }
    let done = |update: &FeatureUpdateKey| {
        UpdatableFeatureResult::default()
            .with_feature(update.feature.clone())
            .with_error_message(Some(StrBytes::from_static_str("NONE")))
    };
    let results =
        if cx.version < 2 { request.feature_updates.iter().map(done).collect() } else { Vec::new() };
    response.with_error_message(None).with_results(results).into()
}

fn wanted(version: i16, update: &FeatureUpdateKey) -> FeatureUpdate {
    let upgrade_type = match (version, update.upgrade_type) {
        (0, _) | (_, 1) => UpgradeType::Upgrade,
        (_, 2) => UpgradeType::SafeDowngrade,
        (_, 3) => UpgradeType::UnsafeDowngrade,
        _ => UpgradeType::Unknown,
    };
    FeatureUpdate { feature: update.feature.to_string(), level: update.max_version_level, upgrade_type }
}

#[cfg(test)]
mod tests {
    use super::handle;
    use crate::controller::testing::{TestBroker, sent};
    use kafka_protocol::messages::UpdateFeaturesRequest;
    use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn versions_that_know_downgrades_make_them() {
        for version in 0..=2 {
            let broker = TestBroker::new(&[]);
            let ask = |feature: &'static str, level, down: bool| {
                let update = FeatureUpdateKey::default()
                    .with_feature(StrBytes::from_static_str(feature))
                    .with_max_version_level(level);
                let update = match version {
                    0 => update.with_allow_downgrade(down),
                    _ => update.with_upgrade_type(if down { 2 } else { 1 }),
                };
                let request = UpdateFeaturesRequest::default().with_feature_updates(vec![update]);
                sent(handle(&broker.cx(version), request), version)
            };
            let refused = ask("transaction.version", 1, false);
            assert_eq!(refused.error_code, 95);
            let message = refused.error_message.unwrap();
            assert!(message.starts_with(super::WHICH) && message.contains("Can't downgrade"), "{message}");
            if version == 0 {
                assert_eq!(ask("transaction.version", 1, true).error_code, 95);
                assert_eq!(ask("transaction.version", 2, true).error_code, 0);
                continue;
            }
            let done = ask("transaction.version", 1, true);
            assert_eq!((done.error_code, done.error_message), (0, None));
            assert_eq!(done.results.len(), usize::from(version < 2));
            assert!(done.results.iter().all(|result| result.error_message.as_deref() == Some("NONE")));
            let image = broker.broker.controller.image();
            assert_eq!(image.features().0.get("transaction.version"), Some(&1));
        }
    }

    #[test]
    fn the_last_of_two_updates_of_a_feature_counts() {
        let broker = TestBroker::new(&[]);
        for (levels, code) in [([1, 2], 0), ([9, 2], 0), ([2, 9], 95)] {
            let update = |level| {
                FeatureUpdateKey::default()
                    .with_feature(StrBytes::from_static_str("transaction.version"))
                    .with_max_version_level(level)
                    .with_upgrade_type(1)
            };
            let request = UpdateFeaturesRequest::default().with_feature_updates(levels.map(update).to_vec());
            let response = sent(handle(&broker.cx(1), request), 1);
            assert_eq!(response.error_code, code, "{levels:?}");
            assert_eq!(response.results.len(), if code == 0 { 2 } else { 0 }, "one for each update");
        }
    }

    #[test]
    fn a_check_changes_nothing() {
        let broker = TestBroker::new(&[]);
        let update = FeatureUpdateKey::default()
            .with_feature(StrBytes::from_static_str("transaction.version"))
            .with_max_version_level(1)
            .with_upgrade_type(2);
        let request =
            UpdateFeaturesRequest::default().with_feature_updates(vec![update]).with_validate_only(true);
        assert_eq!(sent(handle(&broker.cx(2), request), 2).error_code, 0);
        assert_eq!(broker.broker.controller.image().features().0.get("transaction.version"), Some(&2));
    }
}
