//! [`State`]: what one accumulator keeps between records.
//!
//! A state knows neither its column nor its aggregate's name: what it finds wrong is [`Wrong`], and
//! [`crate::Compute`] names it. Nulls never reach a state.

use std::cmp::Ordering;

use crate::{Broken, Value, fault::Wrong, reader::Reader};

mod collected;
mod distinct;
mod edge;
mod extreme;
mod histogram;
mod mean;
mod moments;
mod percentile;
mod sum;
mod top;

use self::{
    collected::Collected, distinct::Distinct, edge::Edge, extreme::Extreme, histogram::Histogram,
    mean::Mean, moments::Moments, percentile::Percentile, sum::Sum, top::Top,
};

/// What a state needs to know of its aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Count,
    Sum,
    Min,
    Max,
    Mean,
    First,
    Last,
    List { max: u32 },
    Set { max: u32 },
    Top { k: u32 },
    Distinct,
    Moments,
    Histogram { max: u32 },
    Percentile,
}

impl Kind {
    /// The most bytes its encoding takes whatever is added; `None` where that is up to its share of the row.
    pub(crate) fn bytes_max(self) -> Option<usize> {
        match self {
            Kind::Count | Kind::Sum | Kind::Mean | Kind::Moments => Some(0),
            Kind::Distinct => Some(distinct::BYTES_MAX),
            Kind::Percentile => Some(percentile::BYTES_MAX),
            _ => None,
        }
    }
}

/// How large a state may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// The most bytes it keeps.
    pub(crate) state_bytes: usize,
    /// The most bytes of one value.
    pub(crate) value_bytes: usize,
}

impl Room {
    /// Refuses a value that is too large or too deep to be kept.
    #[inline]
    fn check(self, value: &Value) -> Result<(), Wrong> {
        let bytes = match value {
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => return Ok(()),
            value => value.encoded_bytes(),
        };
        if !value.is_within(crate::DEPTH_MAX) {
            return Err(Wrong::TooDeep);
        }
        if bytes > self.value_bytes {
            return Err(Wrong::TooLarge { bytes, bytes_max: self.value_bytes });
        }
        Ok(())
    }
}

/// An accumulator.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum State {
    Count(i64),
    Sum(Sum),
    Min(Extreme),
    Max(Extreme),
    Mean(Mean),
    First(Edge),
    Last(Edge),
    List(Collected),
    Set(Collected),
    Top(Top),
    Distinct(Distinct),
    Moments(Moments),
    Histogram(Histogram),
    Percentile(Percentile),
}

