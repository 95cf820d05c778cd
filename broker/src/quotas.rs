//! Client quotas at work (KIP-13, KIP-124, KIP-219, KIP-599): who takes more than its share is answered, told for how
//! long it should be silent, and not listened to for that time.
//!
//! The quotas are those of the metadata log. Which one counts for a client is decided as in Kafka
//! (`ClientQuotaManager`), the most special first. Without any quota a request costs one load of a flag.

pub(crate) mod connections;
mod meter;
mod rate;

pub(crate) use meter::Meter;

use crate::controller::quotas::{
    CLIENT_ID, CONSUMER_BYTE_RATE, CONTROLLER_MUTATION_RATE, IP, PRODUCER_BYTE_RATE, REQUEST_PERCENTAGE, USER,
};
use crate::metadata::{Image, QuotaEntity};
use arc_swap::ArcSwap;
use connections::ConnectionQuotas;
use parking_lot::Mutex;
use rate::{Bucket, Rate};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whom a client without authentication is taken for.
pub(crate) const ANONYMOUS: &str = "ANONYMOUS";
/// Clients remembered before those that have been idle are forgotten.
const REMEMBERED: usize = 1024;

/// Quotas by whom they are for.
type Rules = BTreeMap<QuotaEntity, BTreeMap<String, f64>>;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Resource {
    /// Bytes of produce requests.
    Produce,
    /// Bytes of fetch responses.
    Fetch,
    /// Percent of one thread's time.
    Request,
    /// Partitions created and deleted.
    Mutation,
}

impl Resource {
    fn key(self) -> &'static str {
        match self {
            Self::Produce => PRODUCER_BYTE_RATE,
            Self::Fetch => CONSUMER_BYTE_RATE,
            Self::Request => REQUEST_PERCENTAGE,
            Self::Mutation => CONTROLLER_MUTATION_RATE,
        }
    }
}

/// Over how long a rate is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    /// Length of a sample in milliseconds.
    pub(crate) sample_ms: i64,
    /// How many of them.
    pub(crate) samples: i64,
}

impl Window {
    fn all_ms(self) -> i64 {
        self.sample_ms.saturating_mul(self.samples)
    }
}

/// Who shares one quota: users and clients by name, as far as the quota tells them apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Sharing {
    resource: Resource,
    user: Option<String>,
    client_id: Option<String>,
}

#[derive(Debug, Default)]
struct Measured {
    rates: HashMap<Sharing, Rate>,
    buckets: HashMap<Sharing, Bucket>,
}

/// The quotas of a broker, and what its clients have used of them.
#[derive(Debug)]
pub(crate) struct Quotas {
    /// Those of connections.
    pub(crate) connections: ConnectionQuotas,
    active: AtomicBool,
    rules: ArcSwap<Rules>,
    measured: Mutex<Measured>,
    window: Window,
    mutation_window: Window,
}

impl Quotas {
    /// No quotas yet. `window` is for rates of bytes and time, `mutation_window` for changes of metadata.
    pub(crate) fn new(window: Window, mutation_window: Window) -> Self {
        let (active, rules) = (AtomicBool::new(false), ArcSwap::default());
        let connections = ConnectionQuotas::new(window);
        Self { connections, active, rules, measured: Mutex::default(), window, mutation_window }
    }

    /// Takes over what the metadata says.
    pub(crate) fn adopt(&self, rules: &Rules) {
        self.rules.store(Arc::new(rules.clone()));
        self.connections.adopt(rules);
        // Quotas of addresses concern connections alone, and requests need not be measured for them.
        let of_requests = rules.keys().any(|entity| !entity.iter().any(|(kind, _)| kind == IP));
        self.active.store(of_requests, Ordering::Release);
    }

    /// Takes over what the newest image says, and again if it is not the newest any more: of two changes at the same time
    /// the later one stays, whoever comes last.
    pub(crate) fn adopt_newest(&self, newest: impl Fn() -> Arc<Image>) {
        loop {
            let image = newest();
            self.adopt(image.quotas());
            if Arc::ptr_eq(&image, &newest()) {
                return;
            }
        }
    }

