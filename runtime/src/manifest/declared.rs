//! What a manifest gives names to, and what an input's name then means.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Input,
    names::{TOPIC_NAME, code_name, is_name, is_topic},
    section::{Field, hint},
    tree::{Entry, Value, shorten},
};

/// Timers and progress are kept under this name.
const OWN_NAME: &str = "meta";
/// The keys of which a store has one if the host computes what is in it.
const AGGREGATE_KEYS: [&str; 3] = ["compute", "window", "from"];

/// Names by what they stand for. Tables, joins, rekeys and stores share theirs.
#[derive(Debug, Default)]
pub(super) struct Declared {
    functions: Vec<String>,
    /// By the code's names. What is wrong otherwise is here too.
    names: BTreeMap<String, Named>,
}

#[derive(Debug)]
struct Named {
    /// `store`, `table`, `join` or `rekey`.
    what: &'static str,
    /// As written.
    name: String,
    /// Whether it hands records on.
    gives: bool,
}

/// The items of a section that have a name of their own.
pub(super) type Items<'a> = Vec<(String, Field<'a>)>;

impl Declared {
    /// Takes the names of functions.
    pub fn functions(&mut self, field: Option<&Field<'_>>) {
        if let Some(Value::Table(table)) = field.map(|field| &field.node.value) {
            self.functions = table.0.iter().map(|entry| entry.key.clone()).collect();
        }
    }

    /// Takes the names of a section, those left out that are none or are taken. `plural` is for messages.
    pub fn section<'a>(
        &mut self,
        what: &'static str,
        plural: &str,
        field: Option<&Field<'a>>,
    ) -> Items<'a> {
        let Some(field) = field else { return Vec::new() };
        let Some(table) = field.table(&format!("a table of {plural}")) else { return Vec::new() };
        let named = |entry: &'a Entry| {
            let item = field.child(&entry.key, &entry.node);
            if !is_name(&entry.key) {
                let expected = format!(
                    "{plural} have lower-case letters, digits, `-` and `_`, and start with a letter"
                );
                return item.wrong("no name", expected);
            }
            self.declare(what, &entry.key, &item).then(|| (entry.key.clone(), item))
        };
        table.0.iter().filter_map(named).collect()
    }

    /// Takes a name, unless it is taken.
    fn declare(&mut self, what: &'static str, name: &str, field: &Field<'_>) -> bool {
        let code = code_name(name);
        if code == OWN_NAME {
            field.wrong::<()>("a name that is Tidemill's own", "choose another one");
            return false;
        }
        if let Some(Named { what, name, .. }) = self.names.get(&code) {
            field.wrong::<()>(
                format_args!("there is a {what} {name:?} already"),
                "tables, joins, rekeys and stores share their names, in which `-` and `_` are the same letter: choose \
                 another one",
            );
            return false;
        }
        let computed = || {
            let has = |key: &&str| match &field.node.value {
                Value::Table(table) => table.get(key).is_some(),
                _ => false,
            };
            AGGREGATE_KEYS.iter().any(has)
        };
        let gives = match what {
            "table" => false,
            "store" => computed(),
            _ => true,
        };
        self.names.insert(code, Named { what, name: name.to_owned(), gives });
        true
    }

    /// `store`, `table`, `join` or `rekey`, where something is called so.
    pub fn kind_of(&self, name: &str) -> Option<&'static str> {
        self.names.get(&code_name(name)).map(|named| named.what)
    }

    /// Whether a text names something declared.
    pub fn is_known(&self, text: &str) -> bool {
        self.names.contains_key(&code_name(text))
    }

    /// The names of what is a `store`, a `table`, …, as code spells them.
    pub fn names(&self, what: &str) -> impl Iterator<Item = &str> {
        self.names.iter().filter(move |(_, it)| it.what == what).map(|(name, _)| name.as_str())
    }

    /// What records are read from.
    pub fn input(&self, field: &Field<'_>) -> Option<Input> {
        let input = self.side(field)?;
        if let Input::Table(table) = &input {
            let written = &self.names[table].name;
            return field.wrong(
                format_args!("found {written:?}, which is a table here"),
                format_args!(
                    "a table is looked up or joined: name the topic that is to be read, topic:{written} where one is \
                     called so"
                ),
            );
        }
        Some(input)
    }

    /// What records, or the rows of a table, are read from.
    pub fn side(&self, field: &Field<'_>) -> Option<Input> {
        let text = field.text("a topic, a declared name or function.output")?;
        if let Some((function, output)) = text.split_once('.')
            && let Some(function) =
                self.functions.iter().find(|known| code_name(known) == code_name(function))
        {
            let output = is_name(output)
                .then(|| Input::Function { function: function.clone(), output: code_name(output) });
            return output.or_else(|| {
                field.expected("function.output, or topic:NAME for a topic of that name")
            });
        }
        let code = code_name(text);
        let Some(named) = self.names.get(&code) else { return topic(field).map(Input::Topic) };
        Some(match named.what {
            "join" => Input::Join(code),
            "rekey" => Input::Rekey(code),
            "table" => Input::Table(code),
            _ if named.gives => Input::Store(code),
            _ => {
                return field.wrong(
                    format_args!("found {text:?}, which is a store that only functions write"),
                    format_args!(
                        "a store that the host computes hands on what changes in it, with compute = …; topic:{text} is \
                         the topic of that name"
                    ),
                );
            }
        })
    }

    /// A list of stores, or of tables: the code's names.
    pub fn granted(&self, field: &Field<'_>, what: &'static str) -> BTreeSet<String> {
        let expected = format!("a list of {what}s");
        let mut granted = BTreeSet::new();
        let Value::List(items) = &field.node.value else {
            return field.expected(expected).unwrap_or_default();
        };
        for node in items {
            let item = Field { report: field.report, path: field.path.clone(), node };
            let Some(name) = item.text(&expected).map(code_name) else { continue };
            if self.kind_of(&name) == Some(what) {
                granted.insert(name);
                continue;
            }
            let known: Vec<&str> = self.names(what).collect();
            let right = match known.is_empty() {
                true => "add it, or take the name out of the list".to_owned(),
                false => hint(&name, known.into_iter()),
            };
            item.wrong::<()>(format_args!("there is no [{what}s.{}]", shorten(&name)), right);
        }
        granted
    }
}

/// A topic; `topic:NAME` is one whatever else is called so.
pub(super) fn topic(field: &Field<'_>) -> Option<String> {
    let text = field.text(TOPIC_NAME)?;
    let topic = text.strip_prefix("topic:").unwrap_or(text);
    is_topic(topic).then(|| topic.to_owned()).or_else(|| field.expected(TOPIC_NAME))
}
