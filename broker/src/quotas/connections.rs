//! How fast connections may come (KIP-612): of the whole broker, of a listener, and of an address.
//!
//! As in Kafka's `ConnectionQuotas`. Beyond the rate of the broker or of a listener, accepting waits. Beyond that of an
//! address, its connection is held without being read and then closed, and does not count; others are not held up.

use super::Window;
use super::rate::Rate;
use crate::controller::quotas::{CONNECTION_CREATION_RATE, IP};
use crate::metadata::QuotaEntity;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Addresses measured before those that have been idle are forgotten.
const REMEMBERED: usize = 1024;
/// Connections held until they are closed; what comes on top is closed at once.
const HELD_MAX: usize = 1024;

/// Connections in a second, as configured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CreationRates {
    /// `max.connection.creation.rate`
    pub(crate) broker: i32,
    /// That of the listener.
    pub(crate) listener: i32,
}

/// The quotas of addresses, and how fast connections have come lately.
#[derive(Debug)]
pub(crate) struct ConnectionQuotas {
    state: Mutex<State>,
    held: Arc<Semaphore>,
    window: Window,
}

#[derive(Debug, Default)]
struct State {
    bound_of: HashMap<IpAddr, f64>,
    default_bound: Option<f64>,
    broker: Rate,
    listeners: HashMap<usize, Rate>,
    addresses: HashMap<IpAddr, Rate>,
}

impl ConnectionQuotas {
    pub(super) fn new(window: Window) -> Self {
        Self { state: Mutex::default(), held: Arc::new(Semaphore::new(HELD_MAX)), window }
    }

    /// Takes over what the metadata says of addresses.
    pub(super) fn adopt(&self, rules: &BTreeMap<QuotaEntity, BTreeMap<String, f64>>) {
        let mut state = self.state.lock();
        state.bound_of.clear();
        state.default_bound = None;
        for (entity, quotas) in rules {
            let name = entity.iter().find(|(kind, _)| kind == IP).map(|(_, name)| name.as_deref());
            let (Some(name), Some(bound)) = (name, quotas.get(CONNECTION_CREATION_RATE)) else { continue };
            match name {
                None => state.default_bound = Some(*bound),
                Some("localhost") => {
                    state.bound_of.insert(Ipv4Addr::LOCALHOST.into(), *bound);
                    state.bound_of.insert(Ipv6Addr::LOCALHOST.into(), *bound);
                }
                Some(name) => {
                    if let Ok(ip) = name.parse::<IpAddr>() {
                        state.bound_of.insert(ip.to_canonical(), *bound);
                    }
                }
            }
        }
    }

    /// Counts a connection, and gives for how many milliseconds the listener must not take it in: at most one sample.
    pub(crate) fn arrived(&self, listener: usize, rates: CreationRates, steady_ms: i64) -> u64 {
        let mut state = self.state.lock();
        let State { broker, listeners, .. } = &mut *state;
        let mut wait_ms = 0;
        let of_listener = listeners.entry(listener).or_default();
        for (rate, bound) in [(broker, rates.broker), (of_listener, rates.listener)] {
            if bound < i32::MAX {
                rate.add(1.0, self.window, steady_ms);
                wait_ms = wait_ms.max(rate.excess_ms(bound.into(), self.window, steady_ms));
            }
        }
        self.bounded(wait_ms)
    }

    /// Counts a connection of an address. If it is one too many, it no longer counts anywhere, and must be closed in so
    /// many milliseconds.
    pub(crate) fn refused(
        &self,
        listener: usize,
        rates: CreationRates,
        ip: IpAddr,
        steady_ms: i64,
    ) -> Option<u64> {
        let mut state = self.state.lock();
        let bound = state.bound_of.get(&ip).copied().or(state.default_bound)?;
        let window = self.window;
        if state.addresses.len() >= REMEMBERED && !state.addresses.contains_key(&ip) {
            state.addresses.retain(|_, rate| !rate.is_idle(window, steady_ms));
        }
        let rate = state.addresses.entry(ip).or_default();
        rate.add(1.0, window, steady_ms);
        let excess_ms = rate.excess_ms(bound, window, steady_ms);
        if excess_ms == 0 {
            return None;
        }
        rate.add(-1.0, window, steady_ms);
        if rates.broker < i32::MAX {
            state.broker.add(-1.0, window, steady_ms);
        }
        if rates.listener < i32::MAX {
            state.listeners.entry(listener).or_default().add(-1.0, window, steady_ms);
        }
        Some(self.bounded(excess_ms))
    }

