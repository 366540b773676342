//! The table at the end.

/// Rows as they come.
#[derive(Debug, Default)]
pub struct Table(Vec<[String; 4]>);

impl Table {
    /// What was measured, what came out, what it is held against, and what is wanted.
    pub fn row(&mut self, what: &str, found: String, against: String, target: &str) {
        println!("{what}: {found}; {against}");
        self.0.push([what.to_owned(), found, against, target.to_owned()]);
    }

    pub fn print(&self) {
        if self.0.is_empty() {
            return;
        }
        let title = ["what", "found", "against", "target"].map(str::to_owned);
        let rows: Vec<&[String; 4]> = std::iter::once(&title).chain(&self.0).collect();
        let width = |column: usize| {
            rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let widths = [0, 1, 2, 3].map(width);
        println!();
        for row in rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
    }
}

/// `1234567.8` as `1,234,568`.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The middle one.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
