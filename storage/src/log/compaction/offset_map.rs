//! The last offset of every key of the dirty part of a log, in fixed memory.
//!
//! Keys are not stored, only 128 bits that a keyed hash makes of them, as Kafka keeps an MD5 (`SkimpyOffsetMap`). The
//! hash is SipHash-1-3, twice, with a prefix that tells the two apart and a secret key that is drawn for every map: who
//! sends records cannot make two keys collide on purpose, and of ten million keys any two do so by chance with a
//! probability of 10^14 / 2^129, about 10^-25.
//!
//! ```text
//!  slot  | u64 first hash | u64 second hash | u64 offset + 1, 0: empty |     24 bytes, as in Kafka
//! ```
//!
//! A key is looked for from the slot on that its first hash names, one after the other, until it or an empty slot is
//! found. A part of the slots stays empty, so that such runs stay short. Nothing wraps around: behind the slots that
//! hashes name come [`SPARE`] more for the last run.
//!
//! The table is reserved once at its full size, but only its first part is used, and so in memory; when that is full,
//! twice as much is. Home slots ascend with the hash whatever the size, so growing goes from the last run to the first,
//! and each run moves up into slots that nothing else is in any more.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Bytes of a slot.
pub(super) const SLOT_BYTES: usize = size_of::<Slot>();

type Slot = [u64; 3];

/// Slots behind the last home slot.
const SPARE: usize = 4096;
/// Home slots that a map begins with.
const FIRST: usize = 1024;

/// Keys to their last offsets.
pub(super) struct OffsetMap {
    /// `homes_max` and the spare ones; behind `homes` and the spare ones they are empty.
    slots: Vec<Slot>,
    /// Slots that hashes name.
    homes: usize,
    homes_max: usize,
    filled: usize,
    load_factor: f64,
    hash_key: RandomState,
}

/// The map takes no further key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MapFull;

impl OffsetMap {
    /// A map for `keys` keys, or as many as fit into `bytes` when `load_factor` of the slots may be in use.
    pub(super) fn new(keys: u64, bytes: usize, load_factor: f64) -> Self {
        let wanted = (keys as f64 / load_factor).ceil() as usize + 1;
        let homes_max = wanted.min(bytes / SLOT_BYTES).max(1);
        Self {
            slots: vec![[0; 3]; homes_max + SPARE],
            homes: homes_max.min(FIRST),
            homes_max,
            filled: 0,
            load_factor,
            hash_key: RandomState::new(),
        }
    }

    /// Notes the offset of a key, which is above the one that it may have.
    ///
    /// # Errors
    /// The key is new and there is no room for it.
    pub(super) fn insert(&mut self, key: &[u8], offset: i64) -> Result<(), MapFull> {
        let hash = self.hash(key);
        let mut at = self.find(hash);
        if at.is_none_or(|at| self.slots[at][2] == 0) {
            while at.is_none() || self.filled >= self.most() {
                self.grow()?;
                at = self.find(hash);
            }
            self.filled += 1;
        }
        let at = at.ok_or(MapFull)?;
        self.slots[at] = [hash.0, hash.1, offset as u64 + 1];
        Ok(())
    }

    /// The last offset of a key; -1 if it is not there.
    pub(super) fn get(&self, key: &[u8]) -> i64 {
        self.find(self.hash(key)).map_or(-1, |at| self.slots[at][2] as i64 - 1)
    }

    /// Number of keys.
    pub(super) fn len(&self) -> usize {
        self.filled
    }

    /// Bytes of the slots in use.
    pub(super) fn bytes(&self) -> usize {
        (self.homes + SPARE) * SLOT_BYTES
    }

    /// Keys that may be in it at its present size. At least one home stays empty.
    fn most(&self) -> usize {
        ((self.homes as f64 * self.load_factor) as usize).min(self.homes - 1)
    }

    fn hash(&self, key: &[u8]) -> (u64, u64) {
        let half = |prefix: u8| {
            let mut hasher = self.hash_key.build_hasher();
            hasher.write_u8(prefix);
            hasher.write(key);
            hasher.finish()
        };
        (half(0), half(1))
    }

