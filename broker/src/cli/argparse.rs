//! Commands with options as some of Kafka's tools read them, by `argparse4j`: options of the tool, a command, options of
//! that. A tool is a [`Parser`], a table; reading, usage and help derive from it.

use super::failure::Failure;
use super::flags::{Flag, Takes};

/// Lines of the usage are no longer than this, unless one option is.
const WIDTH: usize = 75;

/// A tool.
#[derive(Debug)]
pub(crate) struct Parser {
    /// The name that usage and errors begin with.
    pub(crate) name: &'static str,
    /// What the tool is for.
    pub(crate) about: &'static str,
    /// Options in front of the command.
    pub(crate) options: &'static [Opt],
    /// What stands for the commands in the usage; without it all of them do.
    pub(crate) metavar: Option<&'static str>,
    /// Whether `-v` gives the version.
    pub(crate) has_version: bool,
    /// The commands.
    pub(crate) commands: &'static [Command],
}

/// A command of a tool.
#[derive(Debug)]
pub(crate) struct Command {
    /// Its word.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) help: &'static str,
    /// Its options.
    pub(crate) options: &'static [Opt],
}

/// An option.
#[derive(Debug)]
pub(crate) struct Opt {
    /// The name, the value and the help.
    pub(crate) flag: Flag,
    /// Java's name of the kind of number that the value has to be.
    pub(crate) number: Option<&'static str>,
    /// Whether it has to be there.
    pub(crate) need: Need,
}

/// Whether an option has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// It need not.
    No,
    /// It has to.
    Yes,
    /// Exactly one of those that have this.
    OneOf,
}

impl Opt {
    /// With text as its value.
    pub(crate) const fn text(flag: Flag) -> Self {
        Self { flag, number: None, need: Need::No }
    }

    /// With a number of a type of Java's as its value.
    pub(crate) const fn number(flag: Flag, of: &'static str) -> Self {
        Self { flag, number: Some(of), need: Need::No }
    }

    /// The same, needed.
    pub(crate) const fn needed(self) -> Self {
        Self { need: Need::Yes, ..self }
    }

    /// The same, one of several of which one is needed.
    pub(crate) const fn one_of(self) -> Self {
        Self { need: Need::OneOf, ..self }
    }

    fn shown(&self) -> String {
        match self.flag.takes {
            Takes::Nothing => format!("--{}", self.flag.name),
            Takes::Value(of) | Takes::Maybe(of) => format!("--{} {of}", self.flag.name),
        }
    }

    /// What is wrong with a value.
    fn check(&self, text: &str) -> Result<(), String> {
        let fits = match self.number {
            None => true,
            Some("Short") => text.parse::<i16>().is_ok(),
            Some("Integer") => text.parse::<i32>().is_ok(),
            Some(_) => text.parse::<i64>().is_ok(),
        };
        if fits {
            return Ok(());
        }
        let of = self.number.unwrap_or_default();
        let name = self.flag.name;
        Err(format!("argument --{name}: could not convert '{text}' to {of} (For input string: \"{text}\")"))
    }
}

/// What was given.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    /// The command.
    pub(crate) command: &'static str,
    values: Vec<(&'static str, Option<String>)>,
}

/// What the words come to.
#[derive(Debug)]
pub(crate) enum Words {
    /// A command to run.
    Run(Parsed),
    /// Somebody wants this read.
    Help(String),
    /// Somebody wants to know the version.
    Version,
}

impl Parsed {
    /// Whether an option is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.iter().any(|(given, _)| *given == name)
    }

    /// The value of an option; the last one, if it is there more than once.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        let given = self.values.iter().rev().find(|(given, _)| *given == name);
        given.and_then(|(_, value)| value.as_deref())
    }

    /// All values of an option.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.values.iter().filter(move |(given, _)| *given == name).filter_map(|(_, value)| value.as_deref())
    }

    /// The value of an option that has numbers, which reading has made sure of.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.one(name).and_then(|text| text.parse().ok())
    }
}

