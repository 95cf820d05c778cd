//! The groups of one partition of `__consumer_offsets`: durable state that records rebuild, and soft state (joins that
//! wait, sessions) that a restart begins anew.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};
use milena_protocol::records::NO_PRODUCER_ID;
use milena_protocol::stored::group::{GroupRecord, UnknownRecord};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::GroupSettings;
use super::classic::{ClassicGroup, State};
use super::consumer::ConsumerGroup;
use super::consumer::classic::Joined;
use super::consumer::fence::Fenced;
use super::consumer::regex::Waiting;
use super::join::Takeover;
use super::offsets::{CommittedOffset, Offsets};
use super::rebalance::{extend_session, join_error, join_expired, prepare, session_expired, sync_expired};
use super::records::{encode, restore_group, type_and_group};
use super::session::Assignment;
use crate::coordinator::Topics;
use crate::coordinator::runtime::{Effects, Machine, Position, Step, Ticket};
use crate::coordinator::timers::Timers;

/// What a deadline is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum TimerKey {
    /// A member, or an id that was handed out, of a group.
    Session(Arc<str>, Arc<str>),
    /// The partitions that a member of a consumer group must give up.
    Revocation(Arc<str>, Arc<str>),
    /// The JoinGroup or SyncGroup that a classic member of a consumer group owes.
    Rejoin(Arc<str>, Arc<str>),
    /// The joining of a group.
    Join(Arc<str>),
    /// The SyncGroups of a group.
    Sync(Arc<str>),
    /// Offsets and groups that nobody needs any more.
    Expiry,
}

/// What waits for a reply.
#[derive(Debug)]
pub(crate) enum Reply {
    /// A JoinGroup.
    Join(JoinGroupResponse),
    /// A SyncGroup.
    Sync(SyncGroupResponse),
}

/// What follows when records are stored.
pub(crate) enum Then {
    /// The state changes by replaying them.
    Replay,
    /// As [`Replay`](Self::Replay), and the group has been compared with this version of the topics.
    Seen { group: Arc<str>, version: i64 },
    /// The state is as they say already.
    Nothing,
    /// A group is on record; if it cannot be, this JoinGroup fails.
    NewGroup { group: Arc<str>, ticket: Ticket },
    /// The members get their assignments.
    Assignment(Assignment),
    /// A static member is replaced.
    Takeover(Box<Takeover>),
    /// Members of a consumer group are gone; perhaps it becomes a classic group.
    Fenced(Fenced),
    /// A consumer group is a classic group from now on.
    Downgrade { classic: Box<ClassicGroup>, rebalances: bool },
    /// This JoinGroup to a consumer group is answered.
    Joined(Box<Joined>),
}

/// Kinds of groups whose protocols are not served here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// KIP-932.
    Share,
    /// KIP-1071.
    Streams,
}

impl Kind {
    fn of_record(record_type: i16) -> Option<Self> {
        match record_type {
            10..=15 => Some(Self::Share),
            17..=23 => Some(Self::Streams),
            _ => None,
        }
    }

    /// Kafka's name of the group type.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::Streams => "streams",
        }
    }
}

/// Offsets, classic groups and consumer groups.
fn is_served(record_type: i16) -> bool {
    matches!(record_type, 0..=8 | 16)
}

/// A group of another protocol, as Kafka left it. Its records stay as they are until it is deleted.
#[derive(Debug)]
pub(super) struct ModernGroup {
    pub(super) kind: Kind,
    keys: BTreeSet<Vec<u8>>,
}

impl ModernGroup {
    /// What ends the group: members and their assignments before the group itself, as Kafka does.
    pub(super) fn tombstones(&self) -> Vec<GroupRecord> {
        self.keys
            .iter()
            .rev()
            .filter_map(|key| {
                let (record_type, _) = type_and_group(key)?;
                let record = UnknownRecord { record_type, key: key.clone().into(), value: None };
                Some(GroupRecord::Other(record))
            })
            .collect()
    }
}

/// The state of one partition.
pub(crate) struct GroupShard {
    pub(super) settings: Arc<GroupSettings>,
    pub(super) groups: HashMap<Arc<str>, ClassicGroup>,
    pub(super) consumers: HashMap<Arc<str>, ConsumerGroup>,
    pub(super) modern: HashMap<Arc<str>, ModernGroup>,
    pub(super) offsets: Offsets,
    pub(super) topics: Arc<dyn Topics>,
    pub(super) timers: Timers<TimerKey>,
    pub(super) waiting: Arc<Waiting>,
    /// Groups whose regular expressions are being resolved.
    pub(super) resolving: HashSet<Arc<str>>,
    unknown_types: BTreeSet<i16>,
}

