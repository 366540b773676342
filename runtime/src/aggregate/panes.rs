//! Windows with fixed borders, as panes: a pane is a stretch of time that no window begins or ends in, so a record is in
//! one pane, however many windows it is in, and a window is some panes one after another.
//!
//! Where windows begin at multiples of `advance` and are `size` long, borders are at those multiples and, where `size` is
//! none of them, at the rest of that division behind each: one or two panes for an advance.
//!
//! A record may be late for some of its windows and not for others. What came late lies in *parts* of the pane, each with
//! the first window that it counts in. A pane without such parts is an encoded row, whose first byte is never 0; else
//!
//! | bytes | what |
//! |---|---|
//! | 1 | 0 |
//! | 4 | length of the row of what was late for no window, 0 where there is none; its time is the pane's |
//! | … | that row |
//! | 8 | start of the first window that the part counts in |
//! | 8 | its time |
//! | 4 | length of its row |
//! | … | its row; further parts follow, in the order of those starts |

use tidemill_aggregates::{Compute, Row};

use crate::record::Timestamp;

/// Windows with fixed borders, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Panes {
    pub(super) size: i64,
    pub(super) advance: i64,
}

impl Panes {
    /// Whether each pane is a window.
    pub(super) fn is_tumbling(self) -> bool {
        self.size == self.advance
    }

    /// The pane of a time.
    #[inline]
    pub(super) fn pane(self, at: i64) -> i64 {
        let (base, cut) = (self.last(at), self.size % self.advance);
        if at - base >= cut { base + cut } else { base }
    }

    /// The pane behind one.
    pub(super) fn next(self, pane: i64) -> i64 {
        let cut = self.size % self.advance;
        match pane.rem_euclid(self.advance) {
            0 if cut > 0 => pane + cut,
            _ => self.last(pane) + self.advance,
        }
    }

    /// The panes of a window.
    pub(super) fn of(self, window: i64) -> impl Iterator<Item = i64> {
        let end = window.saturating_add(self.size);
        std::iter::successors(Some(window), move |pane| Some(self.next(*pane)))
            .take_while(move |pane| *pane < end)
    }

    /// The first window that a time is in. None begins before 0.
    #[inline]
    pub(super) fn first(self, at: i64) -> i64 {
        let behind = (at - self.size + self.advance).max(0);
        behind - behind % self.advance
    }

    /// The last window that a time is in.
    #[inline]
    pub(super) fn last(self, at: i64) -> i64 {
        at - at.rem_euclid(self.advance)
    }

    /// The first window that ends behind a time.
    pub(super) fn first_open(self, closed: i64) -> i64 {
        if closed < self.size {
            return 0;
        }
        self.last(closed - self.size) + self.advance
    }

    /// The windows from one to another, both included.
    pub(super) fn windows(self, from: i64, to: i64) -> impl Iterator<Item = i64> {
        std::iter::successors(Some(from), move |start| start.checked_add(self.advance))
            .take_while(move |start| *start <= to)
    }
}

/// What is in a pane.
#[derive(Debug, Default)]
pub(super) struct Pane {
    /// What was late for no window.
    pub(super) whole: Option<(Timestamp, Row)>,
    /// The first window that it counts in, and what came late.
    pub(super) late: Vec<(i64, Timestamp, Row)>,
}

/// Whether these bytes are of a pane with late parts.
#[inline]
pub(super) fn has_parts(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0)
}

impl Pane {
    /// What counts in a window.
    pub(super) fn rows(&self, window: i64) -> impl Iterator<Item = (Timestamp, &Row)> {
        let whole = self.whole.iter().map(|(at, row)| (*at, row));
        let late = self.late.iter().take_while(move |(from, ..)| *from <= window);
        whole.chain(late.map(|(_, at, row)| (*at, row)))
    }

    /// The part that counts from a window on; an empty one where there is none.
    pub(super) fn part(&mut self, from: i64, compute: &Compute) -> (&mut Timestamp, &mut Row) {
        let index = self.late.partition_point(|(other, ..)| *other < from);
        if self.late.get(index).is_none_or(|(other, ..)| *other != from) {
            self.late.insert(index, (from, Timestamp(i64::MIN), compute.init()));
        }
        let (_, at, row) = &mut self.late[index];
        (at, row)
    }

    pub(super) fn encode(&self, compute: &Compute, into: &mut Vec<u8>) {
        into.push(0);
        let row = |row: Option<&Row>, into: &mut Vec<u8>| {
            let at = into.len();
            into.extend_from_slice(&[0; 4]);
            if let Some(row) = row {
                compute.encode(row, into);
            }
            let length = u32::try_from(into.len() - at - 4).expect("a row is below a megabyte");
            into[at..at + 4].copy_from_slice(&length.to_be_bytes());
        };
        row(self.whole.as_ref().map(|(_, row)| row), into);
        for (from, at, late) in &self.late {
            into.extend_from_slice(&from.to_be_bytes());
            into.extend_from_slice(&at.millis().to_be_bytes());
            row(Some(late), into);
        }
    }

