//! `quorum-state` of the metadata partition: who leads, and whom this node voted for. One line of JSON, no
//! newline.
//!
//! Version 0 belongs to a static quorum (`controller.quorum.voters`, kraft.version 0), version 1 to a dynamic
//! one (kraft.version 1).

use std::fmt::Write as _;

use uuid::Uuid;

use super::error::{StoredError, TextFault};
use super::json::{Json, write_string};
use super::uuid_text::{uuid_from_base64, uuid_to_base64};

const FILE: &str = "quorum-state";

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumState {
    /// Node id of the leader, -1 for none.
    pub leader_id: i32,
    /// The epoch of the quorum.
    pub leader_epoch: i32,
    /// Node id of the candidate that this node voted for in the epoch, -1 for none.
    pub voted_id: i32,
    /// The fields of one version.
    pub version: QuorumStateVersion,
}

/// What belongs to one version of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuorumStateVersion {
    /// Static quorum.
    V0 {
        /// Kafka leaves it empty.
        cluster_id: String,
        /// Kafka leaves it 0.
        applied_offset: i64,
        /// Node ids of the voters.
        current_voters: Option<Vec<i32>>,
    },
    /// Dynamic quorum.
    V1 {
        /// Directory id of the candidate, zero for none.
        voted_directory_id: Uuid,
    },
}

impl QuorumState {
    /// The contents of the file, exactly as Kafka writes them.
    #[must_use]
    pub fn format(&self) -> String {
        let mut text = String::from("{");
        if let QuorumStateVersion::V0 { cluster_id, .. } = &self.version {
            text.push_str("\"clusterId\":");
            write_string(&mut text, cluster_id);
            text.push(',');
        }
        let Self { leader_id, leader_epoch, voted_id, version } = self;
        let rest = match version {
            QuorumStateVersion::V0 { applied_offset, current_voters, .. } => {
                format!(
                    "\"appliedOffset\":{applied_offset},\"currentVoters\":{},\"data_version\":0",
                    voters(current_voters)
                )
            }
            QuorumStateVersion::V1 { voted_directory_id } => {
                format!("\"votedDirectoryId\":\"{}\",\"data_version\":1", uuid_to_base64(*voted_directory_id))
            }
        };
        write!(
            text,
            "\"leaderId\":{leader_id},\"leaderEpoch\":{leader_epoch},\"votedId\":{voted_id},{rest}}}"
        )
        .expect("a String takes all that is written to it");
        text
    }

    /// Reads the file. Order and space do not matter, and fields that the version does not have are ignored.
    /// As in Kafka, only the first line counts.
    ///
    /// # Errors
    ///
    /// [`StoredError::MalformedText`] for anything but such a JSON object, and for versions other than 0 and 1.
    pub fn parse(file: &[u8]) -> Result<Self, StoredError> {
        parse(file).map_err(|fault| StoredError::MalformedText { file: FILE, line: 1, fault })
    }
}

fn parse(file: &[u8]) -> Result<QuorumState, TextFault> {
    let text = str::from_utf8(file).map_err(|_| TextFault::NotUtf8)?;
    let object = Json::parse(text.lines().next().ok_or(TextFault::Truncated)?)?;
    if !matches!(object, Json::Object(_)) {
        return Err(TextFault::Syntax("not a JSON object"));
    }
    let version = match number(&object, "data_version")? {
        0 => QuorumStateVersion::V0 {
            cluster_id: field(&object, "clusterId", |value| Some(value.as_str()?.to_owned()))?,
            applied_offset: number(&object, "appliedOffset")?,
            current_voters: field(&object, "currentVoters", parse_voters)?,
        },
        1 => QuorumStateVersion::V1 {
            voted_directory_id: field(&object, "votedDirectoryId", |value| {
                uuid_from_base64(value.as_str()?).ok()
            })?,
        },
        other => return Err(TextFault::Version(other.to_string())),
    };
    Ok(QuorumState {
        leader_id: field(&object, "leaderId", as_i32)?,
        leader_epoch: field(&object, "leaderEpoch", as_i32)?,
        voted_id: field(&object, "votedId", as_i32)?,
        version,
    })
}

fn voters(voters: &Option<Vec<i32>>) -> String {
    let Some(voters) = voters else { return "null".to_owned() };
    let voters: Vec<String> = voters.iter().map(|id| format!("{{\"voterId\":{id}}}")).collect();
    format!("[{}]", voters.join(","))
}

/// None is a malformed value, a value of none is null.
fn parse_voters(value: &Json) -> Option<Option<Vec<i32>>> {
    match value {
        Json::Null => Some(None),
        Json::Array(voters) => {
            voters.iter().map(|voter| as_i32(voter.get("voterId")?)).collect::<Option<_>>().map(Some)
        }
        _ => None,
    }
}

fn as_i32(value: &Json) -> Option<i32> {
    value.as_i64()?.try_into().ok()
}

fn number(object: &Json, name: &'static str) -> Result<i64, TextFault> {
    field(object, name, Json::as_i64)
}

fn field<T>(object: &Json, name: &'static str, read: impl Fn(&Json) -> Option<T>) -> Result<T, TextFault> {
    let value = object.get(name).ok_or(TextFault::Missing(name))?;
    read(value).ok_or(TextFault::Value(name))
}
