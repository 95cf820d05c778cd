//! What the words after `milena` ask for.

use super::contract::Contract;
use super::flags::{Flag, maybe, switch, value};
use super::rpk::{self, RedpandaStart};
use super::server::DAEMON;
use super::tools::{self, Run, Tool};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The ways to call milena.
pub(super) const USAGE: &str = "\
milena [serve] [server.properties] [options]
milena compat serve|properties [server.properties] [options]
milena COMMAND ... (milena COMMAND --help says more)
";
/// What the broker is configured from.
pub(super) const ABOUT: &[&str] = &[
    "Without a file milena reads /etc/milena/server.properties if it is there. Where nothing else is set it listens on
localhost:9092 and keeps its data in ~/.local/share/milena. `compat serve` is for containers: it listens on every
interface, keeps its data in /var/lib/kafka/data, reads the mounted files and variables that other Kafka images read, and
writes its log as they do. `compat properties` prints what it would start with.",
    "Keys are those of Kafka's server.properties. KAFKA_NUM_PARTITIONS=3 sets num.partitions, and
KAFKA_NUM_PARTITIONS_FILE=/run/secrets/n does with the content of the file.",
];
/// The options of the broker, as `take_option` and the contract read them.
pub(super) const OPTIONS: &[Flag] = &[
    value(
        "override",
        "KEY=VALUE",
        "Set a key; wins over the file and over KAFKA_* variables; may be repeated.",
    ),
    switch("ephemeral", "Keep the data in a temporary directory, removed on exit."),
    value("port", "PORT", "Listen on 127.0.0.1:PORT alone; 0 takes a free port."),
    value(
        "topic",
        "NAME[:PARTITIONS[:CLEANUP_POLICY]]",
        "Have this topic before anything is served; may be repeated.",
    ),
    value(
        "ready-fd",
        "N",
        "Write one line of JSON with the address to descriptor N when clients are served.",
    ),
    value("ready-file", "PATH", "Write that line to a file."),
    maybe(
        "exit-with-parent",
        "=PID",
        "End when the process that has started milena ends; =PID names another one.",
    ),
    switch("version", "Print the version."),
    switch("help", "Print this text."),
];

/// The text of `milena --help`.
#[must_use]
pub fn help() -> String {
    let usage = USAGE.trim_end().replace('\n', "\n       ");
    let options: String =
        OPTIONS.iter().map(|option| format!("  {}\n        {}\n", option.shown(), option.help)).collect();
    let tools = tools::list();
    format!(
        "milena: an Apache Kafka compatible broker\n\nUsage: {usage}\n\n{}\n\n{options}\n\
         Commands; those with kafka in their names go by these names alone, too (milena compat install DIR):\n\n{tools}",
        ABOUT.join("\n\n")
    )
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the broker.
    Serve(ServeArgs),
    /// Print what the broker would run with, as a properties file.
    Properties(ServeArgs),
    /// Print [`help`].
    Help,
    /// Print the version.
    Version,
    /// Run a tool.
    Tool(ToolCall),
}

/// A tool and what it is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    name: &'static str,
    words: Vec<String>,
}

impl ToolCall {
    /// Runs the tool to its end.
    pub fn run(&self) -> ExitCode {
        tools::find(self.name).map_or(ExitCode::FAILURE, |tool| tools::run(tool, &self.words))
    }
}

/// How to run the broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServeArgs {
    /// The properties file to read.
    pub properties: Option<PathBuf>,
    /// Keys and values of `--override`, in their order.
    pub overrides: Vec<(String, String)>,
    /// Whether the data goes to a temporary directory.
    pub ephemeral: bool,
    /// Whether it is the broker of a container image, with the conventions of those.
    pub image: bool,
    /// What the process that starts milena wants of it.
    pub contract: Contract,
    /// The words of Redpanda's image, if it was started by those.
    pub redpanda: Option<RedpandaStart>,
}

/// Words that make no command. One line, for standard error; the exit code is 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; milena --help lists what there is")]
pub struct ArgsError(String);

/// Reads the name of the program and the words after it.
///
/// # Errors
/// The words make no command.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Command, ArgsError> {
    let mut words = words.into_iter();
    let program = words.next().unwrap_or_default();
    let words: Vec<OsString> = words.collect();
    if let Some(tool) = Path::new(&program).file_name().and_then(OsStr::to_str).and_then(tools::find) {
        return tool_call(tool, words);
    }
    let is_image = words.first().is_some_and(|word| word == "compat")
        && words.get(1).is_none_or(|word| word != "install" && word != "list");
    let first = words.first().and_then(|word| word.to_str());
    if let Some(tool) = first.filter(|_| !is_image).and_then(tools::find) {
        return tool_call(tool, words.into_iter().skip(1).collect());
    }
    parse_serve(words.into_iter())
}

