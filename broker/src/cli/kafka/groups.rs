//! Groups as brokers describe them, of either protocol.

use crate::client::member::read_assignment;
use crate::client::{Client, ClientError, To, TopicPartition, check, group_id, string};
use kafka_protocol::messages::consumer_group_describe_response::Assignment;
use kafka_protocol::messages::describe_groups_response::DescribedGroupMember;
use kafka_protocol::messages::{
    ApiKey, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribeGroupsRequest,
    DescribeGroupsResponse, ListGroupsRequest, ListGroupsResponse,
};
use std::collections::BTreeMap;

/// There is no such group, or none of that kind.
const GROUP_ID_NOT_FOUND: i16 = 69;
const UNSUPPORTED_VERSION: i16 = 35;
/// First versions of ListGroups that filter by state, and by type.
const BY_STATE: i16 = 4;
const BY_TYPE: i16 = 5;

/// A group of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The name.
    pub(crate) id: String,
    /// `Stable`, `Empty`, ...
    pub(crate) state: String,
    /// `Classic` or `Consumer`.
    pub(crate) kind: String,
    /// `consumer`, or empty where offsets were committed without members.
    pub(crate) protocol: String,
}

/// A group with its members.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// `Stable`, `Empty`, ...
    pub(crate) state: String,
    /// How partitions are assigned.
    pub(crate) assignor: String,
    /// Epoch of the group, and of the assignment that it is to have. Classic groups have none.
    pub(crate) epochs: Option<(i32, i32)>,
    /// The members.
    pub(crate) members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Clone, Debug)]
pub(crate) struct GroupMember {
    /// The id.
    pub(crate) id: String,
    /// The name of a static member.
    pub(crate) instance: Option<String>,
    /// The client's name.
    pub(crate) client_id: String,
    /// The client's address.
    pub(crate) host: String,
    /// The epoch, where members have one.
    pub(crate) epoch: Option<i32>,
    /// What it has.
    pub(crate) assigned: Vec<TopicPartition>,
    /// What it is to have.
    pub(crate) target: Vec<TopicPartition>,
    /// Whether it speaks the newer protocol, where that can be known.
    pub(crate) upgraded: Option<bool>,
}

/// The consumer groups of all brokers, sorted by name.
///
/// # Errors
/// One of the brokers does not answer.
pub(crate) async fn list(
    client: &mut Client,
    states: &[String],
    types: &[String],
) -> Result<Vec<Listed>, ClientError> {
    client.metadata(Some(&[])).await?;
    let mut all = BTreeMap::new();
    for node in client.nodes().keys().copied().collect::<Vec<_>>() {
        let make = |version| {
            let strings = |list: &[String]| list.iter().map(|text| string(text)).collect::<Vec<_>>();
            let mut request = ListGroupsRequest::default();
            if version >= BY_STATE {
                request = request.with_states_filter(strings(states));
            }
            if version >= BY_TYPE {
                request = request.with_types_filter(strings(types));
            }
            request
        };
        let check_one =
            |answer: &ListGroupsResponse| check(ApiKey::ListGroups as i16, answer.error_code, None);
        let answer = client.call_checked::<ListGroupsRequest, _>(To::Node(node), make, check_one).await?;
        for group in answer.groups {
            let listed = Listed {
                id: group.group_id.to_string(),
                state: group.group_state.to_string(),
                kind: capitalized(&group.group_type),
                protocol: group.protocol_type.to_string(),
            };
            if listed.protocol.is_empty() || listed.protocol == "consumer" {
                all.insert(listed.id.clone(), listed);
            }
        }
    }
    Ok(all.into_values().collect())
}

/// A group with its members.
///
/// # Errors
/// There is none of that name, or its coordinator does not answer.
pub(crate) async fn describe(client: &mut Client, id: &str) -> Result<Group, ClientError> {
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![group_id(id)]);
    let check_one = |answer: &ConsumerGroupDescribeResponse| {
        answer.groups.iter().try_for_each(|group| {
            check(ApiKey::ConsumerGroupDescribe as i16, group.error_code, group.error_message.as_deref())
        })
    };
    let to = To::Group(id);
    let answer = client.call_checked::<ConsumerGroupDescribeRequest, _>(to, |_| &request, check_one).await;
    match answer {
        Err(ClientError::Unsupported { .. }) => describe_classic(client, id).await,
        Err(error) if matches!(error.code(), Some(GROUP_ID_NOT_FOUND | UNSUPPORTED_VERSION)) => {
            describe_classic(client, id).await
        }
        Err(error) => Err(error),
        Ok(answer) => {
            let group = answer.groups.into_iter().next().unwrap_or_default();
            let members = group.members.into_iter().map(|member| GroupMember {
                id: member.member_id.to_string(),
                instance: member.instance_id.map(|id| id.to_string()),
                client_id: member.client_id.to_string(),
                host: member.client_host.to_string(),
                epoch: Some(member.member_epoch),
                assigned: partitions(&member.assignment),
                target: partitions(&member.target_assignment),
                upgraded: (member.member_type >= 0).then_some(member.member_type == 1),
            });
            Ok(Group {
                state: group.group_state.to_string(),
                assignor: group.assignor_name.to_string(),
                epochs: Some((group.group_epoch, group.assignment_epoch)),
                members: members.collect(),
            })
        }
    }
}

async fn describe_classic(client: &mut Client, id: &str) -> Result<Group, ClientError> {
    let request = DescribeGroupsRequest::default().with_groups(vec![group_id(id)]);
    let check_one = |answer: &DescribeGroupsResponse| {
        answer.groups.iter().try_for_each(|group| {
            check(ApiKey::DescribeGroups as i16, group.error_code, group.error_message.as_deref())
        })
    };
    let to = To::Group(id);
    let answer = client.call_checked::<DescribeGroupsRequest, _>(to, |_| &request, check_one).await?;
    let group = answer.groups.into_iter().next().unwrap_or_default();
    Ok(Group {
        state: group.group_state.to_string(),
        assignor: group.protocol_data.to_string(),
        epochs: None,
        members: group.members.into_iter().map(classic_member).collect(),
    })
}

fn classic_member(member: DescribedGroupMember) -> GroupMember {
    GroupMember {
        id: member.member_id.to_string(),
        instance: member.group_instance_id.map(|id| id.to_string()),
        client_id: member.client_id.to_string(),
        host: member.client_host.to_string(),
        epoch: None,
        // What another kind of client put there is no list of partitions, and not an error.
        assigned: read_assignment(member.member_assignment).unwrap_or_default(),
        target: Vec::new(),
        upgraded: None,
    }
}

fn partitions(assignment: &Assignment) -> Vec<TopicPartition> {
    let topics = assignment.topic_partitions.iter();
    topics
        .flat_map(|topic| topic.partitions.iter().map(|index| TopicPartition::new(&topic.topic_name, *index)))
        .collect()
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
