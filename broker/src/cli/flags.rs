//! Flags as Kafka's tools read them: `--name value`, `--name=value`, one dash for two, no abbreviations.
//!
//! A tool is a table of [`Flag`]s; reading and help derive from it.

use super::failure::Failure;

/// Whether a flag has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// None.
    Nothing,
    /// One, called this in the help.
    Value(&'static str),
    /// One, if the next word is not a flag.
    Maybe(&'static str),
}

/// A flag of a tool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag {
    /// The name without dashes.
    pub(crate) name: &'static str,
    /// Whether it has a value.
    pub(crate) takes: Takes,
    /// One line for the help.
    pub(crate) help: &'static str,
}

impl Flag {
    /// The flag as the help has it.
    pub(crate) fn shown(&self) -> String {
        match self.takes {
            Takes::Nothing => format!("--{}", self.name),
            Takes::Value(of) => format!("--{} <{of}>", self.name),
            Takes::Maybe(of) => format!("--{} [{of}]", self.name),
        }
    }
}

/// A flag without a value.
pub(crate) const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag { name, takes: Takes::Nothing, help }
}

/// A flag with a value.
pub(crate) const fn value(name: &'static str, of: &'static str, help: &'static str) -> Flag {
    Flag { name, takes: Takes::Value(of), help }
}

/// A flag that may have a value.
pub(crate) const fn maybe(name: &'static str, of: &'static str, help: &'static str) -> Flag {
    Flag { name, takes: Takes::Maybe(of), help }
}

/// Flags that Kafka has dropped, and what is there instead.
const GONE: [(&str, &str); 8] = [
    ("zookeeper", "--bootstrap-server HOST:PORT"),
    ("broker-list", "--bootstrap-server HOST:PORT"),
    ("brokers", "--bootstrap-server HOST:PORT"),
    ("whitelist", "--include REGEX"),
    ("blacklist", "--include REGEX"),
    ("new-consumer", "nothing: there is no other one"),
    ("authorizer-properties", "--bootstrap-server HOST:PORT"),
    ("exclude-internal-topics", "--exclude-internal"),
];

/// The flags that were given, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    flags: Vec<(&'static str, Option<String>)>,
    /// Words that belong to no flag.
    pub(crate) words: Vec<String>,
    /// Whether there was no word at all.
    pub(crate) is_empty: bool,
    line: String,
}

impl Given {
    /// Reads the words behind the tool's name.
    ///
    /// # Errors
    /// A flag that is not in the table, or lacks its value.
    pub(crate) fn read(table: &[Flag], words: &[String]) -> Result<Self, Failure> {
        Self::read_all(&[table], words)
    }

    /// Like [`Given::read`], with flags out of several tables.
    pub(crate) fn read_all(tables: &[&[Flag]], words: &[String]) -> Result<Self, Failure> {
        Self::read_short(tables, words, str::to_owned)
    }

    /// Like [`Given::read_all`], where `long` gives the long form of a flag, and every other word as it is. What stands where a
    /// value belongs is none: `-v -p` writes `-p`.
    pub(crate) fn read_short(
        tables: &[&[Flag]],
        words: &[String],
        long: impl Fn(&str) -> String,
    ) -> Result<Self, Failure> {
        let mut given = Self { is_empty: words.is_empty(), line: words.join(" "), ..Self::default() };
        let mut words = words.iter().peekable();
        let mut flags_end = false;
        while let Some(word) = words.next() {
            let word = &if flags_end { word.clone() } else { long(word) };
            let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
            let Some(name) = name.filter(|name| !name.is_empty() && !flags_end) else {
                flags_end |= word == "--";
                if word != "--" {
                    given.words.push(word.clone());
                }
                continue;
            };
            let (name, inline) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            let flag = find(tables, name).ok_or_else(|| unknown(name))?;
            let next = match flag.takes {
                Takes::Nothing if inline.is_some() => {
                    return Err(Failure::text(format!("Option {name} does not allow an argument")));
                }
                Takes::Nothing => None,
                // A value may begin with a dash, unless it is itself a flag: --shift-by -5.
                Takes::Value(_) => Some(
                    inline
                        .or_else(|| words.next_if(|word| !is_flag(tables, &long(word))).cloned())
                        .ok_or_else(|| Failure::text(format!("Option {name} requires an argument")))?,
                ),
                Takes::Maybe(_) => inline
                    .or_else(|| words.next_if(|word| !word.starts_with('-') || is_number(word)).cloned()),
            };
            given.flags.push((flag.name, next));
        }
        Ok(given)
    }

    /// All words as they were given.
    pub(crate) fn line(&self) -> &str {
        &self.line
    }

