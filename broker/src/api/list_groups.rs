//! ListGroups (key 16, versions 0-5): all groups; by state from version 4 on, by type from 5 on.

use super::{Answer, Context};
use crate::group::{GroupCoordinator, ListFilter};
use kafka_protocol::messages::{ListGroupsRequest, ListGroupsResponse};

pub(crate) fn handle(cx: &Context<'_>, request: ListGroupsRequest) -> Answer<ListGroupsResponse> {
    answer(&cx.broker.groups, cx.version, &request).into()
}

pub(crate) fn answer(
    groups: &GroupCoordinator,
    version: i16,
    request: &ListGroupsRequest,
) -> ListGroupsResponse {
    let states = request.states_filter.iter().map(|state| state.as_str());
    let types = request.types_filter.iter().map(|group_type| group_type.as_str());
    match groups.list(&ListFilter::new(states, types)) {
        Err(error) => ListGroupsResponse::default().with_error_code(error.code()),
        Ok(mut groups) => {
            for group in &mut groups {
                // Fields that older versions do not have; the codec would refuse them.
                if version < 4 {
                    group.group_state = Default::default();
                }
                if version < 5 {
                    group.group_type = Default::default();
                }
            }
            ListGroupsResponse::default().with_groups(groups)
        }
    }
}
