//! Windows as one would write them down: every window of every key as the list of its records, gone through record by
//! record, by the rules of Kafka Streams.

use std::collections::{BTreeMap, BTreeSet};

/// What a window holds: the values that came, in their order, and its time.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Held {
    pub(super) values: Vec<Option<i64>>,
    pub(super) at: i64,
}

/// A result: key, start, end, time, and what is in it.
pub(super) type Out = (u8, i64, i64, i64, Option<Held>);

#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Whole,
    Hopping { size: i64, advance: i64 },
    Sliding { difference: i64 },
    Session { gap: i64 },
}

#[derive(Debug, Clone)]
pub(super) struct Model {
    shape: Shape,
    grace: i64,
    is_final: bool,
    pub(super) time: Option<i64>,
    /// By end, start, key, where the order is that of closing; windows of fixed length have both in one order.
    windows: BTreeMap<(i64, i64, u8), Held>,
    done: BTreeSet<(i64, i64, u8)>,
}

impl Held {
    fn add(&self, value: Option<i64>, at: i64) -> Held {
        let mut held = self.clone();
        held.at = if held.values.is_empty() { at } else { held.at.max(at) };
        held.values.push(value);
        held
    }
}

impl Model {
    pub(super) fn new(shape: Shape, grace: i64, is_final: bool) -> Model {
        let (windows, done) = (BTreeMap::new(), BTreeSet::new());
        Model { shape, grace, is_final, time: None, windows, done }
    }

    /// What comes of a record, and whether it is late.
    pub(super) fn take(&mut self, key: u8, value: Option<i64>, at: i64) -> (Vec<Out>, bool) {
        let before = self.time;
        let time = before.map_or(at, |time| time.max(at));
        self.time = Some(time);
        let (mut out, late, closed) = match self.shape {
            Shape::Whole => (self.whole(key, value, at), false, None),
            Shape::Hopping { size, advance } => {
                let out = self.hopping((size, advance), key, value, at, time - self.grace);
                let late = out.is_empty();
                (out, late, Some(time - self.grace))
            }
            Shape::Sliding { difference } => {
                let closed = time - self.grace;
                if at + difference < closed {
                    return (Vec::new(), true);
                }
                let (out, taken) = self.sliding(difference, key, value, at, closed);
                (out, !taken, (at >= difference).then_some(closed - 1))
            }
            Shape::Session { gap } => {
                let closed = time - self.grace - gap;
                let out = self.session(gap, key, value, at, before, closed);
                let late = out.is_empty();
                (out, late, Some(closed - 1))
            }
        };
        if self.is_final {
            out.clear();
            if let Some(closed) = closed {
                self.close(closed, &mut out);
            }
        }
        (out, late)
    }

    /// All windows, by end, start and key.
    pub(super) fn windows(&self) -> impl Iterator<Item = Out> {
        let windows = self.windows.iter();
        windows.map(|((end, start, key), held)| (*key, *start, *end, held.at, Some(held.clone())))
    }

    /// Results whose windows end at `until` or before.
    fn close(&mut self, until: i64, out: &mut Vec<Out>) {
        for ((end, start, key), held) in self.windows.range(..=(until, i64::MAX, u8::MAX)) {
            if self.done.insert((*end, *start, *key)) {
                out.push((*key, *start, *end, held.at, Some(held.clone())));
            }
        }
    }

    fn put(&mut self, key: u8, (start, end): (i64, i64), held: Held, out: &mut Vec<Out>) {
        out.push((key, start, end, held.at, Some(held.clone())));
        self.windows.insert((end, start, key), held);
    }

    fn whole(&mut self, key: u8, value: Option<i64>, at: i64) -> Vec<Out> {
        let mut out = Vec::new();
        let held = self.windows.get(&(i64::MAX, 0, key)).cloned().unwrap_or_default();
        self.put(key, (0, i64::MAX), held.add(value, at), &mut out);
        out
    }

    fn hopping(
        &mut self,
        (size, advance): (i64, i64),
        key: u8,
        value: Option<i64>,
        at: i64,
        closed: i64,
    ) -> Vec<Out> {
        let mut out = Vec::new();
        for start in (0..=at / advance).map(|index| index * advance) {
            if start + size > at && start + size > closed {
                let held = self.windows.get(&(start + size, start, key)).cloned();
                let held = held.unwrap_or_default().add(value, at);
                self.put(key, (start, start + size), held, &mut out);
            }
        }
        out
    }