    fn home(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.homes as u128) >> 64) as usize
    }

    /// The slot of a key, or the empty one where it belongs; `None` if the last run leaves no room.
    fn find(&self, hash: (u64, u64)) -> Option<usize> {
        (self.home(hash.0)..self.homes + SPARE).find(|at| {
            let [first, second, offset] = self.slots[*at];
            offset == 0 || (first, second) == hash
        })
    }

    /// Uses twice as many slots.
    fn grow(&mut self) -> Result<(), MapFull> {
        if self.homes == self.homes_max {
            return Err(MapFull);
        }
        let mut end = self.homes + SPARE;
        self.homes = self.homes.saturating_mul(2).min(self.homes_max);
        let mut run = Vec::new();
        while end > 0 {
            end -= 1;
            if self.slots[end][2] != 0 {
                run.push(std::mem::take(&mut self.slots[end]));
            } else if !run.is_empty() {
                self.put_back(&mut run)?;
            }
        }
        self.put_back(&mut run)
    }

    fn put_back(&mut self, run: &mut Vec<Slot>) -> Result<(), MapFull> {
        for slot in run.drain(..) {
            // With more homes than before, the last run has room for what it had.
            let at = self.find((slot[0], slot[1])).ok_or(MapFull)?;
            self.slots[at] = slot;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{FIRST, MapFull, OffsetMap, SLOT_BYTES, SPARE};
    use std::collections::HashMap;

    #[test]
    fn equals_a_map_of_the_keys_themselves() {
        let mut map = OffsetMap::new(5000, 1 << 20, 0.9);
        let mut model = HashMap::new();
        for offset in 0..20_000i64 {
            let key = (offset * 7919 % 5000).to_string();
            map.insert(key.as_bytes(), offset).unwrap();
            model.insert(key, offset);
        }
        assert_eq!(map.len(), model.len());
        assert!(model.iter().all(|(key, offset)| map.get(key.as_bytes()) == *offset));
        assert_eq!([map.get(b"none"), map.get(b"")], [-1, -1]);
        map.insert(b"", 0).unwrap();
        assert_eq!(map.get(b""), 0, "offset 0 and the empty key are there");
    }

    #[test]
    fn is_as_large_as_needed_and_never_larger_than_allowed() {
        // keys, bytes, load factor, keys that fit
        let cases = [
            (10, 1 << 20, 0.9, 10),
            (10, 1 << 20, 0.5, 10),
            (1000, 100 * SLOT_BYTES, 0.9, 90),
            (1000, 100 * SLOT_BYTES, 1.0, 99),
            (100_000, 3000 * SLOT_BYTES, 0.9, 2700),
            (100_000, 3001 * SLOT_BYTES, 1.0, 3000),
            (0, 1 << 20, 0.9, 0),
            (5, 1, 0.9, 0),
        ];
        for (keys, bytes, load_factor, fit) in cases {
            let mut map = OffsetMap::new(keys, bytes, load_factor);
            let spare = SPARE * SLOT_BYTES;
            for i in 0i64..fit {
                assert_eq!(map.insert(&i.to_be_bytes(), i), Ok(()), "{keys} {bytes} {i}");
                let needed = FIRST.max(3 * (i as usize + 1)) * SLOT_BYTES;
                assert!(map.bytes() - spare <= bytes.max(SLOT_BYTES).min(needed), "{keys} {bytes} {i}");
            }
            let full = (fit..fit + 3).find_map(|i| map.insert(&i.to_be_bytes(), i).err());
            assert_eq!(full, Some(MapFull), "{keys} {bytes}");
            assert!((0..fit).all(|i| map.get(&i.to_be_bytes()) == i), "{keys} {bytes}");
            let again = map.insert(&0i64.to_be_bytes(), 7);
            assert_eq!(again.is_ok(), fit > 0, "a key that is there may always move on");
        }
    }
}
