//! [`Compute`]: the aggregates of a store, and the [`Row`]s in which they accumulate.

use std::fmt;

use crate::{
    Aggregate, Broken, Fault, Function, Invalid, Type, Value,
    fault::Wrong,
    limits::{
        COLUMN_BYTES_MAX, COLUMNS_MAX, OVERHEAD_BYTES, ROW_BYTES_MAX, SHARE_BYTES_MIN,
        VALUE_BYTES_MAX,
    },
    reader::Reader,
    state::{Kind, Room, State},
};

/// The version of the layout of encoded rows, their first byte.
const VERSION: u8 = 1;

/// Named aggregates, computed together: `n = count(), cents = sum(cents)`.
///
/// It knows how; what accumulated is in a [`Row`], which belongs to the `Compute` that made or decoded it.
/// Columns that can share an accumulator do: `avg(ms)` twice, all percentiles of a column, its variance and standard
/// deviation.
///
/// # Panics
/// All methods that take a [`Row`] may panic where it is of another `Compute`, and all that take arguments or their
/// types where there are more or fewer than [`Compute::arguments`] names.
#[derive(Debug, Clone, PartialEq)]
pub struct Compute {
    columns: Vec<Column>,
    slots: Vec<Slot>,
    arguments: Vec<String>,
    room: Room,
}

/// An output column.
#[derive(Debug, Clone, PartialEq)]
struct Column {
    name: String,
    aggregate: Aggregate,
    slot: usize,
}

/// An accumulator of each row.
#[derive(Debug, Clone, PartialEq)]
struct Slot {
    kind: Kind,
    /// The index of its input among the arguments; `None` where records are counted.
    argument: Option<usize>,
}

/// What accumulated under one key: a state for each accumulator of its [`Compute`].
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    states: Vec<State>,
}

impl Compute {
    /// Aggregates under the names of their result columns, in order.
    ///
    /// # Errors
    /// [`Invalid`] where there are none, more than [`crate::COLUMNS_MAX`], a name is empty or there twice, or the
    /// sketches leave the other columns no room in [`crate::ROW_BYTES_MAX`].
    pub fn new<N: Into<String>>(
        columns: impl IntoIterator<Item = (N, Aggregate)>,
    ) -> Result<Self, Invalid> {
        let room = Room { state_bytes: COLUMN_BYTES_MAX, value_bytes: VALUE_BYTES_MAX };
        let mut compute =
            Compute { columns: Vec::new(), slots: Vec::new(), arguments: Vec::new(), room };
        for (name, aggregate) in columns {
            compute.push(name.into(), aggregate)?;
        }
        if compute.columns.is_empty() {
            return Err(Invalid::new("no aggregates", "name at least one, as in `n = count()`"));
        }
        compute.share_room()?;
        Ok(compute)
    }

    fn push(&mut self, name: String, aggregate: Aggregate) -> Result<(), Invalid> {
        let invalid = |right: &str| Err(Invalid::new(format!("column `{name}`"), right));
        if name.is_empty() {
            return invalid("its name is empty");
        }
        if self.columns.iter().any(|column| column.name == name) {
            return invalid("it is there twice");
        }
        if self.columns.len() == COLUMNS_MAX {
            return invalid("there are too many, 64 are computed together");
        }
        let argument = aggregate.column().map(|column| self.argument(column));
        let kind = kind_of(aggregate.function());
        let same = |slot: &Slot| slot.kind == kind && slot.argument == argument;
        let slot = self.slots.iter().position(same).unwrap_or_else(|| {
            self.slots.push(Slot { kind, argument });
            self.slots.len() - 1
        });
        self.columns.push(Column { name, aggregate, slot });
        Ok(())
    }

    fn argument(&mut self, column: &str) -> usize {
        self.arguments.iter().position(|argument| argument == column).unwrap_or_else(|| {
            self.arguments.push(column.to_owned());
            self.arguments.len() - 1
        })
    }

