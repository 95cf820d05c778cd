//! Moving a group while it works, by requests that every broker serves: its members are made to leave, and the offsets are
//! committed for the group while it is empty. Whoever joins in between is made to leave again.
//!
//! ```text
//! us      LeaveGroup (or heartbeats with epoch -1) ──> group is empty ──> OffsetCommit ──> done
//! member  heartbeat <── UNKNOWN_MEMBER_ID: what it had is lost, so it commits nothing ──> joins, fetches our offsets
//! ```

use super::group::find;
use crate::cli::failure::Failure;
use crate::cli::kafka::groups::{Group, GroupMember};
use crate::client::member::{check_commit, commit_request};
use crate::client::{Client, ClientError, To, TopicPartition, group_id, string};
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest, LeaveGroupRequest, LeaveGroupResponse, OffsetCommitRequest,
};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Codes of a commit for a group that is not empty.
const OCCUPIED: [i16; 4] = [22, 25, 27, 68];
/// Epoch by which a member leaves.
const LEAVING: i32 = -1;
/// Members that take part in a rebalance right now come back at once; let them get that far.
const PAUSE: Duration = Duration::from_millis(20);

/// Expels the members and commits the offsets.
///
/// # Errors
/// The time is up, or the coordinator refuses.
pub(super) async fn seek(
    client: &mut Client,
    id: &str,
    offsets: &BTreeMap<TopicPartition, i64>,
    timeout: Duration,
) -> Result<(), Failure> {
    let until = Instant::now() + timeout;
    let request = commit_request(id, -1, "", offsets);
    loop {
        if let Some(group) = find(client, id).await? {
            expel(client, id, &group).await?;
        }
        let committed =
            client.call_checked::<OffsetCommitRequest, _>(To::Group(id), |_| &request, check_commit).await;
        match committed {
            Ok(_) => return Ok(()),
            Err(error) if error.code().is_some_and(|code| OCCUPIED.contains(&code)) => {}
            Err(error) => return Err(error.into()),
        }
        if Instant::now() + PAUSE >= until {
            return Err(Failure::text(format!("members of {id} come back faster than they can be expelled")));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Makes all members leave that are there now. Some may have gone by themselves, which is as good.
async fn expel(client: &mut Client, id: &str, group: &Group) -> Result<(), ClientError> {
    if group.epochs.is_some() {
        for member in &group.members {
            client.call(To::Group(id), &leaving(id, member)).await?;
        }
        return Ok(());
    }
    let identity = |member: &GroupMember| {
        MemberIdentity::default()
            .with_member_id(string(&member.id))
            .with_group_instance_id(member.instance.as_deref().map(string))
    };
    let make = |version| {
        let members = group.members.iter().map(identity);
        let reason = (version >= 5).then(|| string("moved by an administrator"));
        let members = members.map(|member| member.with_reason(reason.clone()));
        LeaveGroupRequest::default().with_group_id(group_id(id)).with_members(members.collect())
    };
    let check = |_: &LeaveGroupResponse| Ok(());
    client.call_checked::<LeaveGroupRequest, _>(To::Group(id), make, check).await.map(drop)
}

fn leaving(id: &str, member: &GroupMember) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group_id(id))
        .with_member_id(string(&member.id))
        .with_member_epoch(LEAVING)
        .with_instance_id(member.instance.as_deref().map(string))
}