    /// What is in the bytes of a pane, and its time.
    pub(super) fn decode(compute: &Compute, at: Timestamp, bytes: &[u8]) -> Result<Pane, String> {
        let broken = |why: tidemill_aggregates::Broken| why.to_string();
        if !has_parts(bytes) {
            let whole = Some((at, compute.decode(bytes).map_err(broken)?));
            return Ok(Pane { whole, late: Vec::new() });
        }
        let mut rest = &bytes[1..];
        let short = || "the bytes end too early".to_owned();
        let whole = sized(&mut rest).ok_or_else(short)?;
        let whole = match whole {
            [] => None,
            whole => Some((at, compute.decode(whole).map_err(broken)?)),
        };
        let mut late = Vec::new();
        while !rest.is_empty() {
            let from = long(&mut rest).ok_or_else(short)?;
            let at = long(&mut rest).ok_or_else(short)?;
            let row = sized(&mut rest).ok_or_else(short)?;
            late.push((from, Timestamp(at), compute.decode(row).map_err(broken)?));
        }
        Ok(Pane { whole, late })
    }
}

fn long(rest: &mut &[u8]) -> Option<i64> {
    let (bytes, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(i64::from_be_bytes(*bytes))
}

fn sized<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk()?;
    let (part, behind) = behind.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *rest = behind;
    Some(part)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use tidemill_aggregates::{Aggregate, Value};

    use super::*;

    fn panes() -> impl Strategy<Value = Panes> {
        (1..40_i64, 1..40_i64)
            .prop_map(|(size, advance)| Panes { size, advance: advance.min(size) })
    }

    proptest! {
        #[test]
        fn a_window_is_the_panes_of_its_times(panes in panes(), window in 0..20_i64, at in 0..200_i64) {
            let window = window * panes.advance;
            let inside = window <= at && at < window + panes.size;
            prop_assert_eq!(panes.of(window).any(|pane| pane == panes.pane(at)), inside);
            let windows: Vec<i64> = panes.windows(panes.first(at), panes.last(at)).collect();
            let naive = (0..=at).filter(|start| start % panes.advance == 0 && start + panes.size > at);
            prop_assert_eq!(windows, naive.collect::<Vec<_>>());
            // All times of a pane are in the same windows.
            prop_assert_eq!(panes.first(panes.pane(at)), panes.first(at));
            prop_assert_eq!(panes.last(panes.pane(at)), panes.last(at));
        }

        #[test]
        fn the_first_open_window_ends_behind_what_is_closed(panes in panes(), closed in -50..200_i64) {
            let naive = (0..).map(|index| index * panes.advance).find(|start| start + panes.size > closed);
            prop_assert_eq!(Some(panes.first_open(closed)), naive);
        }

        #[test]
        fn late_parts_round_trip(whole in any::<bool>(), late in vec((0..9_i64, 1..5_i64), 0..9)) {
            let compute = Compute::new([("n", Aggregate::parse("sum(v)").unwrap())]).unwrap();
            let mut pane = Pane::default();
            if whole {
                pane.whole = Some((Timestamp(7), compute.init()));
            }
            for (from, value) in &late {
                let (at, row) = pane.part(*from, &compute);
                *at = Timestamp(*value).max(*at);
                compute.add(row, &[Value::Int(*value)], *value).unwrap();
            }
            let mut bytes = Vec::new();
            pane.encode(&compute, &mut bytes);
            prop_assert!(has_parts(&bytes));
            let read = Pane::decode(&compute, Timestamp(7), &bytes).unwrap();
            for window in 0..10 {
                let of = |pane: &Pane| -> Vec<_> {
                    let rows = pane.rows(window);
                    rows.map(|(at, row)| (at, compute.result(row))).collect()
                };
                prop_assert_eq!(of(&read), of(&pane));
                let sum: i64 = late.iter().filter(|(from, _)| *from <= window).map(|late| late.1).sum();
                let found = of(&read).into_iter().map(|(_, result)| match result[0] {
                    Value::Int(sum) => sum,
                    _ => unreachable!("sums of integers are integers"),
                });
                prop_assert_eq!(found.sum::<i64>(), sum);
            }
        }

        #[test]
        fn nothing_read_breaks(bytes in vec(any::<u8>(), 0..40)) {
            let compute = Compute::new([("n", Aggregate::parse("count()").unwrap())]).unwrap();
            let _ = Pane::decode(&compute, Timestamp(0), &bytes);
        }
    }
}
