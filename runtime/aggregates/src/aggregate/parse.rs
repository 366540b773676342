//! The text of an aggregate.

use winnow::{
    ModalResult, Parser,
    ascii::{float, space0},
    combinator::{alt, delimited, eof, opt, preceded, separated},
    stream::Stream,
    token::{any, none_of, take_while},
};

use super::{Aggregate, ELEMENTS, Function};

/// An aggregate, or a set of them, is not what it can be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {right}")]
pub struct Invalid {
    what: String,
    right: String,
}

impl Invalid {
    pub(crate) fn new(what: impl Into<String>, right: impl Into<String>) -> Self {
        Invalid { what: what.into(), right: right.into() }
    }
}

/// What stands between the parentheses.
#[derive(Debug, Clone, PartialEq)]
enum Argument {
    Column(String),
    Number(f64),
    Star,
}

/// Whether a column's name can stand without quotes.
pub(super) fn is_word(name: &str) -> bool {
    name.starts_with(is_start) && name.chars().all(is_part)
}

fn is_start(char: char) -> bool {
    char.is_alphabetic() || char == '_'
}

fn is_part(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '_' | '-' | '.' | '$' | '@')
}

fn word<'a>(text: &mut &'a str) -> ModalResult<&'a str> {
    (any.verify(|char| is_start(*char)), take_while(0.., is_part)).take().parse_next(text)
}

/// A JSON string.
fn quoted(text: &mut &str) -> ModalResult<String> {
    let part = alt((preceded('\\', any).void(), none_of(['"', '\\']).void()));
    let inner = winnow::combinator::repeat::<_, _, (), _, _>(0.., part);
    delimited('"', inner, '"')
        .take()
        .verify_map(|string: &str| serde_json::from_str(string).ok())
        .parse_next(text)
}

fn argument(text: &mut &str) -> ModalResult<Argument> {
    let argument = alt((
        '*'.value(Argument::Star),
        quoted.map(Argument::Column),
        word.map(|word| Argument::Column(word.to_owned())),
        float.map(Argument::Number),
    ));
    delimited(space0, argument, space0).parse_next(text)
}

fn call(text: &mut &str) -> ModalResult<(String, Vec<Argument>)> {
    let name = delimited(space0, word, space0).map(str::to_owned);
    let arguments = separated(0.., argument, ',');
    let inner = alt((arguments, space0.map(|_| Vec::new())));
    let arguments =
        opt(delimited('(', inner, (space0, ')', space0))).map(Option::unwrap_or_default);
    let (call, _) = ((name, arguments), eof).parse_next(text)?;
    Ok(call)
}

pub(super) fn aggregate(text: &str) -> Result<Aggregate, Invalid> {
    let invalid = |right: String| Invalid::new(format!("`{text}`"), right);
    let mut rest = text;
    let (name, arguments) = call(&mut rest).map_err(|_| {
        invalid("write a function and its column, as in `sum(cents)` or `top-k(cents, 3)`".into())
    })?;
    debug_assert_eq!(rest.eof_offset(), 0, "a call ends at the end");
    let usage = usage(&name).ok_or_else(|| invalid(unknown(&name)))?;
    let (function, column) =
        function(&name, arguments).ok_or_else(|| invalid(format!("write `{usage}`")))?;
    function.check().map_err(|wrong| invalid(wrong.into()))?;
    Aggregate::new(function, column.as_deref())
}

/// What a function's text looks like.
fn usage(name: &str) -> Option<&'static str> {
    USAGES.iter().find(|(function, _)| *function == name).map(|(_, usage)| *usage)
}

const USAGES: [(&str, &str); 15] = [
    ("count", "count()` or `count(column)"),
    ("sum", "sum(column)"),
    ("min", "min(column)"),
    ("max", "max(column)"),
    ("avg", "avg(column)"),
    ("first", "first(column)"),
    ("last", "last(column)"),
    ("collect-list", "collect-list(column)` or `collect-list(column, 100)"),
    ("collect-set", "collect-set(column)` or `collect-set(column, 100)"),
    ("top-k", "top-k(column, 3)"),
    ("count-distinct", "count-distinct(column)"),
    ("variance", "variance(column)"),
    ("stddev", "stddev(column)"),
    ("histogram", "histogram(column)` or `histogram(column, 100)"),
    ("percentile", "percentile(column, 0.99)"),
];

