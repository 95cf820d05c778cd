//! Who may commit and fetch the offsets of a consumer group.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::OffsetCommitRequest;

use super::ConsumerGroup;
use super::member::Member;
use crate::group::shard::GroupShard;

impl ConsumerGroup {
    /// Whether offsets may be committed so. In a transaction the producer fences, and old clients do not say who they are.
    pub(in crate::group) fn validate_committer(
        &self,
        request: &OffsetCommitRequest,
        knows_epochs: bool,
        in_transaction: bool,
    ) -> Result<(), ResponseError> {
        let (id, epoch) = (request.member_id.as_str(), request.generation_id_or_member_epoch);
        let anonymous = epoch < 0 && id.is_empty() && request.group_instance_id.is_none();
        if (epoch < 0 && self.is_empty()) || (in_transaction && anonymous) {
            return Ok(());
        }
        let member = self.member(id).ok_or(ResponseError::UnknownMemberId)?;
        if member.profile.classic.is_none() && !in_transaction && !knows_epochs {
            return Err(ResponseError::UnsupportedVersion);
        }
        // Clients of TxnOffsetCommit know no epochs of members: to them a code for those is fatal.
        validate_epoch(member, epoch)
            .map_err(|error| if in_transaction { ResponseError::IllegalGeneration } else { error })
    }
}

impl GroupShard {
    /// Whether a member may fetch offsets; who does not say who it is may.
    pub(in crate::group) fn validate_fetcher(
        &self,
        group: &str,
        member: Option<(&str, i32)>,
    ) -> Result<(), ResponseError> {
        let (Some(group), Some((id, epoch))) = (self.consumers.get(group), member) else { return Ok(()) };
        validate_epoch(group.member(id).ok_or(ResponseError::UnknownMemberId)?, epoch)
    }
}

fn validate_epoch(member: &Member, epoch: i32) -> Result<(), ResponseError> {
    if member.holding.epoch == epoch {
        return Ok(());
    }
    Err(match member.profile.classic {
        Some(_) => ResponseError::IllegalGeneration,
        None => ResponseError::StaleMemberEpoch,
    })
}
