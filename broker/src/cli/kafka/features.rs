//! `kafka-features` (`FeatureCommand`).

mod levels;

use crate::cli::admin;
use crate::cli::argparse::{Command, Opt, Parsed, Parser};
use crate::cli::connect::{block_on, client_of, load};
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, switch, value};
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::client::{Client, ClientError, To, check, message_of, string};
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, UpdateFeaturesRequest, UpdateFeaturesResponse,
};
use levels::{FEATURES, METADATA};
use std::collections::BTreeMap;

/// The tool.
pub(crate) const RUN: Run = Run::Commands(&PARSER, run);

static PARSER: Parser = Parser {
    name: "kafka-features",
    about: "Shows and changes the levels of a cluster's features.",
    options: &[
        Opt::text(value("command-config", "COMMAND_CONFIG", "properties of the client")),
        Opt::text(value("bootstrap-server", "BOOTSTRAP_SERVER", "the brokers to connect to")).one_of(),
        Opt::text(value("bootstrap-controller", "BOOTSTRAP_CONTROLLER", "the controllers to connect to"))
            .one_of(),
    ],
    metavar: None,
    has_version: false,
    commands: &[
        Command { name: "describe", help: "Show the levels of all features.", options: &[] },
        Command { name: "upgrade", help: "Raise features.", options: UPGRADE },
        Command { name: "downgrade", help: "Lower features.", options: DOWNGRADE },
        Command {
            name: "disable",
            help: "Turn features off, which is to lower them to 0.",
            options: DISABLE,
        },
        Command {
            name: "version-mapping",
            help: "Show what features a release has.",
            options: &[Opt::text(RELEASE)],
        },
        Command {
            name: "feature-dependencies",
            help: "Show what other features a feature needs.",
            options: &[Opt::text(FEATURE).needed()],
        },
    ],
};

const UPGRADE: &[Opt] = &[Opt::text(OLD), Opt::text(RELEASE), Opt::text(FEATURE), Opt::text(DRY_RUN)];
const DOWNGRADE: &[Opt] =
    &[Opt::text(OLD), Opt::text(RELEASE), Opt::text(FEATURE), Opt::text(UNSAFE), Opt::text(DRY_RUN)];
const DISABLE: &[Opt] = &[
    Opt::text(value("feature", "FEATURE", "its name; may be repeated")),
    Opt::text(UNSAFE),
    Opt::text(DRY_RUN),
];
const OLD: Flag = value("metadata", "METADATA", "deprecated: the metadata.version, as in 4.0-IV3");
const RELEASE: Flag = value("release-version", "RELEASE_VERSION", "all features of a release, as in 4.0");
const FEATURE: Flag = value("feature", "FEATURE", "name=level, as in metadata.version=25; may be repeated");
const UNSAFE: Flag = switch("unsafe", "even if metadata gets lost");
const DRY_RUN: Flag = switch("dry-run", "check it and change nothing");

/// In what direction levels move, as the request numbers it.
const UP: i8 = 1;
const DOWN_SAFELY: i8 = 2;
const DOWN: i8 = 3;

/// Levels by feature, in the order in which they are asked for.
type Updates = Vec<(String, i16)>;

fn run(screen: &mut Screen, given: &Parsed) -> Result<(), Failure> {
    let properties = given.one("command-config").map(load).transpose()?.unwrap_or_default();
    let bootstrap = given.one("bootstrap-server").or(given.one("bootstrap-controller"));
    let mut client = client_of(bootstrap.unwrap_or_default(), &properties)?;
    match given.command {
        "describe" => block_on(describe(screen, &mut client)),
        "version-mapping" => mapping(screen, given.one("release-version")),
        "feature-dependencies" => given.all("feature").try_for_each(|feature| dependencies(screen, feature)),
        command => {
            let down = if given.has("unsafe") { DOWN } else { DOWN_SAFELY };
            let kind = if command == "upgrade" { UP } else { down };
            let updates = match command {
                "disable" => once(given.all("feature").map(|name| Ok((name.to_owned(), 0))))?,
                _ => updates(screen, given, kind)?,
            };
            if updates.is_empty() {
                let text = format!("You must specify at least one feature to {command}");
                return Err(Failure::text(text));
            }
            block_on(update(screen, &mut client, command, &updates, kind, given.has("dry-run")))
        }
    }
}

async fn describe(screen: &mut Screen, client: &mut Client) -> Result<(), Failure> {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(string("milena"))
        .with_client_software_version(string(env!("CARGO_PKG_VERSION")));
    let check_one = |answer: &ApiVersionsResponse| check(ApiKey::ApiVersions as i16, answer.error_code, None);
    let answer = client.call_checked::<ApiVersionsRequest, _>(To::Any, |_| &request, check_one).await?;
    let finalized: BTreeMap<&str, i16> =
        answer.finalized_features.iter().map(|one| (&*one.name, one.max_version_level)).collect();
    let epoch = match answer.finalized_features_epoch {
        epoch if epoch < 0 => "-".to_owned(),
        epoch => epoch.to_string(),
    };
    let supported: BTreeMap<&str, (i16, i16)> = answer
        .supported_features
        .iter()
        .map(|one| (&*one.name, (one.min_version, one.max_version)))
        .collect();
    for (name, (min, max)) in supported {
        let shown = |level| levels::shown(name, level);
        let level = finalized.get(name).copied().unwrap_or(0);
        screen.say(format_args!(
            "Feature: {name}\tSupportedMinVersion: {}\tSupportedMaxVersion: {}\tFinalizedVersionLevel: {}\tEpoch: {epoch}",
            shown(min),
            shown(max),
            shown(level)
        ))?;
    }
    Ok(())
}

