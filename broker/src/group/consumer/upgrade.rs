//! How a classic group becomes a consumer group when a member of the new protocol joins.

use milena_protocol::stored::group::GroupRecord;

use super::heartbeat::{Refusal, not_a_consumer_group};
use crate::coordinator::runtime::Effects;
use crate::group::shard::{GroupShard, Then};

impl GroupShard {
    /// An empty classic group gives its name away.
    pub(super) fn upgrade(
        &mut self,
        _now: i64,
        group_id: &str,
        effects: &mut Effects<Self>,
    ) -> Result<(), Refusal> {
        let Some(group) = self.groups.get(group_id) else { return Ok(()) };
        if !group.is_empty() {
            return Err(not_a_consumer_group(group_id));
        }
        effects.store(vec![GroupRecord::GroupMetadata(group_id.to_owned(), None)], Then::Replay);
        Ok(())
    }
}