/// What a group needs while it takes an input.
pub(super) struct Turn<'a> {
    pub(super) now: i64,
    pub(super) settings: &'a GroupSettings,
    pub(super) timers: &'a mut Timers<TimerKey>,
    pub(super) effects: &'a mut Effects<GroupShard>,
}

impl GroupShard {
    /// A partition without records.
    pub(super) fn new(settings: Arc<GroupSettings>, topics: Arc<dyn Topics>, waiting: Arc<Waiting>) -> Self {
        Self {
            settings,
            groups: HashMap::new(),
            consumers: HashMap::new(),
            modern: HashMap::new(),
            topics,
            offsets: Offsets::default(),
            timers: Timers::default(),
            waiting,
            resolving: HashSet::new(),
            unknown_types: BTreeSet::new(),
        }
    }

    /// A classic group and what it needs.
    pub(super) fn turn<'a>(
        &'a mut self,
        group: &str,
        now: i64,
        effects: &'a mut Effects<Self>,
    ) -> Option<(&'a mut ClassicGroup, Turn<'a>)> {
        let turn = Turn { now, settings: &self.settings, timers: &mut self.timers, effects };
        self.groups.get_mut(group).map(|group| (group, turn))
    }

    fn apply(&mut self, at: Position, record: GroupRecord) {
        match record {
            GroupRecord::OffsetCommit(key, value) | GroupRecord::LegacyOffsetCommit(key, value) => {
                let Some(value) = value else {
                    return self.offsets.remove(&key.group, &key.topic, key.partition);
                };
                self.ensure_group(&key.group, value.commit_timestamp);
                let offset = CommittedOffset::from_record(at.offset, value);
                if at.producer_id == NO_PRODUCER_ID {
                    self.offsets.commit(&key.group, &key.topic, key.partition, offset);
                } else {
                    let (group, topic, partition) = (&key.group, &key.topic, key.partition);
                    self.offsets.commit_pending(at.producer_id, group, topic, partition, offset);
                }
            }
            GroupRecord::GroupMetadata(group, Some(value)) => {
                let id: Arc<str> = Arc::from(group);
                self.groups.insert(Arc::clone(&id), restore_group(id, value));
            }
            GroupRecord::GroupMetadata(group, None) => {
                self.groups.remove(group.as_str());
            }
            GroupRecord::Other(record) => self.apply_modern(&record.key, record.value.is_none()),
            record => self.apply_consumer(record),
        }
    }

    /// A group that only stores offsets has no record of its own.
    fn ensure_group(&mut self, group: &str, since: i64) {
        let is_known = self.groups.contains_key(group)
            || self.consumers.contains_key(group)
            || self.modern.contains_key(group);
        if !is_known {
            let id: Arc<str> = Arc::from(group);
            self.groups.insert(Arc::clone(&id), ClassicGroup::empty(id, since));
        }
    }

    /// Keeps in mind what a group of another protocol has on record.
    fn apply_modern(&mut self, key: &[u8], is_tombstone: bool) {
        let Some((record_type, group)) = type_and_group(key) else { return };
        let Some(kind) = Kind::of_record(record_type) else {
            if self.unknown_types.insert(record_type) {
                tracing::warn!(record_type, "records of an unknown type are left as they are");
            }
            return;
        };
        if is_tombstone {
            if let Some(modern) = self.modern.get_mut(group) {
                modern.keys.remove(key);
                if modern.keys.is_empty() {
                    self.modern.remove(group);
                }
            }
            return;
        }
        if self.groups.get(group).is_some_and(|classic| classic.protocol_type.is_none() && classic.is_empty())
        {
            self.groups.remove(group);
        }
        if !self.modern.contains_key(group) {
            self.modern.insert(Arc::from(group), ModernGroup { kind, keys: BTreeSet::new() });
            tracing::info!(
                group,
                kind = kind.name(),
                "the group's protocol is not served, its records are kept"
            );
        }
        if let Some(modern) = self.modern.get_mut(group) {
            modern.keys.insert(key.to_vec());
        }
    }

    fn replay_step(&mut self, records: Vec<GroupRecord>, producer_id: i64, base_offset: i64) {
        for (offset, record) in (base_offset..).zip(records) {
            self.apply(Position { offset, producer_id }, record);
        }
    }
}

impl Machine for GroupShard {
    type Record = GroupRecord;
    type Then = Then;
    type Reply = Reply;

    fn encode(record: &GroupRecord) -> Result<(Vec<u8>, Option<Vec<u8>>), String> {
        encode(record)
    }

