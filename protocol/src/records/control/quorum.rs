//! Values of the control records that only `__cluster_metadata` and its snapshots have.

use std::str;

use uuid::Uuid;

use super::super::record::{RecordError, read_uvarint, write_uvarint};
use super::ControlError;

/// Value of a LEADER_CHANGE record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderChange {
    /// Node id of the leader.
    pub leader_id: i32,
    /// All voters.
    pub voters: Vec<VoterId>,
    /// Those who voted for the leader.
    pub granting_voters: Vec<VoterId>,
}

/// A voter in a [`LeaderChange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoterId {
    /// Node id.
    pub id: i32,
    /// Id of its metadata log directory; only from kraft.version 1 on (message version 1, KIP-853).
    pub directory_id: Option<Uuid>,
}

impl LeaderChange {
    /// The record value: version 1 where there are voters and each has a directory id, else 0.
    pub fn value(&self) -> Vec<u8> {
        let mut voters = self.voters.iter().chain(&self.granting_voters).peekable();
        let directories = voters.peek().is_some() && voters.all(|voter| voter.directory_id.is_some());
        let mut out = i16::from(directories).to_be_bytes().to_vec();
        out.extend_from_slice(&self.leader_id.to_be_bytes());
        for list in [&self.voters, &self.granting_voters] {
            write_uvarint(&mut out, list.len() as u32 + 1);
            for voter in list {
                out.extend_from_slice(&voter.id.to_be_bytes());
                if let Some(directory_id) = voter.directory_id.filter(|_| directories) {
                    out.extend_from_slice(directory_id.as_bytes());
                }
                out.push(0);
            }
        }
        out.push(0);
        out
    }

    /// Reads the record value.
    ///
    /// # Errors
    /// Bytes that are missing, or a version other than 0 and 1.
    pub fn read(value: &[u8]) -> Result<Self, ControlError> {
        let mut fields = Fields(value);
        let version = fields.version(1)?;
        let leader_id = i32::from_be_bytes(fields.take()?);
        let voters = fields.voter_ids(version)?;
        let granting_voters = fields.voter_ids(version)?;
        fields.skip_tags()?;
        Ok(Self { leader_id, voters, granting_voters })
    }
}

/// Value of a SNAPSHOT_HEADER record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// Append time of the last batch that the snapshot stands for, milliseconds; 0 in `bootstrap.checkpoint`.
    pub last_contained_log_timestamp: i64,
}

impl SnapshotHeader {
    /// The record value, version 0.
    pub fn value(self) -> Vec<u8> {
        [&[0, 0][..], &self.last_contained_log_timestamp.to_be_bytes(), &[0]].concat()
    }

    /// Reads the record value.
    ///
    /// # Errors
    /// Bytes that are missing, or a version other than 0.
    pub fn read(value: &[u8]) -> Result<Self, ControlError> {
        let mut fields = Fields(value);
        fields.version(0)?;
        let last_contained_log_timestamp = i64::from_be_bytes(fields.take()?);
        fields.skip_tags()?;
        Ok(Self { last_contained_log_timestamp })
    }
}

/// Value of a SNAPSHOT_FOOTER record: nothing but its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotFooter;

impl SnapshotFooter {
    /// The record value, version 0.
    pub fn value(self) -> Vec<u8> {
        vec![0, 0, 0]
    }

    /// Reads the record value.
    ///
    /// # Errors
    /// Bytes that are missing, or a version other than 0.
    pub fn read(value: &[u8]) -> Result<Self, ControlError> {
        let mut fields = Fields(value);
        fields.version(0)?;
        fields.skip_tags()?;
        Ok(Self)
    }
}

/// Value of a KRAFT_VERSION record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KRaftVersion {
    /// 0: the voters are configured; 1: they are in the log.
    pub kraft_version: i16,
}

impl KRaftVersion {
    /// The record value, version 0.
    pub fn value(self) -> Vec<u8> {
        let [a, b] = self.kraft_version.to_be_bytes();
        vec![0, 0, a, b, 0]
    }

    /// Reads the record value.
    ///
    /// # Errors
    /// Bytes that are missing, or a version other than 0.
    pub fn read(value: &[u8]) -> Result<Self, ControlError> {
        let mut fields = Fields(value);
        fields.version(0)?;
        let kraft_version = i16::from_be_bytes(fields.take()?);
        fields.skip_tags()?;
        Ok(Self { kraft_version })
    }
}

/// Value of a KRAFT_VOTERS record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KRaftVoters {
    /// All voters.
    pub voters: Vec<Voter>,
}

/// A voter in [`KRaftVoters`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voter {
    /// Node id.
    pub id: i32,
    /// Id of its metadata log directory.
    pub directory_id: Uuid,
    /// Where its controller listens.
    pub endpoints: Vec<VoterEndpoint>,
    /// Lowest kraft.version it speaks.
    pub min_kraft_version: i16,
    /// Highest kraft.version it speaks.
    pub max_kraft_version: i16,
}

