//! Addresses that were not written follow from those that were.

use crate::config::broker_config::network;
use crate::config::listener::{Endpoint, parse_endpoints};
use crate::config::raw::{Origin, RawConfig};

/// The port of Kafka.
const PORT: &str = "9092";

/// Fills in `listeners` and `advertised.listeners` from each other, and from the names that they had before Kafka 3
/// (`host.name`, `port`, `advertised.host.name`, `advertised.port`), which compose files still carry.
pub(super) fn complete(written: &mut RawConfig) {
    if is_set(written, "advertised.listeners") {
        behind_advertised(written);
    } else {
        from_old_names(written);
    }
}

/// What an image sets is not in the way of what follows from somebody's own settings.
fn is_set(written: &RawConfig, key: &str) -> bool {
    written.get(key).is_some_and(|raw| raw.origin != Origin::Image)
}

fn from_old_names(written: &mut RawConfig) {
    let value = |key: &str| written.get(key).cloned();
    let (host, port, advertised) = (value("host.name"), value("port"), value("advertised.host.name"));
    let own = host.as_ref().or(port.as_ref());
    let asks = own.or(advertised.as_ref().filter(|_| written.get("listeners").is_none()));
    if let Some(asks) = asks.filter(|_| !is_set(written, "listeners")) {
        let is_variable = matches!(asks.origin, Origin::Environment { .. });
        let host = host.as_ref().filter(|_| !is_variable).map_or("", |raw| raw.value.trim());
        let port = port.as_ref().map_or(PORT, |raw| raw.value.trim());
        let (listeners, origin) = (format!("PLAINTEXT://{host}:{port}"), asks.origin.clone());
        written.set("listeners", &listeners, origin);
    }
    let Some(advertised) = advertised else { return };
    let port = written.get("advertised.port").map(|raw| raw.value.trim().to_owned());
    if let Some(Endpoint { name, port: own, .. }) = first_for_clients(written) {
        let port = port.unwrap_or_else(|| own.to_string());
        let address = format!("{name}://{}:{port}", advertised.value.trim());
        written.set("advertised.listeners", &address, advertised.origin);
    }
}

fn first_for_clients(written: &RawConfig) -> Option<Endpoint> {
    let text = |key| written.get(key).map(|raw| raw.value.as_str());
    let controllers = text("controller.listener.names").unwrap_or("CONTROLLER");
    let is_controller =
        |name: &str| controllers.split(',').any(|controller| controller.trim().eq_ignore_ascii_case(name));
    let listeners = parse_endpoints(text("listeners")?).ok()?.endpoints;
    listeners.into_iter().find(|endpoint| !is_controller(&endpoint.name))
}

/// An advertised address asks for a listener behind it.
fn behind_advertised(written: &mut RawConfig) {
    if is_set(written, "listeners") {
        return;
    }
    let Some(advertised) = written.get("advertised.listeners").cloned() else { return };
    let listeners = match advertised.origin {
        // As the official image does: the advertised ports on every interface.
        Origin::Environment { .. } => network::on_every_interface(&advertised.value),
        // As Kafka does.
        _ => Some("PLAINTEXT://:9092".to_owned()),
    };
    if let Some(listeners) = listeners {
        written.set("listeners", &listeners, advertised.origin);
    }
}