/// Prints the levels of all features that a release begins with.
pub(super) fn mapping(screen: &mut Screen, release: Option<&str>) -> Result<(), Failure> {
    let release = release.unwrap_or(levels::LATEST.1);
    let Some(level) = levels::of_release(release) else {
        let text = format!(
            "Unknown release version '{release}'. Supported versions are: {} to {}",
            levels::FIRST,
            levels::LATEST.1
        );
        return Err(Failure::text(text));
    };
    screen.say(format_args!("{METADATA}={level} ({release})"))?;
    for feature in FEATURES {
        screen.say(format_args!("{}={}", feature.name, feature.level_at(level)))?;
    }
    Ok(())
}

/// Prints what a level of a feature needs: `name=level`.
pub(super) fn dependencies(screen: &mut Screen, text: &str) -> Result<(), Failure> {
    let (name, level) = name_and_level(text)?;
    if name == METADATA {
        let release = levels::name_of(level);
        let release = release.ok_or_else(|| Failure::text(format!("Unknown metadata.version {level}")))?;
        return Ok(screen.say(format_args!("{name}={level} ({release}) has no dependencies."))?);
    }
    let feature = FEATURES.iter().find(|feature| feature.name == name);
    let feature = feature.ok_or_else(|| Failure::text(format!("Unknown feature: {name}")))?;
    if !feature.has(level) {
        return Err(Failure::text(format!("No feature:{name} with feature level {level}")));
    }
    match feature.metadata_for(level) {
        None => screen.say(format_args!("{name}={level} has no dependencies."))?,
        Some(needed) => {
            screen.say(format_args!("{name}={level} requires:"))?;
            let release = levels::shown(METADATA, needed);
            screen.say(format_args!("    {METADATA}={needed} ({release})"))?;
        }
    }
    Ok(())
}

/// What `--release-version`, `--metadata` and `--feature` come to.
fn updates(screen: &mut Screen, given: &Parsed, kind: i8) -> Result<Updates, Failure> {
    let level_of = |release: &str| {
        levels::of_release(release).ok_or_else(|| {
            let all = levels::production().collect::<Vec<_>>().join(", ");
            Failure::text(format!("Unknown metadata.version {release}. Supported metadata.version are {all}"))
        })
    };
    if let Some(release) = given.one("release-version") {
        if given.has("metadata") || given.has("feature") {
            return Err(Failure::text("Can not specify `release-version` with other feature flags."));
        }
        let level = level_of(release)?;
        let features = FEATURES.iter().map(|feature| (feature.name.to_owned(), feature.level_at(level)));
        // Nothing is raised to 0.
        let features = features.filter(|(_, level)| kind != UP || *level > 0);
        return Ok(std::iter::once((METADATA.to_owned(), level)).chain(features).collect());
    }
    let mut all = Vec::new();
    if let Some(release) = given.one("metadata") {
        screen.say(" `metadata` flag is deprecated and may be removed in a future release.")?;
        all.push(Ok((METADATA.to_owned(), level_of(release)?)));
    }
    all.extend(given.all("feature").map(name_and_level));
    once(all.into_iter())
}

/// No feature twice.
fn once(all: impl Iterator<Item = Result<(String, i16), Failure>>) -> Result<Updates, Failure> {
    let mut updates: Updates = Vec::new();
    for update in all {
        let update = update?;
        if updates.iter().any(|(name, _)| *name == update.0) {
            return Err(Failure::text(format!("Feature {} was specified more than once.", update.0)));
        }
        updates.push(update);
    }
    Ok(updates)
}

fn name_and_level(text: &str) -> Result<(String, i16), Failure> {
    let wrong = |why: &str| Failure::text(format!("Can't parse feature=level string {text}: {why}"));
    let (name, level) = text.split_once('=').ok_or_else(|| wrong("equals sign not found."))?;
    let level = level.trim();
    let number = level.parse().map_err(|_| wrong(&format!("unable to parse {level} as a short.")))?;
    Ok((name.trim().to_owned(), number))
}

