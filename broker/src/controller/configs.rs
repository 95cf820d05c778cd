//! Changes of configuration.

use super::{Controller, Refusal};
use crate::config::{BrokerConfig, DynamicConfigs, TopicConfig};
use crate::metadata::{BROKER_RESOURCE, Image, TOPIC_RESOURCE};
use kafka_protocol::ResponseError;
use milena_protocol::stored::metadata::{ConfigRecord, MetadataRecord};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Controller {
    /// The broker's configuration with what was set at run time.
    pub(crate) fn config(&self) -> Arc<BrokerConfig> {
        self.config.load_full()
    }

    /// Changes what is configured for a resource (2 topic, 4 broker, ...). `edit` gets what is there and returns what
    /// shall be there; nothing can come in between. What is set for a topic or a broker is checked as a whole;
    /// whether a key may be set at run time at all is for the caller to know.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for AlterConfigs and IncrementalAlterConfigs, which are not served yet")
    )]
    pub(crate) fn edit_configs(
        &self,
        resource_type: i8,
        name: &str,
        edit: impl FnOnce(&BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Refusal>,
        validate_only: bool,
    ) -> Result<(), Refusal> {
        let mut writer = self.writer.lock();
        let mut draft = self.draft(&writer)?;
        let before = if resource_type == TOPIC_RESOURCE {
            let topic = draft.image().topic(name).ok_or_else(|| {
                let message = format!("The topic '{name}' does not exist.");
                Refusal::new(ResponseError::UnknownTopicOrPartition, message)
            })?;
            topic.configs.clone()
        } else {
            draft.image().configs(resource_type, name).cloned().unwrap_or_default()
        };
        let after = edit(&before)?;
        draft.add(config_records(resource_type, name, &before, &after))?;
        match resource_type {
            TOPIC_RESOURCE => self.check_topic_configs(&after)?,
            BROKER_RESOURCE => {
                self.effective(draft.image())?;
            }
            _ => {}
        }
        if validate_only {
            return Ok(());
        }
        self.commit(&mut writer, draft)?;
        let image = self.image();
        match resource_type {
            TOPIC_RESOURCE => image.topic(name).into_iter().for_each(|topic| self.store.reconfigure(topic)),
            BROKER_RESOURCE => {
                self.adopt_configs(&image);
                image.topics().for_each(|topic| self.store.reconfigure(topic));
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks what is configured for one topic alone; the refusal carries Kafka's text.
    pub(super) fn check_topic_configs(&self, configs: &BTreeMap<String, String>) -> Result<(), Refusal> {
        match TopicConfig::effective(&self.config.load(), configs) {
            Ok(_) => Ok(()),
            Err(error) => Err(Refusal::new(ResponseError::InvalidConfig, error.to_string())),
        }
    }

    /// Puts what the image says of this broker and of all brokers into effect. What this build cannot take, from a
    /// directory of somebody else, leaves the configuration as it is.
    pub(super) fn adopt_configs(&self, image: &Image) {
        match self.effective(image) {
            Ok(config) => self.config.store(Arc::new(config)),
            Err(refusal) => {
                tracing::warn!(
                    "what was configured at run time cannot be used, remove or correct it: {}",
                    refusal.message
                );
            }
        }
    }

    fn effective(&self, image: &Image) -> Result<BrokerConfig, Refusal> {
        let of = |name: &str| image.broker_configs(name).cloned().unwrap_or_default();
        let dynamic = DynamicConfigs { broker: of(&self.node_id.to_string()), cluster: of("") };
        let config = self.config.load();
        config
            .with_dynamic(dynamic)
            .map_err(|error| Refusal::new(ResponseError::InvalidConfig, error.to_string()))
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