impl State {
    pub(crate) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Count => State::Count(0),
            Kind::Sum => State::Sum(Sum::default()),
            Kind::Min => State::Min(Extreme::default()),
            Kind::Max => State::Max(Extreme::default()),
            Kind::Mean => State::Mean(Mean::default()),
            Kind::First => State::First(Edge::default()),
            Kind::Last => State::Last(Edge::default()),
            Kind::List { .. } => State::List(Collected::default()),
            Kind::Set { .. } => State::Set(Collected::default()),
            Kind::Top { .. } => State::Top(Top::default()),
            Kind::Distinct => State::Distinct(Distinct::default()),
            Kind::Moments => State::Moments(Moments::default()),
            Kind::Histogram { .. } => State::Histogram(Histogram::default()),
            Kind::Percentile => State::Percentile(Percentile::default()),
        }
    }

    /// Takes a value in.
    #[inline]
    pub(crate) fn add(
        &mut self,
        kind: Kind,
        room: Room,
        value: &Value,
        at_millis: i64,
    ) -> Result<(), Wrong> {
        match (self, kind) {
            (State::Count(count), _) => count_up(count, 1),
            (State::Sum(sum), _) => sum.add(value),
            (State::Min(min), _) => min.take(value, room, Ordering::Less),
            (State::Max(max), _) => max.take(value, room, Ordering::Greater),
            (State::Mean(mean), _) => mean.add(value),
            (State::First(first), _) => first.take(value, at_millis, room, |new, old| new < old),
            (State::Last(last), _) => last.take(value, at_millis, room, |new, old| new >= old),
            (State::List(list), Kind::List { max }) => list.add(value, max, room),
            (State::Set(set), Kind::Set { max }) => set.add_once(value, max, room),
            (State::Top(top), Kind::Top { k }) => top.add(value, k, room),
            (State::Distinct(distinct), _) => distinct.add(value),
            (State::Moments(moments), _) => moments.add(value),
            (State::Histogram(histogram), Kind::Histogram { max }) => {
                histogram.add(value, max, room)
            }
            (State::Percentile(percentile), _) => percentile.add(value),
            (state, kind) => state.foreign(kind),
        }
    }

    /// Takes a value out again.
    pub(crate) fn undo(&mut self, value: &Value) -> Result<(), Wrong> {
        match self {
            State::Count(count) => count_down(count),
            State::Sum(sum) => sum.undo(value),
            State::Mean(mean) => mean.undo(value),
            State::List(list) => {
                list.undo(value);
                Ok(())
            }
            State::Moments(moments) => moments.undo(value),
            State::Histogram(histogram) => histogram.undo(value),
            State::Min(_)
            | State::Max(_)
            | State::First(_)
            | State::Last(_)
            | State::Set(_)
            | State::Top(_)
            | State::Distinct(_)
            | State::Percentile(_) => Err(Wrong::NotInvertible),
        }
    }

    /// Becomes what it would be had all that `later` took in been added here.
    pub(crate) fn merge(&mut self, kind: Kind, room: Room, later: &State) -> Result<(), Wrong> {
        match (self, later, kind) {
            (State::Count(count), State::Count(later), _) => count_up(count, *later),
            (State::Sum(sum), State::Sum(later), _) => sum.merge(later),
            (State::Min(min), State::Min(later), _) => min.merge(later, room, Ordering::Less),
            (State::Max(max), State::Max(later), _) => max.merge(later, room, Ordering::Greater),
            (State::Mean(mean), State::Mean(later), _) => mean.merge(later),
            (State::First(first), State::First(later), _) => {
                first.merge(later, |new, old| new < old)
            }
            (State::Last(last), State::Last(later), _) => last.merge(later, |new, old| new >= old),
            (State::List(list), State::List(later), Kind::List { max }) => {
                list.merge(later, max, room);
                Ok(())
            }
            (State::Set(set), State::Set(later), Kind::Set { max }) => {
                set.merge_once(later, max, room);
                Ok(())
            }
            (State::Top(top), State::Top(later), Kind::Top { k }) => top.merge(later, k),
            (State::Distinct(distinct), State::Distinct(later), _) => {
                distinct.merge(later);
                Ok(())
            }
            (State::Moments(moments), State::Moments(later), _) => moments.merge(later),
            (State::Histogram(histogram), State::Histogram(later), Kind::Histogram { max }) => {
                histogram.merge(later, max, room)
            }
            (State::Percentile(percentile), State::Percentile(later), _) => percentile.merge(later),
            (state, _, kind) => state.foreign(kind),
        }
    }

    #[cold]
    fn foreign(&self, kind: Kind) -> ! {
        panic!("a row belongs to the `Compute` that made it: {self:?} is not of {kind:?}")
    }

    #[inline]
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            State::Count(count) => out.extend_from_slice(&count.to_le_bytes()),
            State::Sum(sum) => sum.encode(out),
            State::Min(extreme) | State::Max(extreme) => extreme.encode(out),
            State::Mean(mean) => mean.encode(out),
            State::First(edge) | State::Last(edge) => edge.encode(out),
            State::List(collected) | State::Set(collected) => collected.encode(out),
            State::Top(top) => top.encode(out),
            State::Distinct(distinct) => distinct.encode(out),
            State::Moments(moments) => moments.encode(out),
            State::Histogram(histogram) => histogram.encode(out),
            State::Percentile(percentile) => percentile.encode(out),
        }
    }

    /// Becomes what the bytes say. In place, so that nothing is moved, dropped or allocated for numbers. After an error
    /// it is a state still, but of nothing in particular.
    #[inline]
    pub(crate) fn decode(&mut self, reader: &mut Reader<'_>) -> Result<(), Broken> {
        match self {
            State::Count(count) => {
                *count = reader.count()?;
                Ok(())
            }
            State::Sum(sum) => sum.decode(reader),
            State::Min(extreme) | State::Max(extreme) => extreme.decode(reader),
            State::Mean(mean) => mean.decode(reader),
            State::First(edge) | State::Last(edge) => edge.decode(reader),
            State::List(collected) | State::Set(collected) => collected.decode(reader),
            State::Top(top) => top.decode(reader),
            State::Distinct(distinct) => distinct.decode(reader),
            State::Moments(moments) => moments.decode(reader),
            State::Histogram(histogram) => histogram.decode(reader),
            State::Percentile(percentile) => percentile.decode(reader),
        }
    }

    /// The result; of [`Kind::Moments`] and [`Kind::Percentile`] the one that `asked` wants.
    pub(crate) fn result(&self, asked: &crate::Function) -> Value {
        use crate::Function;
        match (self, asked) {
            (State::Count(count), _) => Value::Int(*count),
            (State::Sum(sum), _) => sum.result(),
            (State::Min(extreme) | State::Max(extreme), _) => extreme.result(),
            (State::Mean(mean), _) => mean.result(),
            (State::First(edge) | State::Last(edge), _) => edge.result(),
            (State::List(collected) | State::Set(collected), _) => collected.result(),
            (State::Top(top), _) => top.result(),
            (State::Distinct(distinct), _) => distinct.result(),
            (State::Moments(moments), Function::Stddev) => moments.deviation(),
            (State::Moments(moments), _) => moments.variance(),
            (State::Histogram(histogram), _) => histogram.result(),
            (State::Percentile(percentile), Function::Percentile { fraction }) => {
                percentile.result(*fraction)
            }
            (State::Percentile(percentile), _) => percentile.result(0.5),
        }
    }
}