    /// Whether a flag was given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.flags.iter().any(|(given, _)| *given == name)
    }

    /// The value of a flag.
    ///
    /// # Errors
    /// It was given twice.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, Failure> {
        let mut all = self.flags.iter().filter(|(given, _)| *given == name);
        let first = all.next();
        if all.next().is_some() {
            let text = format!("Found multiple arguments for option {name}, but you asked for only one");
            return Err(Failure::Word(text));
        }
        Ok(first.and_then(|(_, value)| value.as_deref()))
    }

    /// The values of a flag that may be given more than once.
    pub(crate) fn all<'g>(&'g self, name: &'g str) -> impl Iterator<Item = &'g str> {
        self.flags.iter().filter(move |(given, _)| *given == name).filter_map(|(_, value)| value.as_deref())
    }

    /// All flags, in their order.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        self.flags.iter().map(|(name, value)| (*name, value.as_deref()))
    }

    /// A number.
    ///
    /// # Errors
    /// The value is none.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        let parse = |text: &str| {
            text.parse()
                .map_err(|_| Failure::Word(format!("Cannot parse argument '{text}' of option {name}")))
        };
        self.one(name)?.map(parse).transpose()
    }

    /// A value that has to be there.
    ///
    /// # Errors
    /// It is not.
    pub(crate) fn required(&self, name: &str) -> Result<&str, Failure> {
        self.one(name)?.ok_or_else(|| Failure::Usage(format!("Missing required argument \"[{name}]\"")))
    }

    /// Refuses what makes no sense together with `used`.
    ///
    /// # Errors
    /// The first of `others` that was given.
    pub(crate) fn excludes(&self, used: &str, others: &[&str]) -> Result<(), Failure> {
        match others.iter().find(|other| self.has(other)) {
            Some(other) if self.has(used) => {
                Err(Failure::Usage(format!("Option \"[{used}]\" can't be used with option \"[{other}]\"")))
            }
            _ => Ok(()),
        }
    }
}

/// The flags of a tool, one line each.
pub(crate) fn help(table: &[Flag]) -> String {
    let mut rows: Vec<(String, &str)> = table.iter().map(|flag| (flag.shown(), flag.help)).collect();
    rows.sort_unstable();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max(6);
    let mut text = format!("{:width$}  Description\n{:width$}  -----------\n", "Option", "------");
    for (name, help) in rows {
        text.push_str(format!("{name:width$}  {help}").trim_end());
        text.push('\n');
    }
    text
}

fn find<'t>(tables: &[&'t [Flag]], name: &str) -> Option<&'t Flag> {
    tables.iter().copied().flatten().chain(&STANDING).find(|flag| flag.name == name)
}

/// Flags of all tools.
const STANDING: [Flag; 2] =
    [switch("help", "Print usage information."), switch("version", "Print the version.")];

/// Whether a word is one of these flags, with a value or without.
pub(crate) fn is_flag(tables: &[&[Flag]], word: &str) -> bool {
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).unwrap_or_default();
    let name = name.split_once('=').map_or(name, |(name, _)| name);
    find(tables, name).is_some()
}

/// Whether a word is a number, which may begin with a dash.
pub(crate) fn is_number(word: &str) -> bool {
    word.parse::<f64>().is_ok()
}

fn unknown(name: &str) -> Failure {
    let text = format!("{name} is not a recognized option");
    match GONE.iter().find(|(gone, _)| *gone == name) {
        Some((_, instead)) => Failure::Usage(format!("{text}; use {instead}")),
        None => Failure::Usage(text),
    }
}

/// The long form of a word, if it is one of the short flags that this table has.
pub(crate) fn long(table: &[(&str, &str)], word: &str) -> String {
    table.iter().find(|(short, _)| *short == word).map_or(word, |(_, long)| long).to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Flag, Given, help, maybe, switch, value};

    const TABLE: &[Flag] = &[
        switch("list", "List."),
        value("topic", "NAME", "The topic."),
        value("shift-by", "N", "By."),
        maybe("state", "STATES", "The state."),
    ];

    fn read(line: &str) -> Result<Vec<String>, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let given = Given::read(TABLE, &words).map_err(|error| error.to_string())?;
        let flags = given.in_order().map(|(name, value)| match value {
            Some(value) => format!("{name}={value}"),
            None => name.to_owned(),
        });
        Ok(flags.chain(given.words.iter().map(|word| format!("'{word}"))).collect())
    }

    #[test]
    fn words_as_kafka_reads_them() {
        for (line, expected) in [
            ("", vec![]),
            ("--list", vec!["list"]),
            ("-list", vec!["list"]),
            ("--topic a --list", vec!["topic=a", "list"]),
            ("--topic=a=b", vec!["topic=a=b"]),
            ("--topic a --topic b", vec!["topic=a", "topic=b"]),
            ("--shift-by -5", vec!["shift-by=-5"]),
            ("--state --list", vec!["state", "list"]),
            ("--state stable", vec!["state=stable"]),
            ("rest --list -- --topic", vec!["list", "'rest", "'--topic"]),
        ] {
            assert_eq!(read(line).expect(line), expected, "{line}");
        }
    }

    #[test]
    fn refusals_have_kafkas_words() {
        for (line, expected) in [
            ("--lis", "lis is not a recognized option"),
            ("--topic", "Option topic requires an argument"),
            ("--topic --list", "Option topic requires an argument"),
            ("--list=x", "Option list does not allow an argument"),
            ("--zookeeper z:1", "zookeeper is not a recognized option; use --bootstrap-server HOST:PORT"),
        ] {
            assert_eq!(read(line), Err(expected.to_owned()), "{line}");
        }
        let twice = ["--topic", "a", "--topic", "b"].map(str::to_owned);
        let given = Given::read(TABLE, &twice).expect("flags");
        assert!(given.one("topic").is_err());
        assert!(given.number::<i32>("shift-by").expect("none").is_none());
        assert!(
            Given::read(TABLE, &["--shift-by=x".to_owned()])
                .expect("flags")
                .number::<i64>("shift-by")
                .is_err()
        );
    }

    #[test]
    fn help_lists_the_table() {
        let text = help(TABLE);
        for line in
            ["--list            List.", "--state [STATES]  The state.", "--topic <NAME>    The topic."]
        {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
