//! Members that join, leave, crash, dawdle and lose answers at random, over a log that takes nothing now and then and is
//! compacted before a restart, against what must always hold.

use super::{Holding, Script, assigned, beating, joining, wire};
use crate::coordinator::seeds::{Named, seeds};
use crate::group::tests::code;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::ConsumerGroupHeartbeatResponse;
use std::collections::BTreeMap;

/// A client: what it holds until it has given it up.
#[derive(Default)]
struct Client {
    epoch: i32,
    held: Holding,
    /// What it was told to hold, if it has not done so yet.
    told: Option<Holding>,
    /// Since when it has not done so.
    told_at: i64,
    beat_at: i64,
    /// An answer was lost, so it says everything again.
    says_all: bool,
}

impl Client {
    /// What it holds or is about to.
    fn all(&self) -> Holding {
        let mut all = self.held.clone();
        for (topic, partitions) in self.told.iter().flatten() {
            all.entry(*topic).or_default().extend(partitions);
        }
        all
    }
}

/// xorshift: the same steps every time.
struct Steps(u64);

impl Steps {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

struct Model {
    script: Script,
    clients: BTreeMap<String, Client>,
    steps: Steps,
    now: i64,
    /// Until when the log takes nothing.
    refuses_until: i64,
    /// Answers that said so.
    refused: usize,
}

impl Model {
    fn step(&mut self) {
        self.now += self.steps.below(400).cast_signed();
        if self.steps.below(60) == 0 {
            // Not so long that a client that keeps to its timeouts could not.
            self.refuses_until = self.now + self.steps.below(2_000).cast_signed();
            self.script.harness.log.refuse_after(self.steps.below(3) as usize);
        } else if self.now >= self.refuses_until {
            self.script.harness.log.take_all();
        }
        self.script.harness.at(self.now);
        let ids: Vec<String> = self.clients.keys().cloned().collect();
        for id in &ids {
            // A client that is alive keeps to its timeouts.
            let client = self.clients.get_mut(id).unwrap();
            if self.now - client.told_at > 20_000
                && let Some(told) = client.told.take()
            {
                client.held = told;
            }
            if self.now - client.beat_at > 5_000 {
                self.beat(id, false);
            }
        }
        let picked = (!ids.is_empty()).then(|| ids[self.steps.below(ids.len() as u64) as usize].clone());
        match (self.steps.below(100), picked) {
            (0..4, _) | (_, None) => {
                let id = format!("m{}", self.steps.below(12));
                self.clients.entry(id.clone()).or_default();
                self.rejoin(&id);
            }
            // Whether it is heard or not.
            (4..7, Some(id)) => {
                self.clients.remove(&id);
                self.script.send(beating(&id, -1));
            }
            // It is gone without a word: what it held counts as its own until it is fenced.
            (7..8, Some(id)) => {
                self.clients.remove(&id);
            }
            (8..9, _) => {
                let partitions = 6 + self.steps.below(6) as i32;
                let known = self.script.topics.topics.lock()["t"].1;
                self.script.topics.set("t", 1, known.max(partitions));
            }
            (9..55, Some(id)) => {
                let client = self.clients.get_mut(&id).unwrap();
                if let Some(told) = client.told.take() {
                    client.held = told;
                }
            }
            (draw, Some(id)) => self.beat(&id, draw > 95),
        }
    }

    fn rejoin(&mut self, id: &str) {
        let client = self.clients.get_mut(id).unwrap();
        *client = Client { told_at: self.now, beat_at: self.now, ..Client::default() };
        let answer = self.script.send(joining(id, &["t", "u"]));
        if is_refused(&answer) {
            self.refused += 1;
            client.beat_at = i64::MIN / 2;
            return;
        }
        assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
        client.epoch = answer.member_epoch;
        client.told = assigned(&answer);
    }