    /// Leave to hold a connection until it is closed; `None` if there are too many already.
    pub(crate) fn hold(&self) -> Option<OwnedSemaphorePermit> {
        self.held.clone().try_acquire_owned().ok()
    }

    fn bounded(&self, millis: i64) -> u64 {
        u64::try_from(millis.min(self.window.sample_ms)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::{ConnectionQuotas, CreationRates, HELD_MAX};
    use crate::metadata::QuotaEntity;
    use crate::quotas::Window;
    use std::collections::BTreeMap;
    use std::net::IpAddr;

    const WINDOW: Window = Window { sample_ms: 1000, samples: 11 };
    const FREE: CreationRates = CreationRates { broker: i32::MAX, listener: i32::MAX };
    const NOW: i64 = 1_700_000_000_000;

    fn quotas(rules: &[(Option<&str>, f64)]) -> ConnectionQuotas {
        let quotas = ConnectionQuotas::new(WINDOW);
        let rule = |(ip, bound): &(Option<&str>, f64)| {
            let entity = QuotaEntity::from([("ip".to_owned(), ip.map(str::to_owned))]);
            (entity, BTreeMap::from([("connection_creation_rate".to_owned(), *bound)]))
        };
        quotas.adopt(&rules.iter().map(rule).collect());
        quotas
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_broker_and_its_listeners_wait() {
        for (rates, of_other) in [
            (CreationRates { broker: 2, listener: i32::MAX }, true),
            (CreationRates { broker: i32::MAX, listener: 2 }, false),
        ] {
            let quotas = quotas(&[]);
            // Ten seconds of two.
            for n in 0..20 {
                assert_eq!(quotas.arrived(0, rates, NOW), 0, "{n}");
            }
            assert_eq!(quotas.arrived(0, rates, NOW), 500);
            // No longer than a sample, however many there were.
            assert_eq!((0..20).map(|_| quotas.arrived(0, rates, NOW)).max(), Some(1000));
            assert_eq!(quotas.arrived(1, rates, NOW) > 0, of_other);
            assert_eq!(quotas.arrived(0, rates, NOW + 11_000), 0);
            assert_eq!(quotas.arrived(0, FREE, NOW + 11_000), 0);
        }
    }

    #[test]
    fn an_address_is_refused_and_does_not_count() {
        let quotas = quotas(&[(None, 1.0), (Some("10.0.0.2"), 2.0), (Some("localhost"), 3.0)]);
        let rates = CreationRates { broker: 1000, listener: 1000 };
        for (address, admitted) in [("10.0.0.1", 10), ("10.0.0.2", 20), ("127.0.0.1", 30), ("::1", 30)] {
            for n in 0..admitted {
                assert_eq!(quotas.refused(0, rates, ip(address), NOW), None, "{address} {n}");
            }
            for _ in 0..3 {
                let closed_in = quotas.refused(0, rates, ip(address), NOW).expect("one too many");
                assert!((1..=1000).contains(&closed_in), "{address} {closed_in}");
            }
            assert_eq!(quotas.refused(0, rates, ip(address), NOW + 11_000), None, "{address}");
        }
        // What was refused was taken back from the broker's count, too.
        let tight = CreationRates { broker: 1, listener: i32::MAX };
        let quotas = super::tests::quotas(&[(None, 0.1)]);
        for n in 0..100 {
            assert_eq!(quotas.arrived(0, tight, NOW), 0, "{n}");
            assert_eq!(quotas.refused(0, tight, ip("10.0.0.1"), NOW).is_none(), n == 0, "{n}");
        }
    }

    #[test]
    fn rules_come_and_go() {
        let quotas = quotas(&[(Some("::ffff:10.0.0.1"), 0.1)]);
        assert_eq!(quotas.refused(0, FREE, ip("10.0.0.1"), NOW), None);
        assert!(quotas.refused(0, FREE, ip("10.0.0.1"), NOW).is_some());
        assert_eq!(quotas.refused(0, FREE, ip("10.0.0.9"), NOW), None);
        quotas.adopt(&BTreeMap::new());
        assert_eq!(quotas.refused(0, FREE, ip("10.0.0.1"), NOW), None);
    }

    #[test]
    fn only_so_many_are_held() {
        let quotas = quotas(&[]);
        let held: Vec<_> = (0..HELD_MAX).map(|_| quotas.hold().expect("room")).collect();
        assert!(quotas.hold().is_none());
        drop(held);
        assert!(quotas.hold().is_some());
    }
}