impl Parser {
    /// Reads the words behind the tool's name.
    ///
    /// # Errors
    /// The usage, and what is wrong.
    pub(crate) fn read(&'static self, words: &[String]) -> Result<Words, Failure> {
        let mut parsed = Parsed::default();
        let mut at = 0;
        let mut command = None;
        while let Some(word) = words.get(at) {
            at += 1;
            if matches!(word.as_str(), "-h" | "--help") {
                return Ok(Words::Help(self.help(command)));
            }
            if self.has_version && command.is_none() && matches!(word.as_str(), "-v" | "--version") {
                return Ok(Words::Version);
            }
            if is_option(word) {
                at += self.option(command, word, words.get(at), &mut parsed)?;
                continue;
            }
            if command.is_some() {
                return Err(self.wrong(command, &format!("unrecognized arguments: '{word}'")));
            }
            command = self.commands.iter().find(|command| command.name == word);
            if command.is_none() {
                let names: Vec<String> =
                    self.commands.iter().map(|command| format!("'{}'", command.name)).collect();
                let names = names.join(", ");
                let text = format!("invalid choice: '{word}' (choose from {names})");
                return Err(self.wrong(None, &text));
            }
        }
        let Some(command) = command else { return Err(self.wrong(None, "too few arguments")) };
        if let Some(missing) = missing(command.options, &parsed) {
            return Err(self.wrong(Some(command), &missing));
        }
        if let Some(missing) = missing(self.options, &parsed) {
            return Err(self.wrong(None, &missing));
        }
        parsed.command = command.name;
        Ok(Words::Run(parsed))
    }

    /// Reads an option, and gives the number of words that its value takes.
    fn option(
        &'static self,
        command: Option<&'static Command>,
        word: &str,
        next: Option<&String>,
        parsed: &mut Parsed,
    ) -> Result<usize, Failure> {
        let options = command.map_or(self.options, |command| command.options);
        let (name, inline) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let option = match found(options, name) {
            Ok(Some(option)) => option,
            Ok(None) => return Err(self.wrong(command, &format!("unrecognized arguments: '{word}'"))),
            Err(text) => return Err(self.wrong(command, &text)),
        };
        let name = option.flag.name;
        let other = |other: &&Opt| other.need == Need::OneOf && other.flag.name != name;
        if option.need == Need::OneOf
            && let Some(other) = options.iter().filter(other).find(|other| parsed.has(other.flag.name))
        {
            let text = format!("argument --{name}: not allowed with argument --{}", other.flag.name);
            return Err(self.wrong(command, &text));
        }
        if option.flag.takes == Takes::Nothing {
            if let Some(value) = inline {
                let text = format!("argument --{name}: ignore implicit argument '{value}'");
                return Err(self.wrong(command, &text));
            }
            parsed.values.push((name, None));
            return Ok(0);
        }
        let value = inline.or(next.map(String::as_str).filter(|next| !is_option(next)));
        let Some(value) = value else {
            return Err(self.wrong(command, &format!("argument --{name}: expected one argument")));
        };
        option.check(value).map_err(|text| self.wrong(command, &text))?;
        parsed.values.push((name, Some(value.to_owned())));
        Ok(usize::from(inline.is_none()))
    }

    /// The usage and what is wrong, for standard error.
    pub(crate) fn wrong(&self, command: Option<&Command>, text: &str) -> Failure {
        Failure::Usage(format!("{}{}: error: {text}", self.usage(command), self.name))
    }

    /// The usage of the tool, or of a command.
    fn usage(&self, command: Option<&Command>) -> String {
        let mut words = Vec::new();
        if command.is_none() {
            words.push("[-h]".to_owned());
            words.extend(self.has_version.then(|| "[-v]".to_owned()));
            words.extend(
                self.options
                    .iter()
                    .filter(|option| option.need == Need::No)
                    .map(|option| format!("[{}]", option.shown())),
            );
        }
        words.extend(self.options.iter().filter(|option| option.need == Need::Yes).map(Opt::shown));
        let choice: Vec<String> =
            self.options.iter().filter(|option| option.need == Need::OneOf).map(Opt::shown).collect();
        let last = choice.len().saturating_sub(1);
        words.extend(choice.iter().enumerate().map(|(at, shown)| {
            let (open, close) = (if at == 0 { "(" } else { "" }, if at == last { ")" } else { " |" });
            format!("{open}{shown}{close}")
        }));
        match command {
            Some(command) => {
                words.extend([command.name.to_owned(), "[-h]".to_owned()]);
                words.extend(command.options.iter().map(|option| match option.need {
                    Need::Yes => option.shown(),
                    Need::No | Need::OneOf => format!("[{}]", option.shown()),
                }));
            }
            None => words.extend([self.choices(), "...".to_owned()]),
        }
        wrapped(&format!("usage: {}", self.name), &words)
    }

