//! Hashing of producer ids: one multiplication, with a secret so that clients, who choose the ids they send, cannot
//! make them collide.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Builds the hashers of one map, all with the same secret.
#[derive(Debug, Clone)]
pub(super) struct ProducerIdHasher {
    secret: u64,
}

impl Default for ProducerIdHasher {
    fn default() -> Self {
        Self { secret: RandomState::new().build_hasher().finish() }
    }
}

impl BuildHasher for ProducerIdHasher {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        Folded(self.secret)
    }
}

/// State of one hash.
#[derive(Debug)]
pub(super) struct Folded(u64);

impl Folded {
    fn mix(&mut self, word: u64) {
        // 2^64 divided by the golden ratio: odd, and its multiples are spread evenly.
        let product = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.mix(u64::from(*byte));
        }
    }

    fn write_i64(&mut self, id: i64) {
        self.mix(id as u64);
    }
}
