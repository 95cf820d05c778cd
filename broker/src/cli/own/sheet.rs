//! Rows of named cells, in the formats of `-o`.

use crate::cli::failure::Failure;
use crate::cli::flags::Given;
use crate::cli::screen::Screen;
use crate::cli::table::Table;
use serde_json::Value;
use std::borrow::Cow;

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Columns with heads.
    Table,
    /// One array of objects.
    Json,
    /// An object a line.
    Ndjson,
    /// The first column, each name once in a row.
    Name,
}

impl Format {
    /// What `-o` asks for.
    ///
    /// # Errors
    /// It is no format.
    pub(super) fn of(given: &Given) -> Result<Self, Failure> {
        match given.one("output")?.unwrap_or("table") {
            "table" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            "ndjson" | "jsonl" => Ok(Self::Ndjson),
            "name" => Ok(Self::Name),
            other => {
                Err(Failure::Usage(format!("{other} is no format: there are table, json, ndjson and name")))
            }
        }
    }
}

/// Rows under the same names.
#[derive(Clone, Debug)]
pub(super) struct Sheet {
    /// Names of the members in JSON; the heads of the table are the same in capitals.
    columns: Cow<'static, [&'static str]>,
    rows: Vec<Vec<Value>>,
}

impl Sheet {
    /// A sheet without rows.
    pub(super) fn new(columns: impl Into<Cow<'static, [&'static str]>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row, a cell for each column.
    pub(super) fn row(&mut self, cells: impl Into<Vec<Value>>) {
        self.rows.push(cells.into());
    }

    /// Prints it.
    pub(super) fn print(&self, screen: &mut Screen, format: Format) -> Result<(), Failure> {
        let mut text = match format {
            Format::Table => self.table(),
            Format::Json => format!("[{}]\n", self.objects().collect::<Vec<_>>().join(",\n ")),
            Format::Ndjson => self.objects().map(|object| object + "\n").collect(),
            Format::Name => self.names(),
        };
        if format == Format::Table && screen.is_styled() {
            let end = text.find('\n').unwrap_or(text.len());
            text = format!("\x1b[1m{}\x1b[0m{}", &text[..end], &text[end..]);
        }
        Ok(screen.put(text.as_bytes())?)
    }

    fn table(&self) -> String {
        let heads: Vec<String> = self.columns.iter().map(|column| head(column)).collect();
        let mut table = Table::new(&heads.iter().map(String::as_str).collect::<Vec<_>>());
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(|cell| harmless(text_of(cell))).collect();
            table.row(&cells.iter().map(String::as_str).collect::<Vec<_>>());
        }
        table.text()
    }

    fn objects(&self) -> impl Iterator<Item = String> {
        self.rows.iter().map(|row| object(&self.columns, row))
    }

    fn names(&self) -> String {
        let mut names: Vec<String> =
            self.rows.iter().filter_map(|row| row.first()).map(|cell| text_of(cell) + "\n").collect();
        names.dedup();
        names.concat()
    }
}

/// One object, its members in the order of the columns.
pub(super) fn object(columns: &[&str], cells: &[Value]) -> String {
    let members: Vec<String> =
        columns.iter().zip(cells).map(|(column, cell)| format!("\"{column}\":{cell}")).collect();
    format!("{{{}}}", members.join(","))
}

/// `clientId` as `CLIENT-ID`.
fn head(column: &str) -> String {
    let mut head = String::new();
    for found in column.chars() {
        if found.is_ascii_uppercase() {
            head.push('-');
        }
        head.push(found.to_ascii_uppercase());
    }
    head
}

/// Text that is no more than a cell: what came from somebody else's client could move the cursor.
fn harmless(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

/// A cell for people.
pub(super) fn text_of(cell: &Value) -> String {
    match cell {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(text_of).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, Sheet};
    use crate::cli::screen::Screen;
    use serde_json::{Value, json};
    use std::cell::RefCell;
    use std::io::{self, Write};
    use std::rc::Rc;

    #[derive(Clone, Default)]
    struct Paper(Rc<RefCell<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn printed(format: Format) -> String {
        let paper = Paper::default();
        let mut screen = Screen::new(Box::new(paper.clone()), Box::new(Vec::new()));
        let mut sheet = Sheet::new(&["topic", "logEnd", "isr"]);
        sheet.row([json!("a\"b"), json!(1), json!([1, 2])]);
        sheet.row([json!("a\"b"), Value::Null, json!([])]);
        sheet.print(&mut screen, format).expect("paper");
        screen.flush().expect("paper");
        let bytes = paper.0.borrow().clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn the_same_rows_in_all_formats() {
        assert_eq!(printed(Format::Table), "TOPIC  LOG-END  ISR\na\"b    1        1,2\na\"b    -\n");
        let lines = "{\"topic\":\"a\\\"b\",\"logEnd\":1,\"isr\":[1,2]}\n{\"topic\":\"a\\\"b\",\"logEnd\":null,\"isr\":[]}\n";
        assert_eq!(printed(Format::Ndjson), lines);
        let all: Vec<Value> = serde_json::from_str(&printed(Format::Json)).expect("an array");
        let single: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        assert_eq!(all, single);
        assert_eq!(printed(Format::Name), "a\"b\n");
    }

    #[test]
    fn a_cell_does_nothing_to_a_terminal() {
        assert_eq!(super::harmless("g\u{1b}[2J\n\u{9b}\u{fc} x".to_owned()), "g\\u{1b}[2J\\n\\u{9b}\u{fc} x");
    }
}
