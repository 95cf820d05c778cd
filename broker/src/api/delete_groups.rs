//! DeleteGroups (key 42, versions 0-2): groups without members are deleted, with their offsets.

use super::{Answer, Context};
use crate::group::GroupCoordinator;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};
use std::collections::HashSet;

pub(crate) fn handle(cx: &Context<'_>, request: DeleteGroupsRequest) -> Answer<DeleteGroupsResponse> {
    answer(&cx.broker.groups, &request).into()
}

pub(crate) fn answer(groups: &GroupCoordinator, request: &DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut seen = HashSet::new();
    let named_first = request.groups_names.iter().filter(|id| seen.insert(id.as_str()));
    let results = named_first.map(|id| {
        let error = groups.delete(id).err();
        DeletableGroupResult::default()
            .with_group_id(id.clone())
            .with_error_code(error.map_or(0, |error| error.code()))
    });
    DeleteGroupsResponse::default().with_results(results.collect())
}
