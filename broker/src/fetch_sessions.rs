//! Incremental fetch sessions (KIP-227): the broker remembers which partitions a consumer fetches and what it was
//! told of them, so that neither side repeats itself.
//!
//! A session belongs to one consumer, which sends one request at a time; requests that name another epoch than the
//! expected one are refused. When all slots are taken, a new session replaces one that was idle for two minutes; if
//! there is none, the consumer is answered without a session, which is always legal.

use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use milena_protocol::fetch::PartitionResponse;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// A session that was used within so many milliseconds is not replaced (`min.incremental.fetch.session.eviction.ms`).
const EVICTION_MS: i64 = 120_000;
/// Asks for a new session.
const INITIAL_EPOCH: i32 = 0;
/// Closes the session and asks for none.
const FINAL_EPOCH: i32 = -1;

/// What a request asks of one partition.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Name of the topic; empty if the id is unknown.
    pub(crate) topic: Arc<str>,
    /// Id of the topic; nil if the request names it by name.
    pub(crate) topic_id: Uuid,
    /// Partition.
    pub(crate) index: i32,
    /// First offset wanted.
    pub(crate) offset: i64,
    /// Bytes at most.
    pub(crate) max_bytes: usize,
    /// The leader epoch that the consumer believes in, -1 for none.
    pub(crate) current_epoch: i32,
    /// Epoch of the last record that the fetcher has, -1 for none.
    pub(crate) last_fetched_epoch: i32,
}

/// The topic by its id, or without one by its name; and the partition.
pub(crate) type Key = (Arc<str>, Uuid, i32);

/// The key of a partition. A topic that is named by id keeps its key when its name is no longer known.
pub(crate) fn key(topic: &Arc<str>, id: Uuid, index: i32) -> Key {
    (if id.is_nil() { topic.clone() } else { Arc::default() }, id, index)
}

impl Wanted {
    pub(crate) fn key(&self) -> Key {
        key(&self.topic, self.topic_id, self.index)
    }
}

/// What a session remembers of one partition.
#[derive(Clone, Debug)]
struct Cached {
    wanted: Wanted,
    high_watermark: i64,
    log_start: i64,
    /// The answer that is being made has records of it.
    is_busy: bool,
}

/// One consumer's session.
#[derive(Debug)]
pub(crate) struct Session {
    uses_ids: bool,
    /// The epoch that the next request must carry.
    epoch: i32,
    partitions: IndexMap<Key, Cached>,
}

#[derive(Debug)]
struct Entry {
    session: Arc<Mutex<Session>>,
    used_ms: i64,
}

/// All sessions.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    slots: usize,
    open: Mutex<HashMap<i32, Entry>>,
}

/// How a request stands to sessions.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// No session: answer every partition.
    None,
    /// A new session: answer every partition and remember what was said.
    First(i32, Arc<Mutex<Session>>),
    /// A session that goes on: answer what has changed.
    Next(i32, Arc<Mutex<Session>>),
}

impl Role {
    /// The session id of the answer.
    pub(crate) fn id(&self) -> i32 {
        match self {
            Self::None => 0,
            Self::First(id, _) | Self::Next(id, _) => *id,
        }
    }

    /// Whether a partition must be in the answer; remembers what is said of it.
    pub(crate) fn keep(&self, wanted: &Wanted, response: &PartitionResponse) -> bool {
        match self {
            Self::None => true,
            Self::First(_, session) => {
                session.lock().note(wanted, response);
                true
            }
            Self::Next(_, session) => session.lock().note(wanted, response),
        }
    }

    /// After the last partition of an answer.
    pub(crate) fn kept_all(&self) {
        if let Self::Next(_, session) = self {
            session.lock().busy_last();
        }
    }
}

/// What a request says of its session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) id: i32,
    pub(crate) epoch: i32,
    pub(crate) uses_ids: bool,
    pub(crate) steady_ms: i64,
}