    fn beat(&mut self, id: &str, is_lost: bool) {
        let client = self.clients.get_mut(id).unwrap();
        if client.epoch == 0 {
            return self.rejoin(id);
        }
        // A client reports what it holds when it has done what it was told.
        let request = match client.says_all {
            true => joining(id, &["t", "u"])
                .with_member_epoch(client.epoch)
                .with_topic_partitions(Some(wire(&client.all()))),
            false => {
                let owned = client.told.is_none().then(|| wire(&client.held));
                beating(id, client.epoch).with_topic_partitions(owned)
            }
        };
        let answer = self.script.send(request);
        if is_refused(&answer) {
            // It is asked again soon.
            self.refused += 1;
            return;
        }
        client.beat_at = self.now;
        if answer.error_code != 0 {
            return self.rejoin(id);
        }
        client.says_all = is_lost;
        if is_lost {
            return;
        }
        client.epoch = answer.member_epoch;
        if let Some(told) = assigned(&answer) {
            // What is taken away is given up some time later; what is new cannot be held by anybody else.
            client.told = Some(told);
            client.told_at = self.now;
        }
    }

    /// Nobody holds what another member holds or may take at any moment.
    fn check(&self) {
        let mut owners: BTreeMap<(u128, i32), &str> = BTreeMap::new();
        for (id, client) in &self.clients {
            let all = client.all();
            let all = all
                .iter()
                .flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition)));
            for partition in all {
                if let Some(other) = owners.insert(partition, id) {
                    panic!("{partition:?} is in the hands of {other} and {id} at {}", self.now);
                }
            }
        }
    }

    /// Everybody does as he is told: then everything is assigned, evenly, and who is gone is out.
    fn settle(&mut self) {
        self.script.harness.log.take_all();
        self.refuses_until = self.now;
        for round in 0..26 {
            let ids: Vec<String> = self.clients.keys().cloned().collect();
            for id in ids {
                let client = self.clients.get_mut(&id).unwrap();
                if let Some(told) = client.told.take() {
                    client.held = told;
                }
                self.beat(&id, false);
                self.check();
            }
            self.now += 3_000;
            if round < 16 {
                // Whoever is gone has no session left by then; that it has none is not taken in time.
                self.script.harness.log.refuse_after(0);
            }
            self.script.harness.at(self.now);
            self.script.harness.log.take_all();
        }
        assert_eq!(self.script.describe().members.len(), self.clients.len());
        if self.clients.is_empty() {
            return;
        }
        assert_eq!(self.script.state(), "Stable");
        let topics = self.script.topics.topics.lock().clone();
        let total: i32 = topics.values().map(|(_, partitions)| partitions).sum();
        let loads: Vec<usize> = self
            .clients
            .values()
            .map(|client| client.held.values().map(std::collections::BTreeSet::len).sum())
            .collect();
        assert_eq!(loads.iter().sum::<usize>(), total as usize);
        assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1, "{loads:?}");
    }
}

fn is_refused(answer: &ConsumerGroupHeartbeatResponse) -> bool {
    answer.error_code == code(ResponseError::NotCoordinator)
}

#[test]
fn no_partition_is_in_two_hands_and_all_are_in_one() {
    let drawn = seeds(40);
    let mut refused = 0;
    for seed in drawn.clone() {
        let _named = Named(seed);
        let script = Script::new();
        script.topics.set("u", 2, 5);
        let steps = Steps(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut model =
            Model { script, clients: BTreeMap::new(), steps, now: 0, refuses_until: 0, refused: 0 };
        for step in 0..600 {
            model.step();
            model.check();
            if step % 200 == 199 {
                model.settle();
                if seed % 2 == 0 {
                    model.script.harness.log.compact();
                }
                let before = model.script.describe();
                model.script = model.script.restart();
                assert_eq!(model.script.describe(), before);
            }
        }
        refused += model.refused;
    }
    assert!(drawn.count() == 1 || refused > 100, "{refused}");
}