    fn choices(&self) -> String {
        self.metavar.map_or_else(
            || {
                let names: Vec<&str> = self.commands.iter().map(|command| command.name).collect();
                format!("{{{}}}", names.join(","))
            },
            str::to_owned,
        )
    }

    fn help(&self, command: Option<&Command>) -> String {
        let (about, options) = match command {
            Some(command) => (command.help, command.options),
            None => (self.about, self.options),
        };
        let mut rows = vec![("-h, --help".to_owned(), "show this help message and exit")];
        if self.has_version && command.is_none() {
            rows.push(("-v, --version".to_owned(), "show the version and exit"));
        }
        rows.extend(options.iter().map(|option| (option.shown(), option.flag.help)));
        let mut text = format!("{}\n{about}\n\noptional arguments:\n{}", self.usage(command), list(&rows));
        if command.is_none() {
            let rows: Vec<(String, &str)> =
                self.commands.iter().map(|command| (command.name.to_owned(), command.help)).collect();
            text += &format!("\ncommands:\n{}", list(&rows));
        }
        text
    }
}

fn list(rows: &[(String, &str)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, help)| format!("  {name:width$}  {help}\n")).collect()
}

/// Words in lines that begin below one another.
fn wrapped(head: &str, words: &[String]) -> String {
    let mut text = head.to_owned();
    let mut column = head.len();
    for word in words {
        if column + 1 + word.len() > WIDTH && column > head.len() {
            text += &format!("\n{:indent$}", "", indent = head.len());
            column = head.len();
        }
        text += " ";
        text += word;
        column += 1 + word.len();
    }
    text + "\n"
}

/// Whether a word is an option rather than a value: a negative number is a value.
fn is_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-') && word.parse::<f64>().is_err()
}

