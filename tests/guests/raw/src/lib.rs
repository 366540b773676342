//! Functions without the SDK, which ask for state as no SDK would: whatever a record says, right or wrong.
//!
//! A record's value is commands, such as `add 2 . 5; get 0 -1`: what to call, the slot, the entry (`.` is its own, `-1`
//! the one before) and the rest. What they answer is sent on.

#[allow(unsafe_code, reason = "generated: the canonical ABI is written in raw pointers")]
#[allow(missing_docs, reason = "generated: the WIT package documents these items")]
mod bindings {
    wit_bindgen::generate!({ world: "function", path: "../../../guest-sdk/wit" });
}

#[cfg(target_arch = "wasm32")]
mod component {
    use crate::bindings::{
        self, Guest,
        tidemill::function::{
            aggregates, state, tables, timers,
            types::{Attribute, Description, Role, Shape, Slot, Source},
        },
    };
    use std::cell::{Cell, RefCell};
    use tidemill_layout::{Batch, Emission, HeaderPart, OutcomeWriter, Part};

    thread_local! {
        static INDEX: Cell<u32> = const { Cell::new(0) };
        static WRITER: RefCell<OutcomeWriter> = RefCell::new(OutcomeWriter::new());
    }

    struct Component;

    impl Guest for Component {
        fn describe() -> Vec<Description> {
            let function = |name: &str, slots: &[(&str, Role)]| Description {
                name: name.to_owned(),
                layouts: vec![tidemill_layout::VERSION],
                sources: vec![Source {
                    name: None,
                    shape: Shape::Plain,
                    key: "bytes".to_owned(),
                    value: "bytes".to_owned(),
                    attributes: Vec::new(),
                }],
                slots: slots.iter().map(|(name, role)| slot(name, *role)).collect(),
                attributes: Vec::new(),
            };
            let all = [
                ("value", Role::Value),
                ("map", Role::Map),
                ("counter", Role::Counter),
                ("users", Role::Table),
                ("due", Role::Timer),
                ("out", Role::Output),
            ];
            let few = [("counter", Role::Counter), ("out", Role::Output)];
            vec![
                function("raw", &all),
                function("count", &few),
                function("keep", &[("value", Role::Value), ("out", Role::Output)]),
                function(
                    "feed",
                    &[
                        ("windows", Role::Aggregate),
                        ("counter", Role::Counter),
                        ("silent", Role::Aggregate),
                        ("out", Role::Output),
                    ],
                ),
            ]
        }

        fn init(index: u32, _config: String) -> Result<(), String> {
            INDEX.set(index);
            Ok(())
        }

        fn handle(batch: Vec<u8>) -> Vec<u8> {
            let batch = Batch::parse(&batch).expect("a batch");
            let index = INDEX.get();
            WRITER.with_borrow_mut(|writer| {
                writer.clear();
                for (at, entry) in (0..).zip(batch.entries()) {
                    let entry = entry.expect("an entry");
                    let value = entry.value.unwrap_or_default();
                    let answer = match index {
                        0 | 3 => run(std::str::from_utf8(value).expect("text"), at).into_bytes(),
                        1 => state::add(0, at, 1).to_le_bytes().to_vec(),
                        _ => {
                            let before = state::get(0, at).unwrap_or_default();
                            state::set(0, at, value);
                            before
                        }
                    };
                    writer.emit(&Emission {
                        cause: at,
                        output: 0,
                        key: Part::Inherit,
                        value: Part::Bytes(&answer),
                        headers: HeaderPart::Inherit,
                        timestamp: None,
                        partition: None,
                    });
                }
                writer.finish(batch.len(), None).to_vec()
            })
        }
    }

    fn slot(name: &str, role: Role) -> Slot {
        Slot {
            name: name.to_owned(),
            role,
            key: String::new(),
            value: "bytes".to_owned(),
            rekeys: false,
            required: false,
            columns: match name {
                "windows" => ["sum", "n", "sum"].map(column).to_vec(),
                _ => Vec::new(),
            },
            attributes: Vec::new(),
        }
    }

    fn column(name: &str) -> Attribute {
        Attribute { name: name.to_owned(), value: "json".to_owned() }
    }

