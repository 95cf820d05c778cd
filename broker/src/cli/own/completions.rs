//! `milena completions`: what shells complete, out of the tables that the words are read by.

use crate::cli::argparse::Opt;
use crate::cli::args::OPTIONS;
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Given};
use crate::cli::screen::Screen;
use crate::cli::tools::{Run, TOOLS};
use crate::cli::verbs::{Verb, all_flags};
use std::fmt::Write;

/// The command.
pub(crate) const RUN: Run = Run::Verbs(&[Verb {
    name: "",
    words: "bash|zsh|fish",
    help: "Print completions: for bash, source <(milena completions bash).",
    flags: &[],
    run,
}]);

/// Topics and groups are asked for where they are wanted, and not for long.
const ASK: &str = "milena %s list -o name -X default.api.timeout.ms=1000 2>/dev/null";

/// What comes from a broker is never a part of the program: `compgen -W` would run a group's name that is `$(...)`.
const BASH: &str = r#"_milena() {
  local name=${COMP_WORDS[0]##*/} current=${COMP_WORDS[COMP_CWORD]} words word
  if [[ $name != milena ]]; then words=$(_milena_words "${name%.sh}")
  elif ((COMP_CWORD == 1)); then words=$(_milena_words '')
  elif ((COMP_CWORD == 2)); then words=$(_milena_words "${COMP_WORDS[1]}")
  else
    words=$(_milena_words "${COMP_WORDS[1]} ${COMP_WORDS[2]}")
    [[ $words ]] || words=$(_milena_words "${COMP_WORDS[1]}")
  fi
  COMPREPLY=()
  while IFS= read -r word; do
    [[ $word && $word == "$current"* ]] || continue
    printf -v word %q "$word"
    COMPREPLY+=("$word")
  done <<< "$words"
}
"#;

