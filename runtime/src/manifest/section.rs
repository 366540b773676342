//! Reads a table key by key: what is of the wrong kind, missing or unknown is reported with its place.

use std::{fmt::Display, time::Duration};

use bytesize::ByteSize;

use super::{
    report::Report,
    tree::{Node, Place, Table, Value},
};

/// A table with a fixed set of keys.
pub(super) struct Section<'a> {
    report: &'a Report,
    path: String,
    place: Place,
    table: &'a Table,
    known: Vec<&'static str>,
}

/// A value with its key.
#[derive(Clone)]
pub(super) struct Field<'a> {
    pub report: &'a Report,
    pub path: String,
    pub node: &'a Node,
}

impl<'a> Section<'a> {
    /// `path` is the key of the table, empty for the whole manifest.
    pub fn new(report: &'a Report, path: &str, place: &Place, table: &'a Table) -> Self {
        Section { report, path: path.to_owned(), place: place.clone(), table, known: Vec::new() }
    }

    /// The value of a key.
    pub fn get(&mut self, key: &'static str) -> Option<Field<'a>> {
        self.known.push(key);
        let entry = self.table.get(key)?;
        Some(Field { report: self.report, path: join(&self.path, key), node: &entry.node })
    }

    /// The value of a key that must be there.
    pub fn need(&mut self, key: &'static str, example: &str) -> Option<Field<'a>> {
        let field = self.get(key);
        if field.is_none() {
            self.report.at(
                &self.place,
                &join(&self.path, key),
                "missing",
                &format!("write for instance {example}"),
            );
        }
        field
    }

    /// Reports every key that nobody asked for.
    pub fn finish(self) {
        for entry in &self.table.0 {
            let key = entry.key.as_str();
            if !self.known.contains(&key) {
                let hint = hint(&entry.key, self.known.iter().copied());
                self.report.at(&entry.place, &join(&self.path, &entry.key), "unknown key", &hint);
            }
        }
    }
}

/// A key as in a dotted path; quoted where TOML wants it.
pub(super) fn join(path: &str, key: &str) -> String {
    let bare = !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let key = if bare { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// `did you mean …? known here: …`
pub(super) fn hint<'k>(found: &str, known: impl Iterator<Item = &'k str>) -> String {
    let known: Vec<&str> = known.collect();
    let near = known
        .iter()
        .map(|key| (strsim::jaro_winkler(&found.to_lowercase().replace('_', "-"), key), key))
        .filter(|(score, _)| *score > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let list = known.join(", ");
    match near {
        Some((_, key)) => format!("did you mean `{key}`? known here: {list}"),
        None => format!("known here: {list}"),
    }
}

impl<'a> Field<'a> {
    /// A value in a list or table below this one.
    pub fn child(&self, key: &str, node: &'a Node) -> Field<'a> {
        Field { report: self.report, path: join(&self.path, key), node }
    }

    /// Reports the value. For chaining: gives nothing.
    pub fn wrong<T>(&self, found: impl Display, expected: impl Display) -> Option<T> {
        self.report.at(&self.node.place, &self.path, &found.to_string(), &expected.to_string());
        None
    }

    /// Reports that the value is of a wrong kind.
    pub fn expected<T>(&self, expected: impl Display) -> Option<T> {
        self.wrong(
            format_args!("found {}", self.node.value.describe()),
            format_args!("expected {expected}"),
        )
    }

    /// A text.
    pub fn text(&self, expected: &str) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            _ => self.expected(expected),
        }
    }

    /// A table.
    pub fn table(&self, expected: &str) -> Option<&'a Table> {
        match &self.node.value {
            Value::Table(table) => Some(table),
            _ => self.expected(expected),
        }
    }

    /// A table with a fixed set of keys.
    pub fn section(&self, expected: &str) -> Option<Section<'a>> {
        let table = self.table(expected)?;
        Some(Section::new(self.report, &self.path, &self.node.place, table))
    }

    /// A whole number in bounds, both inclusive.
    pub fn number(&self, least: u32, most: u32) -> Option<u32> {
        match self.node.value {
            Value::Integer(number) => u32::try_from(number)
                .ok()
                .filter(|number| (least..=most).contains(number))
                .or_else(|| self.between(least, most)),
            _ => self.between(least, most),
        }
    }

    fn between<T>(&self, least: impl Display, most: impl Display) -> Option<T> {
        self.expected(format_args!("a number from {least} to {most}"))
    }

    /// A duration in bounds, both inclusive.
    pub fn duration(&self, least: Duration, most: Duration) -> Option<Duration> {
        let written = |duration| humantime::format_duration(duration);
        let range = format!("a duration from \"{}\" to \"{}\"", written(least), written(most));
        let duration = parse_duration(self.text(&range)?);
        duration
            .filter(|duration| (least..=most).contains(duration))
            .or_else(|| self.expected(&range))
    }

    /// A size in bytes in bounds, both inclusive.
    pub fn size(&self, least: ByteSize, most: ByteSize) -> Option<usize> {
        let range = format!("a size from \"{}\" to \"{}\"", size(least), size(most));
        let found: Option<ByteSize> = self.text(&range)?.parse().ok();
        found
            .filter(|size| (least..=most).contains(size))
            .and_then(|size| usize::try_from(size.as_u64()).ok())
            .or_else(|| self.expected(&range))
    }
}

fn size(size: ByteSize) -> String {
    size.display().iec().to_string().replace(".0 ", "").replace(' ', "")
}

/// As `100ms` or `1m 30s`.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}
