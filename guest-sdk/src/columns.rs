//! Columns of an aggregate's results, as code reads them.

use crate::{Failure, Json, agreement::same};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, SeqAccess, Visitor},
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    marker::PhantomData,
};

/// What is read of the results of an [`Aggregate`](crate::Aggregate): a struct with
/// [`#[derive(Columns)]`](macro@crate::Columns), or `()` for nothing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` says nothing about columns of an aggregate",
    note = "put `#[derive(Columns)]` on the struct; `()` where no column is read"
)]
pub trait Columns: Sized {
    /// Which, in the order in which they are read.
    const COLUMNS: &'static [Column];

    /// Reads them.
    ///
    /// # Errors
    /// Where a value is something else.
    #[doc(hidden)]
    fn read<'d, A: SeqAccess<'d>>(row: &mut A) -> Result<Self, A::Error>;
}

impl Columns for () {
    const COLUMNS: &'static [Column] = &[];

    fn read<'d, A: SeqAccess<'d>>(_row: &mut A) -> Result<Self, A::Error> {
        Ok(())
    }
}

/// A column that code reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name in `compute`.
    pub name: &'static str,
    /// What it is read as.
    pub reads: ColumnType,
}

/// What a column is read as. It prints as `describe` has it: `i64`, `text?`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnType {
    name: &'static str,
    optional: bool,
}

impl ColumnType {
    const fn of(name: &'static str) -> Self {
        ColumnType { name, optional: false }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        f.write_str(if self.optional { "?" } else { "" })
    }
}

/// What a column can be read as: `i64` (and narrower integers), `f64`, `bool`, `String`, a `Vec`, a map, [`Json<T>`] for
/// anything that serde reads, and an `Option` of these where there may be none: the `min` of a window without a value is null.
#[diagnostic::on_unimplemented(
    message = "a column cannot be read as `{Self}`",
    note = "`i64`, `f64`, `bool`, `String`, `Vec<T>`, a map with text as keys, `Json<T>`, or an `Option` of these for null"
)]
pub trait ColumnValue: Sized {
    /// How `describe` calls it.
    const TYPE: ColumnType;

    /// Reads it.
    ///
    /// # Errors
    /// Where the value is something else.
    #[doc(hidden)]
    fn read<'d, D: Deserializer<'d>>(value: D) -> Result<Self, D::Error>;
}

macro_rules! column {
    ($name:literal: $($type:ty $(where $generic:ident)?),+ $(,)?) => {$(
        impl$(<$generic: DeserializeOwned>)? ColumnValue for $type {
            const TYPE: ColumnType = ColumnType::of($name);

            #[inline]
            fn read<'d, D: Deserializer<'d>>(value: D) -> Result<Self, D::Error> {
                Deserialize::deserialize(value)
            }
        }
    )+};
}

column!("i64": i64, i32, i16, i8, u64, u32, u16, u8);
column!("f64": f64, f32);
column!("bool": bool);
column!("text": String);
column!("list": Vec<T> where T);
column!("json": BTreeMap<String, T> where T, HashMap<String, T> where T, serde_json::Value);

impl<T: DeserializeOwned> ColumnValue for Json<T> {
    const TYPE: ColumnType = ColumnType::of("json");

    fn read<'d, D: Deserializer<'d>>(value: D) -> Result<Self, D::Error> {
        T::deserialize(value).map(Json)
    }
}

impl<T: ColumnValue> ColumnValue for Option<T> {
    const TYPE: ColumnType = ColumnType { optional: true, ..T::TYPE };

    fn read<'d, D: Deserializer<'d>>(value: D) -> Result<Self, D::Error> {
        let value: Option<Read<T>> = Deserialize::deserialize(value)?;
        Ok(value.map(|Read(value)| value))
    }
}

/// A column as serde knows it.
struct Read<T>(T);

impl<'d, T: ColumnValue> Deserialize<'d> for Read<T> {
    #[inline]
    fn deserialize<D: Deserializer<'d>>(value: D) -> Result<Self, D::Error> {
        T::read(value).map(Read)
    }
}

/// The next column.
///
/// # Errors
/// Where there is none, or it is something else.
#[inline]
pub fn next<'d, T: ColumnValue, A: SeqAccess<'d>>(row: &mut A, name: &str) -> Result<T, A::Error> {
    match row.next_element() {
        Ok(Some(Read(value))) => Ok(value),
        Ok(None) => Err(A::Error::custom(format_args!("column `{name}` is missing"))),
        Err(error) => Err(A::Error::custom(format_args!("column `{name}`: {error}"))),
    }
}

/// Reads what the host answers: an array of the columns.
#[inline]
pub(crate) fn read<C: Columns>(row: &[u8]) -> Result<C, Failure> {
    let mut reader = serde_json::Deserializer::from_slice(row);
    reader.deserialize_seq(All(PhantomData)).map_err(|error| {
        Failure::error(error.to_string().replace(" at line 1 column ", " at column "))
    })
}

struct All<C>(PhantomData<C>);

impl<'d, C: Columns> Visitor<'d> for All<C> {
    type Value = C;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of columns")
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'d>>(self, mut row: A) -> Result<C, A::Error> {
        C::read(&mut row)
    }
}

/// Equality of columns, where only constants can be called.
pub(crate) const fn are_same(columns: &[Column], others: &[Column]) -> bool {
    if columns.len() != others.len() {
        return false;
    }
    let mut index = 0;
    while index < columns.len() {
        let (column, other) = (&columns[index], &others[index]);
        let types = same(column.reads.name, other.reads.name);
        if !same(column.name, other.name) || !types || column.reads.optional != other.reads.optional
        {
            return false;
        }
        index += 1;
    }
    true
}