fn tool_call(tool: &'static Tool, words: Vec<OsString>) -> Result<Command, ArgsError> {
    let is_daemon = words.is_empty() || words.iter().any(|word| word == DAEMON);
    if matches!(tool.run, Run::Serve) && !is_daemon {
        return parse_serve(words.into_iter());
    }
    let words: Vec<String> = words.into_iter().map(text).collect::<Result<_, _>>()?;
    if tool.name == rpk::NAME
        && let Some(start) = rpk::start_of(&words)
    {
        let redpanda = Some(start.map_err(|failure| ArgsError(failure.to_string()))?);
        return Ok(Command::Serve(ServeArgs { image: true, redpanda, ..ServeArgs::default() }));
    }
    Ok(Command::Tool(ToolCall { name: tool.name, words }))
}

fn parse_serve(words: impl Iterator<Item = OsString>) -> Result<Command, ArgsError> {
    let mut words = words;
    let mut serve = ServeArgs::default();
    let mut options_end = false;
    let mut is_first = true;
    let mut prints = false;
    while let Some(word) = words.next() {
        let first = std::mem::take(&mut is_first);
        let text = word.to_str();
        match text {
            Some("serve") if first => continue,
            Some("compat") if first => prints |= take_compat(&mut words, &mut serve)?,
            Some("--") if !options_end => options_end = true,
            Some(option) if !options_end && option.starts_with('-') && option != "-" => {
                if let Some(command) = take_option(option, &mut words, &mut serve)? {
                    return Ok(command);
                }
            }
            _ => take_file(PathBuf::from(word), first, &mut serve)?,
        }
    }
    Ok(if prints { Command::Properties(serve) } else { Command::Serve(serve) })
}

/// Reads what follows `compat`; whether the settings shall be printed.
fn take_compat(words: &mut impl Iterator<Item = OsString>, serve: &mut ServeArgs) -> Result<bool, ArgsError> {
    let word = words.next().unwrap_or_default();
    if word != "serve" && word != "properties" {
        return Err(ArgsError(format!("unknown command compat {}", word.display())));
    }
    serve.image = true;
    Ok(word == "properties")
}

/// Reads an option and what belongs to it; some options are a whole command.
fn take_option(
    option: &str,
    words: &mut impl Iterator<Item = OsString>,
    serve: &mut ServeArgs,
) -> Result<Option<Command>, ArgsError> {
    let (name, inline) = match option.split_once('=') {
        Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
        _ => (option, None),
    };
    if name == "--override" {
        let pair = match inline {
            Some(pair) => pair,
            None => text(words.next().ok_or_else(|| ArgsError("--override needs KEY=VALUE".into()))?)?,
        };
        serve.overrides.push(split_pair(&pair)?);
        return Ok(None);
    }
    if let Some(keys) = serve.contract.take(name, inline.as_deref(), words).map_err(ArgsError)? {
        serve.overrides.extend(keys);
        return Ok(None);
    }
    let command = match name {
        "--ephemeral" => None,
        "-h" | "--help" => Some(Command::Help),
        "-V" | "--version" => Some(Command::Version),
        _ => return Err(ArgsError(format!("unknown option {name}"))),
    };
    if inline.is_some() {
        return Err(ArgsError(format!("{name} takes no value")));
    }
    serve.ephemeral |= command.is_none();
    Ok(command)
}

fn take_file(file: PathBuf, first: bool, serve: &mut ServeArgs) -> Result<(), ArgsError> {
    if first && !looks_like_a_file(&file) {
        return Err(ArgsError(format!("unknown command {}", file.display())));
    }
    if let Some(other) = &serve.properties {
        let (one, two) = (other.display(), file.display());
        return Err(ArgsError(format!("only one properties file can be read, not both {one} and {two}")));
    }
    serve.properties = Some(file);
    Ok(())
}

/// A word without a dot or a slash is rather a command that does not exist.
fn looks_like_a_file(path: &Path) -> bool {
    path.extension().is_some() || path.components().count() > 1 || path.is_absolute()
}

fn split_pair(pair: &str) -> Result<(String, String), ArgsError> {
    match pair.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err(ArgsError(format!("--override {pair} is not KEY=VALUE"))),
    }
}

fn text(word: OsString) -> Result<String, ArgsError> {
    word.into_string().map_err(|word| ArgsError(format!("{} is not valid UTF-8", word.display())))
}

#[cfg(test)]
mod tests {
    use super::{Command, RedpandaStart, ServeArgs, parse};

    fn parsed(line: &str) -> Result<Command, String> {
        parse(std::iter::once("milena").chain(line.split_whitespace()).map(Into::into))
            .map_err(|error| error.to_string())
    }

