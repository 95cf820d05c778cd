//! Random appends, against a model that keeps the whole history and derives every answer from it anew.

use super::*;

const PRODUCERS: i64 = 4;
const STEPS: usize = 4000;

/// xorshift64*: enough for tests, and the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % bound
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Data { transactional: bool },
    Marker { commit: bool, coordinator_epoch: i32 },
}

#[derive(Clone, Copy)]
struct Event {
    header: BatchHeader,
    kind: Kind,
    base_offset: i64,
    /// No longer the last batch when a snapshot was taken and read again.
    forgotten: bool,
}

impl Event {
    fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.header.last_offset_delta)
    }
}

#[derive(Default)]
struct Model {
    log: Vec<Event>,
    end: i64,
}

impl Model {
    fn events(&self, producer_id: i64) -> impl DoubleEndedIterator<Item = &Event> {
        self.log.iter().filter(move |event| event.header.producer_id == producer_id)
    }

    fn epoch(&self, producer_id: i64) -> Option<i16> {
        self.events(producer_id).next_back().map(|event| event.header.producer_epoch)
    }

    /// Data batches since the epoch last changed, the latest first.
    fn batches(&self, producer_id: i64) -> Vec<&Event> {
        let epoch = self.epoch(producer_id);
        let current =
            self.events(producer_id).rev().take_while(|event| Some(event.header.producer_epoch) == epoch);
        current.filter(|event| matches!(event.kind, Kind::Data { .. })).collect()
    }

    /// First offset and marker, if there is one, of every transaction.
    fn transactions(&self) -> Vec<(i64, i64, Option<i64>)> {
        let mut found: Vec<(i64, i64, Option<i64>)> = Vec::new();
        for event in &self.log {
            let id = event.header.producer_id;
            let open =
                found.iter_mut().find(|(producer_id, _, marker)| *producer_id == id && marker.is_none());
            match (event.kind, open) {
                (Kind::Data { transactional: true }, None) => found.push((id, event.base_offset, None)),
                (Kind::Marker { .. }, Some((_, _, marker))) => *marker = Some(event.base_offset),
                _ => {}
            }
        }
        found
    }

    fn open_transaction(&self, producer_id: i64) -> Option<i64> {
        let mut open = self.transactions().into_iter().filter(|(_, _, marker)| marker.is_none());
        open.find(|(id, ..)| *id == producer_id).map(|(_, first_offset, _)| first_offset)
    }

    fn first_open_offset(&self) -> Option<i64> {
        let open = self.transactions().into_iter().filter(|(_, _, marker)| marker.is_none());
        open.map(|(_, first_offset, _)| first_offset).min()
    }

    fn last_stable_offset(&self, high_watermark: i64) -> i64 {
        let unstable = |marker: Option<i64>| marker.is_none_or(|marker| marker >= high_watermark);
        let transactions = self.transactions().into_iter().filter(|(_, _, marker)| unstable(*marker));
        transactions
            .map(|(_, first_offset, _)| first_offset)
            .min()
            .map_or(high_watermark, |at| at.min(high_watermark))
    }

    /// The answer to a client, as protocol and documentation have it.
    fn check(&self, header: &BatchHeader) -> Result<Option<(i64, i64)>, &'static str> {
        let id = header.producer_id;
        let Some(epoch) = self.epoch(id) else { return Ok(None) };
        let batches = self.batches(id);
        if header.producer_epoch == epoch {
            let range = |header: &BatchHeader| (header.base_sequence, header.last_sequence());
            let same = |event: &&&Event| !event.forgotten && range(&event.header) == range(header);
            if let Some(event) = batches.iter().take(5).find(same) {
                return Ok(Some((event.base_offset, event.last_offset())));
            }
        }
        if header.producer_epoch < epoch {
            return Err("epoch");
        }
        let last = batches.first().filter(|_| header.producer_epoch == epoch);
        let last = last.map_or(-1, |event| event.header.last_sequence());
        let expected = if last == i32::MAX { 0 } else { last + 1 };
        if header.base_sequence != expected {
            return Err("sequence");
        }
        if self.open_transaction(id).is_some() && !header.attributes.is_transactional() {
            return Err("transaction");
        }
        Ok(None)
    }

    fn append(&mut self, header: BatchHeader, kind: Kind) -> i64 {
        let base_offset = self.end;
        self.log.push(Event { header, kind, base_offset, forgotten: false });
        self.end += i64::from(header.last_offset_delta) + 1;
        base_offset
    }

    fn restart(&mut self) {
        let kept: Vec<_> =
            (0..PRODUCERS).filter_map(|id| self.batches(id).first().map(|event| event.base_offset)).collect();
        for event in &mut self.log {
            event.forgotten |= !kept.contains(&event.base_offset);
        }
    }
}