    /// Whether there is any quota on requests.
    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// Counts what a client has used, and gives for how many milliseconds it must be silent.
    pub(crate) fn record(
        &self,
        resource: Resource,
        user: &str,
        client_id: &str,
        used: f64,
        steady_ms: i64,
    ) -> i64 {
        let Some((sharing, bound)) = self.quota_of(resource, user, client_id) else { return 0 };
        let mut measured = self.measured.lock();
        if measured.rates.len() >= REMEMBERED && !measured.rates.contains_key(&sharing) {
            measured.rates.retain(|_, rate| !rate.is_idle(self.window, steady_ms));
        }
        let rate = measured.rates.entry(sharing).or_default();
        rate.add(used, self.window, steady_ms);
        let throttle = rate.excess_ms(bound, self.window, steady_ms);
        // One request that took long does not silence a client for longer than a sample, as in Kafka.
        if resource == Resource::Request { throttle.min(self.window.sample_ms) } else { throttle }
    }

    /// For how many milliseconds a client must be silent, whatever it does now; not for changes of metadata.
    pub(crate) fn throttle(&self, resource: Resource, user: &str, client_id: &str, steady_ms: i64) -> i64 {
        let Some((sharing, bound)) = self.quota_of(resource, user, client_id) else { return 0 };
        let mut measured = self.measured.lock();
        measured.rates.get_mut(&sharing).map_or(0, |rate| rate.excess_ms(bound, self.window, steady_ms))
    }

    /// The most bytes that a fetch of a client may bring.
    pub(crate) fn fetch_max(&self, user: &str, client_id: &str) -> usize {
        let bound = self.quota_of(Resource::Fetch, user, client_id).map(|(_, bound)| bound);
        let seconds = (self.window.samples - 1).max(1) as f64 * self.window.sample_ms as f64 / 1000.0;
        // A float beyond the range becomes the largest integer.
        bound.map_or(usize::MAX, |bound| (bound * seconds) as usize)
    }

    /// Takes changes of metadata from the quota of a client. With `strict` they are refused while it has taken too much,
    /// and what takes too much is told nothing; otherwise they are always allowed (KIP-599).
    ///
    /// Returns for how many milliseconds the client must be silent, as an error where they are refused.
    pub(crate) fn may_change(
        &self,
        client: (&str, &str),
        changes: usize,
        strict: bool,
        steady_ms: i64,
    ) -> Result<i64, i64> {
        if !self.is_active() {
            return Ok(0);
        }
        let Some((sharing, bound)) = self.quota_of(Resource::Mutation, client.0, client.1) else {
            return Ok(0);
        };
        let mut measured = self.measured.lock();
        if measured.buckets.len() >= REMEMBERED && !measured.buckets.contains_key(&sharing) {
            let idle_ms = self.mutation_window.all_ms();
            measured.buckets.retain(|_, bucket| !bucket.is_full_after(idle_ms, steady_ms));
        }
        let bucket = measured
            .buckets
            .entry(sharing)
            .or_insert_with(|| Bucket::full(bound, self.mutation_window, steady_ms));
        let debt_ms = bucket.debt_ms(bound, self.mutation_window, steady_ms);
        if strict && debt_ms > 0 {
            return Err(debt_ms);
        }
        bucket.take(changes as f64, bound, self.mutation_window, steady_ms);
        Ok(if strict { 0 } else { bucket.debt_ms(bound, self.mutation_window, steady_ms) })
    }

    /// The quota that counts for a client, the most special there is, and who shares it with whom.
    fn quota_of(&self, resource: Resource, user: &str, client_id: &str) -> Option<(Sharing, f64)> {
        const NAMED: Option<bool> = Some(true);
        const DEFAULT: Option<bool> = Some(false);
        const ORDER: [(Option<bool>, Option<bool>); 8] = [
            (NAMED, NAMED),
            (NAMED, DEFAULT),
            (NAMED, None),
            (DEFAULT, NAMED),
            (DEFAULT, DEFAULT),
            (DEFAULT, None),
            (None, NAMED),
            (None, DEFAULT),
        ];
        let rules = self.rules.load();
        let part = |kind: &str, name: &str, how: Option<bool>| {
            how.map(|named| (kind.to_owned(), named.then(|| name.to_owned())))
        };
        ORDER.iter().find_map(|(of_user, of_client)| {
            let parts = [part(CLIENT_ID, client_id, *of_client), part(USER, user, *of_user)];
            let entity: QuotaEntity = parts.into_iter().flatten().collect();
            let bound = *rules.get(&entity)?.get(resource.key())?;
            let user = of_user.map(|_| user.to_owned());
            let client_id = of_client.map(|_| client_id.to_owned());
            Some((Sharing { resource, user, client_id }, bound))
        })
    }
}

#[cfg(test)]
mod tests;