    fn session(
        &mut self,
        gap: i64,
        key: u8,
        value: Option<i64>,
        at: i64,
        before: Option<i64>,
        closed: i64,
    ) -> Vec<Out> {
        let takes_part = before.map_or(i64::MAX, |before| before - gap - self.grace);
        let near: Vec<((i64, i64, u8), Held)> = self
            .windows
            .iter()
            .filter(|((end, start, of), _)| {
                *of == key && *end >= at - gap && *start <= at + gap && *end > takes_part
            })
            .map(|(window, held)| (*window, held.clone()))
            .collect();
        let start = near.iter().map(|((_, start, _), _)| *start).fold(at, i64::min);
        let end = near.iter().map(|((end, ..), _)| *end).fold(at, i64::max);
        let mut out = Vec::new();
        if end < closed {
            return out;
        }
        let mut values = Vec::new();
        for (window, held) in &near {
            values.extend_from_slice(&held.values);
            if (start, end) != (at, at) {
                self.windows.remove(window);
                out.push((key, window.1, window.0, window.0, None));
            }
        }
        values.push(value);
        self.put(key, (start, end), Held { values, at: end }, &mut out);
        out
    }

    /// Windows of a key that begin from one time to another, by start.
    fn of(&self, key: u8, from: i64, to: i64) -> Vec<(i64, Held)> {
        let windows = self
            .windows
            .iter()
            .filter(|((_, start, of), _)| *of == key && (from..=to).contains(start));
        windows.map(|((_, start, _), held)| (*start, held.clone())).collect()
    }

    fn sliding(
        &mut self,
        difference: i64,
        key: u8,
        value: Option<i64>,
        at: i64,
        closed: i64,
    ) -> (Vec<Out>, bool) {
        let (mut out, mut taken) = (Vec::new(), false);
        let mut update = |model: &mut Model, start: i64, held: &Held, out: &mut Vec<Out>| {
            if start + difference >= closed {
                taken = true;
                model.put(key, (start, start + difference), held.add(value, at), out);
            }
        };
        let right = |model: &mut Model, held: Held, out: &mut Vec<Out>| {
            model.put(key, (at + 1, at + 1 + difference), held, out);
        };
        let nothing = Held::default();
        if at < difference {
            let seen = self.of(key, 0, at + 1);
            let combined = seen.iter().find(|(start, _)| *start == 0).map(|(_, held)| held.clone());
            let previous = combined.as_ref().map(|held| held.at).filter(|latest| *latest < at);
            let mut behind = None;
            for (start, held) in seen.iter().filter(|(start, _)| (1..=at).contains(start)) {
                behind = Some(held.clone());
                update(self, *start, held, &mut out);
            }
            let behind = behind.or_else(|| combined.clone()).filter(|held| held.at > at);
            let starts: Vec<i64> = seen.iter().map(|(start, _)| *start).collect();
            if let Some(behind) = behind.filter(|_| !starts.contains(&(at + 1))) {
                right(self, behind, &mut out);
            }
            if let Some(previous) = previous.filter(|previous| !starts.contains(&(previous + 1))) {
                update(self, previous + 1, &nothing, &mut out);
            }
            update(self, 0, &combined.unwrap_or_default(), &mut out);
            return (out, taken);
        }
        let (mut left, mut behind, mut previous) = (nothing.clone(), None, None);
        let (mut has_left, mut has_right) = (false, false);
        let mut starts = Vec::new();
        for (start, held) in self.of(key, (at - 2 * difference).max(0), at + 1).into_iter().rev() {
            starts.push(start);
            let end = start + difference;
            if start == at + 1 {
                has_right = true;
            } else if end > at {
                behind = behind.or_else(|| Some(held.clone()));
                update(self, start, &held, &mut out);
            } else if end == at {
                has_left = true;
                update(self, start, &held, &mut out);
                if held.at == at {
                    return (out, taken);
                }
                previous = Some(held.at);
            } else {
                (left, previous) = (held.clone(), Some(held.at));
                break;
            }
        }
        if let Some(previous) = previous
            && !starts.contains(&(previous + 1))
            && previous + 1 + difference >= at
        {
            update(self, previous + 1, &nothing, &mut out);
        }
        if !has_left {
            let near = previous.is_some_and(|previous| previous >= at - difference);
            let held = if near { Held { at, ..left } } else { nothing };
            update(self, at - difference, &held, &mut out);
        }
        if let Some(behind) = behind.filter(|held| !has_right && held.at > at) {
            right(self, behind, &mut out);
        }
        (out, taken)
    }
}
