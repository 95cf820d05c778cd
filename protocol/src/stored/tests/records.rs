//! Single records, by hand: what their bytes mean, old versions, and what is refused.
