//! Owns every part; start order, stop order.

use crate::group::GroupCoordinator;

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    /// Groups and committed offsets.
    pub(crate) groups: GroupCoordinator,
}
