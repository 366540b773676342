//! `[joins.NAME]` and `[rekey.NAME]`: inputs that are made of others.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Input, JoinSettings, RekeySettings, TableSettings,
    aggregate::{IDLE, idle},
    declared::{Declared, Items, topic},
    names::code_name,
    section::{Field, Section},
    state::{AGE, all},
    tree::Value,
};
use crate::topology::{Format, JoinKind, KeyFrom};

/// Reads the joins, by the code's names.
pub(super) fn joins(
    items: &Items<'_>,
    declared: &Declared,
    tables: &BTreeMap<String, TableSettings>,
) -> BTreeMap<String, JoinSettings> {
    let sides =
        |(name, field): &(String, Field<'_>)| Some((code_name(name), sides(field, declared)?));
    let read: BTreeMap<String, (Input, Input)> = items.iter().filter_map(sides).collect();
    let rows = joins_of_tables(&read);
    let joins = items.iter().filter_map(|(name, field)| {
        let sides = read.get(&code_name(name));
        let pair = sides.map(|(left, right)| Pair::of(left, right, &rows, tables));
        let join = join(name, field, declared, pair)?;
        Some((code_name(name), join))
    });
    joins.collect()
}

fn sides(field: &Field<'_>, declared: &Declared) -> Option<(Input, Input)> {
    let Value::Table(table) = &field.node.value else { return None };
    let side = |key: &str| {
        // What is wrong is told when the join is read.
        let node = &table.get(key)?.node;
        matches!(&node.value, Value::Text(text) if declared.is_known(text))
            .then(|| declared.side(&field.child(key, node)))
            .flatten()
            .or_else(|| Some(Input::Topic(String::new())))
    };
    Some((side("left")?, side("right")?))
}

/// What is joined with what.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pair {
    Streams,
    Table,
    Broadcast,
    Tables,
    /// A table on the left and a stream on the right.
    Turned,
}

impl Pair {
    fn of(
        left: &Input,
        right: &Input,
        rows: &BTreeSet<&str>,
        tables: &BTreeMap<String, TableSettings>,
    ) -> Pair {
        match (is_rows(left, rows), is_rows(right, rows), right) {
            (true, true, _) => Pair::Tables,
            (true, false, _) => Pair::Turned,
            (false, true, Input::Table(table))
                if tables.get(table).is_some_and(|it| it.broadcast) =>
            {
                Pair::Broadcast
            }
            (false, true, _) => Pair::Table,
            (false, false, _) => Pair::Streams,
        }
    }
}

/// Whether it is a table: declared, or a join of two.
fn is_rows(input: &Input, rows: &BTreeSet<&str>) -> bool {
    match input {
        Input::Table(_) => true,
        Input::Join(name) => rows.contains(name.as_str()),
        _ => false,
    }
}

/// The joins whose sides are both tables.
fn joins_of_tables(joins: &BTreeMap<String, (Input, Input)>) -> BTreeSet<&str> {
    let mut rows = BTreeSet::new();
    loop {
        let known = rows.len();
        for (name, (left, right)) in joins {
            if is_rows(left, &rows) && is_rows(right, &rows) {
                rows.insert(name.as_str());
            }
        }
        if rows.len() == known {
            return rows;
        }
    }
}

