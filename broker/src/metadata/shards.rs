//! A map whose copies share what they do not change.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::Arc;

/// Number of parts; a change copies one of them.
const SHARDS: usize = 64;

type Hasher = BuildHasherDefault<DefaultHasher>;
type Shard<K, V> = HashMap<K, V, Hasher>;

/// A hash map in 64 shared parts: a copy costs 64 counters, and a change of the copy the entries of one part.
///
/// That keeps the cost of one change of the image independent of the number of topics, up to some 100,000 of them.
#[derive(Clone, Debug)]
pub(crate) struct Shards<K, V>(Box<[Arc<Shard<K, V>>]>);

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        let empty = Arc::new(Shard::default());
        Self((0..SHARDS).map(|_| Arc::clone(&empty)).collect())
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Shards<K, V> {
    /// The value of a key.
    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0[place(key)].get(key)
    }

    /// The value of a key, to be changed.
    pub(crate) fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        Arc::make_mut(&mut self.0[place(key)]).get_mut(key)
    }

    /// Sets the value of a key and returns the one it had.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        Arc::make_mut(&mut self.0[place(&key)]).insert(key, value)
    }

    /// Removes a key and returns its value.
    pub(crate) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        Arc::make_mut(&mut self.0[place(key)]).remove(key)
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.len()).sum()
    }

    /// All values, in no particular order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().flat_map(|shard| shard.values())
    }
}

fn place<Q: Hash + ?Sized>(key: &Q) -> usize {
    // The high bits: the low ones choose the bucket inside the part.
    (Hasher::default().hash_one(key) >> 58) as usize
}

#[cfg(test)]
mod tests {
    use super::Shards;

    #[test]
    fn a_copy_is_independent_and_shares_what_it_does_not_change() {
        let mut first: Shards<String, usize> = Shards::default();
        for number in 0..1000 {
            assert_eq!(first.insert(format!("key-{number}"), number), None);
        }
        let mut second = first.clone();
        assert_eq!(second.remove("key-7"), Some(7));
        assert_eq!(second.insert("key-8".to_owned(), 80), Some(8));
        *second.get_mut("key-9").unwrap() = 90;

        assert_eq!((first.len(), second.len()), (1000, 999));
        assert_eq!((first.get("key-7"), second.get("key-7")), (Some(&7), None));
        assert_eq!((first.get("key-8"), second.get("key-8")), (Some(&8), Some(&80)));
        assert_eq!((first.get("key-9"), second.get("key-9")), (Some(&9), Some(&90)));
        assert_eq!(first.values().sum::<usize>(), 499_500);
        let shared = first.0.iter().zip(&second.0).filter(|(a, b)| std::sync::Arc::ptr_eq(a, b)).count();
        assert!((61..64).contains(&shared), "{shared} of 64 parts are shared");
    }
}
