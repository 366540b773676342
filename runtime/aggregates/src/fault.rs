//! [`Fault`]: a record that cannot be aggregated.

/// A record cannot be added, undone or merged. The row may hold a part of it and is to be thrown away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A value is of the wrong kind.
    #[error("{aggregate}: column `{column}` holds {found}, expected {expected}")]
    WrongType {
        /// The aggregate, as in `sum(cents)`.
        aggregate: String,
        /// Its column.
        column: String,
        /// What it takes.
        expected: &'static str,
        /// What came.
        found: &'static str,
    },
    /// A count or an integer sum leaves i64.
    #[error("{aggregate} leaves the range of 64-bit integers")]
    Overflow {
        /// The aggregate.
        aggregate: String,
    },
    /// A value is larger than what is kept of one.
    #[error(
        "{aggregate}: the value of column `{column}` has {bytes} bytes encoded, at most {bytes_max} are kept"
    )]
    TooLarge {
        /// The aggregate.
        aggregate: String,
        /// Its column.
        column: String,
        /// The size of the value.
        bytes: usize,
        /// What is kept.
        bytes_max: usize,
    },
    /// Lists and structs lie too deep in each other.
    #[error("{aggregate}: the value of column `{column}` is nested deeper than 128 levels")]
    TooDeep {
        /// The aggregate.
        aggregate: String,
        /// Its column.
        column: String,
    },
    /// What is to be undone was not added.
    #[error("{aggregate}: nothing is there to be undone")]
    NotAdded {
        /// The aggregate.
        aggregate: String,
    },
    /// The function cannot undo.
    #[error(
        "{aggregate} cannot take a value out again: over a table use count, sum, avg, variance, stddev, collect-list or histogram"
    )]
    NotInvertible {
        /// The aggregate.
        aggregate: String,
    },
}

/// A fault before it has names: what a state finds wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Type { expected: &'static str, found: &'static str },
    Overflow,
    TooLarge { bytes: usize, bytes_max: usize },
    TooDeep,
    NotAdded,
    NotInvertible,
}

impl Wrong {
    #[cold]
    pub(crate) fn named(self, aggregate: String, column: &str) -> Fault {
        let column = column.to_owned();
        match self {
            Wrong::Type { expected, found } => {
                Fault::WrongType { aggregate, column, expected, found }
            }
            Wrong::Overflow => Fault::Overflow { aggregate },
            Wrong::TooLarge { bytes, bytes_max } => {
                Fault::TooLarge { aggregate, column, bytes, bytes_max }
            }
            Wrong::TooDeep => Fault::TooDeep { aggregate, column },
            Wrong::NotAdded => Fault::NotAdded { aggregate },
            Wrong::NotInvertible => Fault::NotInvertible { aggregate },
        }
    }
}
