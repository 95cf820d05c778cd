//! Listeners, advertised addresses and the limits on connections and requests.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::config::broker_config::{Values, millis, requirement};
use crate::config::error::ConfigError;
use crate::config::listener::{
    Endpoint, Listener, SecurityProtocol, find_conflict, parse_endpoints, parse_protocol_map,
};
use crate::config::raw::RawConfig;
use crate::config::value::InvalidValue;

/// What the network layer is configured with.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// Listeners to open, without those of controllers. Not empty, unless the process is a controller only.
    pub listeners: Vec<Listener>,
    /// Listeners for clients that ask the controller (`--bootstrap-controller`); may be empty.
    pub controller_listeners: Vec<Listener>,
    /// Addresses that clients are told, at most one per listener. A listener without one is advertised by the
    /// address that the client reached it on.
    pub advertised_listeners: Vec<Endpoint>,
    /// `milena.advertise.auto`
    pub advertise_auto: bool,
    /// `socket.request.max.bytes`
    pub socket_request_max_bytes: i32,
    /// `fetch.max.bytes`
    pub fetch_max_bytes: i32,
    /// `milena.sendfile.min.bytes`
    pub sendfile_min_bytes: i32,
    /// `max.incremental.fetch.session.cache.slots`
    pub fetch_session_slots: i32,
    /// `max.request.partition.size.limit`
    pub max_request_partitions: i32,
    /// `connections.max.idle.ms`; `None` never closes a connection.
    pub connections_max_idle: Option<Duration>,
    /// `max.connections`
    pub max_connections: i32,
    /// `max.connection.creation.rate`
    pub max_connection_creation_rate: i32,
    /// `max.connections.per.ip`
    pub max_connections_per_ip: i32,
    /// `max.connections.per.ip.overrides`: an address, or `localhost`, to its number of connections.
    pub max_connections_per_ip_overrides: BTreeMap<String, i32>,
}

impl NetworkConfig {
    pub(super) fn new(
        effective: &RawConfig,
        values: &Values,
        is_controller_only: bool,
        warnings: &mut Vec<String>,
    ) -> Result<NetworkConfig, ConfigError> {
        let reader = Reader { effective, values };
        let controllers = reader.controller_names();
        let endpoints = reader.endpoints("listeners", warnings)?;
        if let Some(reason) = find_conflict(&endpoints) {
            return Err(reader.refused(
                "listeners",
                reason,
                "give every listener a name and a port of its own",
            ));
        }
        let (of_controllers, endpoints): (Vec<_>, Vec<_>) =
            endpoints.into_iter().partition(|endpoint| controllers.contains(&endpoint.name));
        let map = reader.protocol_map()?;
        let controller_listeners = reader.controller_listeners(of_controllers, &map, warnings);
        let listeners = reader.listeners(endpoints, &map)?;
        if listeners.is_empty() && !is_controller_only {
            let advice = "add one for clients, such as PLAINTEXT://localhost:9092";
            return Err(reader.refused("listeners", "no listener is left for clients".into(), advice));
        }
        let advertised_listeners =
            reader.advertised(&listeners, &controllers, is_controller_only, warnings)?;
        reader.inter_broker(&listeners, warnings);
        reader.early_start(&listeners, &controllers)?;
        let max_connections_per_ip_overrides = reader.per_ip_overrides(warnings)?;
        reader.somebody_may_connect(&max_connections_per_ip_overrides)?;
        let idle = values.long("connections.max.idle.ms");
        Ok(NetworkConfig {
            listeners,
            controller_listeners,
            advertised_listeners,
            advertise_auto: values.boolean("milena.advertise.auto"),
            socket_request_max_bytes: values.int("socket.request.max.bytes"),
            fetch_max_bytes: values.int("fetch.max.bytes"),
            sendfile_min_bytes: values.int("milena.sendfile.min.bytes"),
            fetch_session_slots: values.int("max.incremental.fetch.session.cache.slots"),
            max_request_partitions: values.int("max.request.partition.size.limit"),
            connections_max_idle: (idle >= 0).then(|| millis(idle)),
            max_connections: values.int("max.connections"),
            max_connection_creation_rate: values.int("max.connection.creation.rate"),
            max_connections_per_ip: values.int("max.connections.per.ip"),
            max_connections_per_ip_overrides,
        })
    }
}

impl NetworkConfig {
    /// A listener by its place among all of them; those for controllers come last.
    pub(crate) fn listener(&self, index: usize) -> Option<&Listener> {
        self.listeners.iter().chain(&self.controller_listeners).nth(index)
    }
}

