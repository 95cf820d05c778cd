//! How a consumer group becomes a classic group: when the last member of the new protocol is gone.

use std::sync::Arc;

use super::ConsumerGroup;
use super::member::Member;
use super::protocol::write_assignment;
use crate::coordinator::Topics;
use crate::coordinator::runtime::Effects;
use crate::group::classic::{CONSUMER_PROTOCOL_TYPE, ClassicGroup, Identity};
use crate::group::member::{Member as ClassicMember, Protocol};
use crate::group::rebalance::{extend_session, prepare};
use crate::group::records::group_record;
use crate::group::shard::{GroupShard, Then};

impl GroupShard {
    /// Makes a consumer group whose members all speak the classic protocol a classic group. If others were `fenced`, that
    /// took an epoch: the generation is the one before, which those that are left know.
    pub(in crate::group) fn maybe_downgrade(
        &mut self,
        group_id: &str,
        fenced: bool,
        now: i64,
        effects: &mut Effects<Self>,
    ) {
        let Some(group) = self.consumers.get(group_id) else { return };
        let all_classic = !group.is_empty() && group.members().all(|member| member.profile.classic.is_some());
        if !all_classic || !self.settings.consumer.may_downgrade || group.len() > self.settings.max_size {
            return;
        }
        tracing::info!(group = group_id, members = group.len(), "the consumer group becomes a classic group");
        let classic = group.to_classic(group.epoch - i32::from(fenced), now, &*self.topics);
        // Where everybody has what it is to have, and knows it by this generation, all may stay as it is.
        let is_settled = group.members().all(|member| member.holding.is_reconciled_to(classic.generation))
            && group.target_epoch == classic.generation;
        let mut records = group.tombstones();
        records.push(group_record(&classic, |member| member.assignment.clone()));
        effects.store(
            records,
            Then::Downgrade { classic: Box::new(classic), rebalances: fenced || !is_settled },
        );
    }

    /// The classic group is on record. If it `rebalances`, its members join again.
    pub(in crate::group) fn downgraded(
        &mut self,
        classic: ClassicGroup,
        rebalances: bool,
        now: i64,
        effects: &mut Effects<Self>,
    ) {
        let id = Arc::clone(&classic.id);
        let members: Vec<Arc<str>> = classic.members().map(|member| Arc::clone(&member.id)).collect();
        for member in &members {
            self.timers.cancel(&super::classic::rejoin_key(&id, member));
            self.timers.cancel(&super::heartbeat::revocation_key(&id, member));
        }
        self.groups.insert(Arc::clone(&id), classic);
        let Some((group, mut turn)) = self.turn(&id, now, effects) else { return };
        for member in group.members() {
            extend_session(group, member, &mut turn);
        }
        if rebalances {
            prepare(group, "the group was a consumer group until now", &mut turn);
        }
    }
}

impl ConsumerGroup {
    fn to_classic(&self, generation: i32, now: i64, topics: &dyn Topics) -> ClassicGroup {
        let members: Vec<ClassicMember> =
            self.members().filter_map(|member| self.member_to_classic(member, topics)).collect();
        let identity = Identity {
            generation,
            protocol_type: Some(Arc::from(CONSUMER_PROTOCOL_TYPE)),
            protocol_name: None,
            leader: members.first().map(|member| Arc::clone(&member.id)),
            state_since: Some(now),
        };
        let mut group = ClassicGroup::restored(Arc::clone(&self.id), identity, members);
        group.choose_protocol();
        group
    }

    fn member_to_classic(&self, member: &Member, topics: &dyn Topics) -> Option<ClassicMember> {
        let profile = &*member.profile;
        let classic = profile.classic.as_ref()?;
        let nothing = Arc::default();
        let target = self.target(&member.id).unwrap_or(&nothing);
        let metadata = classic.supported_protocols.first().map(|protocol| &protocol.metadata[..]);
        Some(ClassicMember {
            id: Arc::clone(&member.id),
            instance_id: profile.instance_id.clone(),
            client_id: profile.client_id.clone(),
            client_host: profile.client_host.clone(),
            rebalance_timeout_ms: profile.rebalance_timeout_ms,
            session_timeout_ms: classic.session_timeout_ms,
            protocols: classic
                .supported_protocols
                .iter()
                .map(|protocol| Protocol {
                    name: Arc::from(protocol.name.as_str()),
                    metadata: protocol.metadata.clone(),
                })
                .collect(),
            assignment: write_assignment(target, metadata.unwrap_or_default(), topics),
            awaiting_join: None,
            awaiting_sync: None,
            is_new: false,
        })
    }
}
