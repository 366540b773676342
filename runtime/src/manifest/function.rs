//! `[functions.NAME]`: which code, on which input, to which topics, within which limits.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use bytesize::ByteSize;

use super::{
    Batch, Capability, FunctionSettings, Input, Limits, Module, OnFailure,
    declared::{Declared, topic},
    kafka::Trust,
    names::{code_name, is_name},
    section::{Field, hint, parse_duration},
    tree::{Node, Value, shorten},
};

const INPUTS: &str = "a list of topics, or a table of the code's names to topics";

/// Reads one function's table.
pub(super) fn read(
    name: &str,
    field: &Field<'_>,
    declared: &Declared,
    trust: Trust<'_>,
) -> Option<FunctionSettings> {
    let mut section = field.section("a table with `module`, `inputs` and `outputs`")?;
    let module = section.need("module", "module = \".\"").and_then(|field| module(&field, trust));
    let inputs =
        section.need("inputs", "inputs = [\"orders\"]").and_then(|field| inputs(&field, declared));
    let filter = section.get("where").map(|field| filter(&field));
    let outputs = section.get("outputs").map(|field| outputs(&field));
    let config = section.get("config").map(|field| config(&field));
    let stores = section.get("stores").map(|field| declared.granted(&field, "store"));
    let tables = section.get("tables").map(|field| declared.granted(&field, "table"));
    let batch = section.get("batch").map_or_else(|| Some(Batch::default()), |field| batch(&field));
    let limits =
        section.get("limits").map_or_else(|| Some(Limits::default()), |field| limits(&field));
    let on_failure = section
        .get("on-failure")
        .map_or_else(|| Some(OnFailure::default()), |field| on_failure(&field));
    let allow = section.get("allow").map(|field| allow(&field));
    section.finish();
    Some(FunctionSettings {
        name: name.to_owned(),
        module: module?,
        inputs: inputs?,
        filter: filter.unwrap_or_default(),
        outputs: outputs.unwrap_or_default(),
        config: config.unwrap_or_default(),
        stores,
        tables,
        batch: batch?,
        limits: limits?,
        on_failure: on_failure?,
        allow: allow.unwrap_or_default(),
    })
}

fn module(field: &Field<'_>, trust: Trust<'_>) -> Option<Module> {
    let text = field.text("a folder, a .wasm file, name@version or sha256:…")?;
    if let Some(reference) = Module::reference(text) {
        return Some(reference);
    }
    if text.starts_with("sha256:") {
        return field.expected("sha256: and 64 digits of 0-9 and a-f");
    }
    match trust {
        Trust::Local { .. } if text.is_empty() => field.expected("a folder, \".\" for this one"),
        Trust::Local { folder, .. } => Some(Module::Path(clean(&folder.join(text)))),
        Trust::Uploaded if is_name(text) => {
            Some(Module::Registry { name: text.to_owned(), version: None })
        }
        Trust::Uploaded => field.wrong(
            format_args!("found {:?}, which names no uploaded function", shorten(text)),
            "upload it first, then write its name, name@version or sha256:…",
        ),
    }
}

/// Without `.` in between, so that messages show what a person would write.
fn clean(path: &Path) -> PathBuf {
    let clean: PathBuf = path.components().collect();
    if clean.as_os_str().is_empty() { PathBuf::from(".") } else { clean }
}

fn inputs(field: &Field<'_>, declared: &Declared) -> Option<Vec<(Option<String>, Input)>> {
    let inputs: Vec<(Option<String>, Input)> = match &field.node.value {
        Value::List(items) => {
            let items = items.iter().map(|node| Field {
                report: field.report,
                path: field.path.clone(),
                node,
            });
            items.filter_map(|item| Some((None, declared.input(&item)?))).collect()
        }
        Value::Table(_) => {
            let named = by_name(field, |item| declared.input(item));
            named.into_iter().map(|(name, input)| (Some(name), input)).collect()
        }
        _ => return field.expected(INPUTS),
    };
    if is_empty(field.node) {
        return field.wrong("found no input", format_args!("expected {INPUTS}"));
    }
    let twice = inputs
        .iter()
        .enumerate()
        .find(|(index, (_, input))| inputs[..*index].iter().any(|(_, other)| other == input));
    if let Some((_, (_, input))) = twice {
        return field.wrong(format_args!("found {input} twice"), "name each input once");
    }
    Some(inputs)
}

fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::List(items) => items.is_empty(),
        Value::Table(table) => table.0.is_empty(),
        _ => false,
    }
}

fn outputs(field: &Field<'_>) -> BTreeMap<String, String> {
    by_name(field, topic).into_iter().collect()
}

/// A table of names that code sees, which are spelt as there.
fn by_name<T>(field: &Field<'_>, read: impl Fn(&Field<'_>) -> Option<T>) -> Vec<(String, T)> {
    let Some(table) = field.table("a table of the code's names") else { return Vec::new() };
    let mut found: Vec<(String, T)> = Vec::new();
    for entry in &table.0 {
        let item = field.child(&entry.key, &entry.node);
        let name = code_name(&entry.key);
        if !is_name(&entry.key) {
            item.wrong::<()>(
                "no name",
                "names have lower-case letters, digits, `-` and `_`, and start with a letter",
            );
        } else if found.iter().any(|(other, _)| *other == name) {
            item.wrong::<()>("found twice: `-` and `_` are the same letter", "name it once");
        } else if let Some(value) = read(&item) {
            found.push((name, value));
        }
    }
    found
}

