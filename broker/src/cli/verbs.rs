//! Commands with verbs: `milena topic create orders -p 3`. Usage and help derive from the table of verbs.
//!
//! The exit code is 0 if all is done, 1 if something went wrong, and 2 if the words make no sense.

use super::connect::{Properties, add_pairs, client_of, load};
use super::failure::Failure;
use super::flags::{self, Flag, Given, switch, value};
use super::screen::Screen;
use crate::client::Client;
use std::fmt::Write;
use std::io::{BufRead, IsTerminal};

/// What one verb does.
pub(crate) struct Verb {
    /// The word; empty where a command has no verbs.
    pub(crate) name: &'static str,
    /// The words behind it: `TOPIC` must be there, `[TOPIC]` may, `TOPIC...` may be several.
    pub(crate) words: &'static str,
    /// What it does, in one line.
    pub(crate) help: &'static str,
    /// Its flags.
    pub(crate) flags: &'static [&'static [Flag]],
    /// What runs it.
    pub(crate) run: fn(&mut Screen, &Given) -> Result<(), Failure>,
}

/// Flags of all verbs that talk to brokers.
pub(crate) const CLUSTER: &[Flag] = &[
    value("bootstrap", "HOST:PORT", "The brokers to connect to; or MILENA_BOOTSTRAP; or localhost:9092."),
    value("bootstrap-server", "HOST:PORT", "The same, by Kafka's name."),
    value("command-config", "FILE", "Properties of the client."),
    value("client-property", "KEY=VALUE", "A property of the client; may be repeated."),
];
/// Flags of all verbs that print rows.
pub(crate) const OUTPUT: &[Flag] =
    &[value("output", "FORMAT", "table (default), json, ndjson, or name: the first column alone.")];
/// Flags of all verbs that take something away.
pub(crate) const YES: &[Flag] = &[switch("yes", "Do it without asking.")];

/// The short flags, which mean the same with every verb that has the long one.
pub(crate) const SHORT: [(&str, &str); 17] = [
    ("-b", "--bootstrap"),
    ("-X", "--client-property"),
    ("-o", "--output"),
    ("-y", "--yes"),
    ("-p", "--partitions"),
    ("-r", "--replicas"),
    ("-c", "--config"),
    ("-k", "--key"),
    ("-v", "--value"),
    ("-H", "--header"),
    ("-n", "--num"),
    ("-f", "--follow"),
    ("-F", "--format"),
    ("-g", "--group"),
    ("-t", "--topic"),
    ("-z", "--compression"),
    ("-h", "--help"),
];
/// Where the address may be set.
const VARIABLES: [&str; 2] = ["MILENA_BOOTSTRAP", "KAFKA_BOOTSTRAP_SERVERS"];
const ADDRESS: &str = "localhost:9092";

/// Finds the verb and runs it.
pub(crate) fn run(tool: &str, all: &[Verb], screen: &mut Screen, words: &[String]) -> Result<(), Failure> {
    let first = words.first().map_or("", String::as_str);
    let (verb, rest) = match all {
        [single] if single.name.is_empty() => (single, words),
        _ if matches!(first, "" | "-h" | "--help" | "help") => {
            let text = overview(tool, all);
            return if first.is_empty() {
                Err(Failure::Usage(text))
            } else {
                Ok(screen.put(text.as_bytes())?)
            };
        }
        _ => match all.iter().find(|verb| verb.name == first) {
            Some(verb) => (verb, &words[1..]),
            None => {
                let text = format!("{tool} has no {first}\n{}", overview(tool, all));
                return Err(Failure::Usage(text));
            }
        },
    };
    let given = read(verb, rest).map_err(|failure| {
        let name = format!("{tool} {}", verb.name);
        Failure::Usage(format!("{failure}; milena {} --help lists the flags", name.trim_end()))
    })?;
    if given.has("help") {
        return Ok(screen.put(help(tool, verb).as_bytes())?);
    }
    let (least, most) = bounds(verb.words);
    if given.words.len() < least || given.words.len() > most {
        return Err(Failure::Usage(format!("usage: {}", usage(tool, verb))));
    }
    (verb.run)(screen, &given)
}