    fn serve(
        properties: Option<&str>,
        overrides: &[(&str, &str)],
        ephemeral: bool,
    ) -> Result<Command, String> {
        let overrides = overrides.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let properties = properties.map(Into::into);
        Ok(Command::Serve(ServeArgs { properties, overrides, ephemeral, ..ServeArgs::default() }))
    }

    #[test]
    fn commands() {
        for (line, expected) in [
            ("", serve(None, &[], false)),
            ("serve", serve(None, &[], false)),
            ("server.properties", serve(Some("server.properties"), &[], false)),
            ("serve config", serve(Some("config"), &[], false)),
            ("/etc/kafka", serve(Some("/etc/kafka"), &[], false)),
            ("serve -- --odd", serve(Some("--odd"), &[], false)),
            ("--ephemeral", serve(None, &[], true)),
            ("serve a.b --override a=b=c --ephemeral", serve(Some("a.b"), &[("a", "b=c")], true)),
            ("--override=a= a.b --override b=1", serve(Some("a.b"), &[("a", ""), ("b", "1")], false)),
            ("compat serve", Ok(Command::Serve(ServeArgs { image: true, ..ServeArgs::default() }))),
            (
                "rpk redpanda start",
                Ok(Command::Serve(ServeArgs {
                    image: true,
                    redpanda: Some(RedpandaStart::default()),
                    ..ServeArgs::default()
                })),
            ),
            ("compat properties", Ok(Command::Properties(ServeArgs { image: true, ..ServeArgs::default() }))),
            ("serve compat", serve(Some("compat"), &[], false)),
            (
                "--port 7 --override a=b",
                serve(
                    None,
                    &[("listeners", "PLAINTEXT://127.0.0.1:7"), ("advertised.listeners", ""), ("a", "b")],
                    false,
                ),
            ),
            ("serve --help", Ok(Command::Help)),
            ("-h", Ok(Command::Help)),
            ("--version", Ok(Command::Version)),
            ("-V", Ok(Command::Version)),
        ] {
            assert_eq!(parsed(line), expected, "{line}");
        }
    }

    #[test]
    fn items_of_lists_with_blanks_are_taken_apart_for_redpanda() {
        let read = |words: &[&str]| parse(words.iter().map(Into::into)).map_err(|error| error.to_string());
        let apart = [
            "rpk",
            "redpanda",
            "start",
            "--kafka-addr",
            "a://0.0.0.0:1",
            "--set",
            "redpanda.a={b: 1}",
            "--mode=dev",
        ];
        let items = [
            "rpk",
            "redpanda start",
            "--kafka-addr  a://0.0.0.0:1",
            "--set",
            "redpanda.a={b: 1}",
            "--mode=dev",
        ];
        assert!(matches!(read(&apart), Ok(Command::Serve(_))));
        assert_eq!(read(&items), read(&apart));
    }

    #[test]
    fn names_and_first_words_are_tools() {
        let call = |words: &[&str]| parse(words.iter().map(Into::into)).map_err(|error| error.to_string());
        let tool = |name, words: &[&str]| {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            Ok(Command::Tool(super::ToolCall { name, words }))
        };
        for (words, expected) in [
            (&["/opt/kafka/bin/kafka-topics.sh", "--list"][..], tool("kafka-topics", &["--list"])),
            (&["kafka-topics"], tool("kafka-topics", &[])),
            (&["milena", "kafka-topics.sh", "--list"], tool("kafka-topics", &["--list"])),
            (&["kafka-server-start", "a.properties"], serve(Some("a.properties"), &[], false)),
            (
                &["milena", "kafka-server-start.sh", "a.b", "--override", "a=b"],
                serve(Some("a.b"), &[("a", "b")], false),
            ),
            (&["kafka-server-start", "-daemon", "a.b"], tool("kafka-server-start", &["-daemon", "a.b"])),
            (&["kafka-server-start"], tool("kafka-server-start", &[])),
        ] {
            assert_eq!(call(words), expected, "{words:?}");
        }
    }

    #[test]
    fn refusals_are_one_line() {
        for (line, expected) in [
            ("--nope", "unknown option --nope"),
            ("-x", "unknown option -x"),
            ("things", "unknown command things"),
            ("compat", "unknown command compat "),
            ("compat topics", "unknown command compat topics"),
            ("--override", "--override needs KEY=VALUE"),
            ("--override a", "--override a is not KEY=VALUE"),
            ("--override =a", "--override =a is not KEY=VALUE"),
            ("--ephemeral=yes", "--ephemeral takes no value"),
            ("rpk redpanda start --node-id", "Option node-id requires an argument"),
            ("--port x", "--port needs a port, which x is not"),
            ("a.b c.d", "only one properties file can be read, not both a.b and c.d"),
        ] {
            assert_eq!(parsed(line), Err(format!("{expected}; milena --help lists what there is")), "{line}");
        }
    }
}
