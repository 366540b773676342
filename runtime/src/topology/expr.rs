//! A small typed expression over the columns of a record.
//!
//! Null is as in SQL: what is compared with it is null, and a [`Predicate`] admits only what is true.

use std::{cmp::Ordering, fmt};

use tidemill_aggregates::{Type, Value};

use super::format::Layout;

/// An expression over columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// The whole value of the record.
    Whole,
    /// A column of it; null where there is none.
    Column(String),
    /// Always this.
    Literal(Value),
    /// Two values compared: null where one is null or they have no order.
    Compare(Comparison, Box<Expr>, Box<Expr>),
    /// Whether all are true; of none: true.
    And(Vec<Expr>),
    /// Whether one is true; of none: false.
    Or(Vec<Expr>),
    /// The opposite.
    Not(Box<Expr>),
    /// Whether it is null.
    IsNull(Box<Expr>),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Expr {
    /// A column.
    pub fn column(name: impl Into<String>) -> Expr {
        Expr::Column(name.into())
    }

    /// A constant.
    pub fn literal(value: impl Into<Value>) -> Expr {
        Expr::Literal(value.into())
    }

    /// This compared with another.
    pub fn compare(self, how: Comparison, other: Expr) -> Expr {
        Expr::Compare(how, Box::new(self), Box::new(other))
    }

    /// The names of all columns in it, each once.
    pub fn columns(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.each(&mut |expr| {
            if let Expr::Column(name) = expr
                && !names.contains(name)
            {
                names.push(name.clone());
            }
        });
        names
    }

    /// Whether it needs the whole value.
    pub fn needs_whole(&self) -> bool {
        let mut needs = false;
        self.each(&mut |expr| needs |= matches!(expr, Expr::Whole));
        needs
    }

    fn each<'e>(&'e self, seen: &mut dyn FnMut(&'e Expr)) {
        seen(self);
        match self {
            Expr::Whole | Expr::Column(_) | Expr::Literal(_) => {}
            Expr::Compare(_, one, other) => {
                one.each(seen);
                other.each(seen);
            }
            Expr::And(all) | Expr::Or(all) => all.iter().for_each(|expr| expr.each(seen)),
            Expr::Not(inner) | Expr::IsNull(inner) => inner.each(seen),
        }
    }

    /// What it comes to. `names` and `columns` are side by side.
    pub fn value(&self, whole: &Value, names: &[String], columns: &[Value]) -> Value {
        let truth = |expr: &Expr| match expr.value(whole, names, columns) {
            Value::Bool(truth) => Some(truth),
            _ => None,
        };
        let bool = |truth: Option<bool>| truth.map_or(Value::Null, Value::Bool);
        match self {
            Expr::Whole => whole.clone(),
            Expr::Column(name) => {
                let at = names.iter().position(|known| known == name);
                at.and_then(|at| columns.get(at)).cloned().unwrap_or(Value::Null)
            }
            Expr::Literal(value) => value.clone(),
            Expr::Compare(how, one, other) => {
                let (one, other) =
                    (one.value(whole, names, columns), other.value(whole, names, columns));
                bool(order(&one, &other).map(|order| how.holds(order)))
            }
            Expr::And(all) => bool(every(all.iter().map(truth))),
            Expr::Or(all) => {
                let none = every(all.iter().map(|expr| truth(expr).map(|truth| !truth)));
                bool(none.map(|none| !none))
            }
            Expr::Not(inner) => bool(truth(inner).map(|truth| !truth)),
            Expr::IsNull(inner) => Value::Bool(inner.value(whole, names, columns).is_null()),
        }
    }

    /// Its type over columns of these types; `None` for columns: not declared, so that any may be there.
    ///
    /// # Errors
    /// In words, where it makes no sense.
    pub fn check(&self, columns: Option<&[(String, Type)]>) -> Result<Type, String> {
        match self {
            Expr::Whole => Ok(Type::Any),
            Expr::Column(name) => {
                let Some(columns) = columns else { return Ok(Type::Any) };
                let found = columns.iter().find(|(known, _)| known == name);
                found.map(|(_, of)| of.clone()).ok_or_else(|| {
                    let known: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
                    format!("there is no column `{name}`; there are {}", known.join(", "))
                })
            }
            Expr::Literal(value) => Ok(type_of(value)),
            Expr::Compare(_, one, other) => {
                let (one, other) = (one.check(columns)?, other.check(columns)?);
                if comparable(&one, &other) {
                    Ok(Type::Bool)
                } else {
                    Err(format!("`{self}` compares {one} with {other}"))
                }
            }
            Expr::And(all) | Expr::Or(all) => {
                all.iter().try_for_each(|expr| expr.check_truth(columns)).map(|()| Type::Bool)
            }
            Expr::Not(inner) => inner.check_truth(columns).map(|()| Type::Bool),
            Expr::IsNull(inner) => inner.check(columns).map(|_| Type::Bool),
        }
    }

    /// That it is true or false.
    ///
    /// # Errors
    /// In words.
    pub fn check_truth(&self, columns: Option<&[(String, Type)]>) -> Result<(), String> {
        match self.check(columns)? {
            Type::Bool | Type::Any => Ok(()),
            other => Err(format!("`{self}` is {other}, and true or false is wanted")),
        }
    }
}