/// Reads the words behind a verb.
///
/// # Errors
/// A flag that it does not have, or one without its value.
pub(crate) fn read(verb: &Verb, words: &[String]) -> Result<Given, Failure> {
    Given::read_short(verb.flags, words, long)
}

/// The long form of a short flag, of `-n10`, too.
fn long(word: &str) -> String {
    match word.char_indices().nth(2) {
        Some((at, _)) if word.len() > at && word[at..].bytes().all(|byte| byte.is_ascii_digit()) => {
            let name = flags::long(&SHORT, &word[..at]);
            if name.starts_with("--") { format!("{name}={}", &word[at..]) } else { word.to_owned() }
        }
        _ => flags::long(&SHORT, word),
    }
}

/// How many words there may be.
fn bounds(words: &str) -> (usize, usize) {
    let all: Vec<&str> = words.split_whitespace().collect();
    let least = all.iter().filter(|word| !word.starts_with('[')).count();
    (least, if words.contains("...") { usize::MAX } else { all.len() })
}

/// The words of a call, in one line.
pub(crate) fn usage(tool: &str, verb: &Verb) -> String {
    let words: Vec<&str> =
        ["milena", tool, verb.name, verb.words].into_iter().filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

fn overview(tool: &str, all: &[Verb]) -> String {
    let calls: Vec<String> = all.iter().map(|verb| usage(tool, verb)).collect();
    let width = calls.iter().map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for (call, verb) in calls.iter().zip(all) {
        let _ = writeln!(text, "{call:width$}  {}", verb.help);
    }
    let _ = write!(text, "\nmilena {tool} VERB --help lists the flags of a verb.\n");
    text
}

fn help(tool: &str, verb: &Verb) -> String {
    let mut text = format!("usage: {} [flags]\n\n{}\n\n", usage(tool, verb), verb.help);
    let rows: Vec<(String, &str)> = all_flags(verb).map(|flag| (shown(flag), flag.help)).collect();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, help) in rows {
        let _ = writeln!(text, "  {name:width$}  {help}");
    }
    text
}

/// The flags of a verb, its own ones last in its table first.
pub(crate) fn all_flags(verb: &Verb) -> impl Iterator<Item = &'static Flag> {
    verb.flags.iter().rev().copied().flatten()
}

/// A flag with its short form.
pub(crate) fn shown(flag: &Flag) -> String {
    let name = flag.shown();
    match short(flag) {
        Some(short) => format!("{short}, {name}"),
        None => format!("    {name}"),
    }
}

/// The short form of a flag.
pub(crate) fn short(flag: &Flag) -> Option<&'static str> {
    SHORT.iter().find(|(_, long)| long[2..] == *flag.name).map(|(short, _)| *short)
}

/// A client of the brokers that the flags or the environment name.
///
/// # Errors
/// An address or a property makes no sense.
pub(crate) fn client(given: &Given) -> Result<Client, Failure> {
    client_of(&bootstrap(given)?, &properties(given)?)
}

/// The brokers that the flags or the environment name.
///
/// # Errors
/// A flag is there twice.
pub(crate) fn bootstrap(given: &Given) -> Result<String, Failure> {
    if let Some(address) = given.one("bootstrap")?.or(given.one("bootstrap-server")?) {
        return Ok(address.to_owned());
    }
    let variable = |name: &&str| std::env::var(name).ok().filter(|address| !address.trim().is_empty());
    Ok(VARIABLES.iter().find_map(variable).unwrap_or_else(|| ADDRESS.to_owned()))
}

/// The properties of the client that the flags name.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn properties(given: &Given) -> Result<Properties, Failure> {
    let mut properties = given.one("command-config")?.map(load).transpose()?.unwrap_or_default();
    add_pairs(&mut properties, given.all("client-property"));
    properties.entry("client.id".into()).or_insert_with(|| "milena".into());
    Ok(properties)
}

/// Asks whether to do what takes something away.
///
/// # Errors
/// The answer is no, or nobody is there to ask.
pub(crate) fn confirm(given: &Given, what: &str) -> Result<(), Failure> {
    if given.has("yes") {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Failure::Usage(format!("{what}? Say so by --yes, where nobody can be asked")));
    }
    // Standard output may lead somewhere else.
    std::io::Write::write_all(&mut std::io::stderr(), format!("{what}? [y/N] ").as_bytes())?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::text("nothing was done")),
    }
}