/// Fields and what they must be.
pub(super) fn filter(field: &Field<'_>) -> BTreeMap<String, serde_json::Value> {
    let Some(table) = field.table("a table of fields to values, such as { side = \"BUY\" }") else {
        return BTreeMap::new();
    };
    let scalar = |entry: &super::tree::Entry| match &entry.node.value {
        Value::List(_) | Value::Table(_) => field
            .child(&entry.key, &entry.node)
            .expected("a text, a number, true or false that the field must equal"),
        _ => Some((entry.key.clone(), json(&field.child(&entry.key, &entry.node))?)),
    };
    table.0.iter().filter_map(scalar).collect()
}

fn config(field: &Field<'_>) -> serde_json::Map<String, serde_json::Value> {
    by_name(field, json).into_iter().collect()
}

fn json(field: &Field<'_>) -> Option<serde_json::Value> {
    Some(match &field.node.value {
        Value::Text(text) | Value::Time(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => {
            let number = serde_json::Number::from_f64(*number);
            return number.map(Into::into).or_else(|| field.expected("a number that JSON knows"));
        }
        Value::Bool(value) => (*value).into(),
        Value::List(items) => {
            let items = items.iter().map(|node| Field {
                report: field.report,
                path: field.path.clone(),
                node,
            });
            items.map(|item| json(&item)).collect::<Option<Vec<_>>>()?.into()
        }
        Value::Table(table) => {
            let fields = table.0.iter().map(|entry| {
                Some((entry.key.clone(), json(&field.child(&entry.key, &entry.node))?))
            });
            fields.collect::<Option<serde_json::Map<_, _>>>()?.into()
        }
    })
}

fn batch(field: &Field<'_>) -> Option<Batch> {
    let mut section = field.section("a table such as { records = 500, bytes = \"64KiB\" }")?;
    let default = Batch::default();
    let records =
        section.get("records").map_or(Some(default.records), |field| field.number(1, 100_000));
    let bytes = section
        .get("bytes")
        .map_or(Some(default.bytes), |field| field.size(ByteSize::kib(1), ByteSize::mib(16)));
    section.finish();
    Some(Batch { records: records?, bytes: bytes? })
}

fn limits(field: &Field<'_>) -> Option<Limits> {
    let mut section = field.section("a table such as { memory = \"64MiB\", time = \"1s\" }")?;
    let default = Limits::default();
    let memory = section
        .get("memory")
        .map_or(Some(default.memory), |field| field.size(ByteSize::mib(1), ByteSize::gib(4)));
    // A call must be over well before the broker gives up on the transaction around it (10 s).
    let time = section.get("time").map_or(Some(default.time), |field| {
        field.duration(Duration::from_millis(1), Duration::from_millis(4_900))
    });
    let output = section
        .get("output")
        .map_or(Some(default.output), |field| field.size(ByteSize::b(1), ByteSize::gib(1)));
    let log_line = section
        .get("log-line")
        .map_or(Some(default.log_line), |field| field.size(ByteSize::b(16), ByteSize::mib(1)));
    section.finish();
    Some(Limits { memory: memory?, time: time?, output: output?, log_line: log_line? })
}

fn on_failure(field: &Field<'_>) -> Option<OnFailure> {
    let mut section = field.section("a table such as { retries = 3, backoff = \"100ms..10s\" }")?;
    let retries = section.get("retries").map(|field| field.number(0, 1_000_000));
    let backoff =
        section.get("backoff").map_or(Some(OnFailure::default().backoff), |field| backoff(&field));
    section.finish();
    Some(OnFailure {
        retries: retries.map_or(Some(None), |retries| retries.map(Some))?,
        backoff: backoff?,
    })
}

fn backoff(field: &Field<'_>) -> Option<(Duration, Duration)> {
    const EXPECTED: &str =
        "the first and the longest wait, at least 1ms and at most 1h, such as \"100ms..10s\"";
    let text = field.text(EXPECTED)?;
    let waits = text
        .split_once("..")
        .and_then(|(first, longest)| Some((parse_duration(first)?, parse_duration(longest)?)));
    let fits = |(first, longest): &(Duration, Duration)| {
        *first >= Duration::from_millis(1)
            && first <= longest
            && *longest <= Duration::from_secs(3_600)
    };
    waits.filter(fits).or_else(|| field.expected(EXPECTED))
}

fn allow(field: &Field<'_>) -> Vec<Capability> {
    const EXPECTED: &str = "a list of \"clock\" and \"random\"";
    let Value::List(items) = &field.node.value else {
        return field.expected(EXPECTED).unwrap_or_default();
    };
    let mut allowed = Vec::new();
    for node in items {
        let item = Field { report: field.report, path: field.path.clone(), node };
        match item.text(EXPECTED) {
            Some("clock") => allowed.push(Capability::Clock),
            Some("random") => allowed.push(Capability::Random),
            Some(other) => {
                let hint = hint(other, ["clock", "random"].into_iter());
                item.wrong::<()>(format_args!("unknown capability {:?}", shorten(other)), hint);
            }
            None => {}
        }
    }
    allowed.dedup();
    allowed
}
