//! Joins of streams against the rules of Kafka Streams, applied to plain lists: any records, in turns of any size, of
//! which any part is undone, with restarts and expiry between them.

use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::select,
    test_runner::{TestCaseError, TestRunner},
};

use super::*;

/// One millisecond more or less than a multiple of this is where borders are; some of them make a segment.
const UNIT: i64 = 24_000;

/// The rules, each as it is written down, on lists that nothing is ever removed from but what waits.
struct Naive {
    kind: JoinKind,
    before: i64,
    after: i64,
    grace: i64,
    time: i64,
    min_time: i64,
    kept: [i64; 2],
    rows: Vec<(Side, In)>,
    waiting: Vec<In>,
}

impl Naive {
    fn take(&mut self, record: &In) -> Vec<String> {
        let (side, at) = (record.side, record.at);
        let mut out = Vec::new();
        self.time = self.time.max(at);
        if record.value.is_none() || (record.key.is_none() && !stands_alone(side, self.kind)) {
            return out;
        }
        if record.key.is_none() {
            return vec![alone(record)];
        }
        if at == self.time {
            self.close(side, &mut out);
        }
        let other = side.other();
        let (from, to) = (at - self.ahead(other), at + self.ahead(side));
        let visible = self.visible(other);
        let mut found: Vec<In> = self
            .rows
            .iter()
            .filter(|(of, row)| {
                *of == other
                    && row.key == record.key
                    && row.at > visible
                    && (from..=to).contains(&row.at)
            })
            .map(|(_, row)| row.clone())
            .collect();
        found.sort_by_key(|row| row.at);
        for row in &found {
            self.waiting.retain(|it| (it.side, it.at, &it.key) != (other, row.at, &row.key));
            out.push(both(record, row));
        }
        let mut waits = false;
        if found.is_empty() && stands_alone(side, self.kind) {
            if to < self.time {
                out.push(alone(record));
            } else {
                waits = true;
                self.min_time = self.min_time.min(at);
                self.waiting.push(record.clone());
                self.waiting.sort_by(|a, b| rank(a).cmp(&rank(b)));
            }
        }
        self.kept[side.index()] = self.kept[side.index()].max(at);
        let is_late = at <= self.visible(side) && at < self.kept[side.index()];
        if out.iter().all(|row| row.starts_with("closing")) && !waits && is_late {
            let (key, value) = (shown_part(&record.key), shown_part(&record.value));
            let (output, header) = (1 + side.index(), header_of(record));
            out.push(format!("{key} late {output} {value}@{at}{header}"));
        }
        self.rows.push((side, record.clone()));
        out
    }

    fn close(&mut self, side: Side, out: &mut Vec<String>) {
        if self.kind == JoinKind::Inner
            || self.min_time.saturating_add(self.ahead(side) + self.grace) >= self.time
        {
            return;
        }
        self.min_time = i64::MAX;
        let (mut open, mut sent) = ([false; 2], Vec::new());
        for (index, it) in self.waiting.iter().enumerate() {
            self.min_time = it.at;
            if open == [true; 2] {
                break;
            }
            if it.at + self.ahead(it.side) + self.grace >= self.time {
                open[it.side.index()] = true;
            } else {
                out.push(format!("closing {}", alone(it)));
                sent.push(index);
            }
        }
        for index in sent.into_iter().rev() {
            self.waiting.remove(index);
        }
    }

    fn ahead(&self, side: Side) -> i64 {
        if side == Side::Left { self.after } else { self.before }
    }

    /// Only what is later.
    fn visible(&self, side: Side) -> i64 {
        self.kept[side.index()].saturating_sub(self.before + self.after + self.grace)
    }
}

/// Right before left at the same time; the sort keeps the order of arrival.
fn rank(it: &In) -> (i64, bool, &Option<String>) {
    (it.at, it.side == Side::Left, &it.key)
}

fn shown_part(part: &Option<String>) -> &str {
    part.as_deref().unwrap_or("-")
}

