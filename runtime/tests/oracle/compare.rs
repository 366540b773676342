//! Runs the cases of goldens through something, and tells where it does otherwise than Kafka Streams.

use std::fmt::Write as _;

use crate::golden::{self, Arrival, Case, Group, Outcome, Shape};

/// Cases that differ and are shown: those with the fewest records.
const SHOWN: usize = 3;

/// What is held against the goldens.
pub(crate) trait UnderTest {
    /// Takes the records of a case, with nothing left of the cases before. Answers what comes of each.
    fn run(&mut self, arrivals: &[Arrival]) -> Vec<Vec<Outcome>>;
}

/// A case that came out otherwise.
pub(crate) struct Difference<'a> {
    pub(crate) shape: &'a Shape,
    pub(crate) case: &'a Case,
    pub(crate) got: Vec<Vec<Outcome>>,
}

/// What of the values that a window lists is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lists {
    /// Which they are, and their order.
    InOrder,
    /// Which they are.
    Members,
}

/// The cases of some groups that come out otherwise.
pub(crate) fn differences<'a>(
    groups: &'a [Group],
    lists: Lists,
    mut make: impl FnMut(&Shape) -> Box<dyn UnderTest>,
) -> Vec<Difference<'a>> {
    let mut differences = Vec::new();
    for Group { shape, cases } in groups {
        let mut subject = make(shape);
        for case in cases {
            let (mut got, mut expected) = (subject.run(&case.arrivals), case.outcomes.clone());
            if lists == Lists::Members {
                got.iter_mut().chain(&mut expected).flatten().for_each(sort_values);
            }
            if got != expected {
                differences.push(Difference { shape, case, got });
            }
        }
    }
    differences.sort_by_key(|difference| difference.case.arrivals.len());
    differences
}

fn sort_values(outcome: &mut Outcome) {
    if let Some(values) = outcome.pointer_mut("/1/2").and_then(Outcome::as_array_mut) {
        values.sort_by_key(Outcome::as_i64);
    }
}

/// Holds a file of goldens, which has at least so many cases, against something.
///
/// # Panics
/// Where any case comes out otherwise.
pub(crate) fn check(
    name: &str,
    cases_min: usize,
    lists: Lists,
    make: impl FnMut(&Shape) -> Box<dyn UnderTest>,
) {
    let groups = golden::read(name);
    let cases: usize = groups.iter().map(|group| group.cases.len()).sum();
    assert!(cases >= cases_min, "{name} has {cases} cases only");
    let differences = differences(&groups, lists, make);
    let shown: String = differences.iter().take(SHOWN).map(report).collect();
    assert!(differences.is_empty(), "{name}: {} of {cases} differ{shown}", differences.len());
}

/// The records up to the first that comes out otherwise, with what comes of that one.
fn report(Difference { shape, case, got }: &Difference<'_>) -> String {
    let mut text = format!("\n{shape:?}\ncase {}", case.name);
    for (index, arrival) in case.arrivals.iter().enumerate() {
        let Arrival { side, key, value, timestamp } = arrival;
        let key = key.as_deref().unwrap_or("null");
        let value = value.map_or("null".to_owned(), |value| value.to_string());
        let _ = write!(text, "\n  side {side}  {key} = {value} @{timestamp}");
        let (golden, got) = (&case.outcomes[index], got.get(index));
        if got != Some(golden) {
            let _ = write!(text, "\n    Kafka Streams: {}", lines(golden));
            let _ = write!(
                text,
                "\n    here:          {}",
                got.map_or_else(String::new, |got| lines(got))
            );
            break;
        }
    }
    text
}

fn lines(outcomes: &[Outcome]) -> String {
    outcomes.iter().map(Outcome::to_string).collect::<Vec<_>>().join("\n                   ")
}
