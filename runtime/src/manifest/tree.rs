//! The manifest as written: TOML in which every key and value knows its place.
//!
//! `--set` values are merged in here, so that whoever checks a value need not know where it came from.

use std::sync::Arc;

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::report::Report;

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// A line of the file, from 1.
    Line(usize),
    /// A `--set` argument, as given.
    Set(Arc<str>),
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub place: Place,
    pub value: Value,
}

/// A TOML value. Dates stay text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Time(String),
    List(Vec<Node>),
    Table(Table),
}

/// Keys in the order of the file; what `--set` adds comes last.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Table(pub Vec<Entry>);

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub key: String,
    pub place: Place,
    pub node: Node,
}

impl Node {
    /// Where a key of this table is, or the table itself.
    pub fn place_of(&self, key: &str) -> Place {
        match &self.value {
            Value::Table(table) => table.get(key).map_or(&self.place, |entry| &entry.place).clone(),
            _ => self.place.clone(),
        }
    }
}

impl Value {
    /// What it is, for messages: `the text "a"`, `a table`.
    pub fn describe(&self) -> String {
        match self {
            Value::Text(text) => format!("the text {:?}", shorten(text)),
            Value::Integer(number) => format!("the number {number}"),
            Value::Float(number) => format!("the number {number}"),
            Value::Bool(value) => format!("{value}"),
            Value::Time(time) => format!("the time {time}"),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
        }
    }
}

/// A text that is fit for a message of one line.
pub(super) fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl Table {
    /// The entry of a key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.key == key)
    }

    /// Puts the other table's values over this one's.
    fn merge(&mut self, other: Table) {
        for entry in other.0 {
            match self.0.iter_mut().find(|mine| mine.key == entry.key) {
                Some(mine) => match (&mut mine.node.value, entry.node.value) {
                    (Value::Table(mine), Value::Table(other)) => mine.merge(other),
                    (mine_value, value) => {
                        *mine_value = value;
                        mine.node.place = entry.node.place;
                        mine.place = entry.place;
                    }
                },
                None => self.0.push(entry),
            }
        }
    }
}

/// Reads TOML and the `--set` arguments over it. What is no TOML is reported.
pub(super) fn read(text: &str, sets: &[String], report: &Report) -> Table {
    let lines = Lines::of(text);
    let place = |start: usize| Place::Line(lines.at(start));
    let mut table = parse(text, &place, report);
    for set in sets {
        if let Some(over) = read_set(set, report) {
            table.merge(over);
        }
    }
    table
}

/// `key=value`: the key dotted as in TOML, the value TOML or else a text as it stands.
fn read_set(set: &str, report: &Report) -> Option<Table> {
    let place = Place::Set(set.into());
    let Some(split) = unquoted_equals(set) else {
        report.at(
            &place,
            "",
            "no `=` in it",
            "key=value, such as functions.settle.config.large_trade=5000",
        );
        return None;
    };
    let (key, value) = (set[..split].trim(), set[split + 1..].trim());
    let as_toml = format!("{key} = {value}\n");
    let text = match DeTable::parse(&as_toml) {
        // A value with a line break could bring keys of its own.
        Ok(_) if !value.contains('\n') => as_toml,
        _ => format!("{key} = {}\n", toml::Value::String(value.to_owned())),
    };
    Some(parse(&text, &|_| place.clone(), report))
}

fn unquoted_equals(set: &str) -> Option<usize> {
    let mut quote = None;
    for (index, byte) in set.bytes().enumerate() {
        match (quote, byte) {
            (None, b'=') => return Some(index),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

fn parse(text: &str, place: &dyn Fn(usize) -> Place, report: &Report) -> Table {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let start = error.span().map_or(0, |span| span.start);
        report.at(
            &place(start),
            "",
            &format!("not TOML: {}", error.message().replace('\n', ", ")),
            "",
        );
    }
    // What is left of a broken text would only give further errors that are none.
    if errors.is_empty() { convert_table(table.get_ref(), place, report) } else { Table::default() }
}

fn convert_table(table: &DeTable<'_>, place: &dyn Fn(usize) -> Place, report: &Report) -> Table {
    let mut sorted: Vec<(&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)> = table.iter().collect();
    sorted.sort_by_key(|(key, _)| key.span().start);
    let entries = sorted.into_iter().map(|(key, value)| Entry {
        key: key.get_ref().to_string(),
        place: place(key.span().start),
        node: convert(value, place, report),
    });
    Table(entries.collect())
}

fn convert(value: &Spanned<DeValue<'_>>, place: &dyn Fn(usize) -> Place, report: &Report) -> Node {
    let here = place(value.span().start);
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => {
                report.at(&here, "", &format!("the number {number}"), "one of 64 bits");
                Value::Integer(0)
            }
        },
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(time) => Value::Time(time.to_string()),
        DeValue::Array(items) => {
            Value::List(items.iter().map(|item| convert(item, place, report)).collect())
        }
        DeValue::Table(table) => Value::Table(convert_table(table, place, report)),
    };
    Node { place: here, value }
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Lines(text.match_indices('\n').map(|(index, _)| index + 1).collect())
    }

    fn at(&self, byte: usize) -> usize {
        self.0.partition_point(|start| *start <= byte) + 1
    }
}
