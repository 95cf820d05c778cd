//! Owns every part; start order, stop order.

/// A running broker.
#[derive(Debug)]
pub struct Broker {}
