//! Addresses as Redpanda writes them, for words and for files.

use serde_yaml_ng::Value;

const PORT: u64 = 9092;
/// The name of a listener that has none.
const UNNAMED: &str = "PLAINTEXT";

/// Addresses of the Kafka API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Addresses(Vec<Address>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Address {
    /// In upper case, as Kafka compares names of listeners.
    name: String,
    host: String,
    port: u64,
}

impl Addresses {
    /// That of a Redpanda that was told none.
    pub(super) fn any() -> Self {
        Self(vec![Address { name: UNNAMED.to_owned(), host: "0.0.0.0".to_owned(), port: PORT }])
    }

    /// Reads `[name://]host[:port],...`, which may be given more than once.
    pub(super) fn of_words(words: &[String]) -> Result<Self, String> {
        words.iter().flat_map(|word| word.split(',')).map(of_word).collect::<Result<_, _>>().map(Self)
    }

    /// Reads a mapping of `address`, `port` and `name`, or a list of them.
    pub(super) fn of_yaml(property: &str, value: &Value) -> Result<Self, String> {
        let entries = value.as_sequence().map_or(std::slice::from_ref(value), Vec::as_slice);
        entries.iter().map(|entry| of_entry(property, entry)).collect::<Result<_, _>>().map(Self)
    }

    /// These, or the others if there are none.
    pub(super) fn or(self, others: Self) -> Self {
        if self.0.is_empty() { others } else { self }
    }

    /// The keys of a broker that listens there.
    pub(super) fn as_listeners(&self) -> Vec<(String, String)> {
        let names = self.0.iter().map(|address| format!("{}:PLAINTEXT", address.name)).collect::<Vec<_>>();
        let first = self.0.first().map_or(UNNAMED, |address| &address.name);
        vec![
            ("listeners".to_owned(), self.joined()),
            ("listener.security.protocol.map".to_owned(), names.join(",")),
            ("inter.broker.listener.name".to_owned(), first.to_owned()),
        ]
    }

    /// The key of a broker that tells clients these.
    pub(super) fn as_advertised(&self) -> Option<(String, String)> {
        (!self.0.is_empty()).then(|| ("advertised.listeners".to_owned(), self.joined()))
    }

    fn joined(&self) -> String {
        let one = |Address { name, host, port }: &Address| match host.contains(':') {
            true => format!("{name}://[{host}]:{port}"),
            false => format!("{name}://{host}:{port}"),
        };
        self.0.iter().map(one).collect::<Vec<_>>().join(",")
    }
}

fn of_word(word: &str) -> Result<Address, String> {
    let (name, place) = word.split_once("://").unwrap_or((UNNAMED, word));
    let (host, port) = match place.rsplit_once(':') {
        // The colons of an address without brackets around it are its own.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().map_err(|_| format!("{word} has no port that can be read"))?)
        }
        _ => (place, PORT),
    };
    address(name, host, port).ok_or_else(|| format!("{word} is no address of the form NAME://HOST:PORT"))
}

fn of_entry(property: &str, entry: &Value) -> Result<Address, String> {
    let text = |key| entry.get(key).and_then(Value::as_str);
    let port = entry.get("port").map_or(Some(PORT), Value::as_u64);
    match text("authentication_method") {
        None | Some("none") => {}
        Some(method) => {
            return Err(format!("authentication_method {method} in {property} of Redpanda is not supported"));
        }
    }
    let found = text("address")
        .zip(port)
        .and_then(|(host, port)| address(text("name").unwrap_or(UNNAMED), host, port));
    found.ok_or_else(|| format!("{property} of Redpanda has an entry without address and port"))
}

fn address(name: &str, host: &str, port: u64) -> Option<Address> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_whole = !name.is_empty() && !host.is_empty() && port <= u64::from(u16::MAX);
    is_whole.then(|| Address { name: name.to_uppercase(), host: host.to_owned(), port })
}
