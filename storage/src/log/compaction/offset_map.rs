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
//! found. A part of the slots stays empty, so that such runs stay short.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Bytes of a slot.
pub(super) const SLOT_BYTES: usize = size_of::<Slot>();

type Slot = [u64; 3];

/// Keys to their last offsets.
pub(super) struct OffsetMap {
    slots: Vec<Slot>,
    filled: usize,
    /// Keys that may be in it.
    most: usize,
    hash_key: RandomState,
}

/// The map takes no further key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MapFull;

impl OffsetMap {
    /// A map for `keys` keys, or as many as fit into `bytes` when `load_factor` of the slots may be in use. Memory that
    /// no key falls into is not touched.
    pub(super) fn new(keys: u64, bytes: usize, load_factor: f64) -> Self {
        let slots_max = (bytes / SLOT_BYTES).max(1);
        // At least one slot stays empty: a search ends there.
        let most = |slots: usize| ((slots as f64 * load_factor) as usize).min(slots.saturating_sub(1));
        let wanted = (keys as f64 / load_factor).ceil() as usize + 1;
        let slots = wanted.min(slots_max);
        Self { slots: vec![[0; 3]; slots], filled: 0, most: most(slots), hash_key: RandomState::new() }
    }

    /// Notes the offset of a key, which is above the one that it may have.
    ///
    /// # Errors
    /// The key is new and there is no room for it.
    pub(super) fn insert(&mut self, key: &[u8], offset: i64) -> Result<(), MapFull> {
        let hash = self.hash(key);
        let at = self.find(hash);
        if self.slots[at][2] == 0 {
            if self.filled >= self.most {
                return Err(MapFull);
            }
            self.filled += 1;
        }
        self.slots[at] = [hash.0, hash.1, offset as u64 + 1];
        Ok(())
    }

    /// The last offset of a key; -1 if it is not there.
    pub(super) fn get(&self, key: &[u8]) -> i64 {
        self.slots[self.find(self.hash(key))][2] as i64 - 1
    }

    /// Number of keys.
    pub(super) fn len(&self) -> usize {
        self.filled
    }

    /// Bytes of the slots.
    pub(super) fn bytes(&self) -> usize {
        self.slots.len() * SLOT_BYTES
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

    /// The slot of a key, or the empty one where it belongs.
    fn find(&self, hash: (u64, u64)) -> usize {
        let mut at = ((u128::from(hash.0) * self.slots.len() as u128) >> 64) as usize;
        loop {
            let [first, second, offset] = self.slots[at];
            if offset == 0 || (first, second) == hash {
                return at;
            }
            at += 1;
            if at == self.slots.len() {
                at = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MapFull, OffsetMap, SLOT_BYTES};
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
            (0, 1 << 20, 0.9, 0),
            (5, 1, 0.9, 0),
        ];
        for (keys, bytes, load_factor, fit) in cases {
            let mut map = OffsetMap::new(keys, bytes, load_factor);
            assert!(map.bytes() <= bytes.max(SLOT_BYTES), "{keys} {bytes}");
            assert!(map.bytes() <= (keys as usize * 3 + 2) * SLOT_BYTES, "{keys} {bytes}");
            for i in 0..fit {
                assert_eq!(map.insert(&[i as u8], i), Ok(()), "{keys} {bytes} {i}");
            }
            let full = (fit..fit + 3).find_map(|i| map.insert(&[i as u8, 1], i).err());
            assert_eq!(full, Some(MapFull), "{keys} {bytes}");
            assert_eq!(map.insert(&[0], 7).is_ok(), fit > 0, "a key that is there may always move on");
        }
    }
}