const ZSH: &str = r#"_milena() {
  local -a found
  if [[ ${words[1]:t} != milena ]]; then _milena_words "${${words[1]:t}%.sh}"
  elif ((CURRENT == 2)); then _milena_words ''
  elif ((CURRENT == 3)); then _milena_words "${words[2]}"
  else
    _milena_words "${words[2]} ${words[3]}"
    (($#found)) || _milena_words "${words[2]}"
  fi
  _describe milena found
  _files
}
"#;

const FISH: &str = r#"function __milena_complete
    set -l words (commandline -opc)
    set -l name (string replace -r '\.sh$' '' (path basename $words[1]))
    if test $name != milena
        __milena_words $name
    else if test (count $words) -le 1
        __milena_words ''
    else if test (count $words) -eq 2
        __milena_words $words[2]
    else
        set -l found (__milena_words "$words[2] $words[3]")
        test -n "$found"; or set found (__milena_words $words[2])
        printf '%s\n' $found
    end
end
"#;

/// Words that came before, and those that may come next with what they mean.
type Rows = Vec<(String, Vec<(String, &'static str)>)>;

fn run(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let text = match given.words[0].as_str() {
        "bash" => bash(&rows()),
        "zsh" => zsh(&rows()),
        "fish" => fish(&rows()),
        other => {
            return Err(Failure::Usage(format!("there are no completions for {other}: bash, zsh and fish")));
        }
    };
    Ok(screen.put(text.as_bytes())?)
}

fn rows() -> Rows {
    let options = || OPTIONS.iter().map(dashed).collect::<Vec<_>>();
    let mut first = vec![("serve".to_owned(), "Run the broker.")];
    first.extend(TOOLS.iter().map(|tool| (tool.name.to_owned(), tool.summary)));
    first.extend(options());
    let mut rows: Rows = vec![(String::new(), first), ("serve".to_owned(), options())];
    for tool in TOOLS {
        match tool.run {
            Run::Flags(table, _) => rows.push((tool.name.to_owned(), table.iter().map(dashed).collect())),
            Run::Verbs([single]) if single.name.is_empty() => {
                rows.push((tool.name.to_owned(), of_verb(single)))
            }
            Run::Verbs(verbs) => {
                let names = verbs.iter().map(|verb| (verb.name.to_owned(), verb.help));
                rows.push((tool.name.to_owned(), names.collect()));
                rows.extend(verbs.iter().map(|verb| (format!("{} {}", tool.name, verb.name), of_verb(verb))));
            }
            Run::Commands(parser, _) => {
                let commands = parser.commands.iter().map(|command| (command.name.to_owned(), command.help));
                let options = |table: &'static [Opt]| table.iter().map(|option| dashed(&option.flag));
                rows.push((tool.name.to_owned(), commands.chain(options(parser.options)).collect()));
                rows.extend(parser.commands.iter().map(|command| {
                    (format!("{} {}", tool.name, command.name), options(command.options).collect())
                }));
            }
            Run::Words(_) | Run::Serve => {}
        }
    }
    rows
}

fn dashed(flag: &Flag) -> (String, &'static str) {
    (format!("--{}", flag.name), flag.help)
}

/// The flags of a verb, and what its words may be.
fn of_verb(verb: &Verb) -> Vec<(String, &'static str)> {
    let mut words: Vec<(String, &'static str)> = all_flags(verb).map(dashed).collect();
    words.push(("--help".to_owned(), "Print usage information."));
    words.extend(
        verb.words
            .split('|')
            .filter(|word| verb.words.contains('|') && !word.is_empty())
            .map(|word| (word.to_owned(), "")),
    );
    words
}

/// Which command lists what the words of a verb name.
fn listed(words: &str) -> Option<&'static str> {
    let all: Vec<_> = TOOLS
        .iter()
        .filter_map(|tool| match tool.run {
            Run::Verbs(verbs) => Some((tool.name, verbs)),
            _ => None,
        })
        .collect();
    let (tool, name) = words.split_once(' ').unwrap_or((words, ""));
    let (_, verbs) = all.iter().find(|(found, _)| *found == tool)?;
    let verb = verbs.iter().find(|verb| verb.name == name)?;
    let is_new = tool == "topic" && name == "create";
    ["TOPIC", "GROUP"]
        .iter()
        .position(|kind| verb.words.contains(kind) && !is_new)
        .map(|kind| ["topic", "group"][kind])
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn bash(rows: &Rows) -> String {
    let mut text = String::from("_milena_words() {\n  case $1 in\n");
    for (before, words) in rows {
        let names: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
        let asked = listed(before).map(|kind| format!("; {}", ASK.replace("%s", kind))).unwrap_or_default();
        let _ = writeln!(text, "    {}) printf '%s\\n' {}{asked} ;;", quoted(before), names.join(" "));
    }
    let _ = write!(text, "  esac\n}}\n{BASH}complete -o default -F _milena {}\n", names().join(" "));
    text
}

fn zsh(rows: &Rows) -> String {
    let mut text = format!("#compdef {}\n_milena_words() {{\n  case $1 in\n", names().join(" "));
    for (before, words) in rows {
        let described: Vec<String> = words
            .iter()
            .map(|(word, help)| quoted(&format!("{}:{}", word.replace(':', "\\:"), help.replace(':', "\\:"))))
            .collect();
        let asked = listed(before)
            .map(|kind| format!("; found+=(${{${{(f)\"$({})\"}}//:/\\\\:}})", ASK.replace("%s", kind)));
        let _ = writeln!(
            text,
            "    {}) found=({}){} ;;",
            quoted(before),
            described.join(" "),
            asked.unwrap_or_default()
        );
    }
    // As a file of completions it is the body of the function; as a text that is sourced it has to be made known.
    let _ = write!(
        text,
        "  esac\n}}\n{ZSH}if [[ $funcstack[1] == _milena ]]; then _milena \"$@\"; else compdef _milena {}; fi\n",
        names().join(" ")
    );
    text
}

fn fish(rows: &Rows) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    let mut text = String::from("function __milena_words\n    switch \"$argv[1]\"\n");
    for (before, words) in rows {
        let lines: Vec<String> =
            words.iter().map(|(word, help)| quoted(&format!("{word}\t{help}"))).collect();
        let _ =
            writeln!(text, "        case {}\n            printf '%s\\n' {}", quoted(before), lines.join(" "));
        if let Some(kind) = listed(before) {
            let _ = writeln!(text, "            {}", ASK.replace("%s", kind));
        }
    }
    let _ = write!(text, "    end\nend\n{FISH}");
    for name in names() {
        let _ = writeln!(text, "complete -c {name} -a '(__milena_complete)'");
    }
    text
}

/// All names that the completions are for.
fn names() -> Vec<String> {
    let mut names = vec!["milena".to_owned()];
    for tool in TOOLS.iter().filter(|tool| tool.is_script && matches!(tool.run, Run::Flags(..))) {
        names.extend([tool.name.to_owned(), format!("{}.sh", tool.name)]);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::{bash, fish, listed, rows, zsh};

    #[test]
    fn every_command_is_completed() {
        let rows = rows();
        let after = |before: &str| -> Vec<&str> {
            let found = rows.iter().find(|(words, _)| words == before).expect(before);
            found.1.iter().map(|(word, _)| word.as_str()).collect()
        };
        for (before, word) in [
            ("", "topic"),
            ("", "serve"),
            ("", "--ephemeral"),
            ("serve", "--port"),
            ("topic", "create"),
            ("topic create", "--partitions"),
            ("topic create", "--bootstrap"),
            ("consume", "--follow"),
            ("completions", "zsh"),
            ("kafka-topics", "--list"),
        ] {
            assert!(after(before).contains(&word), "{before}: {word}");
        }
        for (words, kind) in [
            ("consume", Some("topic")),
            ("topic delete", Some("topic")),
            ("topic create", None),
            ("group seek", Some("group")),
            ("lag", Some("group")),
            ("topic", None),
            ("kafka-topics", None),
        ] {
            assert_eq!(listed(words), kind, "{words}");
        }
    }

    #[test]
    fn quotes_are_closed() {
        for text in [bash(&rows()), zsh(&rows()), fish(&rows())] {
            for line in text.lines() {
                let plain = line.replace("'\\''", "").replace("\\'", "");
                assert_eq!(plain.matches('\'').count() % 2, 0, "{line}");
            }
        }
    }
}
