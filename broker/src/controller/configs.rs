//! Changes of configuration.

use super::{Controller, Refusal};
use crate::metadata::TOPIC_RESOURCE;
use kafka_protocol::ResponseError;
use milena_protocol::stored::metadata::{ConfigRecord, MetadataRecord};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Controller {
    /// Changes what is configured for a resource (2 topic, 4 broker, ...). `edit` gets what is there and returns what
    /// shall be there; nothing can come in between. A topic's configuration is checked, others must have been.
    pub(crate) fn edit_configs(
        &self,
        resource_type: i8,
        name: &str,
        edit: impl FnOnce(&BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Refusal>,
        validate_only: bool,
    ) -> Result<(), Refusal> {
        let mut writer = self.writer.lock();
        let mut draft = self.draft(&writer)?;
        let is_topic = resource_type == TOPIC_RESOURCE;
        let before = if is_topic {
            let topic = draft.image().topic(name).ok_or_else(|| {
                Refusal::new(
                    ResponseError::UnknownTopicOrPartition,
                    format!("The topic '{name}' does not exist."),
                )
            })?;
            topic.configs.clone()
        } else {
            draft.image().configs(resource_type, name).cloned().unwrap_or_default()
        };
        let after = edit(&before)?;
        if is_topic {
            (self.settings.check_topic_configs)(&after)?;
        }
        draft.add(config_records(resource_type, name, &before, &after))?;
        if validate_only {
            return Ok(());
        }
        self.commit(&mut writer, draft)?;
        if is_topic && let Some(topic) = self.image().topic(name).map(Arc::clone) {
            self.store.reconfigure(&topic);
        }
        Ok(())
    }
}

/// The records that lead from one set of configurations to another.
pub(super) fn config_records(
    resource_type: i8,
    resource_name: &str,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<MetadataRecord> {
    let record = |name: &String, value: Option<&String>| {
        let (resource_name, name, value) = (resource_name.to_owned(), name.clone(), value.cloned());
        ConfigRecord { resource_type, resource_name, name, value, ..ConfigRecord::default() }.into()
    };
    let removed = before.keys().filter(|name| !after.contains_key(*name)).map(|name| record(name, None));
    let set = after.iter().filter(|(name, value)| before.get(*name) != Some(value));
    removed.chain(set.map(|(name, value)| record(name, Some(value)))).collect()
}