impl FetchSessions {
    /// Room for so many sessions (`max.incremental.fetch.session.cache.slots`).
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots, open: Mutex::new(HashMap::new()) }
    }

    /// Finds or opens the session of a request, and gives the partitions to fetch: those of the request, or all of
    /// the session's after the request changed it.
    ///
    /// # Errors
    /// FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR.
    pub(crate) fn resolve(
        &self,
        asked: Asked,
        wanted: Vec<Wanted>,
        forgotten: &[Key],
    ) -> Result<(Role, Vec<Wanted>), ResponseError> {
        if matches!(asked.epoch, FINAL_EPOCH | INITIAL_EPOCH) {
            if asked.id != 0 {
                self.open.lock().remove(&asked.id);
            }
            let role = if asked.epoch == INITIAL_EPOCH { self.begin(asked, &wanted) } else { Role::None };
            return Ok((role, wanted));
        }
        let session = {
            let mut open = self.open.lock();
            let entry = open.get_mut(&asked.id).ok_or(ResponseError::FetchSessionIdNotFound)?;
            entry.used_ms = asked.steady_ms;
            entry.session.clone()
        };
        // If all of them are forgotten, the request is answered as one without a session.
        let alone = if forgotten.is_empty() { Vec::new() } else { wanted.clone() };
        let all: Vec<Wanted> = {
            let mut session = session.lock();
            if session.epoch != asked.epoch {
                return Err(ResponseError::InvalidFetchSessionEpoch);
            }
            if session.uses_ids != asked.uses_ids {
                return Err(ResponseError::FetchSessionTopicIdError);
            }
            session.change(wanted, forgotten);
            session.epoch = if session.epoch == i32::MAX { 1 } else { session.epoch + 1 };
            session.partitions.values().map(|c| c.wanted.clone()).collect()
        };
        if all.is_empty() {
            // There is nothing left to remember.
            self.open.lock().remove(&asked.id);
            return Ok((Role::None, alone));
        }
        Ok((Role::Next(asked.id, session), all))
    }

    fn begin(&self, asked: Asked, wanted: &[Wanted]) -> Role {
        let mut open = self.open.lock();
        if open.len() >= self.slots {
            let oldest = open.iter().min_by_key(|(_, e)| e.used_ms).map(|(id, e)| (*id, e.used_ms));
            match oldest {
                Some((id, used_ms)) if asked.steady_ms - used_ms > EVICTION_MS => open.remove(&id),
                _ => return Role::None,
            };
        }
        let id = loop {
            let id = (Uuid::new_v4().as_u128() as u32 >> 1) as i32;
            if id != 0 && !open.contains_key(&id) {
                break id;
            }
        };
        let mut session = Session { uses_ids: asked.uses_ids, epoch: 1, partitions: IndexMap::new() };
        session.change(wanted.to_vec(), &[]);
        let session = Arc::new(Mutex::new(session));
        open.insert(id, Entry { session: session.clone(), used_ms: asked.steady_ms });
        Role::First(id, session)
    }
}

impl Session {
    fn change(&mut self, wanted: Vec<Wanted>, forgotten: &[Key]) {
        for wanted in wanted {
            let key = wanted.key();
            match self.partitions.get_mut(&key) {
                Some(cached) => {
                    // By its id a topic that is gone has no name; the session remembers it.
                    let known = std::mem::replace(&mut cached.wanted, wanted).topic;
                    if cached.wanted.topic.is_empty() {
                        cached.wanted.topic = known;
                    }
                }
                None => {
                    self.partitions
                        .insert(key, Cached { wanted, high_watermark: -1, log_start: -1, is_busy: false });
                }
            }
        }
        // What is both wanted and forgotten is forgotten.
        if !forgotten.is_empty() {
            // One pass keeps the order, however many are forgotten.
            let forgotten: HashSet<&Key> = forgotten.iter().collect();
            self.partitions.retain(|key, _| !forgotten.contains(key));
        }
    }

