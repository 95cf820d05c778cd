//! `meta.properties` of a log directory: which cluster and which node it belongs to, and its own id.
//!
//! The file is a Java properties file; order, comments and unknown keys do not matter. Kafka writes
//!
//! ```text
//! #
//! #Sun Nov 22 17:04:11 UTC 2026
//! node.id=1
//! directory.id=ashqRF3Hsj1DG54NBa89cw
//! version=1
//! cluster.id=4L6g3nShT-eMCtK--X86sw
//! ```

mod properties;

use std::fmt::Write as _;

use uuid::Uuid;

use super::error::{StoredError, TextFault};
use super::uuid_text::{uuid_from_base64, uuid_to_base64};

const FILE: &str = "meta.properties";
const VERSION: &str = "version";
const CLUSTER_ID: &str = "cluster.id";
const NODE_ID: &str = "node.id";
/// The name of `node.id` in version 0.
const BROKER_ID: &str = "broker.id";
const DIRECTORY_ID: &str = "directory.id";

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaProperties {
    /// Version of the file.
    pub version: MetaPropertiesVersion,
    /// Id of the cluster; always there in version 1.
    pub cluster_id: Option<String>,
    /// Id of the node; always there in version 1.
    pub node_id: Option<i32>,
    /// Id of this directory; older Kafka did not write one.
    pub directory_id: Option<Uuid>,
}

/// Version of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaPropertiesVersion {
    /// Written by brokers that once ran on ZooKeeper; nothing is guaranteed to be there.
    V0,
    /// Written by KRaft nodes.
    V1,
}

impl MetaProperties {
    /// The properties of a KRaft node.
    #[must_use]
    pub fn v1(cluster_id: String, node_id: i32, directory_id: Uuid) -> Self {
        Self {
            version: MetaPropertiesVersion::V1,
            cluster_id: Some(cluster_id),
            node_id: Some(node_id),
            directory_id: Some(directory_id),
        }
    }

    /// The contents of the file, as Kafka writes them. `unix_seconds` is the time for the comment, shown in
    /// UTC.
    #[must_use]
    pub fn format(&self, unix_seconds: i64) -> String {
        let (version, node_key) = match self.version {
            MetaPropertiesVersion::V0 => ("0", BROKER_ID),
            MetaPropertiesVersion::V1 => ("1", NODE_ID),
        };
        let mut text = format!("#\n#{}\n", properties::java_date(unix_seconds));
        let mut line = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                writeln!(text, "{key}={}", properties::escape(&value))
                    .expect("a String takes all that is written to it");
            }
        };
        line(node_key, self.node_id.map(|id| id.to_string()));
        line(DIRECTORY_ID, self.directory_id.map(uuid_to_base64));
        line(VERSION, Some(version.to_owned()));
        line(CLUSTER_ID, self.cluster_id.clone());
        text
    }

    /// Reads the file.
    ///
    /// # Errors
    ///
    /// [`StoredError::MalformedText`] for an unknown version, a malformed number or id, and a key missing that the
    /// version requires.
    pub fn parse(file: &[u8]) -> Result<Self, StoredError> {
        let properties = properties::parse(file).map_err(|(line, fault)| StoredError::MalformedText {
            file: FILE,
            line,
            fault,
        })?;
        let property = |key: &str| properties.iter().rev().find(|property| property.key == key);
        let fault = |line, fault| StoredError::MalformedText { file: FILE, line, fault };
        let missing = |key| fault(properties.last().map_or(1, |last| last.line), TextFault::Missing(key));

        let version = match property(VERSION).map(|version| (version, version.value.trim().parse())) {
            None | Some((_, Ok(0))) => MetaPropertiesVersion::V0,
            Some((_, Ok(1))) => MetaPropertiesVersion::V1,
            Some((version, _)) => return Err(fault(version.line, TextFault::Version(version.value.clone()))),
        };
        let node_key = if version == MetaPropertiesVersion::V0 { BROKER_ID } else { NODE_ID };
        let node_id = property(node_key)
            .map(|id| {
                id.value.parse::<i32>().map_err(|_| fault(id.line, TextFault::NotANumber(id.value.clone())))
            })
            .transpose()?;
        let directory_id = property(DIRECTORY_ID)
            .map(|id| uuid_from_base64(&id.value).map_err(|_| fault(id.line, TextFault::Value(DIRECTORY_ID))))
            .transpose()?;
        let cluster_id = property(CLUSTER_ID).map(|id| id.value.clone());
        if version == MetaPropertiesVersion::V1 {
            cluster_id.as_ref().ok_or_else(|| missing(CLUSTER_ID))?;
            node_id.ok_or_else(|| missing(NODE_ID))?;
        }
        Ok(Self { version, cluster_id, node_id, directory_id })
    }
}
