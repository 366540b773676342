//! Rows against oracles that keep every record.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*, sample::subsequence};

use super::*;
use crate::testing::{leaf, value};

fn compute(aggregates: &[&str]) -> Compute {
    let columns = aggregates.iter().map(|text| (*text, Aggregate::parse(text).unwrap()));
    Compute::new(columns).unwrap()
}

type Record = (Value, i64);

fn add_all(compute: &Compute, row: &mut Row, records: &[Record]) -> Result<(), Fault> {
    records.iter().try_for_each(|(value, at_millis)| {
        let arguments = vec![value.clone(); compute.arguments().len()];
        compute.add(row, &arguments, *at_millis)
    })
}

fn added(compute: &Compute, records: &[Record]) -> Row {
    let mut row = compute.init();
    add_all(compute, &mut row, records).unwrap();
    row
}

fn encoded(compute: &Compute, row: &Row) -> Vec<u8> {
    let mut bytes = Vec::new();
    compute.encode(row, &mut bytes);
    bytes
}

/// The result of the only column.
fn result(aggregate: &str, records: &[Record]) -> Value {
    let compute = compute(&[aggregate]);
    compute.result(&added(&compute, records)).remove(0)
}

/// What an oracle says of records whose value is not null.
fn oracle(aggregate: &str, records: &[Record]) -> Value {
    let records: Vec<_> = records.iter().filter(|(value, _)| !value.is_null()).collect();
    let values = || records.iter().map(|(value, _)| value.clone());
    let whole = |value: &Value| match value {
        Value::Int(int) => i128::from(*int),
        other => panic!("{other:?} is no int"),
    };
    let list = |values: Vec<Value>| Value::List(values);
    let int = |int: usize| Value::Int(i64::try_from(int).unwrap());
    match aggregate {
        "count(a)" => int(records.len()),
        "sum(a)" => {
            Value::Int(values().map(|value| whole(&value)).sum::<i128>().try_into().unwrap())
        }
        "avg(a)" if records.is_empty() => Value::Null,
        "avg(a)" => {
            let sum: i128 = values().map(|value| whole(&value)).sum();
            Value::Float(sum as f64 / records.len() as f64)
        }
        "min(a)" => values().min().unwrap_or(Value::Null),
        "max(a)" => values().max().unwrap_or(Value::Null),
        // `min_by_key` gives the first of equal ones, `max_by_key` the last.
        "first(a)" => records.iter().min_by_key(|r| r.1).map_or(Value::Null, |r| r.0.clone()),
        "last(a)" => records.iter().max_by_key(|r| r.1).map_or(Value::Null, |r| r.0.clone()),
        "collect-list(a, 5)" => list(values().take(5).collect()),
        "collect-set(a, 5)" => {
            let mut seen = BTreeSet::new();
            list(values().filter(|value| seen.insert(value.clone())).take(5).collect())
        }
        "top-k(a, 3)" => {
            let mut sorted: Vec<_> = values().collect();
            sorted.sort();
            list(sorted.into_iter().rev().take(3).collect())
        }
        "count-distinct(a)" => int(values().collect::<BTreeSet<_>>().len()),
        "histogram(a)" => {
            let mut counts = BTreeMap::new();
            for value in values() {
                let text = match value {
                    Value::Text(text) => text,
                    value => serde_json::to_string(&value).unwrap(),
                };
                *counts.entry(text).or_insert(0i64) += 1;
            }
            Value::Struct(counts.into_iter().map(|(text, n)| (text, Value::Int(n))).collect())
        }
        other => panic!("no oracle for {other}"),
    }
}

/// Aggregates that agree with their oracles, and merge, to the last bit.
const OF_ANY: [&str; 6] = [
    "count(a)",
    "first(a)",
    "last(a)",
    "collect-list(a, 5)",
    "collect-set(a, 5)",
    "count-distinct(a)",
];
const OF_SCALARS: [&str; 4] = ["min(a)", "max(a)", "top-k(a, 3)", "histogram(a)"];
const OF_INTS: [&str; 2] = ["sum(a)", "avg(a)"];

