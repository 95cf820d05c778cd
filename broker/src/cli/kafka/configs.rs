//! `kafka-configs` (`ConfigCommand`).

mod entities;
mod quotas;
mod resources;

use crate::cli::connect::{Properties, block_on, client_of, load};
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Given, switch, value};
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::client::{Client, exception_of};
use entities::Entities;

/// The tool.
pub(crate) const RUN: Run = Run::Flags(FLAGS, run);

const FLAGS: &[Flag] = &[
    value("bootstrap-server", "HOST:PORT", "The brokers to connect to."),
    value("bootstrap-controller", "HOST:PORT", "The controllers to connect to."),
    value("command-config", "FILE", "Properties of the client."),
    switch("alter", "Change configurations."),
    switch("describe", "Show configurations."),
    switch("all", "Show those that nobody has set, too."),
    value(
        "entity-type",
        "TYPE",
        "topics, clients, users, brokers, broker-loggers, ips, client-metrics or groups.",
    ),
    value("entity-name", "NAME", "Name of the topic, client, ..."),
    switch("entity-default", "What holds for clients, users, brokers or IPs that have nothing of their own."),
    value("add-config", "K=V,K=[V,V]", "Configurations to set."),
    value("add-config-file", "FILE", "A properties file of configurations to set."),
    value("delete-config", "K,K", "Configurations to remove."),
    value("topic", "NAME", "Short for --entity-type topics --entity-name NAME."),
    value("client", "ID", "Short for --entity-type clients ..."),
    switch("client-defaults", "Short for --entity-type clients --entity-default."),
    value("user", "NAME", "Short for --entity-type users ..."),
    switch("user-defaults", "Short for --entity-type users --entity-default."),
    value("broker", "ID", "Short for --entity-type brokers ..."),
    switch("broker-defaults", "Short for --entity-type brokers --entity-default."),
    value("broker-logger", "ID", "Short for --entity-type broker-loggers ..."),
    value("ip", "IP", "Short for --entity-type ips ..."),
    switch("ip-defaults", "Short for --entity-type ips --entity-default."),
    value("group", "ID", "Short for --entity-type groups ..."),
    value("client-metrics", "NAME", "Short for --entity-type client-metrics ..."),
];

fn run(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    if given.has("alter") == given.has("describe") {
        let text = "Command must include exactly one action: --describe, --alter";
        return Err(Failure::Usage(text.into()));
    }
    given.excludes("describe", &["add-config", "delete-config"])?;
    let entities = Entities::read(given)?;
    let properties = given.one("command-config")?.map(load).transpose()?.unwrap_or_default();
    let bootstrap = given.one("bootstrap-server")?.or(given.one("bootstrap-controller")?).unwrap_or_default();
    let mut client = client_of(bootstrap, &properties)?;
    if given.has("bootstrap-controller") {
        client.stay_there();
    }
    let outcome = block_on(async {
        if given.has("alter") {
            alter(screen, given, &mut client, &entities).await
        } else {
            describe(screen, given, &mut client, &entities).await
        }
    });
    match outcome {
        Err(Failure::Client(error)) => {
            screen.complain(format_args!(
                "Error while executing config command with args '{}'",
                given.line()
            ))?;
            Err(Failure::text(match error.code() {
                Some(code) => format!(
                    "java.util.concurrent.ExecutionException: org.apache.kafka.common.errors.{}: {error}",
                    exception_of(code)
                ),
                None => error.to_string(),
            }))
        }
        outcome => outcome,
    }
}

async fn alter(
    screen: &mut Screen,
    given: &Given,
    client: &mut Client,
    entities: &Entities,
) -> Result<(), Failure> {
    if entities.types.len() != entities.names.len() {
        return Err(Failure::text("An entity name must be specified for every entity type"));
    }
    let add = added(given)?;
    let remove: Vec<String> = given
        .all("delete-config")
        .flat_map(|list| list.split(','))
        .map(|key| key.trim().to_owned())
        .collect();
    if entities.are_quotas() {
        quotas::alter(client, entities, &add, &remove).await?;
    } else {
        resources::alter(client, &entities.types[0], &entities.names[0], &add, &remove).await?;
    }
    // As Kafka 4.1 says it.
    let name = &entities.names[0];
    let kind = entities.types[0].trim_end_matches('s');
    if name.is_empty() {
        screen.say(format_args!(
            "Completed updating default config for {} in the cluster.",
            entities.types[0]
        ))?;
    } else {
        screen.say(format_args!("Completed updating config for {kind} {name}."))?;
    }
    Ok(())
}

async fn describe(
    screen: &mut Screen,
    given: &Given,
    client: &mut Client,
    entities: &Entities,
) -> Result<(), Failure> {
    if entities.are_quotas() {
        return quotas::describe(screen, client, entities).await;
    }
    let name = entities.names.first().map(String::as_str);
    resources::describe(screen, client, &entities.types[0], name, given.has("all")).await
}

/// What is to be set, by flag or file.
fn added(given: &Given) -> Result<Properties, Failure> {
    let mut all = given.one("add-config-file")?.map(load).transpose()?.unwrap_or_default();
    if let Some(text) = given.one("add-config")? {
        all.extend(pairs(text)?);
    }
    let is_key = |key: &str| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"$._-".contains(&byte));
    match all.keys().find(|key| !is_key(key)) {
        Some(key) => Err(Failure::text(format!("Invalid character found for config key: {key}"))),
        None => Ok(all),
    }
}

/// Reads `k1=v1,k2=[v1,v2]`.
fn pairs(text: &str) -> Result<Properties, Failure> {
    let mut all = Properties::new();
    for pair in split_outside(text, ',') {
        let cells = split_outside(pair, '=');
        let [key, value] = cells.as_slice() else {
            let text = "requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\" or  \"key=[val1,val2]\" to group values which contain commas.";
            return Err(Failure::text(text));
        };
        all.insert(key.trim().to_owned(), value.replace(['[', ']'], "").trim().to_owned());
    }
    Ok(all)
}

/// Splits where no bracket is open.
fn split_outside(text: &str, at: char) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_i32);
    for (index, found) in text.char_indices() {
        match found {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ if found == at && depth <= 0 => {
                parts.push(&text[start..index]);
                start = index + found.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::pairs;

    #[test]
    fn pairs_may_have_brackets() {
        let text = |line: &str| {
            pairs(line)
                .map(|all| all.into_iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(";"))
        };
        for (line, expected) in [
            ("a=b", "a=b"),
            ("a=b,c=d", "a=b;c=d"),
            ("a=[b,c],d=", "a=b,c;d="),
            (" a = b ", "a=b"),
            ("S=[iterations=8192,password=x]", "S=iterations=8192,password=x"),
            (
                "advertised.listeners=[PLAINTEXT://a:1,B://b:2]",
                "advertised.listeners=PLAINTEXT://a:1,B://b:2",
            ),
        ] {
            assert_eq!(text(line).expect(line), expected);
        }
        for line in ["a", "a=b=c", "a=b,c"] {
            assert!(pairs(line).is_err(), "{line}");
        }
    }
}
