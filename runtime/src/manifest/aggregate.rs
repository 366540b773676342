//! `[stores.NAME]` with `compute`: windows, what is computed over them, and when it comes out.

use std::{sync::Arc, time::Duration};

use tidemill_aggregates::{Aggregate, Compute};

use super::{
    AggregateSettings,
    declared::{Declared, topic},
    function::filter,
    section::{Field, Section, hint, parse_duration},
    state::{AGE, all, truth},
    tree::Value,
};
use crate::{
    aggregate::{Emit, KeyFormat, Spec, Windows},
    topology::Format,
};

/// How long time waits for the next record where results come out at the end, if nothing is said.
pub(super) const IDLE: Duration = Duration::from_secs(30);
/// How long windows are kept at least, if nothing is said.
const RETENTION: Duration = Duration::from_secs(60 * 60);
const SHORTEST: Duration = Duration::from_millis(1);

/// Reads what the host is to compute. `None` where the store is one that only functions write; `Some(None)` where
/// something is wrong.
pub(super) fn read(
    section: &mut Section<'_>,
    store: &Field<'_>,
    computed: bool,
    ttl: Option<&Field<'_>>,
    declared: &Declared,
) -> Option<Option<AggregateSettings>> {
    let keys = Keys {
        window: section.get("window"),
        grace: section.get("grace"),
        retention: section.get("retention"),
        from: section.get("from"),
        filter: section.get("where"),
        emit: section.get("emit"),
        every_update: section.get("every-update"),
        idle: section.get("idle"),
        output: section.get("output"),
        key_format: section.get("key-format"),
        format: section.get("format"),
    };
    let compute = section.get("compute");
    if compute.is_none() && keys.window.is_none() && keys.from.is_none() && !computed {
        keys.refuse_all();
        return None;
    }
    Some(keys.read(store, compute, ttl, declared))
}

/// The keys of a store that is computed, beside `compute`.
struct Keys<'a> {
    window: Option<Field<'a>>,
    grace: Option<Field<'a>>,
    retention: Option<Field<'a>>,
    from: Option<Field<'a>>,
    filter: Option<Field<'a>>,
    emit: Option<Field<'a>>,
    every_update: Option<Field<'a>>,
    idle: Option<Field<'a>>,
    output: Option<Field<'a>>,
    key_format: Option<Field<'a>>,
    format: Option<Field<'a>>,
}