/// The option of that name, or of the one name that begins like that.
fn found(options: &'static [Opt], word: &str) -> Result<Option<&'static Opt>, String> {
    let Some(name) = word.strip_prefix("--").filter(|name| !name.is_empty()) else { return Ok(None) };
    if let Some(option) = options.iter().find(|option| option.flag.name == name) {
        return Ok(Some(option));
    }
    let like: Vec<&Opt> = options.iter().filter(|option| option.flag.name.starts_with(name)).collect();
    if like.len() < 2 {
        return Ok(like.first().copied());
    }
    let names: Vec<String> = like.iter().map(|option| format!("--{}", option.flag.name)).collect();
    Err(format!("ambiguous option: {word} could match {}", names.join(", ")))
}

/// What is not there and should be.
fn missing(options: &[Opt], parsed: &Parsed) -> Option<String> {
    let needed = |option: &&Opt| option.need == Need::Yes && !parsed.has(option.flag.name);
    if let Some(option) = options.iter().find(needed) {
        return Some(format!("argument --{} is required", option.flag.name));
    }
    let choice: Vec<&str> =
        options.iter().filter(|option| option.need == Need::OneOf).map(|option| option.flag.name).collect();
    if choice.is_empty() || choice.iter().any(|name| parsed.has(name)) {
        return None;
    }
    let names: Vec<String> = choice.iter().map(|name| format!("--{name}")).collect();
    Some(format!("one of the arguments {} is required", names.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::{Command, Opt, Parsed, Parser, Words};
    use crate::cli::failure::Failure;
    use crate::cli::flags::{switch, value};

    const PARSER: Parser = Parser {
        name: "kafka-features",
        about: "About.",
        options: &[
            Opt::text(value("command-config", "COMMAND_CONFIG", "")),
            Opt::text(value("bootstrap-server", "BOOTSTRAP_SERVER", "")).one_of(),
            Opt::text(value("bootstrap-controller", "BOOTSTRAP_CONTROLLER", "")).one_of(),
        ],
        metavar: None,
        has_version: true,
        commands: &[
            Command { name: "describe", help: "", options: &[] },
            Command {
                name: "abort",
                help: "Abort.",
                options: &[
                    Opt::text(value("topic", "TOPIC", "")).needed(),
                    Opt::number(value("partition", "PARTITION", ""), "Integer"),
                    Opt::number(value("producer-epoch", "PRODUCER_EPOCH", ""), "Short"),
                    Opt::number(value("start-offset", "START_OFFSET", ""), "Long"),
                    Opt::text(switch("dry-run", "")),
                ],
            },
        ],
    };

    fn read(line: &str) -> Result<Words, Failure> {
        static TABLE: Parser = PARSER;
        TABLE.read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn parsed(line: &str) -> Parsed {
        match read(line) {
            Ok(Words::Run(parsed)) => parsed,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn commands_with_their_options() {
        assert_eq!(parsed("--bootstrap-server a:1 describe").command, "describe");
        let given =
            parsed("--bootstrap-server=a:1 abort --topic t --part 3 --start-offset -1 --dry --topic u");
        assert_eq!((given.one("topic"), given.has("dry-run")), (Some("u"), true));
        assert_eq!(given.number::<i32>("partition"), Some(3));
        assert_eq!(given.number::<i64>("start-offset"), Some(-1));
        assert_eq!(given.all("topic").collect::<Vec<_>>(), ["t", "u"]);
        assert!(matches!(read("-v"), Ok(Words::Version)));
        let Ok(Words::Help(text)) = read("abort -h") else { panic!("no help") };
        assert!(text.contains("\nAbort.\n") && text.contains("  --start-offset START_OFFSET  "), "{text}");
    }

    #[test]
    fn what_is_wrong_stands_behind_the_usage() {
        let top = "usage: kafka-features [-h] [-v] [--command-config COMMAND_CONFIG]\n                      \
                   (--bootstrap-server BOOTSTRAP_SERVER |\n                      \
                   --bootstrap-controller BOOTSTRAP_CONTROLLER)\n                      {describe,abort} ...\n";
        let abort = "usage: kafka-features (--bootstrap-server BOOTSTRAP_SERVER |\n                      \
                     --bootstrap-controller BOOTSTRAP_CONTROLLER) abort\n                      \
                     [-h] --topic TOPIC [--partition PARTITION]\n                      \
                     [--producer-epoch PRODUCER_EPOCH]\n                      \
                     [--start-offset START_OFFSET] [--dry-run]\n";
        for (line, usage, expected) in [
            ("", top, "too few arguments"),
            ("describe", top, "one of the arguments --bootstrap-server --bootstrap-controller is required"),
            ("odd", top, "invalid choice: 'odd' (choose from 'describe', 'abort')"),
            (
                "--bootstrap-server a --bootstrap-controller b describe",
                top,
                "argument --bootstrap-controller: not allowed with argument --bootstrap-server",
            ),
            (
                "--bootstrap a",
                top,
                "ambiguous option: --bootstrap could match --bootstrap-server, --bootstrap-controller",
            ),
            ("--nope", top, "unrecognized arguments: '--nope'"),
            ("abort", abort, "argument --topic is required"),
            ("abort --topic", abort, "argument --topic: expected one argument"),
            ("abort --topic --partition", abort, "argument --topic: expected one argument"),
            ("abort --bootstrap-server a", abort, "unrecognized arguments: '--bootstrap-server'"),
            ("abort more", abort, "unrecognized arguments: 'more'"),
            ("abort --dry-run=x", abort, "argument --dry-run: ignore implicit argument 'x'"),
            (
                "abort --partition x",
                abort,
                "argument --partition: could not convert 'x' to Integer (For input string: \"x\")",
            ),
            (
                "abort --producer-epoch 32768",
                abort,
                "argument --producer-epoch: could not convert '32768' to Short (For input string: \"32768\")",
            ),
        ] {
            match read(line) {
                Err(Failure::Usage(text)) => {
                    assert_eq!(text, format!("{usage}kafka-features: error: {expected}"), "{line}");
                }
                other => panic!("{line}: {other:?}"),
            }
        }
    }
}