/// A listener of a [`Voter`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoterEndpoint {
    /// Listener name.
    pub name: String,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl KRaftVoters {
    /// The record value, version 0.
    pub fn value(&self) -> Vec<u8> {
        let mut out = vec![0, 0];
        write_uvarint(&mut out, self.voters.len() as u32 + 1);
        for voter in &self.voters {
            out.extend_from_slice(&voter.id.to_be_bytes());
            out.extend_from_slice(voter.directory_id.as_bytes());
            write_uvarint(&mut out, voter.endpoints.len() as u32 + 1);
            for endpoint in &voter.endpoints {
                for text in [&endpoint.name, &endpoint.host] {
                    write_uvarint(&mut out, text.len() as u32 + 1);
                    out.extend_from_slice(text.as_bytes());
                }
                out.extend_from_slice(&endpoint.port.to_be_bytes());
                out.push(0);
            }
            out.extend_from_slice(&voter.min_kraft_version.to_be_bytes());
            out.extend_from_slice(&voter.max_kraft_version.to_be_bytes());
            // The range of versions is a structure of its own.
            out.extend_from_slice(&[0, 0]);
        }
        out.push(0);
        out
    }

    /// Reads the record value.
    ///
    /// # Errors
    /// Bytes that are missing, names that are not UTF-8, or a version other than 0.
    pub fn read(value: &[u8]) -> Result<Self, ControlError> {
        let mut fields = Fields(value);
        fields.version(0)?;
        let mut voters = Vec::new();
        for _ in 0..fields.compact_len()? {
            let id = i32::from_be_bytes(fields.take()?);
            let directory_id = Uuid::from_bytes(fields.take()?);
            let mut endpoints = Vec::new();
            for _ in 0..fields.compact_len()? {
                let (name, host) = (fields.string()?, fields.string()?);
                let port = u16::from_be_bytes(fields.take()?);
                fields.skip_tags()?;
                endpoints.push(VoterEndpoint { name, host, port });
            }
            let min_kraft_version = i16::from_be_bytes(fields.take()?);
            let max_kraft_version = i16::from_be_bytes(fields.take()?);
            fields.skip_tags()?;
            fields.skip_tags()?;
            voters.push(Voter { id, directory_id, endpoints, min_kraft_version, max_kraft_version });
        }
        fields.skip_tags()?;
        Ok(Self { voters })
    }
}

/// The fields of a flexible message, taken one by one.
struct Fields<'a>(&'a [u8]);

impl From<RecordError> for ControlError {
    fn from(_: RecordError) -> Self {
        Self::Truncated
    }
}

impl<'a> Fields<'a> {
    fn version(&mut self, highest: i16) -> Result<i16, ControlError> {
        let version = i16::from_be_bytes(self.take()?);
        if (0..=highest).contains(&version) { Ok(version) } else { Err(ControlError::Version(version)) }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], ControlError> {
        let (array, rest) = self.0.split_first_chunk().ok_or(ControlError::Truncated)?;
        self.0 = rest;
        Ok(*array)
    }

    fn take_slice(&mut self, len: usize) -> Result<&'a [u8], ControlError> {
        let (slice, rest) = self.0.split_at_checked(len).ok_or(ControlError::Truncated)?;
        self.0 = rest;
        Ok(slice)
    }

    /// Length of a compact array or string; a null counts as empty.
    fn compact_len(&mut self) -> Result<usize, ControlError> {
        Ok(read_uvarint(&mut self.0)?.saturating_sub(1) as usize)
    }

    fn string(&mut self) -> Result<String, ControlError> {
        let len = self.compact_len()?;
        let bytes = self.take_slice(len)?;
        Ok(str::from_utf8(bytes).map_err(|_| ControlError::Name)?.to_owned())
    }

    fn voter_ids(&mut self, version: i16) -> Result<Vec<VoterId>, ControlError> {
        let mut voters = Vec::new();
        for _ in 0..self.compact_len()? {
            let id = i32::from_be_bytes(self.take()?);
            let directory_id = if version > 0 { Some(Uuid::from_bytes(self.take()?)) } else { None };
            self.skip_tags()?;
            voters.push(VoterId { id, directory_id });
        }
        Ok(voters)
    }

    /// Passes over tagged fields: none is known.
    fn skip_tags(&mut self) -> Result<(), ControlError> {
        for _ in 0..read_uvarint(&mut self.0)? {
            let _tag = read_uvarint(&mut self.0)?;
            let len = read_uvarint(&mut self.0)? as usize;
            self.take_slice(len)?;
        }
        Ok(())
    }
}
