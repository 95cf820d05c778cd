//! Medians, a row for each scenario and metric, a column for each broker.

/// Collects values and prints their medians.
pub(super) struct Table {
    columns: Vec<String>,
    rows: Vec<Row>,
}

struct Row {
    scenario: String,
    metric: String,
    values: Vec<Vec<f64>>,
}

impl Table {
    /// An empty table.
    pub(super) fn new(columns: Vec<String>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds one measured value.
    pub(super) fn add(&mut self, column: usize, scenario: &str, metric: &str, value: f64) {
        let known = self.rows.iter().position(|row| row.scenario == scenario && row.metric == metric);
        let index = known.unwrap_or_else(|| {
            let values = vec![Vec::new(); self.columns.len()];
            self.rows.push(Row { scenario: scenario.to_owned(), metric: metric.to_owned(), values });
            self.rows.len() - 1
        });
        self.rows[index].values[column].push(value);
    }

    /// The table in Markdown, with the ratio of the first two columns where there are two.
    pub(super) fn render(&self) -> String {
        let mut out = format!("| scenario | metric | {} |", self.columns.join(" | "));
        if self.columns.len() > 1 {
            out += " ratio |";
        }
        out += "\n|---|---|";
        out += &"--:|".repeat(self.columns.len() + usize::from(self.columns.len() > 1));
        for row in &self.rows {
            let medians: Vec<Option<f64>> = row.values.iter().map(|values| median(values)).collect();
            out += &format!("\n| {} | {} |", row.scenario, row.metric);
            for value in &medians {
                out += &format!(" {} |", value.map_or_else(|| "-".to_owned(), shown));
            }
            if let [Some(first), Some(second), ..] = medians[..] {
                out += &format!(" {} |", if second > 0.0 { shown(first / second) } else { "-".to_owned() });
            }
        }
        out
    }
}

/// The middle value, or the mean of the two in the middle.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        len if len % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// About three digits that matter.
fn shown(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        medium if medium >= 10.0 => format!("{value:.1}"),
        small if small >= 0.1 || small == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn prints_medians_and_ratios() {
        let mut table = Table::new(vec!["a".to_owned(), "b".to_owned()]);
        for value in [3.0, 100.0, 1.0] {
            table.add(0, "s", "m", value);
        }
        table.add(1, "s", "m", 4.0);
        table.add(1, "s", "m", 8.0);
        let expected =
            "| scenario | metric | a | b | ratio |\n|---|---|--:|--:|--:|\n| s | m | 3.00 | 6.00 | 0.50 |";
        assert_eq!(table.render(), expected);
    }
}