    /// Whether a partition has news (`FetchSession.CachedPartition.maybeUpdateResponseData`).
    fn note(&mut self, wanted: &Wanted, response: &PartitionResponse) -> bool {
        let key = wanted.key();
        let Some(cached) = self.partitions.get_mut(&key) else { return true };
        let has_records = !response.records.is_empty();
        let mut news = has_records || response.diverging_epoch.is_some();
        news |=
            cached.high_watermark != response.high_watermark || cached.log_start != response.log_start_offset;
        cached.high_watermark = response.high_watermark;
        cached.log_start = response.log_start_offset;
        if response.error_code != 0 {
            // The next good answer is news whatever it says.
            cached.high_watermark = -1;
            news = true;
        }
        cached.is_busy = has_records;
        news
    }

    /// Partitions that an answer has records of go to the end of the order, so that they do not starve the others.
    fn busy_last(&mut self) {
        if self.partitions.values().is_sorted_by_key(|cached| cached.is_busy) {
            return;
        }
        let (busy, idle): (Vec<_>, Vec<_>) =
            self.partitions.drain(..).partition(|(_, cached)| cached.is_busy);
        self.partitions.extend(idle.into_iter().chain(busy));
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, EVICTION_MS, FetchSessions, Role, Wanted, key};
    use kafka_protocol::ResponseError;
    use milena_protocol::fetch::{PartitionResponse, Records};
    use std::sync::Arc;
    use uuid::Uuid;

    fn wanted(index: i32, offset: i64) -> Wanted {
        Wanted {
            topic: "t".into(),
            topic_id: Uuid::nil(),
            index,
            offset,
            max_bytes: 100,
            current_epoch: -1,
            last_fetched_epoch: -1,
        }
    }

    fn asked(id: i32, epoch: i32) -> Asked {
        Asked { id, epoch, uses_ids: false, steady_ms: 0 }
    }

    fn answer(index: i32, high_watermark: i64) -> PartitionResponse {
        PartitionResponse { high_watermark, log_start_offset: 0, ..PartitionResponse::error(index, 0) }
    }

    #[test]
    fn a_session_answers_what_has_changed() {
        let sessions = FetchSessions::new(10);
        let (first, all) = sessions.resolve(asked(0, 0), vec![wanted(0, 0), wanted(1, 0)], &[]).unwrap();
        assert!(matches!(first, Role::First(..)) && first.id() > 0 && all.len() == 2);
        assert!(all.iter().all(|w| first.keep(w, &answer(w.index, 5))));
        let (next, all) = sessions.resolve(asked(first.id(), 1), vec![wanted(1, 5)], &[]).unwrap();
        assert_eq!(all.iter().map(|w| (w.index, w.offset)).collect::<Vec<_>>(), [(0, 0), (1, 5)]);
        assert!(!next.keep(&all[0], &answer(0, 5)) && next.keep(&all[1], &answer(1, 6)));
        assert!(next.keep(&all[0], &PartitionResponse::error(0, 3)) && next.keep(&all[0], &answer(0, 5)));
        let forgotten = [("t".into(), Uuid::nil(), 0)];
        let (_, all) = sessions.resolve(asked(first.id(), 2), vec![wanted(2, 0)], &forgotten).unwrap();
        assert_eq!(all.iter().map(|w| w.index).collect::<Vec<_>>(), [1, 2]);
        let (_, all) =
            sessions.resolve(asked(first.id(), 3), vec![wanted(0, 0), wanted(3, 0)], &forgotten).unwrap();
        assert_eq!(all.iter().map(|w| w.index).collect::<Vec<_>>(), [1, 2, 3], "forgotten wins");
    }