#[cfg(test)]
mod tests {
    use super::{CLUSTER, Given, OUTPUT, SHORT, Verb, bounds, help, long, read, run};
    use crate::cli::failure::Failure;
    use crate::cli::flags::{Flag, value};
    use crate::cli::screen::Screen;
    use crate::cli::tools::{Run, TOOLS};

    const VERB: Verb = Verb {
        name: "create",
        words: "TOPIC... [N]",
        help: "Make topics.",
        flags: &[CLUSTER, OUTPUT, &[value("num", "N", "How many.")]],
        run: |_, _: &Given| Ok(()),
    };

    #[test]
    fn short_flags() {
        for (word, expected) in [
            ("-n", "--num"),
            ("-n10", "--num=10"),
            ("-b", "--bootstrap"),
            ("-5m", "-5m"),
            ("-10", "-10"),
            ("-q1", "-q1"),
            ("-next", "-next"),
            ("--num", "--num"),
            ("-", "-"),
            ("\u{e9}\u{e9}1", "\u{e9}\u{e9}1"),
        ] {
            assert_eq!(long(word), expected, "{word}");
        }
        let words = ["-b", "a:1", "t", "-n3"].map(str::to_owned);
        let given = read(&VERB, &words).expect("flags");
        assert_eq!((given.one("bootstrap").unwrap(), given.number("num").unwrap()), (Some("a:1"), Some(3)));
        // What is a value, or stands behind --, is what it is.
        for (line, value) in [("-o -p", Some("-p")), ("-o -v5", Some("-v5")), ("--output=-n5", Some("-n5"))] {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(read(&VERB, &words).expect(line).one("output").unwrap(), value, "{line}");
        }
        assert!(read(&VERB, &["-o", "-n5"].map(str::to_owned)).is_err());
        assert_eq!(read(&VERB, &["--", "-n5"].map(str::to_owned)).expect("words").words, ["-n5"]);
    }

    #[test]
    fn words_are_counted() {
        for (words, expected) in [
            ("", (0, 0)),
            ("TOPIC", (1, 1)),
            ("[TOPIC]", (0, 1)),
            ("TOPIC...", (1, usize::MAX)),
            ("[TOPIC...]", (0, usize::MAX)),
            ("TOPIC N", (2, 2)),
        ] {
            assert_eq!(bounds(words), expected, "{words}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told_apart() {
        let mut screen = Screen::new(Box::new(Vec::new()), Box::new(Vec::new()));
        for (line, expected) in [
            ("", Some("milena topic create TOPIC... [N]  Make topics.\n")),
            ("crate", Some("topic has no crate\n")),
            ("create", Some("usage: milena topic create TOPIC... [N]")),
            ("create t --nope", Some("nope is not a recognized option; milena topic create --help lists")),
            ("create t --num", Some("Option num requires an argument; milena topic create --help")),
            ("create t", None),
            ("create --help", None),
            ("help", None),
        ] {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let outcome = run("topic", &[VERB], &mut screen, &words);
            match (outcome, expected) {
                (Ok(()), None) => {}
                (Err(Failure::Usage(text)), Some(expected)) => assert!(text.starts_with(expected), "{text}"),
                (outcome, _) => panic!("{line}: {outcome:?}"),
            }
        }
        assert!(help("topic", &VERB).contains("\n  -n, --num <N>  "), "{}", help("topic", &VERB));
    }

    #[test]
    fn no_flag_of_a_verb_means_two_things() {
        for tool in TOOLS {
            let Run::Verbs(verbs) = tool.run else { continue };
            for verb in verbs {
                let flags: Vec<&Flag> = super::all_flags(verb).collect();
                for (at, flag) in flags.iter().enumerate() {
                    let twice = flags[..at].iter().any(|other| other.name == flag.name);
                    assert!(!twice, "{} {}: --{}", tool.name, verb.name, flag.name);
                }
            }
        }
        for (at, (short, _)) in SHORT.iter().enumerate() {
            assert!(SHORT[..at].iter().all(|(other, _)| other != short), "{short}");
        }
    }
}
