//! Which records go on: at the entry of a node, and as a node of its own.

use tidemill_aggregates::Value;

use super::{Arrival, Host, Out, Reason, Sent};
use crate::{
    guest::Scope,
    topology::{FilterNode, Predicate},
};
use tidemill_layout::{HeaderPart, Part};

/// A predicate with what it reads.
#[derive(Debug, Clone)]
struct Reads {
    predicate: Predicate,
    names: Vec<String>,
    needs_whole: bool,
}

impl Reads {
    fn new(predicate: &Predicate) -> Reads {
        Reads {
            predicate: predicate.clone(),
            names: predicate.expr.columns(),
            needs_whole: predicate.expr.needs_whole(),
        }
    }

    /// Whether it is true.
    ///
    /// # Errors
    /// In words, where the value is not written as it should be.
    fn holds(&self, value: Option<&[u8]>) -> Result<bool, String> {
        let Predicate { layout, expr } = &self.predicate;
        let mut columns = Vec::new();
        layout.columns(value, &self.names, &mut columns)?;
        let whole = match value {
            Some(value) if self.needs_whole => layout.whole(value)?,
            _ => Value::Null,
        };
        Ok(expr.value(&whole, &self.names, &columns) == Value::Bool(true))
    }
}

/// Which records enter a node at all.
#[derive(Debug, Clone, Default)]
pub struct Filter(Option<Reads>);

impl Filter {
    /// Those for which this is true.
    pub fn new(predicate: &Option<Predicate>) -> Self {
        Filter(predicate.as_ref().map(Reads::new))
    }

    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether a record with this value enters. A tombstone does, and so does what cannot be read: the node rejects it
    /// with a reason, where a filter would lose it without one.
    pub fn admits(&self, value: Option<&[u8]>) -> bool {
        match (&self.0, value) {
            (Some(reads), Some(_)) => reads.holds(value).unwrap_or(true),
            _ => true,
        }
    }
}

/// The node that lets some records through. Of a null value all columns are null; what cannot be read is rejected.
#[derive(Debug)]
pub struct Passing(Option<Reads>);

impl Passing {
    /// At work for this node.
    pub fn new(node: &FilterNode) -> Self {
        Passing(node.predicate.as_ref().map(Reads::new))
    }
}

impl Host for Passing {
    fn take(
        &mut self,
        arrival: &Arrival<'_>,
        _scope: &mut Scope,
        out: &mut Out<'_>,
    ) -> Result<(), Reason> {
        let holds = self.0.as_ref().map_or(Ok(true), |reads| reads.holds(arrival.record.value));
        if holds.map_err(Reason::Reject)? {
            // Whether it goes on is the caller's business: nothing follows here.
            let _ = out(Sent {
                output: 0,
                timestamp: arrival.record.timestamp,
                key: Part::Inherit,
                value: Part::Inherit,
                headers: HeaderPart::Inherit,
                closing: false,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Comparison, Expr, Format, Layout};

    fn side(value: &str) -> Option<Predicate> {
        let expr = Expr::column("side").compare(Comparison::Equal, Expr::literal(value));
        Some(Predicate { layout: Layout::One(Format::Json), expr })
    }

    #[test]
    fn what_is_true_enters_and_what_cannot_be_read_too() {
        let buy = Filter::new(&side("BUY"));
        let cases: [(Option<&[u8]>, bool); 6] = [
            (Some(br#"{"side":"BUY","n":1}"#), true),
            (Some(br#"{"side":"SELL"}"#), false),
            (Some(br#"{"n":1}"#), false),
            (Some(b"nonsense"), true),
            (Some(b"[1]"), false),
            (None, true),
        ];
        for (value, enters) in cases {
            assert_eq!(buy.admits(value), enters, "{value:?}");
        }
        assert!(Filter::default().admits(Some(b"{}")));
    }

    #[test]
    fn a_node_rejects_what_cannot_be_read() {
        let reads = Reads::new(&side("BUY").unwrap());
        assert_eq!(reads.holds(Some(br#"{"side":"BUY"}"#)), Ok(true));
        assert_eq!(reads.holds(None), Ok(false), "null is not true");
        assert_eq!(
            reads.holds(Some(b"x")),
            Err("value is not JSON: expected value at column 1".to_owned())
        );
    }
}
