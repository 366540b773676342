//! What code takes of joins and aggregates, against what there is; and how that is said.

use tidemill_aggregates::Type;

use crate::{guest::Shape, topology::JoinKind};

/// The kinds of join whose rows a shape can hold.
pub(super) fn accepts(shape: Shape) -> &'static [JoinKind] {
    match shape {
        Shape::JoinedInner => &[JoinKind::Inner],
        Shape::JoinedLeft => &[JoinKind::Inner, JoinKind::Left],
        Shape::JoinedRight => &[JoinKind::Inner, JoinKind::Right],
        Shape::JoinedFull => &[JoinKind::Inner, JoinKind::Left, JoinKind::Right, JoinKind::Full],
        Shape::Plain | Shape::Windowed => &[],
    }
}

pub(super) fn a_join(shape: Shape) -> &'static str {
    match shape {
        Shape::JoinedInner => "an inner join",
        Shape::JoinedLeft => "a left join",
        Shape::JoinedRight => "a right join",
        Shape::JoinedFull => "a full join",
        Shape::Plain | Shape::Windowed => "no join",
    }
}

pub(super) fn a_kind(kind: JoinKind) -> &'static str {
    match kind {
        JoinKind::Inner => "an inner join",
        JoinKind::Left => "a left join",
        JoinKind::Right => "a right join",
        JoinKind::Full => "a full join",
    }
}

/// What code takes of a join.
pub(super) fn code_for(kind: JoinKind) -> &'static str {
    match kind {
        JoinKind::Inner => "take `Joined<L, R>` in the code",
        JoinKind::Left => {
            "take `Joined<L, Option<R>>` in the code, since the right side may be missing"
        }
        JoinKind::Right => {
            "take `Joined<Option<L>, R>` in the code, since the left side may be missing"
        }
        JoinKind::Full => "take `Full<L, R>` in the code, since either side may be missing",
    }
}

/// Whether code that reads a column as this finds it in what is computed.
pub(super) fn reads(codec: &str, computed: &Type) -> bool {
    match (codec.trim_end_matches('?'), computed) {
        (_, Type::Any) | ("json", _) => true,
        ("i64", of) => *of == Type::Int,
        ("f64", of) => matches!(of, Type::Float | Type::Int),
        ("bool", of) => *of == Type::Bool,
        ("text", of) => *of == Type::Text,
        ("bytes", of) => *of == Type::Bytes,
        ("list", of) => matches!(of, Type::List(_)),
        _ => true,
    }
}