/// SQL's: false where one is false, else null where one is null.
fn every(truths: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut all = Some(true);
    for truth in truths {
        match truth {
            Some(false) => return Some(false),
            Some(true) => {}
            None => all = None,
        }
    }
    all
}

fn type_of(value: &Value) -> Type {
    match value {
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        Value::Float(_) => Type::Float,
        Value::Text(_) => Type::Text,
        Value::Bytes(_) => Type::Bytes,
        Value::Null | Value::List(_) | Value::Struct(_) => Type::Any,
    }
}

fn comparable(one: &Type, other: &Type) -> bool {
    let number = |of: &Type| matches!(of, Type::Int | Type::Float);
    matches!(one, Type::Any)
        || matches!(other, Type::Any)
        || one == other
        || (number(one) && number(other))
}

/// The order of two values, where they have one: numbers by what they stand for, other values among their kind.
fn order(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Null, _) | (_, Value::Null) => None,
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        // The order of values puts an Int before the Float of the same number.
        (Value::Int(int), Value::Float(float)) => mixed(one, other, *int, *float),
        (Value::Float(float), Value::Int(int)) => mixed(one, other, *int, *float),
        (a, b) if std::mem::discriminant(a) == std::mem::discriminant(b) => Some(a.cmp(b)),
        _ => None,
    }
}

fn mixed(one: &Value, other: &Value, int: i64, float: f64) -> Option<Ordering> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::float_cmp,
        reason = "the same number is one that comes back from both"
    )]
    let same = int as f64 == float && float < 9_223_372_036_854_775_808.0 && (float as i64) == int;
    match (float.is_nan(), same) {
        (true, _) => None,
        (false, true) => Some(Ordering::Equal),
        (false, false) => Some(one.cmp(other)),
    }
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// For messages, and to tell two expressions apart.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, all: &[Expr], word: &str| {
            for (index, expr) in all.iter().enumerate() {
                let before = if index == 0 { "" } else { word };
                write!(f, "{before}{expr}")?;
            }
            Ok(())
        };
        match self {
            Expr::Whole => f.write_str("*"),
            Expr::Column(name) => f.write_str(name),
            Expr::Literal(value) => {
                f.write_str(&serde_json::to_string(value).map_err(|_| fmt::Error)?)
            }
            Expr::Compare(how, one, other) => {
                let sign = match how {
                    Comparison::Equal => "=",
                    Comparison::NotEqual => "!=",
                    Comparison::Less => "<",
                    Comparison::LessOrEqual => "<=",
                    Comparison::Greater => ">",
                    Comparison::GreaterOrEqual => ">=",
                };
                write!(f, "{one} {sign} {other}")
            }
            Expr::And(all) if all.is_empty() => f.write_str("true"),
            Expr::And(all) => list(f, all, " and "),
            Expr::Or(all) => {
                f.write_str("(")?;
                list(f, all, " or ")?;
                f.write_str(")")
            }
            Expr::Not(inner) => write!(f, "not ({inner})"),
            Expr::IsNull(inner) => write!(f, "{inner} is null"),
        }
    }
}

