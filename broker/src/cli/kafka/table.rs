//! Tables as Kafka's newer tools print them (`ToolsUtils.prettyPrintTable`).

use crate::cli::failure::Failure;
use crate::cli::screen::Screen;

/// Prints a row of names and the rows, in columns as wide as what is widest in them, each with a tab behind it.
pub(super) fn print_table(screen: &mut Screen, names: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
    let mut widths: Vec<usize> = names.iter().map(|name| name.len()).collect();
    for row in rows {
        for (width, text) in widths.iter_mut().zip(row) {
            *width = (*width).max(text.chars().count());
        }
    }
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    for row in std::iter::once(&names).chain(rows) {
        let line: String = row.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}\t")).collect();
        screen.say(line)?;
    }
    Ok(())
}