#[inline]
fn count_up(count: &mut i64, by: i64) -> Result<(), Wrong> {
    *count = count.checked_add(by).ok_or(Wrong::Overflow)?;
    Ok(())
}

#[inline]
fn count_down(count: &mut i64) -> Result<(), Wrong> {
    match *count {
        0 => Err(Wrong::NotAdded),
        some => {
            *count = some - 1;
            Ok(())
        }
    }
}

/// The number that a value is, for functions that compute in floating point.
#[inline]
fn number(value: &Value) -> Result<f64, Wrong> {
    match value {
        Value::Int(int) => Ok(*int as f64),
        Value::Float(float) => Ok(*float),
        other => Err(not_a_number(other)),
    }
}

#[cold]
fn not_a_number(value: &Value) -> Wrong {
    Wrong::Type { expected: crate::aggregate::NUMBER, found: value.kind() }
}

/// Refuses what has no meaningful order.
#[inline]
fn scalar(value: &Value) -> Result<(), Wrong> {
    match value {
        Value::List(_) | Value::Struct(_) => {
            Err(Wrong::Type { expected: crate::aggregate::SCALAR, found: value.kind() })
        }
        _ => Ok(()),
    }
}

/// Refuses a value that cannot be compared with those that came before.
#[inline]
fn comparable(value: &Value, before: &Value) -> Result<(), Wrong> {
    if value.is_comparable_to(before) {
        return Ok(());
    }
    let expected = match before {
        Value::Bool(_) => "a bool, as it held before",
        Value::Text(_) => "text, as it held before",
        Value::Bytes(_) => "bytes, as it held before",
        _ => "a number, as it held before",
    };
    Err(Wrong::Type { expected, found: value.kind() })
}

/// A length or number in an encoding, which limits keep far below 4 GiB.
fn u32_of(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("a row is below 1 MiB").to_le_bytes()
}