fn records(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Vec<Record>> {
    vec((prop_oneof![8 => value, 1 => Just(Value::Null)], 0..6i64), 0..24)
}

fn any_records() -> impl Strategy<Value = Vec<Record>> {
    prop_oneof![records(value()), records((0..6i64).prop_map(Value::Int))]
}

fn ints() -> impl Strategy<Value = Vec<Record>> {
    let far = i64::MAX / 100;
    records(prop_oneof![(-5..5i64).prop_map(Value::Int), (-far..far).prop_map(Value::Int)])
}

fn texts() -> impl Strategy<Value = Vec<Record>> {
    records("[a-c]{0,2}".prop_map(Value::Text))
}

fn numbers() -> impl Strategy<Value = Vec<Record>> {
    let float = (-1e6..1e6f64).prop_map(Value::Float);
    records(prop_oneof![float, (-1_000_000..1_000_000i64).prop_map(Value::Int)])
}

fn agrees(aggregates: &[&str], records: &[Record], cut: usize) -> Result<(), TestCaseError> {
    for aggregate in aggregates {
        let expected = oracle(aggregate, records);
        prop_assert_eq!(&result(aggregate, records), &expected, "{}", aggregate);

        let compute = compute(&[aggregate]);
        let (early, late) = records.split_at(cut.min(records.len()));
        let mut merged = added(&compute, early);
        compute.merge(&mut merged, &added(&compute, late)).unwrap();
        prop_assert_eq!(&compute.result(&merged)[0], &expected, "{} merged", aggregate);

        // A merged row goes on as any other.
        let mut through = compute.decode(&encoded(&compute, &merged)).unwrap();
        add_all(&compute, &mut through, records).unwrap();
        let twice: Vec<_> = [records, records].concat();
        prop_assert_eq!(&compute.result(&through)[0], &oracle(aggregate, &twice), "{}", aggregate);
    }
    Ok(())
}

/// Every function, those of numbers on `n`, all others on `a`.
const ALL: [&str; 20] = [
    "count()",
    "count(a)",
    "sum(n)",
    "avg(n)",
    "variance(n)",
    "stddev(n)",
    "percentile(n, 0.5)",
    "percentile(n, 0.99)",
    "min(n)",
    "max(n)",
    "top-k(n, 3)",
    "histogram(n, 5)",
    "first(a)",
    "last(a)",
    "collect-list(a)",
    "collect-list(a, 5)",
    "collect-set(a)",
    "collect-set(a, 5)",
    "count-distinct(a)",
    "count-distinct(n)",
];

proptest! {
    #[test]
    fn functions_of_anything_agree_with_their_oracles(records in any_records(), cut in 0..24usize) {
        agrees(&OF_ANY, &records, cut)?;
    }

    #[test]
    fn functions_of_ints_agree_with_their_oracles(records in ints(), cut in 0..24usize) {
        agrees(&OF_INTS, &records, cut)?;
        agrees(&OF_SCALARS, &records, cut)?;
    }

    #[test]
    fn functions_of_texts_agree_with_their_oracles(records in texts(), cut in 0..24usize) {
        agrees(&OF_SCALARS, &records, cut)?;
    }

    #[test]
    fn order_is_that_of_values(records in numbers(), cut in 0..24usize) {
        agrees(&["min(a)", "max(a)", "top-k(a, 3)"], &records, cut)?;
    }

    #[test]
    fn sums_of_ints_are_exact_or_a_fault(values in vec(crate::testing::int(), 0..8)) {
        let compute = compute(&["sum(a)"]);
        let mut exact = 0i128;
        let mut row = compute.init();
        for int in values {
            exact += i128::from(int);
            let added = compute.add(&mut row, &[Value::Int(int)], 0);
            match i64::try_from(exact) {
                Ok(sum) => {
                    prop_assert_eq!(added, Ok(()));
                    prop_assert_eq!(compute.result(&row), vec![Value::Int(sum)]);
                }
                Err(_) => {
                    prop_assert_eq!(added, Err(Fault::Overflow { aggregate: "sum(a)".into() }));
                    break;
                }
            }
        }
    }

    #[test]
    fn moments_agree_with_two_passes(
        offset in prop_oneof![Just(0.0), Just(1e9)],
        values in vec(-1e3..1e3f64, 2..40),
        cut in 0..40usize,
    ) {
        let values: Vec<f64> = values.into_iter().map(|value| value + offset).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);

        let compute = compute(&["variance(a)", "stddev(a)"]);
        let records: Vec<_> = values.iter().map(|value| (Value::Float(*value), 0)).collect();
        let (early, late) = records.split_at(cut.min(records.len()));
        let mut merged = added(&compute, early);
        compute.merge(&mut merged, &added(&compute, late)).unwrap();
        let mut undone = added(&compute, &records);
        add_all(&compute, &mut undone, &[(Value::Float(offset + 7.0), 0)]).unwrap();
        compute.undo(&mut undone, &[Value::Float(offset + 7.0)]).unwrap();

        for row in [added(&compute, &records), merged, undone] {
            let [Value::Float(found), Value::Float(deviation)] = compute.result(&row)[..] else {
                panic!("two values have a variance");
            };
            // At 1e9 a distance is known to 1e-7, and a square of some 1e3 to 1e-4.
            prop_assert!((found - variance).abs() <= 1e-9 * variance + 1e-12 * offset, "{} {}", found, variance);
            prop_assert_eq!(deviation, found.sqrt());
        }
    }

    #[test]
    fn what_is_undone_leaves_the_rest(
        (records, gone) in vec(-5..5i64, 0..16).prop_flat_map(|records| {
            let all: Vec<usize> = (0..records.len()).collect();
            let sizes = 0..=all.len();
            (Just(records), subsequence(all, sizes))
        }),
    ) {
        let compute = compute(&["count()", "count(a)", "sum(a)", "avg(a)", "histogram(a)", "variance(a)"]);
        prop_assert_eq!(compute.not_invertible(), None);
        let all: Vec<Record> = records.iter().map(|int| (Value::Int(*int), 0)).collect();
        let mut row = added(&compute, &all);
        for at in &gone {
            compute.undo(&mut row, &[all[*at].0.clone()]).unwrap();
        }
        let left = (0..all.len()).filter(|at| !gone.contains(at)).map(|at| all[at].clone());
        let left: Vec<_> = left.collect();
        let expected = added(&compute, &left);
        let (found, expected) = (compute.result(&row), compute.result(&expected));
        prop_assert_eq!(&found[..5], &expected[..5]);
        match (&found[5], &expected[5]) {
            (Value::Float(found), Value::Float(expected)) => {
                prop_assert!((found - expected).abs() < 1e-9, "{} {}", found, expected);
            }
            (found, expected) => prop_assert_eq!(found, expected),
        }
    }

    #[test]
    fn a_list_without_the_last_equal_one(records in vec(0..4i64, 0..12), gone in 0..4i64) {
        let compute = compute(&["collect-list(a)"]);
        let values = |ints: &[i64]| Value::List(ints.iter().copied().map(Value::Int).collect());
        let all: Vec<Record> = records.iter().map(|int| (Value::Int(*int), 0)).collect();
        let mut row = added(&compute, &all);
        compute.undo(&mut row, &[Value::Int(gone)]).unwrap();
        let mut left = records;
        if let Some(at) = left.iter().rposition(|int| *int == gone) {
            left.remove(at);
        }
        prop_assert_eq!(compute.result(&row), vec![values(&left)]);
    }

    #[test]
    fn rows_are_what_their_bytes_say(
        values in vec((value(), -1e9..1e9f64, 0..9i64), 0..40),
    ) {
        let compute = compute(&ALL);
        let mut row = compute.init();
        let mut used = compute.init();
        for (value, number, at_millis) in values {
            compute.add(&mut row, &[value, Value::Float(number)], at_millis).unwrap();
            let bytes = encoded(&compute, &row);
            let decoded = compute.decode(&bytes).unwrap();
            compute.decode_into(&bytes, &mut used).unwrap();
            prop_assert_eq!(&decoded, &row);
            prop_assert_eq!(&used, &row);
            let results = compute.result(&row);
            prop_assert_eq!(&compute.result(&decoded), &results);
            for (column, result) in results.iter().enumerate() {
                prop_assert_eq!(&compute.result_of(column, &row), result);
            }
            row = decoded;
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(
        bytes in vec(any::<u8>(), 0..200),
        (seed, number) in (any::<u64>(), prop_oneof![0..8usize, 0..700usize]),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        for aggregate in ALL {
            let compute = compute(&[aggregate]);
            let record = |bits: u64| match compute.arguments() {
                [] => vec![],
                [name] if name == "n" => vec![Value::Float(bits as f64 * 1e-12 - 1e6)],
                _ if bits.is_multiple_of(2) => vec![Value::Int(bits.cast_signed())],
                _ => vec![Value::Text(format!("{bits:x}"))],
            };
            let mut row = compute.init();
            for bits in noise(seed).take(number) {
                compute.add(&mut row, &record(bits), 1).unwrap();
            }
            let whole = encoded(&compute, &row);
            let mut damaged = whole.clone();
            for (at, byte) in &damage {
                *at.get_mut(&mut damaged) = *byte;
            }
            let cut = &whole[..cut.index(whole.len())];
            let random = [&[VERSION], &bytes[..]].concat();
            for bytes in [&damaged[..], cut, &random, &bytes] {
                // What is taken for a row works as one, whatever it says.
                if let Ok(mut row) = compute.decode(bytes) {
                    compute.result(&row);
                    let again = row.clone();
                    let _ = compute.merge(&mut row, &again);
                    for bits in noise(seed ^ 1).take(3) {
                        let _ = compute.add(&mut row, &record(bits), 1);
                        let _ = compute.undo(&mut row, &record(bits));
                    }
                    compute.result(&row);
                    encoded(&compute, &row);
                }
            }
        }
    }

    #[test]
    fn a_value_of_any_kind_is_added_or_a_fault(value in leaf()) {
        let compute = compute(&ALL);
        let mut row = compute.init();
        match compute.add(&mut row, &[value.clone(), value.clone()], 1) {
            Ok(()) => {
                prop_assert!(matches!(value, Value::Null | Value::Int(_) | Value::Float(_)));
            }
            Err(fault) => {
                let finite = matches!(value, Value::Float(float) if float.is_finite());
                prop_assert!(!finite && !matches!(value, Value::Null | Value::Int(_)), "{}", fault);
            }
        }
    }
}

/// Numbers without a pattern: SplitMix64.
fn noise(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::from_fn(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(mixed ^ (mixed >> 31))
    })
}

#[test]
fn distinct_values_are_counted_within_the_stated_error() {
    let compute = compute(&["count-distinct(a)"]);
    for (distinct, error) in [(100, 0.0), (300, 0.0), (5_000, 0.05), (200_000, 0.05)] {
        for seed in 0..4 {
            let mut whole = compute.init();
            let mut halves = [compute.init(), compute.init()];
            for (at, value) in noise(seed).take(distinct).enumerate() {
                let value = [Value::Int(value.cast_signed())];
                for row in [&mut whole, &mut halves[at % 2]] {
                    compute.add(row, &value, 0).unwrap();
                    compute.add(row, &value, 0).unwrap();
                }
            }
            let [mut merged, later] = halves;
            compute.merge(&mut merged, &later).unwrap();
            assert_eq!(compute.result(&merged), compute.result(&whole));
            let Value::Int(found) = compute.result(&whole)[0] else { panic!("a count is an int") };
            // Three standard errors, 3 * 1.6 %.
            let off = (found as f64 / distinct as f64 - 1.0).abs();
            assert!(off <= error, "{found} of {distinct}, seed {seed}");
        }
    }
}

#[test]
fn percentiles_are_within_the_stated_error() {
    type Shape = (&'static str, fn(f64) -> f64);
    let shapes: [Shape; 4] = [
        ("uniform", |x| x * 1e4),
        ("around zero", |x| (x - 0.5) * 1e3),
        ("heavy tail", |x| (1.0 - x).powi(-3)),
        ("small", |x| x * 1e-6),
    ];
    let fractions = [0.0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0];
    let columns = fractions.map(|fraction| {
        let function = Function::Percentile { fraction };
        (fraction.to_string(), Aggregate::new(function, Some("a")).unwrap())
    });
    let compute = Compute::new(columns).unwrap();
    assert_eq!(compute.init().states.len(), 1, "all percentiles of a column share a sketch");
    for (shape, map) in shapes {
        for number in [1, 2, 10, 20_000] {
            let random = noise(number as u64).take(number);
            let mut values: Vec<f64> =
                random.map(|bits| map((bits >> 11) as f64 / (1u64 << 53) as f64)).collect();
            let mut whole = compute.init();
            let mut halves = [compute.init(), compute.init()];
            for (at, value) in values.iter().enumerate() {
                compute.add(&mut whole, &[Value::Float(*value)], 0).unwrap();
                compute.add(&mut halves[at % 2], &[Value::Float(*value)], 0).unwrap();
            }
            let [mut merged, later] = halves;
            compute.merge(&mut merged, &later).unwrap();
            assert_eq!(compute.result(&merged), compute.result(&whole));

            values.sort_by(f64::total_cmp);
            for (fraction, found) in fractions.iter().zip(compute.result(&whole)) {
                let Value::Float(found) = found else { panic!("a percentile is a float") };
                let rank = (fraction * (number as f64 - 1.0)).floor();
                let exact =
                    *values.iter().zip(0..).find(|(_, at)| f64::from(*at) == rank).unwrap().0;
                let error = 0.01 * exact.abs() * (1.0 + 1e-9) + 1e-9;
                assert!(
                    (found - exact).abs() <= error,
                    "{shape} {number} {fraction}: {found} {exact}"
                );
            }
        }
    }
}

#[test]
fn a_row_stays_within_its_limit() {
    let names: Vec<String> = (0..16).map(|at| format!("collect-list(a{at}, 10000)")).collect();
    let texts: Vec<&str> = names.iter().map(String::as_str).chain(["percentile(n, 0.5)"]).collect();
    let compute = compute(&texts);
    let mut row = compute.init();
    let large = Value::Text("x".repeat(8_000));
    for at in 0..20 {
        let mut record = vec![large.clone(); 16];
        record.push(Value::Int(at));
        compute.add(&mut row, &record, 0).unwrap();
    }
    let before = encoded(&compute, &row);
    assert!(before.len() < ROW_BYTES_MAX, "{}", before.len());
    let Value::List(kept) = &compute.result(&row)[0] else { panic!("a list") };
    assert_eq!(kept.len(), 7);
    // What is full stays a prefix: a small value is not let in after a large one was not.
    compute.add(&mut row, &[vec![Value::Int(1); 16], vec![Value::Null]].concat(), 0).unwrap();
    assert_eq!(encoded(&compute, &row), before);
}

#[test]
fn merging_at_the_limit_is_adding_in_sequence() {
    for aggregate in ["collect-list(a, 10000)", "collect-set(a, 10000)"] {
        let compute = compute(&[aggregate]);
        let sizes = [9_000, 15_000, 16_000, 12_000, 1, 14_000, 3];
        let records: Vec<Record> = (0..60)
            .map(|at| (Value::Text(format!("{}{at}", "x".repeat(sizes[at % sizes.len()]))), 0))
            .collect();
        let expected = added(&compute, &records);
        for cut in 0..=records.len() {
            let (early, late) = records.split_at(cut);
            let mut merged = added(&compute, early);
            compute.merge(&mut merged, &added(&compute, late)).unwrap();
            assert_eq!(merged, expected, "{aggregate} {cut}");
        }
    }
}

#[test]
fn faults_name_the_column_and_both_kinds() {
    let check = |aggregate: &str, values: Vec<Value>, error: &str| {
        let compute = compute(&[aggregate]);
        let mut row = compute.init();
        let fault = values.into_iter().find_map(|value| compute.add(&mut row, &[value], 0).err());
        assert_eq!(fault.unwrap().to_string(), error);
    };
    let list = || Value::List(vec![]);
    check(
        "sum(a)",
        vec![Value::from("3")],
        "sum(a): column `a` holds text, expected an int or a float",
    );
    check(
        "avg(a)",
        vec![Value::Bool(true)],
        "avg(a): column `a` holds a bool, expected an int or a float",
    );
    check(
        "min(a)",
        vec![list()],
        "min(a): column `a` holds a list, expected a bool, an int, a float, text or bytes",
    );
    check(
        "max(a)",
        vec![Value::from("a"), Value::Int(1)],
        "max(a): column `a` holds an int, expected text, as it held before",
    );
    check(
        "top-k(a, 2)",
        vec![Value::Float(0.5), Value::Bool(true)],
        "top-k(a, 2): column `a` holds a bool, expected a number, as it held before",
    );
    check(
        "percentile(a, 0.5)",
        vec![Value::Float(f64::NAN)],
        "percentile(a, 0.5): column `a` holds an infinite one or NaN, expected a finite number",
    );
    check(
        "sum(a)",
        vec![Value::Int(i64::MIN), Value::Int(-1)],
        "sum(a) leaves the range of 64-bit integers",
    );
    check(
        "last(a)",
        vec![Value::Text("x".repeat(20_000))],
        "last(a): the value of column `a` has 20004 bytes encoded, at most 16384 are kept",
    );
    check(
        "top-k(a, 1000)",
        vec![Value::Text("x".repeat(300))],
        "top-k(a, 1000): the value of column `a` has 303 bytes encoded, at most 262 are kept",
    );
}

#[test]
fn what_was_not_added_is_not_undone() {
    let check = |aggregate: &str, added: &[Value], value: Value, expected: Result<(), &str>| {
        let compute = compute(&[aggregate]);
        let mut row = compute.init();
        for value in added {
            compute.add(&mut row, std::slice::from_ref(value), 0).unwrap();
        }
        let undone = compute.undo(&mut row, &[value]).map_err(|fault| fault.to_string());
        assert_eq!(undone, expected.map_err(str::to_owned));
    };
    check("count(a)", &[], Value::Int(1), Err("count(a): nothing is there to be undone"));
    check("avg(a)", &[], Value::Int(1), Err("avg(a): nothing is there to be undone"));
    check("stddev(a)", &[], Value::Int(1), Err("stddev(a): nothing is there to be undone"));
    check(
        "sum(a)",
        &[Value::Int(1)],
        Value::Float(1.0),
        Err("sum(a): nothing is there to be undone"),
    );
    check("sum(a)", &[Value::Int(1)], Value::Null, Ok(()));
    check(
        "max(a)",
        &[Value::Int(1)],
        Value::Int(1),
        Err(
            "max(a) cannot take a value out again: over a table use count, sum, avg, variance, stddev, collect-list \
             or histogram",
        ),
    );
}

#[test]
fn results_of_nothing_and_of_mixed_numbers() {
    let compute = compute(&ALL);
    let mut row = compute.init();
    let json = compute.result_json(&row);
    for (name, expected) in [
        ("count()", serde_json::json!(0)),
        ("sum(n)", serde_json::json!(0)),
        ("avg(n)", serde_json::json!(null)),
        ("min(n)", serde_json::json!(null)),
        ("stddev(n)", serde_json::json!(null)),
        ("percentile(n, 0.5)", serde_json::json!(null)),
        ("top-k(n, 3)", serde_json::json!([])),
        ("histogram(n, 5)", serde_json::json!({})),
        ("first(a)", serde_json::json!(null)),
        ("collect-list(a)", serde_json::json!([])),
        ("count-distinct(a)", serde_json::json!(0)),
    ] {
        assert_eq!(json[name], expected, "{name}");
    }
    compute.add(&mut row, &[Value::Null, Value::Int(3)], 0).unwrap();
    compute.add(&mut row, &[Value::Null, Value::Float(0.5)], 0).unwrap();
    let json = compute.result_json(&row);
    assert_eq!(json["count()"], 2);
    assert_eq!(json["count(a)"], 0);
    assert_eq!(json["sum(n)"], serde_json::json!(3.5));
    assert_eq!(json["avg(n)"], serde_json::json!(1.75));
    assert_eq!(json["histogram(n, 5)"], serde_json::json!({ "0.5": 1, "3": 1 }));
}

#[test]
fn columns_share_what_they_can() {
    let compute = compute(&[
        "count()",
        "avg(a)",
        "variance(a)",
        "stddev(a)",
        "sum(b)",
        "percentile(a, 0.5)",
        "percentile(b, 0.5)",
        "percentile(a, 0.9)",
        "count(b)",
        "top-k(a, 1)",
        "top-k(a, 2)",
    ]);
    assert_eq!(compute.arguments(), ["a", "b"]);
    assert_eq!(compute.slots.len(), 9);
    assert_eq!(compute.columns().len(), 11);
}

#[test]
fn the_text_of_a_set_and_its_types() {
    let n = Aggregate::parse("count").unwrap();
    let top = Aggregate::parse("top-k(cents,3)").unwrap();
    let cities = Aggregate::parse("histogram(city)").unwrap();
    let compute = Compute::new([("n", n.clone()), ("top", top), ("cities", cities)]).unwrap();
    assert_eq!(compute.to_string(), "n = count(), top = top-k(cents, 3), cities = histogram(city)");
    assert_eq!(compute.arguments(), ["cents", "city"]);
    let types = compute.check(&[Type::Int, Type::Text]).unwrap();
    let types: Vec<_> = types.iter().map(Type::to_string).collect();
    assert_eq!(types, ["int", "list<int>", "map<int>"]);
    assert_eq!(compute.not_invertible().map(|(name, _)| name), Some("top"));

    let error = |columns: Vec<(&str, Aggregate)>| Compute::new(columns).unwrap_err().to_string();
    assert_eq!(error(vec![]), "no aggregates: name at least one, as in `n = count()`");
    assert_eq!(error(vec![("n", n.clone()), ("n", n.clone())]), "column `n`: it is there twice");
    assert_eq!(error(vec![("", n)]), "column ``: its name is empty");
    let sum = Compute::new([("sum", Aggregate::parse("sum(city)").unwrap())]).unwrap();
    assert_eq!(
        sum.check(&[Type::Text]).unwrap_err().to_string(),
        "`sum(city)`: it takes an int or a float, and its column is text"
    );
}

#[test]
fn sketches_that_leave_no_room_are_refused() {
    let percentile = |at: usize| {
        let function = Function::Percentile { fraction: 0.5 };
        (format!("p{at}"), Aggregate::new(function, Some(&format!("a{at}"))).unwrap())
    };
    let list = || ("list".to_owned(), Aggregate::parse("collect-list(b)").unwrap());
    let most = (ROW_BYTES_MAX - SHARE_BYTES_MIN)
        / (Kind::Percentile.bytes_max().unwrap() + OVERHEAD_BYTES);
    assert!(Compute::new((0..most).map(percentile).chain([list()])).is_ok());
    let error = Compute::new((0..=most).map(percentile).chain([list()])).unwrap_err().to_string();
    assert!(error.starts_with("too many sketches: a row has 983040 bytes"), "{error}");
    assert!(Compute::new((0..40).map(percentile)).is_err());
}