/// Other words for the same, as users of SQL and of ksqlDB know them.
const OTHERS: [(&str, &str); 17] = [
    ("average", "avg"),
    ("mean", "avg"),
    ("total", "sum"),
    ("minimum", "min"),
    ("maximum", "max"),
    ("earliest-by-offset", "first"),
    ("latest-by-offset", "last"),
    ("topk", "top-k"),
    ("top", "top-k"),
    ("collect", "collect-list"),
    ("distinct", "count-distinct"),
    ("approx-count-distinct", "count-distinct"),
    ("var-samp", "variance"),
    ("stddev-samp", "stddev"),
    ("stddev-sample", "stddev"),
    ("std-dev", "stddev"),
    ("median", "percentile(column, 0.5)"),
];

fn unknown(name: &str) -> String {
    let plain = name.to_lowercase().replace('_', "-");
    let same = USAGES.iter().map(|(function, _)| *function).find(|function| *function == plain);
    let other = OTHERS.iter().find(|(other, _)| *other == plain).map(|(_, function)| *function);
    match same.or(other) {
        Some(right) => format!("there is no function `{name}`, write `{right}`"),
        None => {
            let names: Vec<_> = USAGES.iter().map(|(function, _)| *function).collect();
            format!("there is no function `{name}`; there are {}", names.join(", "))
        }
    }
}

/// The function and its column; `None` where the arguments are not its own.
fn function(name: &str, arguments: Vec<Argument>) -> Option<(Function, Option<String>)> {
    let mut arguments = arguments.into_iter();
    let (first, second) = (arguments.next(), arguments.next());
    if arguments.next().is_some() {
        return None;
    }
    let column = match first {
        Some(Argument::Column(column)) => column,
        None | Some(Argument::Star) if name == "count" && second.is_none() => {
            return Some((Function::Count, None));
        }
        None | Some(_) => return None,
    };
    let number = match second {
        Some(Argument::Number(number)) => Some(number),
        None => None,
        Some(_) => return None,
    };
    let elements = |number: Option<f64>| number.map_or(Some(ELEMENTS), whole);
    let function = match (name, number) {
        ("count", None) => Function::Count,
        ("sum", None) => Function::Sum,
        ("min", None) => Function::Min,
        ("max", None) => Function::Max,
        ("avg", None) => Function::Avg,
        ("first", None) => Function::First,
        ("last", None) => Function::Last,
        ("collect-list", number) => Function::CollectList { max: elements(number)? },
        ("collect-set", number) => Function::CollectSet { max: elements(number)? },
        ("top-k", Some(number)) => Function::TopK { k: whole(number)? },
        ("count-distinct", None) => Function::CountDistinct,
        ("variance", None) => Function::Variance,
        ("stddev", None) => Function::Stddev,
        ("histogram", number) => Function::Histogram { max: elements(number)? },
        ("percentile", Some(fraction)) => Function::Percentile { fraction },
        _ => return None,
    };
    Some((function, Some(column)))
}