/// Mostly what follows, else a repeat, a gap, another epoch.
fn random_batch(random: &mut Random, model: &Model) -> BatchHeader {
    let id = random.below(PRODUCERS as u64) as i64;
    let batches = model.batches(id);
    let records = 1 + random.below(3) as i32;
    let mut header = match batches.first() {
        Some(event) => {
            let last = event.header.last_sequence();
            let next = if last == i32::MAX { 0 } else { last + 1 };
            data(id, event.header.producer_epoch, next, records)
        }
        // Near the wrap, now and then.
        None if random.one_in(2) => data(id, model.epoch(id).unwrap_or(0), i32::MAX - 4, records),
        None => data(id, model.epoch(id).unwrap_or(0), 0, records),
    };
    match random.below(10) {
        0 | 1 if !batches.is_empty() => {
            let at = random.below(batches.len().min(8) as u64) as usize;
            header = batches[at].header;
        }
        2 => header.base_sequence = random.below(6) as i32,
        3 => header.producer_epoch = random.below(12) as i16,
        4 => header = BatchHeader { producer_epoch: header.producer_epoch + 1, base_sequence: 0, ..header },
        _ => {}
    }
    let transactional = if random.one_in(12) { random.one_in(2) } else { id >= PRODUCERS / 2 };
    BatchHeader { attributes: Attributes::default().with_transactional(transactional), ..header }
}

fn client_batch(random: &mut Random, model: &mut Model, producers: &mut Producers) -> bool {
    let header = random_batch(random, model);
    let expected = model.check(&header);
    let found = match producers.check(&header, None, Origin::Client) {
        Ok(Checked::Append) => Ok(None),
        Ok(Checked::Duplicate { base_offset, last_offset, .. }) => Ok(Some((base_offset, last_offset))),
        Err(ProducerError::InvalidEpoch { .. }) => Err("epoch"),
        Err(ProducerError::OutOfOrderSequence { .. }) => Err("sequence"),
        Err(ProducerError::InvalidTransactionState { .. }) => Err("transaction"),
        Err(ProducerError::CoordinatorFenced { .. }) => Err("coordinator"),
    };
    assert_eq!(found, expected, "{header:?}");
    if expected == Ok(None) {
        let base_offset =
            model.append(header, Kind::Data { transactional: header.attributes.is_transactional() });
        assert_eq!(producers.apply(&header, None, base_offset), None);
    }
    expected == Ok(None)
}

fn end_transaction(random: &mut Random, model: &mut Model, producers: &mut Producers) {
    let id = random.below(PRODUCERS as u64) as i64;
    let epoch = model.epoch(id).unwrap_or(0) + random.below(2) as i16;
    let commit = random.one_in(2);
    let first_offset = model.open_transaction(id);
    let base_offset = model.append(control(id, epoch), Kind::Marker { commit, coordinator_epoch: 3 });
    let foreseen = producers.aborted_by(&control(id, epoch), &marker(commit, 3), base_offset);
    let found = producers.apply(&control(id, epoch), Some(&marker(commit, 3)), base_offset);
    assert_eq!(foreseen, found);
    let last_stable_offset = model.first_open_offset().unwrap_or(base_offset + 1);
    let aborted = |first_offset| AbortedTransaction {
        producer_id: id,
        first_offset,
        last_offset: base_offset,
        last_stable_offset,
    };
    assert_eq!(found, first_offset.filter(|_| !commit).map(aborted));
}

#[test]
fn any_history_gives_what_the_model_derives_from_it() {
    for seed in 1..=8 {
        let mut random = Random(seed);
        let (mut model, mut producers) = (Model::default(), Producers::new());
        let (mut high_watermark, mut appended) = (0, 0);
        for _ in 0..STEPS / 8 {
            match random.below(20) {
                0..=13 => appended += usize::from(client_batch(&mut random, &mut model, &mut producers)),
                14..=16 => end_transaction(&mut random, &mut model, &mut producers),
                17 => {
                    high_watermark += random.below((model.end - high_watermark + 1) as u64) as i64;
                    producers.forget_ended_before(high_watermark);
                }
                18 if model.end > 0 => {
                    // A restart: what is not replicated by then counts as replicated.
                    high_watermark = model.end;
                    producers.restore(&producers.snapshot(), NOW, DAY).unwrap();
                    model.restart();
                }
                _ => {}
            }
            assert_eq!(producers.first_open_offset(), model.first_open_offset());
            assert_eq!(
                producers.last_stable_offset(high_watermark),
                model.last_stable_offset(high_watermark)
            );
            for id in 0..PRODUCERS {
                assert_eq!(producers.get(id).map(ProducerState::epoch), model.epoch(id));
            }
        }
        assert!(appended > STEPS / 40, "seed {seed} must reach more than {appended} appends");
        replay(&model, &producers);
    }
}

/// Replaying the log from its start gives the same snapshot.
fn replay(model: &Model, producers: &Producers) {
    let mut replayed = Producers::new();
    for event in &model.log {
        let marker = match event.kind {
            Kind::Marker { commit, coordinator_epoch } => Some(marker(commit, coordinator_epoch)),
            Kind::Data { .. } => None,
        };
        replayed.apply(&event.header, marker.as_ref(), event.base_offset);
    }
    assert_eq!(replayed.snapshot(), producers.snapshot());
    assert_eq!(replayed.first_open_offset(), producers.first_open_offset());
}
