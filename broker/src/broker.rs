//! Owns every part; start order, stop order.

use crate::config::BrokerConfig;
use crate::controller::Controller;
use crate::metadata::advertise::Advertiser;
use std::sync::Arc;

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    /// What it was configured with.
    pub(crate) config: Arc<BrokerConfig>,
    /// Id of the cluster, from `meta.properties`.
    pub(crate) cluster_id: String,
    /// Topics, features, configuration.
    pub(crate) controller: Controller,
    /// Where clients are told to come back to.
    pub(crate) advertiser: Advertiser,
}