/// The ports of advertised addresses on every interface, or `None` if they cannot be read.
pub(super) fn on_every_interface(advertised: &str) -> Option<String> {
    let endpoints = parse_endpoints(advertised).ok()?.endpoints;
    let listeners: Vec<String> =
        endpoints.into_iter().map(|Endpoint { name, port, .. }| format!("{name}://0.0.0.0:{port}")).collect();
    (!listeners.is_empty()).then(|| listeners.join(","))
}

const PROTOCOL_MAP: &str = "listener.security.protocol.map";

struct Reader<'a> {
    effective: &'a RawConfig,
    values: &'a Values,
}

impl Reader<'_> {
    fn refused(&self, name: &str, reason: String, advice: impl Into<String>) -> ConfigError {
        ConfigError::Refused { reason, origin: self.effective.origin(name), advice: advice.into() }
    }

    fn invalid(&self, name: &str, why: String) -> ConfigError {
        let value = self.values.text(name).unwrap_or_default();
        ConfigError::Value {
            source: InvalidValue::new(value, name, why),
            origin: self.effective.origin(name),
        }
    }

    fn controller_names(&self) -> BTreeSet<String> {
        let names = self.values.text("controller.listener.names").unwrap_or("CONTROLLER");
        names.split(',').map(|name| name.trim().to_uppercase()).filter(|name| !name.is_empty()).collect()
    }

    fn endpoints(&self, name: &str, warnings: &mut Vec<String>) -> Result<Vec<Endpoint>, ConfigError> {
        let list = parse_endpoints(self.values.text(name).unwrap_or_default())
            .map_err(|why| self.invalid(name, why))?;
        if list.stray_comma {
            warnings.push(format!(
                "{name} (from {}) has an empty entry, which is ignored",
                self.effective.origin(name)
            ));
        }
        Ok(list.endpoints)
    }

    fn protocol_map(&self) -> Result<BTreeMap<String, SecurityProtocol>, ConfigError> {
        let text = self.values.text(PROTOCOL_MAP).unwrap_or_default();
        parse_protocol_map(text).map_err(|why| self.invalid(PROTOCOL_MAP, why))
    }

    fn listeners(
        &self,
        endpoints: Vec<Endpoint>,
        map: &BTreeMap<String, SecurityProtocol>,
    ) -> Result<Vec<Listener>, ConfigError> {
        let mut listeners = Vec::new();
        for endpoint in endpoints {
            let name = &endpoint.name;
            let Some(protocol) = map.get(name).copied() else {
                let reason = format!("No security protocol defined for listener {name}");
                return Err(self.refused(
                    "listeners",
                    reason,
                    format!("add {name}:PLAINTEXT to {PROTOCOL_MAP}"),
                ));
            };
            if protocol != SecurityProtocol::Plaintext {
                let reason =
                    format!("listener {name} is mapped to {protocol}, which milena does not serve yet");
                let advice = format!("remove the listener, or map {name} to PLAINTEXT in {PROTOCOL_MAP}");
                return Err(self.refused("listeners", reason, advice));
            }
            let max_connections = self.per_listener(name, "max.connections");
            let max_connection_creation_rate = self.per_listener(name, "max.connection.creation.rate");
            listeners.push(Listener { max_connections, max_connection_creation_rate, endpoint, protocol });
        }
        Ok(listeners)
    }

    /// Those that can be opened. A single node does without the others: nobody else needs its controller.
    fn controller_listeners(
        &self,
        endpoints: Vec<Endpoint>,
        map: &BTreeMap<String, SecurityProtocol>,
        warnings: &mut Vec<String>,
    ) -> Vec<Listener> {
        let mut listeners = Vec::new();
        for endpoint in endpoints {
            let name = &endpoint.name;
            let protocol = map.get(name).copied();
            // As in Kafka, which maps its default name by itself.
            let is_plain = protocol.is_none_or(|protocol| protocol == SecurityProtocol::Plaintext);
            if !is_plain {
                let protocol = protocol.map_or_else(String::new, |protocol| protocol.to_string());
                warnings.push(format!(
                    "the controller listener {endpoint} is not opened: it is mapped to {protocol}, which milena does \
                     not serve yet"
                ));
                continue;
            }
            let max_connections = self.per_listener(name, "max.connections");
            let max_connection_creation_rate = self.per_listener(name, "max.connection.creation.rate");
            let protocol = SecurityProtocol::Plaintext;
            listeners.push(Listener { max_connections, max_connection_creation_rate, endpoint, protocol });
        }
        listeners
    }

    /// A number below `listener.name.`, which was checked when all values were parsed.
    fn per_listener(&self, listener: &str, base: &str) -> i32 {
        let name = format!("listener.name.{}.{base}", listener.to_lowercase());
        self.effective.get(&name).and_then(|raw| raw.value.trim().parse().ok()).unwrap_or(i32::MAX)
    }

    fn advertised(
        &self,
        listeners: &[Listener],
        controllers: &BTreeSet<String>,
        is_controller_only: bool,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<Endpoint>, ConfigError> {
        let key = "advertised.listeners";
        let mut advertised: Vec<Endpoint> = Vec::new();
        for endpoint in self.endpoints(key, warnings)? {
            let name = &endpoint.name;
            if is_controller_only || controllers.contains(name) {
                continue;
            }
            if !listeners.iter().any(|listener| listener.endpoint.name == *name) {
                let names: Vec<_> =
                    listeners.iter().map(|listener| listener.endpoint.name.as_str()).collect();
                let reason = format!(
                    "advertised.listeners listener names must be equal to or a subset of the ones defined in \
                     listeners. Found {name}. The valid options based on the current configuration are {}",
                    names.join(",")
                );
                return Err(self.refused(key, reason, format!("add {name} to listeners or remove it here")));
            }
            if advertised.iter().any(|other| other.name == *name) {
                let reason = format!("advertised.listeners has two addresses for listener {name}");
                return Err(self.refused(key, reason, "keep one of them"));
            }
            if endpoint.is_wildcard() {
                warnings.push(format!(
                    "{key}: nobody can connect to {endpoint} (from {}); clients are told the address they reached",
                    self.effective.origin(key)
                ));
                continue;
            }
            advertised.push(endpoint);
        }
        Ok(advertised)
    }

    fn inter_broker(&self, listeners: &[Listener], warnings: &mut Vec<String>) {
        let key = "inter.broker.listener.name";
        let Some(name) = self.values.text(key) else { return };
        if !listeners.iter().any(|listener| listener.endpoint.name == name.to_uppercase()) {
            let origin = self.effective.origin(key);
            warnings.push(format!(
                "{key}={name} (from {origin}) is not one of the listeners; a single broker needs none"
            ));
        }
    }

    /// All listeners open at once here, for there is no authorizer that could be late; their names must be right.
    fn early_start(&self, listeners: &[Listener], controllers: &BTreeSet<String>) -> Result<(), ConfigError> {
        let key = "early.start.listeners";
        let names =
            self.values.text(key).unwrap_or_default().split(',').map(|name| name.trim().to_uppercase());
        let is_known = |name: &String| {
            controllers.contains(name) || listeners.iter().any(|listener| listener.endpoint.name == *name)
        };
        match names.filter(|name| !name.is_empty()).find(|name| !is_known(name)) {
            None => Ok(()),
            Some(name) => {
                let reason = format!(
                    "{key} contains listener {name}, but this is not contained in listeners or \
                     controller.listener.names"
                );
                Err(self.refused(key, reason, "remove it"))
            }
        }
    }

    /// Without an exception for anybody, no address could connect to lift the limit again.
    fn somebody_may_connect(&self, overrides: &BTreeMap<String, i32>) -> Result<(), ConfigError> {
        let key = "max.connections.per.ip";
        if self.values.int(key) != 0 || !overrides.is_empty() {
            return Ok(());
        }
        let reason =
            requirement(&format!("{key} can be set to zero only if {key}.overrides property is set."));
        Err(self.refused(key, reason, "admit at least one connection"))
    }

    fn per_ip_overrides(&self, warnings: &mut Vec<String>) -> Result<BTreeMap<String, i32>, ConfigError> {
        let key = "max.connections.per.ip.overrides";
        let mut overrides = BTreeMap::new();
        let text = self.values.text(key).unwrap_or_default();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let count = pair.rsplit_once(':').and_then(|(host, count)| {
                let count = count.trim().parse().ok().filter(|count: &i32| *count >= 0)?;
                Some((host.trim().trim_matches(['[', ']']).to_owned(), count))
            });
            let (host, count) =
                count.ok_or_else(|| self.invalid(key, format!("{pair} is not a pair host:count")))?;
            let address = host.parse::<IpAddr>().map(|ip| ip.to_canonical().to_string());
            if address.is_err() && host != "localhost" {
                warnings.push(format!(
                    "{key} (from {}): {host} is not an address, and names are not looked up",
                    self.effective.origin(key)
                ));
            }
            overrides.insert(address.unwrap_or(host), count);
        }
        Ok(overrides)
    }
}