fn header_of(record: &In) -> String {
    if record.header { format!(" h={}", shown_part(&record.value)) } else { String::new() }
}

fn alone(record: &In) -> String {
    let value = shown_part(&record.value);
    let value = if record.side == Side::Left { format!("{value}+-") } else { format!("-+{value}") };
    format!("{} {value}@{}{}", shown_part(&record.key), record.at, header_of(record))
}

fn both(record: &In, other: &In) -> String {
    let (left, right) = if record.side == Side::Left { (record, other) } else { (other, record) };
    let (left_value, right_value) = (shown_part(&left.value), shown_part(&right.value));
    let at = record.at.max(other.at);
    format!("{} {left_value}+{right_value}@{at}{}", shown_part(&record.key), header_of(record))
}

#[derive(Debug, Clone)]
enum Step {
    /// Records of one turn, and how many of them are undone.
    Turn(Vec<In>, usize),
    Commit,
    Restart,
    Move,
    Expire(usize),
}

fn input() -> impl Strategy<Value = In> {
    let side = select(vec![Side::Left, Side::Right]);
    let key = prop_oneof![12 => select(vec!["a", "b", ""]).prop_map(Some), 1 => Just(None)];
    let value = prop_oneof![12 => Just(true), 1 => Just(false)];
    (side, key, value, 0..24_i64, -1..2_i64, any::<bool>()).prop_map(
        |(side, key, value, units, off, header)| In {
            side,
            key: key.map(str::to_owned),
            value: value.then(String::new),
            at: (units * UNIT + off).max(0),
            header,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (vec(input(), 1..6), option::weighted(0.2, 0..6_usize))
            .prop_map(|(records, undone)| Step::Turn(records, undone.unwrap_or(0))),
        3 => Just(Step::Commit),
        1 => Just(Step::Restart),
        1 => Just(Step::Move),
        3 => (1..20_usize).prop_map(Step::Expire),
    ]
}

type Lengths = (i64, i64, i64);

fn check(
    home: &Rc<Home>,
    kind: JoinKind,
    lengths: Lengths,
    mut steps: Vec<Step>,
) -> Result<(), TestCaseError> {
    let [before, after, grace] = [lengths.0, lengths.1, lengths.2].map(|length| length * UNIT);
    let mut rig = Rig::streams_in(home, kind, [before, after, grace].map(i64::unsigned_abs));
    let mut naive = Naive {
        kind,
        before,
        after,
        grace,
        time: i64::MIN,
        min_time: i64::MAX,
        kept: [i64::MIN; 2],
        rows: Vec::new(),
        waiting: Vec::new(),
    };
    let mut number = 0;
    for step in &mut steps {
        match step {
            Step::Turn(records, undone) => {
                for record in records.iter_mut() {
                    record.value = record.value.take().map(|_| number.to_string());
                    number += 1;
                }
                let keep = records.len().saturating_sub(*undone);
                let rows = rig.turn(records, keep);
                let right: Vec<String> =
                    records[..keep].iter().flat_map(|record| naive.take(record)).collect();
                prop_assert_eq!(rows, right, "of {:?}", &records[..keep]);
            }
            Step::Commit => rig.commit(),
            Step::Restart => {
                rig.commit();
                rig.restart();
            }
            Step::Move => {
                rig.commit();
                rig.move_away();
            }
            Step::Expire(budget) => {
                rig.join.expire(&mut rig.scope, *budget).unwrap();
            }
        }
    }
    Ok(())
}

#[test]
fn rows_are_those_of_the_rules() {
    let home = Home::new();
    let kind = select(vec![JoinKind::Inner, JoinKind::Left, JoinKind::Right, JoinKind::Full]);
    let lengths = (0..4_i64, 0..4_i64, 0..3_i64);
    // What fails is printed whole.
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) };
    let mut runner = TestRunner::new(config);
    let run = runner.run(&(kind, lengths, vec(step(), 1..60)), |(kind, lengths, steps)| {
        check(&home, kind, lengths, steps)
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
}