    fn replay(&mut self, at: Position, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        let (record_type, _) = type_and_group(key).ok_or_else(|| {
            format!("the key of the record at offset {} begins with no record type and group", at.offset)
        })?;
        if !is_served(record_type) {
            self.apply_modern(key, value.is_none());
            return Ok(());
        }
        let record = GroupRecord::decode(key, value)
            .map_err(|error| format!("the record at offset {}: {error}", at.offset))?;
        self.apply(at, record);
        Ok(())
    }

    fn end_transaction(&mut self, producer_id: i64, committed: bool) {
        self.offsets.end_transaction(producer_id, committed);
    }

    fn loaded(&mut self, now: i64, effects: &mut Effects<Self>) {
        let check = self.settings.retention_check_interval_ms;
        self.timers.schedule(TimerKey::Expiry, now.saturating_add(check));
        for group in self.groups.values_mut() {
            let mut turn = Turn { now, settings: &self.settings, timers: &mut self.timers, effects };
            for member in group.members() {
                extend_session(group, member, &mut turn);
            }
            if group.len() > turn.settings.max_size && group.is(State::Stable) {
                prepare(group, "the group is larger than the limit of now", &mut turn);
            }
        }
        self.begin_consumer_sessions(now);
    }

    fn stored(&mut self, step: Step<Self>, base_offset: i64, now: i64, effects: &mut Effects<Self>) {
        let producer_id = step.transaction.map_or(NO_PRODUCER_ID, |of| of.producer_id);
        match step.then {
            Then::Nothing => {}
            Then::Replay => self.replay_step(step.records, producer_id, base_offset),
            Then::Seen { group, version } => {
                self.upgraded(&group, now, effects);
                self.replay_step(step.records, producer_id, base_offset);
                self.topics_seen(&group, version);
            }
            Then::NewGroup { .. } => {
                // The tombstones of a group of another protocol come first; the new group is in place already.
                let (_, tombstones) = step.records.split_last().unzip();
                let tombstones = tombstones.map(<[GroupRecord]>::to_vec).unwrap_or_default();
                self.replay_step(tombstones, producer_id, base_offset);
            }
            Then::Fenced(fenced) => {
                self.replay_step(step.records, producer_id, base_offset);
                self.fenced(&fenced, now, effects);
            }
            Then::Downgrade { classic, rebalances } => {
                let mut records = step.records;
                // The last one is the classic group's own, which knows more.
                records.pop();
                self.replay_step(records, producer_id, base_offset);
                self.downgraded(*classic, rebalances, now, effects);
            }
            Then::Joined(joined) => {
                self.replay_step(step.records, producer_id, base_offset);
                self.classic_joined(*joined, now, effects);
            }
            Then::Assignment(assignment) => self.assignment_stored(assignment, now, effects),
            Then::Takeover(takeover) => self.takeover_stored(&takeover, now, effects),
        }
    }

    fn not_stored(&mut self, step: Step<Self>, error: ResponseError, now: i64, effects: &mut Effects<Self>) {
        match step.then {
            Then::Nothing | Then::Replay | Then::Seen { .. } | Then::Downgrade { .. } => {}
            Then::Fenced(fenced) => self.not_fenced(fenced, now),
            Then::Joined(joined) => Self::classic_join_failed(&joined, error, effects),
            Then::NewGroup { group, ticket } => {
                self.groups.remove(&group);
                effects.reply(ticket, join_error("", error));
            }
            Then::Assignment(assignment) => self.assignment_failed(&assignment, error, now, effects),
            Then::Takeover(takeover) => self.takeover_failed(*takeover, error, now, effects),
        }
    }

    fn fire(&mut self, now: i64, effects: &mut Effects<Self>) -> bool {
        let Some(key) = self.timers.pop_due(now) else { return false };
        match key {
            TimerKey::Expiry => self.expire(now, effects),
            TimerKey::Revocation(group, member) => self.revocation_expired(&group, &member, effects),
            TimerKey::Rejoin(group, member) => self.rejoin_expired(&group, &member, effects),
            TimerKey::Session(group, member) if self.consumers.contains_key(&group) => {
                self.consumer_session_expired(&group, &member, effects);
            }
            TimerKey::Session(group, member) => {
                if let Some((group, mut turn)) = self.turn(&group, now, effects) {
                    session_expired(group, &member, &mut turn);
                }
            }
            TimerKey::Join(group) => {
                if let Some((group, mut turn)) = self.turn(&group, now, effects) {
                    join_expired(group, &mut turn);
                }
            }
            TimerKey::Sync(group) => {
                if let Some((group, mut turn)) = self.turn(&group, now, effects) {
                    sync_expired(group, &mut turn);
                }
            }
        }
        true
    }

    fn set_skew(&mut self, ms: i64) {
        self.timers.set_skew(ms);
    }

    fn next_deadline(&self) -> Option<i64> {
        self.timers.next()
    }
}
