//! Makes values of columns of others.

use tidemill_aggregates::Value;
use tidemill_layout::{HeaderPart, Part};

use super::{Arrival, Host, Out, Reason, Sent};
use crate::{
    guest::Scope,
    topology::{Format, ProjectNode},
};

/// The node at work. A null value stays null; what cannot be read or written is rejected.
#[derive(Debug)]
pub struct Project {
    node: ProjectNode,
    names: Vec<String>,
    needs_whole: bool,
    columns: Vec<Value>,
    value: Vec<u8>,
}

impl Project {
    /// At work for this node.
    pub fn new(node: &ProjectNode) -> Self {
        let mut names: Vec<String> = Vec::new();
        for name in node.columns.iter().flat_map(|(_, expr)| expr.columns()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let needs_whole = node.columns.iter().any(|(_, expr)| expr.needs_whole());
        Project { node: node.clone(), names, needs_whole, columns: Vec::new(), value: Vec::new() }
    }

    /// Writes the new value.
    fn make(&mut self, value: &[u8]) -> Result<(), String> {
        let ProjectNode { from, columns, value: format } = &self.node;
        from.columns(Some(value), &self.names, &mut self.columns)?;
        let whole = if self.needs_whole { from.whole(value)? } else { Value::Null };
        let of = |expr: &crate::topology::Expr| expr.value(&whole, &self.names, &self.columns);
        self.value.clear();
        match format {
            Format::Json => {
                let fields = columns.iter().map(|(name, expr)| (name.clone(), of(expr)));
                format.encode(&Value::Struct(fields.collect()), &mut self.value)
            }
            format => {
                let only = columns.first().map_or(Value::Null, |(_, expr)| of(expr));
                format.encode(&only, &mut self.value)
            }
        }
    }
}

impl Host for Project {
    fn take(
        &mut self,
        arrival: &Arrival<'_>,
        _scope: &mut Scope,
        out: &mut Out<'_>,
    ) -> Result<(), Reason> {
        let value = match arrival.record.value {
            None => Part::Inherit,
            Some(value) => {
                self.make(value).map_err(Reason::Reject)?;
                Part::Bytes(&self.value)
            }
        };
        let _ = out(Sent {
            output: 0,
            timestamp: arrival.record.timestamp,
            key: Part::Inherit,
            value,
            headers: HeaderPart::Inherit,
            closing: false,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Comparison, Expr, Layout};

    fn project(columns: &[(&str, Expr)], value: Format) -> Project {
        let columns = columns.iter().map(|(name, expr)| ((*name).to_owned(), expr.clone()));
        Project::new(&ProjectNode {
            from: Layout::One(Format::Json),
            columns: columns.collect(),
            value,
        })
    }

    #[test]
    fn columns_are_in_the_order_they_are_named_in() {
        let large = Expr::column("n").compare(Comparison::Greater, Expr::literal(1));
        let columns = [("large", large), ("n", Expr::column("n")), ("none", Expr::column("none"))];
        let mut project = project(&columns, Format::Json);
        project.make(br#"{"n":2,"m":3}"#).unwrap();
        assert_eq!(project.value, br#"{"large":true,"n":2,"none":null}"#);
        project.make(br#"{"n":null}"#).unwrap();
        assert_eq!(project.value, br#"{"large":null,"n":null,"none":null}"#);
        assert_eq!(
            project.make(b"?").unwrap_err(),
            "value is not JSON: expected value at column 1"
        );
    }

    #[test]
    fn other_formats_are_one_column() {
        let mut long = project(&[("n", Expr::column("n"))], Format::Long);
        long.make(br#"{"n":2}"#).unwrap();
        assert_eq!(long.value, 2_i64.to_be_bytes());
        let error = long.make(br#"{"n":"two"}"#).unwrap_err();
        assert_eq!(error, "text cannot be written as long");
    }
}