impl Keys<'_> {
    /// Without anything to compute none of them means anything.
    fn refuse_all(&self) {
        let all = [&self.grace, &self.retention, &self.filter, &self.emit, &self.every_update];
        let more = [&self.idle, &self.output, &self.key_format, &self.format];
        for field in all.into_iter().chain(more).flatten() {
            field.wrong::<()>(
                "the host computes nothing in this store",
                "say what, as in compute = [\"count\"], or leave it out",
            );
        }
    }

    fn read(
        &self,
        store: &Field<'_>,
        compute: Option<Field<'_>>,
        ttl: Option<&Field<'_>>,
        declared: &Declared,
    ) -> Option<AggregateSettings> {
        let compute = match compute {
            Some(field) => self::compute(&field),
            None => store.wrong("`compute` is missing", "write for instance compute = [\"count\"]"),
        };
        if let Some(ttl) = ttl {
            let right = match self.window {
                Some(_) => "windows are kept as long as `retention` says: use retention",
                None => "without windows each key is kept: leave it out",
            };
            ttl.wrong::<()>("a store that is computed has no ttl", right);
        }
        let windows = all(self.window.as_ref().map(windows));
        let from = all(self.from.as_ref().map(|field| declared.input(field)));
        let filter = self.filter.as_ref().map(filter);
        if let (Some(field), None) = (&self.filter, &self.from) {
            field.wrong::<()>(
                "there is no `from` that it could choose from",
                "name what feeds the store, or let the function that feeds it choose",
            );
        }
        let output = all(self.output.as_ref().map(topic));
        let format = self.format.as_ref().map_or(Some(Format::Json), format);
        let grace = self.grace.as_ref().map_or(Some(Duration::ZERO), |field| {
            self.windowed(field)?;
            field.duration(Duration::ZERO, AGE)
        });
        let key_format = self.key_format.as_ref().map_or(Some(KeyFormat::Plain), |field| {
            self.windowed(field)?;
            key_format(field)
        });
        let emit = self.emit();
        let idle = self.idle(emit);
        let (windows, grace) = (windows?, grace?);
        let retention = self.retention(windows, grace);
        let spec = Spec {
            compute: compute?,
            windows,
            grace,
            retention: retention?,
            emit: emit?,
            idle: idle?,
            key_format: key_format?,
        };
        let (from, output, format) = (from?, output?, format?);
        if format != Format::Json && spec.compute.columns().len() != 1 {
            let found =
                format!("{} columns cannot be written as {format}", spec.compute.columns().len());
            return self
                .format
                .as_ref()?
                .wrong(found, "json has all columns, other formats are one");
        }
        Some(AggregateSettings { spec, from, filter: filter.unwrap_or_default(), output, format })
    }

    /// The key means something for windows only.
    fn windowed(&self, field: &Field<'_>) -> Option<()> {
        match self.window {
            Some(_) => Some(()),
            None => field.wrong(
                "the store has no windows",
                "add some, as in window = { tumbling = \"60s\" }, or leave it out",
            ),
        }
    }

    fn retention(&self, windows: Option<Windows>, grace: Duration) -> Option<Duration> {
        let least = windows.map_or(Duration::ZERO, length).saturating_add(grace);
        let Some(field) = &self.retention else { return Some(least.max(RETENTION)) };
        self.windowed(field)?;
        field.duration(least.max(SHORTEST), AGE)
    }

    fn emit(&self) -> Option<Emit> {
        const EXPECTED: &str = "\"changes\", \"final\" or \"every 10s\"";
        let every_update = self.every_update.as_ref().map_or(Some(false), truth);
        let Some(field) = &self.emit else {
            return Some(Emit::Changes { every_update: every_update? });
        };
        let text = field.text(EXPECTED)?;
        let emit = match text {
            "changes" => Emit::Changes { every_update: every_update? },
            "final" => {
                self.windowed(field)?;
                Emit::Final
            }
            text => {
                let pause = text.strip_prefix("every ").and_then(parse_duration);
                let pause = pause.filter(|pause| (SHORTEST..=AGE).contains(pause));
                Emit::Every(pause.or_else(|| field.expected(EXPECTED))?)
            }
        };
        if let (Some(field), false) = (&self.every_update, matches!(emit, Emit::Changes { .. })) {
            field.wrong::<()>(
                format_args!("results come out as {text:?}"),
                "it belongs to emit = \"changes\": leave one of them out",
            );
        }
        Some(emit)
    }

    fn idle(&self, emit: Option<Emit>) -> Option<Option<Duration>> {
        let at_end = emit == Some(Emit::Final);
        match &self.idle {
            None => Some(at_end.then_some(IDLE)),
            Some(field) if emit.is_some() && !at_end => field.wrong(
                "nothing waits for windows to close",
                "it belongs to emit = \"final\": leave it out",
            ),
            Some(field) => idle(field),
        }
    }
}

/// How long inputs must be silent before time goes on without them; `Some(None)`: it never does.
pub(super) fn idle(field: &Field<'_>) -> Option<Option<Duration>> {
    match &field.node.value {
        Value::Text(text) if text == "off" => Some(None),
        _ => {
            let idle = match &field.node.value {
                Value::Text(text) => parse_duration(text),
                _ => None,
            };
            let idle = idle.filter(|idle| (SHORTEST..=AGE).contains(idle));
            idle.map(Some).or_else(|| field.expected("\"off\" or a duration such as \"30s\""))
        }
    }
}