/// An expression at work on values of a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predicate {
    /// How values are written.
    pub layout: Layout,
    /// What must be true.
    pub expr: Expr,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(expr: &Expr) -> Value {
        let names = ["a".to_owned(), "n".to_owned(), "t".to_owned()];
        expr.value(&Value::from("w"), &names, &[Value::Int(1), Value::Null, Value::from("x")])
    }

    #[test]
    fn null_is_neither_true_nor_false() {
        let (a, n) = (|| Expr::column("a"), || Expr::column("n"));
        let is = |expr: Expr| value(&expr);
        let (yes, no) = (Expr::literal(true), Expr::literal(false));
        assert_eq!(is(a().compare(Comparison::Equal, Expr::literal(1.0))), Value::Bool(true));
        assert_eq!(is(a().compare(Comparison::Less, Expr::literal(1.5))), Value::Bool(true));
        assert_eq!(
            is(a().compare(Comparison::GreaterOrEqual, Expr::literal(2))),
            Value::Bool(false)
        );
        assert_eq!(is(a().compare(Comparison::Equal, Expr::column("t"))), Value::Null);
        assert_eq!(is(n().compare(Comparison::NotEqual, n())), Value::Null);
        assert_eq!(is(Expr::And(vec![n(), no.clone()])), Value::Bool(false));
        assert_eq!(is(Expr::And(vec![n(), yes.clone()])), Value::Null);
        assert_eq!(is(Expr::Or(vec![n(), yes])), Value::Bool(true));
        assert_eq!(is(Expr::Or(vec![n(), no])), Value::Null);
        assert_eq!(is(Expr::Not(Box::new(n()))), Value::Null);
        assert_eq!(is(Expr::IsNull(Box::new(n()))), Value::Bool(true));
        assert_eq!(is(Expr::IsNull(Box::new(Expr::column("else")))), Value::Bool(true));
        assert_eq!(
            (is(Expr::And(vec![])), is(Expr::Or(vec![]))),
            (Value::Bool(true), Value::Bool(false))
        );
        assert_eq!(is(Expr::Whole), Value::from("w"));
    }

    #[test]
    fn numbers_are_compared_exactly() {
        let big = Value::Int(9_007_199_254_740_993);
        assert_eq!(order(&big, &Value::Float(9_007_199_254_740_992.0)), Some(Ordering::Greater));
        assert_eq!(
            order(&Value::Int(i64::MAX), &Value::Float(9_223_372_036_854_775_807.0)),
            Some(Ordering::Less)
        );
        assert_eq!(order(&Value::Float(f64::NAN), &Value::Int(1)), None);
        assert_eq!(order(&Value::Float(0.0), &Value::Float(-0.0)), Some(Ordering::Equal));
    }

    #[test]
    fn types_are_checked_where_they_are_known() {
        let columns = [("a".to_owned(), Type::Int), ("t".to_owned(), Type::Text)];
        let check = |expr: &Expr| expr.check(Some(&columns)).map(|of| of.to_string());
        let compared = |with: &str| Expr::column("a").compare(Comparison::Less, Expr::column(with));
        assert_eq!(check(&compared("a")).unwrap(), "bool");
        assert_eq!(check(&compared("t")).unwrap_err(), "`a < t` compares int with text");
        assert_eq!(check(&compared("b")).unwrap_err(), "there is no column `b`; there are a, t");
        let not = Expr::Not(Box::new(Expr::column("t")));
        assert_eq!(check(&not).unwrap_err(), "`t` is text, and true or false is wanted");
        assert_eq!(not.check(None), Ok(Type::Bool));
        let all = Expr::Or(vec![
            Expr::And(vec![not, compared("t")]),
            Expr::IsNull(Box::new(Expr::literal("x"))),
        ]);
        assert_eq!(all.to_string(), "(not (t) and a < t or \"x\" is null)");
        assert_eq!(all.columns(), ["t", "a"]);
    }
}
