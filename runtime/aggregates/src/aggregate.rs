//! [`Aggregate`]: one function over one column, and its text: `sum(cents)`.

use std::{fmt, str::FromStr};

use crate::{Type, limits::ELEMENTS_MAX};

mod parse;

pub use parse::Invalid;

/// What is computed, with its parameters. Their meaning is in [the table](crate#functions).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Function {
    /// `count`: records, or values of a column.
    Count,
    /// `sum`.
    Sum,
    /// `min`.
    Min,
    /// `max`.
    Max,
    /// `avg`.
    Avg,
    /// `first`: by event time.
    First,
    /// `last`: by event time.
    Last,
    /// `collect-list`: the first `max` values.
    CollectList {
        /// 1 to [`ELEMENTS_MAX`].
        max: u32,
    },
    /// `collect-set`: the first `max` distinct values.
    CollectSet {
        /// 1 to [`ELEMENTS_MAX`].
        max: u32,
    },
    /// `top-k`: the `k` largest values.
    TopK {
        /// 1 to [`ELEMENTS_MAX`].
        k: u32,
    },
    /// `count-distinct`: an estimate.
    CountDistinct,
    /// `variance` of a sample.
    Variance,
    /// `stddev` of a sample.
    Stddev,
    /// `histogram`: how often each of the first `max` distinct values came.
    Histogram {
        /// 1 to [`ELEMENTS_MAX`].
        max: u32,
    },
    /// `percentile`: an estimate.
    Percentile {
        /// 0 to 1: 0.5 is the median.
        fraction: f64,
    },
}

/// How many elements `collect-list`, `collect-set` and `histogram` keep where no other number is given: ksqlDB's.
pub(crate) const ELEMENTS: u32 = 1_000;

impl Function {
    /// Its name, as [`Aggregate::parse`] reads it.
    pub fn name(&self) -> &'static str {
        match self {
            Function::Count => "count",
            Function::Sum => "sum",
            Function::Min => "min",
            Function::Max => "max",
            Function::Avg => "avg",
            Function::First => "first",
            Function::Last => "last",
            Function::CollectList { .. } => "collect-list",
            Function::CollectSet { .. } => "collect-set",
            Function::TopK { .. } => "top-k",
            Function::CountDistinct => "count-distinct",
            Function::Variance => "variance",
            Function::Stddev => "stddev",
            Function::Histogram { .. } => "histogram",
            Function::Percentile { .. } => "percentile",
        }
    }

    /// Whether what was added can be taken out again, as an aggregate over a table needs.
    pub fn is_invertible(&self) -> bool {
        match self {
            Function::Count
            | Function::Sum
            | Function::Avg
            | Function::CollectList { .. }
            | Function::Variance
            | Function::Stddev
            | Function::Histogram { .. } => true,
            Function::Min
            | Function::Max
            | Function::First
            | Function::Last
            | Function::CollectSet { .. }
            | Function::TopK { .. }
            | Function::CountDistinct
            | Function::Percentile { .. } => false,
        }
    }

    /// The type of its result over a column of type `of`, or what it takes instead.
    pub(crate) fn result_type(&self, of: &Type) -> Result<Type, &'static str> {
        let number = matches!(of, Type::Any | Type::Int | Type::Float);
        let scalar = number || matches!(of, Type::Bool | Type::Text | Type::Bytes);
        match self {
            Function::Count | Function::CountDistinct => Ok(Type::Int),
            Function::Sum if number => Ok(of.clone()),
            Function::Avg | Function::Variance | Function::Stddev | Function::Percentile { .. }
                if number =>
            {
                Ok(Type::Float)
            }
            Function::Sum
            | Function::Avg
            | Function::Variance
            | Function::Stddev
            | Function::Percentile { .. } => Err(NUMBER),
            Function::Min | Function::Max if scalar => Ok(of.clone()),
            Function::TopK { .. } if scalar => Ok(Type::List(Box::new(of.clone()))),
            Function::Histogram { .. } if scalar => Ok(Type::Map(Box::new(Type::Int))),
            Function::Min | Function::Max | Function::TopK { .. } | Function::Histogram { .. } => {
                Err(SCALAR)
            }
            Function::First | Function::Last => Ok(of.clone()),
            Function::CollectList { .. } | Function::CollectSet { .. } => {
                Ok(Type::List(Box::new(of.clone())))
            }
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        match *self {
            Function::CollectList { max: number }
            | Function::CollectSet { max: number }
            | Function::Histogram { max: number }
            | Function::TopK { k: number }
                if !(1..=ELEMENTS_MAX).contains(&number) =>
            {
                Err("between 1 and 10000 elements are kept")
            }
            Function::Percentile { fraction } if !(0.0..=1.0).contains(&fraction) => {
                Err("the fraction is between 0 and 1: percentile(ms, 0.99)")
            }
            _ => Ok(()),
        }
    }
}

pub(crate) const NUMBER: &str = "an int or a float";
pub(crate) const SCALAR: &str = "a bool, an int, a float, text or bytes";

/// A function over a column. Its text is what [`Aggregate::parse`] reads and [`fmt::Display`] writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    function: Function,
    column: Option<String>,
}

impl Aggregate {
    /// A function over a column; over whole records, where it is `count` and the column is `None`.
    ///
    /// # Errors
    /// [`Invalid`] where the column is missing or a parameter is out of its range.
    pub fn new(function: Function, column: Option<&str>) -> Result<Self, Invalid> {
        let aggregate = Aggregate { function, column: column.map(str::to_owned) };
        let name = function.name();
        let wrong = match column {
            None if function != Function::Count => Some("it takes a column"),
            Some("") => Some("the name of its column is empty"),
            _ => function.check().err(),
        };
        match wrong {
            Some(wrong) => Err(Invalid::new(format!("`{aggregate}`"), format!("{name}: {wrong}"))),
            None => Ok(aggregate),
        }
    }

    /// Reads `sum(cents)`, `count()` or `count`, `top-k(cents, 3)`, `percentile(ms, 0.99)`,
    /// `collect-list("a name that is no word", 100)`.
    ///
    /// # Errors
    /// [`Invalid`], which says what would be right.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        parse::aggregate(text)
    }

    /// What is computed.
    pub fn function(&self) -> &Function {
        &self.function
    }

    /// Over which column; `None` for `count()`, which counts records.
    pub fn column(&self) -> Option<&str> {
        self.column.as_deref()
    }
}

impl FromStr for Aggregate {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Aggregate::parse(text)
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.function.name())?;
        match &self.column {
            None => {}
            Some(column) if parse::is_word(column) => f.write_str(column)?,
            Some(column) => write!(f, "{}", serde_json::Value::from(column.as_str()))?,
        }
        match self.function {
            Function::CollectList { max }
            | Function::CollectSet { max }
            | Function::Histogram { max }
                if max != ELEMENTS =>
            {
                write!(f, ", {max}")?;
            }
            Function::TopK { k } => write!(f, ", {k}")?,
            Function::Percentile { fraction } => write!(f, ", {fraction}")?,
            _ => {}
        }
        f.write_str(")")
    }
}
