//! Trees of few entries, made entry by entry.

/// As `collect`, which sorts first: some 6 KB of code for each type of entry.
pub(crate) fn tree<E, T: Default + Extend<E>>(entries: impl IntoIterator<Item = E>) -> T {
    let mut tree = T::default();
    tree.extend(entries);
    tree
}