    /// Divides what a row may take, less what sketches need, among the states that grow.
    fn share_room(&mut self) -> Result<(), Invalid> {
        let known: usize = self.slots.iter().filter_map(|slot| slot.kind.bytes_max()).sum();
        let fixed = 1 + known + self.slots.len() * OVERHEAD_BYTES;
        let growing = self.slots.iter().filter(|slot| slot.kind.bytes_max().is_none()).count();
        let left = ROW_BYTES_MAX.checked_sub(fixed);
        let share = left.map(|left| left.checked_div(growing).unwrap_or(left));
        match share {
            Some(share) if share >= SHARE_BYTES_MIN || growing == 0 => {
                self.room.state_bytes = share.min(COLUMN_BYTES_MAX);
                self.room.value_bytes = share.min(VALUE_BYTES_MAX);
                Ok(())
            }
            _ => Err(Invalid::new(
                "too many sketches",
                format!(
                    "a row has {ROW_BYTES_MAX} bytes, and each column of percentiles may take {}: divide the \
                     columns among two stores",
                    Kind::Percentile.bytes_max().unwrap_or_default()
                ),
            )),
        }
    }

    /// The result columns.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = (&str, &Aggregate)> {
        self.columns.iter().map(|column| (column.name.as_str(), &column.aggregate))
    }

    /// The names of the input columns it needs, each once, in the order of their first use.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// The types of the result columns, where the arguments have these.
    ///
    /// # Errors
    /// [`Invalid`] for the first function that does not take its column.
    pub fn check(&self, arguments: &[Type]) -> Result<Vec<Type>, Invalid> {
        assert_eq!(arguments.len(), self.arguments.len(), "a type for each argument");
        let result = |column: &Column| {
            let of = self.slots[column.slot].argument.map_or(&Type::Any, |at| &arguments[at]);
            column.aggregate.function().result_type(of).map_err(|expected| {
                Invalid::new(
                    format!("`{}`", column.aggregate),
                    format!("it takes {expected}, and its column is {of}"),
                )
            })
        };
        self.columns.iter().map(result).collect()
    }

    /// The first column whose function cannot undo; `None` where [`Compute::undo`] works.
    pub fn not_invertible(&self) -> Option<(&str, &Aggregate)> {
        self.columns().find(|(_, aggregate)| !aggregate.function().is_invertible())
    }

    /// A row to which nothing was added.
    pub fn init(&self) -> Row {
        Row { states: self.slots.iter().map(|slot| State::new(slot.kind)).collect() }
    }

    /// Adds a record: the values of its [`Compute::arguments`], and its event time.
    ///
    /// # Errors
    /// [`Fault`], after which the row holds a part of the record and is to be thrown away.
    #[inline]
    pub fn add(&self, row: &mut Row, arguments: &[Value], at_millis: i64) -> Result<(), Fault> {
        assert_eq!(arguments.len(), self.arguments.len(), "a value for each argument");
        for (at, (slot, state)) in self.slots_of(row).enumerate() {
            let value = slot.argument.map_or(&Value::Bool(true), |argument| &arguments[argument]);
            if !value.is_null() {
                state
                    .add(slot.kind, self.room, value, at_millis)
                    .map_err(|wrong| self.fault(at, wrong))?;
            }
        }
        Ok(())
    }

    /// Takes a record out that was added: for a table, the row that an update replaces.
    ///
    /// # Errors
    /// [`Fault`], as [`Compute::add`]; and where [`Compute::not_invertible`] names a column.
    pub fn undo(&self, row: &mut Row, arguments: &[Value]) -> Result<(), Fault> {
        assert_eq!(arguments.len(), self.arguments.len(), "a value for each argument");
        for (at, (slot, state)) in self.slots_of(row).enumerate() {
            let value = slot.argument.map_or(&Value::Bool(true), |argument| &arguments[argument]);
            if !value.is_null() {
                state.undo(value).map_err(|wrong| self.fault(at, wrong))?;
            }
        }
        Ok(())
    }

    /// Makes the row what it would be had the records of `later` been added to it: panes of a window, sessions that
    /// meet.
    ///
    /// # Errors
    /// [`Fault`], as [`Compute::add`].
    pub fn merge(&self, row: &mut Row, later: &Row) -> Result<(), Fault> {
        assert_eq!(row.states.len(), later.states.len(), "rows of one `Compute`");
        for (at, ((slot, state), later)) in self.slots_of(row).zip(&later.states).enumerate() {
            state.merge(slot.kind, self.room, later).map_err(|wrong| self.fault(at, wrong))?;
        }
        Ok(())
    }

    #[inline]
    fn slots_of<'a>(&'a self, row: &'a mut Row) -> impl Iterator<Item = (&'a Slot, &'a mut State)> {
        assert_eq!(row.states.len(), self.slots.len(), "a row of this `Compute`");
        self.slots.iter().zip(&mut row.states)
    }

    #[cold]
    fn fault(&self, slot: usize, wrong: Wrong) -> Fault {
        let column = self.columns.iter().find(|column| column.slot == slot);
        let column = column.expect("each slot was made for a column");
        wrong.named(column.aggregate.to_string(), column.aggregate.column().unwrap_or_default())
    }

    /// The values of the result columns, in their order.
    pub fn result(&self, row: &Row) -> Vec<Value> {
        (0..self.columns.len()).map(|column| self.result_of(column, row)).collect()
    }

    /// The value of one result column, by its index among [`Compute::columns`].
    ///
    /// # Panics
    /// Where there is no such column.
    pub fn result_of(&self, column: usize, row: &Row) -> Value {
        let column = &self.columns[column];
        row.states[column.slot].result(column.aggregate.function())
    }

    /// The result as a Struct in the order of the columns.
    pub fn result_value(&self, row: &Row) -> Value {
        let names = self.columns.iter().map(|column| column.name.clone());
        Value::Struct(names.zip(self.result(row)).collect())
    }

    /// The result as a JSON object.
    pub fn result_json(&self, row: &Row) -> serde_json::Value {
        self.result_value(row).into()
    }

    /// Appends [the layout](crate#layout) of the row: at most [`crate::ROW_BYTES_MAX`] bytes.
    #[inline]
    pub fn encode(&self, row: &Row, out: &mut Vec<u8>) {
        assert_eq!(row.states.len(), self.slots.len(), "a row of this `Compute`");
        out.push(VERSION);
        for state in &row.states {
            state.encode(out);
        }
    }

    /// Reads a row that [`Compute::encode`] wrote.
    ///
    /// # Errors
    /// [`Broken`]. Bytes of another `Compute` are refused or misread; whoever stores them keeps
    /// [its text](Compute#impl-Display-for-Compute) beside them.
    pub fn decode(&self, bytes: &[u8]) -> Result<Row, Broken> {
        let mut row = self.init();
        self.decode_into(bytes, &mut row)?;
        Ok(row)
    }

    /// As [`Compute::decode`], into a row of this `Compute` whose memory is used again: what it holds is lost. Counts, sums, averages,
    /// moments and extremes of numbers then allocate nothing.
    ///
    /// # Errors
    /// [`Broken`], after which the row is of no use but for this.
    #[inline]
    pub fn decode_into(&self, bytes: &[u8], row: &mut Row) -> Result<(), Broken> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Err(Broken { at: 0, what: "the row is of a version this build does not know" });
        }
        for (_, state) in self.slots_of(row) {
            state.decode(&mut reader)?;
        }
        reader.end()
    }
}

fn kind_of(function: &Function) -> Kind {
    match *function {
        Function::Count => Kind::Count,
        Function::Sum => Kind::Sum,
        Function::Min => Kind::Min,
        Function::Max => Kind::Max,
        Function::Avg => Kind::Mean,
        Function::First => Kind::First,
        Function::Last => Kind::Last,
        Function::CollectList { max } => Kind::List { max },
        Function::CollectSet { max } => Kind::Set { max },
        Function::TopK { k } => Kind::Top { k },
        Function::CountDistinct => Kind::Distinct,
        Function::Variance | Function::Stddev => Kind::Moments,
        Function::Histogram { max } => Kind::Histogram { max },
        Function::Percentile { .. } => Kind::Percentile,
    }
}

/// `n = count(), cents = sum(cents)`. Rows are read by a `Compute` of the same text and no other, so it tells whether
/// a store's rows can be kept.
impl fmt::Display for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, aggregate)) in self.columns().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{name} = {aggregate}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
