//! DescribeGroups, ListGroups and DeleteGroups.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use std::sync::Arc;

use super::classic::State;
use super::commit::deletion;
use super::shard::{GroupShard, Then};
use super::text;
use crate::coordinator::runtime::Effects;

/// Which groups to list; an empty list is no condition.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListFilter {
    states: Vec<String>,
    types: Vec<String>,
}

impl ListFilter {
    /// Names of states and types, in any case.
    pub(crate) fn new<'a>(
        states: impl IntoIterator<Item = &'a str>,
        types: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self {
            states: states.into_iter().map(|state| state.trim().to_lowercase()).collect(),
            types: types.into_iter().map(str::to_lowercase).collect(),
        }
    }

    fn admits(&self, state: &str, group_type: &str) -> bool {
        let in_list = |list: &[String], name: &str| list.is_empty() || list.iter().any(|item| item == name);
        in_list(&self.states, &state.to_lowercase()) && in_list(&self.types, group_type)
    }
}

const CLASSIC: &str = "classic";
const CONSUMER: &str = "consumer";

impl GroupShard {
    /// A group and its members; what the members know only while the group is stable. None if there is no such classic
    /// group.
    pub(super) fn describe(&self, group: &str) -> Option<DescribedGroup> {
        let group = self.groups.get(group)?;
        let protocol = group.protocol_name.as_deref().filter(|_| group.is(State::Stable));
        Some(
            DescribedGroup::default()
                .with_group_id(text(&group.id).into())
                .with_group_state(text(group.state().name()))
                .with_protocol_type(text(group.protocol_type.as_deref().unwrap_or("")))
                .with_protocol_data(text(protocol.unwrap_or("")))
                .with_members(group.members().map(|member| member.describe(protocol)).collect()),
        )
    }

    /// Whether there is a group of another protocol by this name.
    pub(super) fn is_modern(&self, group: &str) -> bool {
        self.modern.contains_key(group)
    }

    /// Appends the groups that the filter admits.
    pub(super) fn list(&self, filter: &ListFilter, groups: &mut Vec<ListedGroup>) {
        let listed = |id: &str, protocol_type: &str, state: &str, group_type: &'static str| {
            ListedGroup::default()
                .with_group_id(text(id).into())
                .with_protocol_type(text(protocol_type))
                .with_group_state(text(state))
                .with_group_type(text(group_type))
        };
        for group in self.groups.values().filter(|group| filter.admits(group.state().name(), CLASSIC)) {
            let protocol_type = group.protocol_type.as_deref().unwrap_or("");
            groups.push(listed(&group.id, protocol_type, group.state().name(), CLASSIC));
        }
        for group in self.consumers.values().filter(|group| filter.admits(group.state(), CONSUMER)) {
            groups.push(listed(&group.id, CONSUMER, group.state(), CONSUMER));
        }
        for (id, modern) in &self.modern {
            // Nobody can be a member where the protocol is not served.
            let (state, name) = (State::Empty.name(), modern.kind.name());
            if filter.admits(state, name) {
                groups.push(listed(id, name, state, name));
            }
        }
    }

    /// Deletes an empty group with all its offsets.
    pub(super) fn delete_group(
        &mut self,
        group_id: &str,
        effects: &mut Effects<Self>,
    ) -> Result<(), ResponseError> {
        match self.consumers.get(group_id) {
            Some(group) if !group.is_empty() => return Err(ResponseError::NonEmptyGroup),
            Some(_) => {}
            None => match self.groups.get(group_id) {
                Some(group) if !group.is_empty() => return Err(ResponseError::NonEmptyGroup),
                None if !self.is_modern(group_id) => return Err(ResponseError::GroupIdNotFound),
                _ => {}
            },
        }
        let id: Arc<str> = Arc::from(group_id);
        effects.store(deletion(self, &id), Then::Replay);
        Ok(())
    }
}