fn whole(number: f64) -> Option<u32> {
    if number.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(&number) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    let whole = number as u32;
    Some(whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn aggregates_are_read() {
        let check = |text: &str, function: Function, column: Option<&str>, shown: &str| {
            let aggregate = Aggregate::parse(text).unwrap();
            assert_eq!((aggregate.function(), aggregate.column()), (&function, column), "{text}");
            assert_eq!(aggregate.to_string(), shown);
        };
        check("count", Function::Count, None, "count()");
        check("count()", Function::Count, None, "count()");
        check(" count( * ) ", Function::Count, None, "count()");
        check("count(sku)", Function::Count, Some("sku"), "count(sku)");
        check("sum( order.cents )", Function::Sum, Some("order.cents"), "sum(order.cents)");
        check("min(a-b)", Function::Min, Some("a-b"), "min(a-b)");
        check("max(_x)", Function::Max, Some("_x"), "max(_x)");
        check("avg(größe)", Function::Avg, Some("größe"), "avg(größe)");
        check("first(a)", Function::First, Some("a"), "first(a)");
        check("last(a)", Function::Last, Some("a"), "last(a)");
        check(
            "collect-list(sku)",
            Function::CollectList { max: 1000 },
            Some("sku"),
            "collect-list(sku)",
        );
        check(
            "collect-set(sku,7)",
            Function::CollectSet { max: 7 },
            Some("sku"),
            "collect-set(sku, 7)",
        );
        check("top-k(cents, 3)", Function::TopK { k: 3 }, Some("cents"), "top-k(cents, 3)");
        check("count-distinct(a)", Function::CountDistinct, Some("a"), "count-distinct(a)");
        check("variance(a)", Function::Variance, Some("a"), "variance(a)");
        check("stddev(a)", Function::Stddev, Some("a"), "stddev(a)");
        check(
            "histogram(city)",
            Function::Histogram { max: 1000 },
            Some("city"),
            "histogram(city)",
        );
        let p99 = Function::Percentile { fraction: 0.99 };
        check("percentile(ms, 0.99)", p99, Some("ms"), "percentile(ms, 0.99)");
        check(
            "percentile(ms, 1)",
            Function::Percentile { fraction: 1.0 },
            Some("ms"),
            "percentile(ms, 1)",
        );
        let odd = r#"a "b", c)"#;
        check(r#"sum("a \"b\", c)")"#, Function::Sum, Some(odd), r#"sum("a \"b\", c)")"#);
        check(r#"sum("1st")"#, Function::Sum, Some("1st"), r#"sum("1st")"#);
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        let check = |text: &str, error: &str| {
            assert_eq!(
                Aggregate::parse(text).unwrap_err().to_string(),
                format!("`{text}`: {error}")
            );
        };
        let shape = "write a function and its column, as in `sum(cents)` or `top-k(cents, 3)`";
        for text in ["", "sum(", "sum(a))", "sum(a) b", "sum(a b)", "sum(,)", "sum(\"a)", "3(a)"] {
            check(text, shape);
        }
        check("sum", "write `sum(column)`");
        check("sum()", "write `sum(column)`");
        check("sum(*)", "write `sum(column)`");
        check("sum(1)", "write `sum(column)`");
        check("sum(a, 2)", "write `sum(column)`");
        check("count(a, b)", "write `count()` or `count(column)`");
        check("count(*, 3)", "write `count()` or `count(column)`");
        check("top-k(a)", "write `top-k(column, 3)`");
        check("top-k(a, 1.5)", "write `top-k(column, 3)`");
        check("top-k(a, -1)", "write `top-k(column, 3)`");
        check("top-k(a, 0)", "between 1 and 10000 elements are kept");
        check("collect-set(a, 10001)", "between 1 and 10000 elements are kept");
        check("percentile(ms, 99)", "the fraction is between 0 and 1: percentile(ms, 0.99)");
        check("percentile(ms, nan)", "write `percentile(column, 0.99)`");
        check("SUM(a)", "there is no function `SUM`, write `sum`");
        check("collect_list(a)", "there is no function `collect_list`, write `collect-list`");
        check("topk(a, 3)", "there is no function `topk`, write `top-k`");
        check("median(a)", "there is no function `median`, write `percentile(column, 0.5)`");
        check(
            "mode(a)",
            "there is no function `mode`; there are count, sum, min, max, avg, first, last, collect-list, collect-set, \
             top-k, count-distinct, variance, stddev, histogram, percentile",
        );
    }

    fn function() -> impl Strategy<Value = Function> {
        prop_oneof![
            Just(Function::Count),
            Just(Function::Sum),
            Just(Function::First),
            (1..=10_000u32).prop_map(|max| Function::CollectList { max }),
            (1..=10_000u32).prop_map(|max| Function::Histogram { max }),
            (1..=10_000u32).prop_map(|k| Function::TopK { k }),
            (0.0..=1.0).prop_map(|fraction| Function::Percentile { fraction }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read(function in function(), column in ".{1,12}") {
            let aggregate = Aggregate::new(function, Some(&column)).unwrap();
            prop_assert_eq!(Aggregate::parse(&aggregate.to_string()), Ok(aggregate));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,24}") {
            if let Ok(aggregate) = Aggregate::parse(&text) {
                prop_assert_eq!(Aggregate::parse(&aggregate.to_string()), Ok(aggregate));
            }
        }
    }
}