async fn update(
    screen: &mut Screen,
    client: &mut Client,
    command: &str,
    updates: &Updates,
    kind: i8,
    dry_run: bool,
) -> Result<(), Failure> {
    let make = |version: i16| {
        let keys = updates.iter().map(|(name, level)| {
            let key = FeatureUpdateKey::default().with_feature(string(name)).with_max_version_level(*level);
            match version {
                0 => key.with_allow_downgrade(kind != UP),
                _ => key.with_upgrade_type(kind),
            }
        });
        UpdateFeaturesRequest::default()
            .with_feature_updates(keys.collect())
            .with_timeout_ms(admin::TIMEOUT_MS)
            .with_validate_only(dry_run)
    };
    // Another node may be the controller by now; all else is for the answer to say.
    let check_one = |answer: &UpdateFeaturesResponse| {
        let message = answer.error_message.as_deref();
        let outcome = check(ApiKey::UpdateFeatures as i16, answer.error_code, message);
        outcome.or_else(|error| if error.is_retriable() { Err(error) } else { Ok(()) })
    };
    let answer = client.call_checked::<UpdateFeaturesRequest, _>(To::Any, make, check_one).await?;
    let mut sorted: Vec<&(String, i16)> = updates.iter().collect();
    sorted.sort_unstable();
    let mut failed = 0;
    for (name, level) in sorted {
        let what = match command {
            "disable" => format!("disable {name}"),
            _ => format!("{command} {name} to {level}"),
        };
        if let Err(error) = outcome_of(&answer, name) {
            failed += 1;
            let helper = if dry_run { "Can not" } else { "Could not" };
            screen.say(format_args!("{helper} {what}. {error}"))?;
            continue;
        }
        let verb = if dry_run { "can be" } else { "was" };
        match command {
            "disable" => screen.say(format_args!("{name} {verb} disabled."))?,
            _ => screen.say(format_args!("{name} {verb} {command}d to {level}."))?,
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(Failure::text(format!("{failed} out of {} operation(s) failed.", updates.len()))),
    }
}

/// What became of one feature: from version 2 on the answer is one for all.
fn outcome_of(answer: &UpdateFeaturesResponse, name: &str) -> Result<(), ClientError> {
    let key = ApiKey::UpdateFeatures as i16;
    check(key, answer.error_code, answer.error_message.as_deref().or(Some(&message_of(answer.error_code))))?;
    let own = answer.results.iter().find(|result| &*result.feature == name);
    own.map_or(Ok(()), |own| check(key, own.error_code, own.error_message.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::{DOWN, PARSER, UP, levels, outcome_of, updates};
    use crate::cli::argparse::{Parsed, Words};
    use crate::cli::screen::Screen;
    use crate::client::string;
    use kafka_protocol::messages::UpdateFeaturesResponse;
    use kafka_protocol::messages::update_features_response::UpdatableFeatureResult;

    fn parsed(line: &str) -> Parsed {
        let words = format!("--bootstrap-server a:1 downgrade {line}");
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        match PARSER.read(&words) {
            Ok(Words::Run(parsed)) => parsed,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn what_is_asked_for() {
        let all: Vec<&str> = levels::production().collect();
        let unknown =
            format!("Unknown metadata.version 9.9. Supported metadata.version are {}", all.join(", "));
        for (line, kind, expected) in [
            ("", UP, Ok("")),
            ("--feature a=1 --feature b=-2", UP, Ok("a=1 b=-2")),
            ("--feature a=1 --feature a=2", UP, Err("Feature a was specified more than once.")),
            ("--feature a", UP, Err("Can't parse feature=level string a: equals sign not found.")),
            ("--feature a=x", UP, Err("Can't parse feature=level string a=x: unable to parse x as a short.")),
            ("--metadata 3.5", DOWN, Ok("metadata.version=11")),
            (
                "--metadata 4.0 --feature metadata.version=3",
                DOWN,
                Err("Feature metadata.version was specified more than once."),
            ),
            (
                "--release-version 4.0.1",
                UP,
                Ok("metadata.version=25 kraft.version=1 transaction.version=2 group.version=1"),
            ),
            (
                "--release-version 3.8",
                DOWN,
                Ok("metadata.version=20 kraft.version=0 transaction.version=0 group.version=0 \
                    eligible.leader.replicas.version=0 share.version=0 streams.version=0"),
            ),
            ("--release-version 9.9", UP, Err(unknown.as_str())),
            (
                "--release-version 4.0 --feature a=1",
                UP,
                Err("Can not specify `release-version` with other feature flags."),
            ),
        ] {
            let mut screen = Screen::new(Box::new(Vec::new()), Box::new(Vec::new()));
            let found = updates(&mut screen, &parsed(line), kind);
            let found = found.map(|list| {
                list.iter().map(|(name, level)| format!("{name}={level}")).collect::<Vec<_>>().join(" ")
            });
            let found = found.map_err(|failure| failure.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{line}");
        }
    }

    #[test]
    fn an_error_is_of_one_or_of_all() {
        let one = |code| UpdatableFeatureResult::default().with_feature(string("a")).with_error_code(code);
        let answer = UpdateFeaturesResponse::default().with_results(vec![one(95)]);
        assert!(outcome_of(&answer, "a").is_err());
        assert!(outcome_of(&answer, "b").is_ok());
        let answer = UpdateFeaturesResponse::default()
            .with_error_code(95)
            .with_error_message(Some(string("no")))
            .with_results(vec![one(0)]);
        assert_eq!(outcome_of(&answer, "a").expect_err("an error").to_string(), "no");
    }
}