fn windows(field: &Field<'_>) -> Option<Windows> {
    const EXPECTED: &str = "one of { tumbling = \"60s\" }, { hopping = \"60s\", advance = \"1s\" }, \
                            { sliding = \"5m\" } and { session = \"30m\" }";
    const KINDS: [&str; 4] = ["tumbling", "hopping", "sliding", "session"];
    let table = field.table(EXPECTED)?;
    let chosen: Vec<&str> = KINDS.into_iter().filter(|kind| table.get(kind).is_some()).collect();
    let [kind] = chosen[..] else {
        return field.wrong("found no window or several", format_args!("expected {EXPECTED}"));
    };
    let mut section = field.section(EXPECTED)?;
    let length = |section: &mut Section<'_>, key: &'static str, least| {
        section.get(key).and_then(|field| field.duration(least, AGE))
    };
    let windows = match kind {
        "tumbling" => {
            length(&mut section, "tumbling", SHORTEST).map(|size| Windows::Tumbling { size })
        }
        "hopping" => {
            let size = length(&mut section, "hopping", SHORTEST);
            let advance = section.need("advance", "advance = \"1s\"");
            let advance = advance.and_then(|field| field.duration(SHORTEST, size.unwrap_or(AGE)));
            size.zip(advance).map(|(size, advance)| Windows::Hopping { size, advance })
        }
        "sliding" => length(&mut section, "sliding", Duration::ZERO)
            .map(|difference| Windows::Sliding { difference }),
        _ => length(&mut section, "session", Duration::ZERO).map(|gap| Windows::Session { gap }),
    };
    section.finish();
    windows
}

fn length(windows: Windows) -> Duration {
    match windows {
        Windows::Tumbling { size } | Windows::Hopping { size, .. } => size,
        Windows::Sliding { difference } => difference,
        Windows::Session { gap } => gap,
    }
}

fn compute(field: &Field<'_>) -> Option<Arc<Compute>> {
    const EXPECTED: &str = "a table such as { n = \"count()\", cents = \"sum(cents)\" }, or a list such as [\"count\"]";
    let columns: Vec<Option<(String, Aggregate)>> = match &field.node.value {
        Value::Table(table) => {
            let columns = table.0.iter().map(|entry| {
                let item = field.child(&entry.key, &entry.node);
                Some((entry.key.clone(), aggregate(&item, item.text(EXPECTED)?)?))
            });
            columns.collect()
        }
        Value::List(items) => {
            let columns = items.iter().map(|node| {
                let item = Field { report: field.report, path: field.path.clone(), node };
                let name = item.text(EXPECTED)?;
                let text = if name.contains('(') { name.to_owned() } else { format!("{name}()") };
                let short = text.trim_end_matches("()").to_owned();
                if short.contains('(') {
                    return item.wrong(
                        format_args!("found {name:?}, which gives its column no name"),
                        format_args!("write a table, as in compute = {{ n = {name:?} }}"),
                    );
                }
                Some((short, aggregate(&item, &text)?))
            });
            columns.collect()
        }
        _ => return field.expected(EXPECTED),
    };
    let columns: Option<Vec<_>> = columns.into_iter().collect();
    match Compute::new(columns?) {
        Ok(compute) => Some(Arc::new(compute)),
        Err(invalid) => field.wrong(invalid, format_args!("expected {EXPECTED}")),
    }
}

fn aggregate(field: &Field<'_>, text: &str) -> Option<Aggregate> {
    match Aggregate::parse(text) {
        Ok(aggregate) => Some(aggregate),
        Err(invalid) => field.wrong(invalid, "expected a function, as in \"sum(cents)\""),
    }
}

/// How values are written to a topic.
pub(super) fn format(field: &Field<'_>) -> Option<Format> {
    let text = field.text("a format: json, string, bytes, long or double")?;
    Format::parse(text).or_else(|| {
        let found = format!("found {}", field.node.value.describe());
        field.wrong(found, hint(text, Format::NAMES.into_iter()))
    })
}

fn key_format(field: &Field<'_>) -> Option<KeyFormat> {
    const EXPECTED: &str = "\"plain\" or \"kafka-streams\"";
    match field.text(EXPECTED)? {
        "plain" => Some(KeyFormat::Plain),
        "kafka-streams" => Some(KeyFormat::KafkaStreams),
        _ => field.expected(EXPECTED),
    }
}
