//! `milena man`: the manual page, out of the tables that the words are read by.

use crate::cli::args::{ABOUT, OPTIONS, USAGE};
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Given, Takes};
use crate::cli::screen::Screen;
use crate::cli::tools::{Run, TOOLS};
use crate::cli::verbs::{CLUSTER, OUTPUT, Verb, YES, short, usage};
use std::fmt::Write;

/// The command.
pub(crate) const RUN: Run = Run::Verbs(&[Verb {
    name: "",
    words: "",
    help: "Print the manual page in the language of man.",
    flags: &[],
    run: |screen, _: &Given| print(screen),
}]);

const ENVIRONMENT: &[(&str, &str)] = &[
    ("KAFKA_*", "Settings of the broker, as in ABOUT."),
    ("MILENA_BOOTSTRAP, KAFKA_BOOTSTRAP_SERVERS", "The brokers that commands connect to."),
    ("NO_COLOR", "Nothing is bold."),
];
const FILES: &[(&str, &str)] = &[
    ("/etc/milena/server.properties", "The configuration of the service."),
    ("/var/lib/milena", "The records of the service."),
];

fn print(screen: &mut Screen) -> Result<(), Failure> {
    Ok(screen.put(page().as_bytes())?)
}

fn page() -> String {
    let mut text = format!(".TH MILENA 1 \"\" \"milena {}\" \"User Commands\"\n", env!("CARGO_PKG_VERSION"));
    text.push_str(
        ".SH NAME\nmilena \\- an Apache Kafka compatible broker, and its commands\n.SH SYNOPSIS\n.nf\n",
    );
    text.push_str(&roff(USAGE));
    text.push_str(".fi\n.SH DESCRIPTION\n");
    for paragraph in ABOUT {
        let _ = writeln!(text, ".PP\n{}", roff(paragraph));
    }
    text.push_str(".SH OPTIONS OF THE BROKER\n");
    // The short forms are those of the commands.
    OPTIONS.iter().for_each(|option| item(&mut text, &option.shown(), option.help));
    text.push_str(".SH COMMANDS\nThey work with every Kafka broker.\n");
    for tool in TOOLS {
        let Run::Verbs(verbs) = tool.run else { continue };
        for verb in verbs {
            let _ = writeln!(text, ".SS {}\n{}", roff(&usage(tool.name, verb)), roff(verb.help));
            // What all of them have stands below, once.
            verb.flags
                .iter()
                .filter(|table| !is_common(table))
                .copied()
                .flatten()
                .for_each(|own| flag(&mut text, own));
        }
    }
    text.push_str(".SS Flags of all commands\n");
    let mut common: Vec<&Flag> = Vec::new();
    for tool in TOOLS {
        let Run::Verbs(verbs) = tool.run else { continue };
        for known in verbs
            .iter()
            .flat_map(|verb| verb.flags.iter())
            .filter(|table| is_common(table))
            .copied()
            .flatten()
        {
            if !common.iter().any(|before| before.name == known.name) {
                common.push(known);
            }
        }
    }
    common.into_iter().for_each(|known| flag(&mut text, known));
    text.push_str(
        ".SH OTHER NAMES\nThe binary is these tools, too, by their names behind milena or as links to it.\n",
    );
    for tool in TOOLS.iter().filter(|tool| !matches!(tool.run, Run::Verbs(_))) {
        item(&mut text, tool.name, tool.summary);
    }
    text.push_str(".SH EXIT STATUS\nOf the broker: 0 after SIGTERM, SIGINT, or the end of the process of \\-\\-exit\\-with\\-parent; 1 if the start is refused or the data directories fail. Of commands: 0 if all is done, 1 if something went wrong, 2 if the words make no sense.\n");
    for (head, list) in [("ENVIRONMENT", ENVIRONMENT), ("FILES", FILES)] {
        let _ = writeln!(text, ".SH {head}");
        list.iter().for_each(|(name, help)| item(&mut text, name, help));
    }
    text
}

fn is_common(table: &[Flag]) -> bool {
    [CLUSTER, OUTPUT, YES].iter().any(|common| common[0].name == table[0].name && common.len() == table.len())
}

fn flag(text: &mut String, flag: &Flag) {
    let short = short(flag).map(|short| format!("{short}, ")).unwrap_or_default();
    let of = match flag.takes {
        Takes::Nothing => String::new(),
        Takes::Value(of) => format!(" {of}"),
        Takes::Maybe(of) => of.to_owned(),
    };
    item(text, &format!("{short}--{}{of}", flag.name), flag.help);
}

fn item(text: &mut String, name: &str, help: &str) {
    let _ = writeln!(text, ".TP\n\\fB{}\\fR\n{}", roff(name), roff(help));
}

/// Text in which nothing is a command of roff.
fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    let guarded =
        |line: &str| if line.starts_with('.') { format!("\\&{line}\n") } else { format!("{line}\n") };
    let lines: String = escaped.lines().map(guarded).collect();
    if text.ends_with('\n') { lines } else { lines.trim_end_matches('\n').to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{page, roff};

    #[test]
    fn every_line_is_text_or_a_known_command() {
        let page = page();
        let known = [".TH ", ".SH ", ".SS ", ".TP", ".PP", ".nf", ".fi"];
        for line in page.lines().filter(|line| line.starts_with(['.', '\''])) {
            assert!(known.iter().any(|known| line.starts_with(known)), "{line}");
        }
        for text in [
            "milena topic create TOPIC...",
            "\\-n, \\-\\-num N",
            "\\-\\-override <KEY=VALUE>",
            "kafka\\-topics",
        ] {
            assert!(page.contains(text), "{text}");
        }
        assert_eq!(roff(".a\n'b\\-"), "\\&.a\n\\(aqb\\e\\-");
    }
}
