//! Where Java's hashes decide: the partition of a group, and the order in which Kafka gives out what it keeps in a `HashMap`.

/// `String.hashCode`, over UTF-16 code units.
#[must_use]
pub fn hash_code(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// How many buckets a `HashMap` has that began with `least` (a power of two, 2 at least) and was given so many keys: it
/// doubles when it is filled by more than three quarters.
#[must_use]
pub fn buckets(least: u32, keys: usize) -> u32 {
    let mut buckets = least;
    while (buckets as usize) * 3 / 4 < keys {
        buckets *= 2;
    }
    buckets
}

/// The bucket of a key, of as many as [`buckets`] says. Within one the order is that in which the keys came.
#[must_use]
pub fn bucket(hash_code: i32, buckets: u32) -> u32 {
    let hash = hash_code as u32;
    (hash ^ hash >> 16) & (buckets - 1)
}
