//! A case file as parsed: still as written where that matters, resolved where it does not.

use super::{
    time::Time,
    value::{Value, Want},
};

/// A parsed file.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    /// Its cases in order.
    pub cases: Vec<Case>,
}

/// One case: what is given, then stimuli with their effects.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// What it shows.
    pub title: String,
    /// The number of its first line.
    pub line: usize,
    /// What differs from the defaults.
    pub given: Vec<Given>,
    /// In order.
    pub steps: Vec<Step>,
}

impl Case {
    /// How many partitions the app's topics have.
    pub fn partitions(&self) -> u32 {
        self.given
            .iter()
            .rev()
            .find_map(
                |given| if let Given::Partitions(number) = given { Some(*number) } else { None },
            )
            .unwrap_or(1)
    }

    /// The day on which it begins.
    pub fn date(&self) -> jiff::civil::Date {
        self.given
            .iter()
            .rev()
            .find_map(|given| if let Given::Date(date) = given { Some(*date) } else { None })
            .unwrap_or(jiff::civil::date(2026, 1, 1))
    }
}

/// What differs from the defaults.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// What a store holds.
    State {
        /// Which store.
        store: String,
        /// Under which key.
        key: Value,
        /// Of a map: which entry.
        entry: Option<Value>,
        /// The value.
        value: Value,
    },
    /// A row of a table.
    Table {
        /// Which table.
        table: String,
        /// Under which key.
        key: Value,
        /// The row.
        value: Value,
    },
    /// A value in place of the manifest's.
    Config {
        /// Whose.
        function: String,
        /// Which.
        key: String,
        /// The value.
        value: serde_json::Value,
    },
    /// How many partitions the app's topics have.
    Partitions(u32),
    /// The day on which the case begins, at midnight UTC.
    Date(jiff::civil::Date),
}

/// A stimulus and what must follow from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The number of the stimulus' line.
    pub line: usize,
    /// The number of the line behind the stimulus and its headers.
    pub effects_line: usize,
    /// What is done.
    pub stimulus: Stimulus,
    /// What must follow, in order.
    pub effects: Vec<Expectation>,
}

/// An expected effect and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// The numbers of its lines, the end exclusive.
    pub lines: std::ops::Range<usize>,
    /// What is expected.
    pub expected: Expected,
}

/// What is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Stimulus {
    /// A record arrives.
    In(Input),
    /// Time passes.
    At(Time),
    /// The process dies and starts anew.
    Restart,
}

/// A record that arrives.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Where.
    pub topic: String,
    /// In which partition; `None`: by its key.
    pub partition: Option<u32>,
    /// When; `None`: as before.
    pub time: Option<Time>,
    /// Its key.
    pub key: Value,
    /// Its value.
    pub value: Value,
    /// In order.
    pub headers: Vec<Named>,
}

/// A header as written.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
}

/// A part of what a store holds under a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// The entry of a map.
    Entry(Value),
    /// A window of an aggregate.
    Window {
        /// Where it begins.
        start: Time,
        /// Where it ends.
        end: Time,
        /// Whether the end is in it, which only shows how it is written.
        inclusive: bool,
    },
}

/// What must follow, in this order and nothing else; and what must be the case then, as far as it is written.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// A record in a topic.
    Out {
        /// Which topic.
        topic: String,
        /// Which partition; `None`: any.
        partition: Option<u32>,
        /// When; `None`: the stimulus' time.
        time: Option<Time>,
        /// Its key.
        key: Value,
        /// Its value.
        value: Want,
        /// In order; `None`: those of the stimulus.
        headers: Option<Vec<Named>>,
    },
    /// A dead letter.
    Dead {
        /// The function that failed.
        function: String,
        /// The source record's key.
        key: Value,
        /// The source record's value.
        value: Want,
        /// `None`: any.
        reason: Option<String>,
    },
    /// A record that came too late.
    Late {
        /// For which store, or join.
        store: String,
        /// The record's key.
        key: Value,
        /// The record's value.
        value: Want,
    },
    /// One more attempt.
    Retry {
        /// The function that asked for it.
        function: String,
        /// The first is 1.
        attempt: u32,
        /// `None`: any.
        reason: Option<String>,
    },
    /// The task stopped at a record.
    Pause {
        /// The function that cannot go on.
        function: String,
        /// `None`: any.
        reason: Option<String>,
    },
    /// What a store holds then.
    State {
        /// Which store.
        store: String,
        /// Under which key.
        key: Value,
        /// Of a map or an aggregate: which part.
        part: Option<Part>,
        /// The value.
        value: Want,
    },
    /// What a table holds then.
    Table {
        /// Which table.
        table: String,
        /// Under which key.
        key: Value,
        /// The row.
        value: Want,
    },
    /// When a timer is due then.
    Timer {
        /// Whose.
        function: String,
        /// Which.
        timer: String,
        /// Under which key.
        key: Value,
        /// `None`: it is not set.
        due: Option<Time>,
    },
}

impl Expected {
    /// Whether it says what is the case, rather than what happened.
    pub fn is_check(&self) -> bool {
        matches!(self, Expected::State { .. } | Expected::Table { .. } | Expected::Timer { .. })
    }
}