    #[test]
    fn partitions_with_records_go_to_the_end() {
        let sessions = FetchSessions::new(10);
        let four = (0..4).map(|index| wanted(index, 0)).collect();
        let (mut role, mut all) = sessions.resolve(asked(0, 0), four, &[]).unwrap();
        let file = Arc::new(tempfile::tempfile().unwrap());
        // Which have records, and the order after that; what opens the session changes nothing.
        for (epoch, (busy, order)) in
            [([0, 2], [0, 1, 2, 3]), ([2, 0], [1, 3, 0, 2]), ([0, 2], [1, 3, 0, 2]), ([1, 9], [3, 0, 2, 1])]
                .into_iter()
                .enumerate()
        {
            for wanted in &all {
                let records = match busy.contains(&wanted.index) {
                    true => Records::range(file.clone(), 0, 1),
                    false => Records::Empty,
                };
                role.keep(wanted, &PartitionResponse { records, ..answer(wanted.index, 5) });
            }
            role.kept_all();
            let first = role.id();
            (role, all) = sessions.resolve(asked(first, epoch as i32 + 1), vec![], &[]).unwrap();
            assert_eq!(all.iter().map(|w| w.index).collect::<Vec<_>>(), order, "{epoch}");
        }
    }

    #[test]
    fn a_topic_that_is_gone_can_be_forgotten_by_its_id() {
        let sessions = FetchSessions::new(10);
        let id = Uuid::from_u128(7);
        let by_id = |session, epoch| Asked { uses_ids: true, ..asked(session, epoch) };
        let first = vec![Wanted { topic_id: id, ..wanted(0, 0) }, Wanted { topic_id: id, ..wanted(1, 0) }];
        let (first, _) = sessions.resolve(by_id(0, 0), first, &[]).unwrap();
        let (_, all) = sessions.resolve(by_id(first.id(), 1), vec![], &[key(&"".into(), id, 0)]).unwrap();
        assert_eq!(all.iter().map(|w| (&*w.topic, w.index)).collect::<Vec<_>>(), [("t", 1)]);
    }

    #[test]
    fn wrong_sessions_are_refused() {
        let sessions = FetchSessions::new(10);
        let (first, _) = sessions.resolve(asked(0, 0), vec![wanted(0, 0)], &[]).unwrap();
        let refused = |asked| sessions.resolve(asked, vec![], &[]).map(|_| ()).unwrap_err();
        assert_eq!(refused(asked(first.id() ^ 1, 1)), ResponseError::FetchSessionIdNotFound);
        assert_eq!(refused(asked(first.id(), 2)), ResponseError::InvalidFetchSessionEpoch);
        assert_eq!(
            refused(Asked { uses_ids: true, ..asked(first.id(), 1) }),
            ResponseError::FetchSessionTopicIdError
        );
        let (closed, _) = sessions.resolve(asked(first.id(), -1), vec![wanted(0, 0)], &[]).unwrap();
        assert_eq!(closed.id(), 0);
        assert_eq!(refused(asked(first.id(), 1)), ResponseError::FetchSessionIdNotFound);
        assert_eq!(refused(asked(0, -2)), ResponseError::FetchSessionIdNotFound);
    }

    #[test]
    fn a_session_without_partitions_ends() {
        let sessions = FetchSessions::new(10);
        let (first, _) = sessions.resolve(asked(0, 0), vec![wanted(0, 0)], &[]).unwrap();
        let forgotten = [("t".into(), Uuid::nil(), 0)];
        let (last, all) = sessions.resolve(asked(first.id(), 1), vec![wanted(0, 3)], &forgotten).unwrap();
        assert_eq!((last.id(), all.len()), (0, 1));
        let gone = sessions.resolve(asked(first.id(), 2), vec![], &[]).map(|_| ()).unwrap_err();
        assert_eq!(gone, ResponseError::FetchSessionIdNotFound);
    }

    #[test]
    fn slots_are_bounded_and_idle_sessions_make_room() {
        let sessions = FetchSessions::new(2);
        let begin =
            |steady_ms| sessions.resolve(Asked { steady_ms, ..asked(0, 0) }, vec![], &[]).unwrap().0.id();
        assert!(begin(0) > 0 && begin(1) > 0);
        assert_eq!(begin(EVICTION_MS), 0, "nobody was idle long enough");
        assert!(begin(EVICTION_MS + 1) > 0);
    }
}