    fn run(commands: &str, own: u32) -> String {
        let answers: Vec<_> = commands
            .split(';')
            .map(str::trim)
            .filter(|command| !command.is_empty())
            .map(|command| {
                let mut words = command.split_whitespace();
                let mut word = || words.next().unwrap_or_default();
                let call = word();
                let slot = word().parse().unwrap_or(u32::MAX);
                let entry = match word() {
                    "." => own,
                    "-1" => own.wrapping_sub(1),
                    other => other.parse().unwrap_or(u32::MAX),
                };
                let text = |bytes: Option<Vec<u8>>| match bytes {
                    Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                    None => "none".to_owned(),
                };
                match call {
                    "get" => text(state::get(slot, entry)),
                    "set" => done(state::set(slot, entry, word().as_bytes())),
                    "long" => done(state::set(slot, entry, &vec![7; number(word())])),
                    "delete" => done(state::delete(slot, entry)),
                    "count" => state::count(slot, entry).to_string(),
                    "add" => state::add(slot, entry, word().parse().expect("a number")).to_string(),
                    "map-get" => text(state::map_get(slot, entry, word().as_bytes())),
                    "map-set" => {
                        done(state::map_set(slot, entry, word().as_bytes(), word().as_bytes()))
                    }
                    "map-long" => {
                        let value = vec![7; number(word())];
                        for key in 0..number(word()) {
                            state::map_set(slot, entry, key.to_string().as_bytes(), &value);
                        }
                        String::new()
                    }
                    "map-delete" => done(state::map_delete(slot, entry, word().as_bytes())),
                    "map-scan" => {
                        let (from, to) = (bound(word()), bound(word()));
                        let reverse = word() == "reverse";
                        let limit = word().parse().unwrap_or(u32::MAX);
                        let range = state::Range { from, to, reverse, limit };
                        let page = state::map_scan(slot, entry, &range);
                        let bytes: usize =
                            page.entries.iter().map(|(key, value)| key.len() + value.len()).sum();
                        let first = page.entries.first().map(|(key, _)| key.clone());
                        let (count, more) = (page.entries.len(), page.more);
                        format!("{count} from {} bytes {bytes} more {more}", text(first))
                    }
                    "row" => text(tables::get(slot, entry)),
                    "lookup" => match tables::lookup(slot, entry, word().as_bytes()) {
                        Ok(row) => text(row),
                        Err(error) => error,
                    },
                    "row-add" => window(aggregates::add(slot, entry, word().as_bytes())),
                    "rows-add" => {
                        for _ in 0..number(word()) {
                            aggregates::add(slot, entry, b"{}");
                        }
                        String::new()
                    }
                    "windows" => {
                        let all = aggregates::all(slot, entry).into_iter();
                        all.map(|it| window(Some(it))).collect::<Vec<_>>().join(" ")
                    }
                    "timer" => format!("{:?}", timers::get(slot, entry)),
                    "timer-set" => {
                        let due = word().parse().expect("a time");
                        format!("cut {}", timers::set(slot, entry, due, word().as_bytes()))
                    }
                    "timer-cancel" => done(timers::cancel(slot, entry)),
                    "spin" => loop {
                        std::hint::black_box(state::count(slot, entry));
                    },
                    other => panic!("no call {other:?}"),
                }
            })
            .collect();
        answers.join(", ")
    }

    fn window(window: Option<aggregates::Window>) -> String {
        match window {
            Some(window) => {
                let columns = String::from_utf8_lossy(&window.columns).into_owned();
                format!("[{},{}] {columns}", window.start, window.end)
            }
            None => "late".to_owned(),
        }
    }

    fn done((): ()) -> String {
        "done".to_owned()
    }

    fn number(word: &str) -> usize {
        word.parse().expect("a number")
    }

    fn bound(word: &str) -> Option<Vec<u8>> {
        (word != "*").then(|| word.as_bytes().to_vec())
    }

    #[allow(unsafe_code, reason = "generated: exports are written in raw pointers")]
    mod export {
        use super::{Component, bindings};
        bindings::export!(Component with_types_in bindings);
    }
}