fn join(
    name: &str,
    field: &Field<'_>,
    declared: &Declared,
    pair: Option<Pair>,
) -> Option<JoinSettings> {
    let mut section = field.section("a table with `left`, `right` and `kind`")?;
    let left = section.need("left", "left = \"orders\"").and_then(|field| declared.side(&field));
    let right = section.need("right", "right = \"payments\"");
    let right = right.and_then(|field| Some((declared.side(&field)?, field)));
    let kind =
        section.need("kind", "kind = \"inner\"").and_then(|field| Some((kind(&field)?, field)));
    let within_field = section.get("within");
    let grace_field = section.get("grace");
    let idle_field = section.get("idle");
    let key_field = section.get("key");
    section.finish();
    let pair = pair?;
    if pair == Pair::Turned {
        return right?.1.wrong(
            "a table on the left side is joined with a table",
            "put the stream on the left side and the table on the right one",
        );
    }
    if let (Pair::Table, Some((Input::Join(_), field))) = (pair, &right) {
        return field.wrong(
            "the join of two tables keeps no rows that could be looked up",
            "write it to a compacted topic in a function, and declare that under [tables.NAME]",
        );
    }
    let (kind, kind_field) = kind?;
    if matches!(pair, Pair::Table | Pair::Broadcast)
        && matches!(kind, JoinKind::Right | JoinKind::Full)
    {
        kind_field.wrong::<()>(
            format_args!(
                "found {}, and rows of a table come out with records only",
                kind_field.node.value.describe()
            ),
            "with a table on the right side it is \"inner\" or \"left\"",
        );
    }
    let streams = pair == Pair::Streams;
    for field in [&within_field, &grace_field, &idle_field].into_iter().flatten() {
        if !streams {
            field.wrong::<()>("one side is a table", "it belongs to two streams: leave it out");
        }
    }
    let within = all(within_field.as_ref().map(within));
    if streams && within_field.is_none() {
        let example = "within = \"10m\", or within = { before = \"0s\", after = \"10m\" }";
        field.wrong::<()>(
            "`within` is missing: both sides are streams",
            format_args!("write for instance {example}"),
        );
    }
    let grace =
        grace_field.map_or(Some(Duration::ZERO), |field| field.duration(Duration::ZERO, AGE));
    let waits = kind != JoinKind::Inner;
    let idle = match &idle_field {
        None => Some((streams && waits).then_some(IDLE)),
        Some(field) if streams && !waits => field.wrong(
            "nothing waits in an inner join",
            "it belongs to left, right and full ones: leave it out",
        ),
        Some(field) => idle(field),
    };
    let key = all(key_field.as_ref().map(|field| {
        if pair != Pair::Broadcast {
            return field.wrong(
                "the right side is not a broadcast table",
                "others are joined by the record's key: leave it out, use [rekey.NAME], or declare the table with \
                 broadcast = true",
            );
        }
        key(field)
    }));
    Some(JoinSettings {
        name: name.to_owned(),
        left: left?,
        right: right?.0,
        kind,
        tables: pair == Pair::Tables,
        within: within?,
        grace: grace?,
        idle: idle?,
        key: key?,
    })
}

fn kind(field: &Field<'_>) -> Option<JoinKind> {
    const EXPECTED: &str = "\"inner\", \"left\", \"right\" or \"full\"";
    match field.text(EXPECTED)? {
        "inner" => Some(JoinKind::Inner),
        "left" => Some(JoinKind::Left),
        "right" => Some(JoinKind::Right),
        "full" => Some(JoinKind::Full),
        _ => field.expected(EXPECTED),
    }
}

/// How long before and after.
fn within(field: &Field<'_>) -> Option<(Duration, Duration)> {
    const EXPECTED: &str = "a duration such as \"10m\", or { before = \"0s\", after = \"10m\" }";
    if let Value::Text(_) = field.node.value {
        return field.duration(Duration::ZERO, AGE).map(|both| (both, both));
    }
    let mut section = field.section(EXPECTED)?;
    let side = |section: &mut Section<'_>, key: &'static str| {
        section
            .need(key, &format!("{key} = \"10m\""))
            .and_then(|it| it.duration(Duration::ZERO, AGE))
    };
    let (before, after) = (side(&mut section, "before"), side(&mut section, "after"));
    section.finish();
    Some((before?, after?))
}

/// Where a key is.
fn key(field: &Field<'_>) -> Option<KeyFrom> {
    const EXPECTED: &str = "\"json:FIELD\" or \"header:NAME\"";
    match field.text(EXPECTED)?.split_once(':') {
        Some(("json", name)) if !name.is_empty() => {
            Some(KeyFrom::Column { format: Format::Json, name: name.to_owned() })
        }
        Some(("header", name)) if !name.is_empty() => Some(KeyFrom::Header(name.to_owned())),
        _ => field.expected(EXPECTED),
    }
}

/// Reads what is sent on under other keys, by the code's names.
pub(super) fn rekeys(items: &Items<'_>, declared: &Declared) -> BTreeMap<String, RekeySettings> {
    let read = |(name, field): &(String, Field<'_>)| {
        Some((code_name(name), rekey(name, field, declared)?))
    };
    items.iter().filter_map(read).collect()
}

fn rekey(name: &str, field: &Field<'_>, declared: &Declared) -> Option<RekeySettings> {
    let mut section = field.section("a table with `input` and `by`")?;
    let input =
        section.need("input", "input = \"orders\"").and_then(|field| declared.input(&field));
    let by = section.get("by").map(|field| key(&field));
    let by_function = matches!(input, Some(Input::Function { .. }));
    if by.is_none() && !by_function && input.is_some() {
        field.wrong::<()>(
            "`by` is missing",
            "write for instance by = \"json:userid\"; only an output of a function brings keys of its own",
        );
    }
    let topic = section.get("topic").map(|field| topic(&field));
    let partitions = section.get("partitions").map(|field| field.number(1, 100_000));
    section.finish();
    Some(RekeySettings {
        name: name.to_owned(),
        input: input?,
        by: all(by)?.unwrap_or(KeyFrom::Key),
        topic: all(topic)?,
        partitions: all(partitions)?,
    })
}
