//! Rows of a join as inputs.

use crate::{
    Codecs, Decode, Entry, Failure, Optional, Param, Raw, Role, Setup, Shape, Source, Value,
    reject, value::null,
};
use tidemill_layout as layout;

/// A row of a join: an input. A side that may be missing is an `Option`:
///
/// | type | for a join of kind | is entered with |
/// |---|---|---|
/// | `Joined<L, R>` | `inner` | both sides |
/// | `Joined<L, Option<R>>` | `left` | the left side, and the right one where there is one |
/// | `Joined<Option<L>, R>` | `right` | the right side, and the left one where there is one |
/// | [`Full<L, R>`] | `full` | at least one side |
///
/// A side is a codec, `Json<T>`, `Text`, `Bytes`, `i32` or `i64`; where it comes from a join, it is a `Joined` or a `Full`
/// again. A join of two tables also says that a row is gone, by a null value: `Option<Joined<L, R>>` takes it.
/// ```
/// use serde::{Deserialize, Serialize};
/// use tidemill_sdk::{prelude::*, testing::{Input, driver}};
///
/// #[derive(Deserialize)]
/// struct User { region: String }
///
/// #[function]
/// fn place(row: Joined<Text, Option<Json<User>>>, placed: Output<Text>) -> Result<(), Failure> {
///     let region = row.right.as_ref().map_or("nowhere", |user| user.region.as_str());
///     placed.send(&format!("{} in {region}", row.left))
/// }
///
/// let mut place = driver::<place>();
/// let mut text = |input: Input| place.send(input).only("placed").text().to_owned();
/// assert_eq!(text(Input::joined(Some("tea"), Some(r#"{"region":"north"}"#))), "tea in north");
/// assert_eq!(text(Input::joined(Some("tea"), None::<&str>)), "tea in nowhere");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined<L, R> {
    /// The side that the manifest calls `left`.
    pub left: L,
    /// The side that the manifest calls `right`.
    pub right: R,
}

/// A row of a full join: an input. See [`Joined`] for the other kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full<L, R> {
    /// Both sides are there.
    Both(L, R),
    /// The right side is missing.
    Left(L),
    /// The left side is missing.
    Right(R),
}

/// A side of a [`Joined`]: a codec, or an `Option` of one where the side may be missing.
#[diagnostic::on_unimplemented(
    message = "a side of a join cannot be taken as `{Self}`",
    note = "`Json<T>`, `Text`, `Bytes`, `i32` or `i64`; an `Option` of one where the side may be missing",
    note = "a side that comes from a join itself is a `Joined` or a `Full`"
)]
pub trait Side<'e>: Sized {
    /// What it is decoded as.
    const CODECS: Codecs;

    /// Whether it may be missing.
    const OPTIONAL: bool = false;

    /// Takes it; `side` names it in the failure's reason.
    ///
    /// # Errors
    /// A reject where it is missing or something else.
    #[doc(hidden)]
    fn take(raw: Option<Raw<'e>>, side: &str) -> Result<Self, Failure>;
}

impl<'e, C: Decode<'e>> Side<'e> for C {
    const CODECS: Codecs = Codecs::One(C::NAME);

    #[inline]
    fn take(raw: Option<Raw<'e>>, side: &str) -> Result<Self, Failure> {
        match raw {
            Some(raw) => C::decode(raw, side),
            None => Err(missing(side)),
        }
    }
}

impl<'e, S: Side<'e>> Side<'e> for Option<S> {
    const CODECS: Codecs = {
        assert!(!S::OPTIONAL, "an `Option` of an `Option` is no side of a join");
        S::CODECS
    };
    const OPTIONAL: bool = true;

    #[inline]
    fn take(raw: Option<Raw<'e>>, side: &str) -> Result<Self, Failure> {
        raw.map(|raw| S::take(Some(raw), side)).transpose()
    }
}

impl<'e, L: Side<'e>, R: Side<'e>> Side<'e> for Joined<L, R> {
    const CODECS: Codecs = Codecs::Pair(&L::CODECS, &R::CODECS);

    fn take(raw: Option<Raw<'e>>, side: &str) -> Result<Self, Failure> {
        let row = raw.ok_or_else(|| missing(side)).and_then(split)?;
        Joined::of(row)
    }
}

impl<'e, L: Side<'e>, R: Side<'e>> Side<'e> for Full<L, R> {
    const CODECS: Codecs = Codecs::Pair(&L::CODECS, &R::CODECS);

    fn take(raw: Option<Raw<'e>>, side: &str) -> Result<Self, Failure> {
        let row = raw.ok_or_else(|| missing(side)).and_then(split)?;
        Full::of(row)
    }
}

/// Both sides, undecoded.
type Row<'e> = (Option<Raw<'e>>, Option<Raw<'e>>);

fn split(raw: Raw<'_>) -> Result<Row<'_>, Failure> {
    let row = layout::Joined::parse(raw.as_slice())
        .map_err(|error| reject(format!("value is no row of a join: {error}")))?;
    let part = |part: Option<_>| part.map(|bytes| raw.part(bytes));
    Ok((part(row.left), part(row.right)))
}

#[cold]
fn missing(side: &str) -> Failure {
    reject(format!("{side} is missing: take Option<…> to accept it"))
}

impl<'e, L: Side<'e>, R: Side<'e>> Joined<L, R> {
    #[inline]
    fn of((left, right): Row<'e>) -> Result<Self, Failure> {
        Ok(Joined { left: L::take(left, "left value")?, right: R::take(right, "right value")? })
    }
}

impl<'e, L: Side<'e>, R: Side<'e>> Full<L, R> {
    fn of(row: Row<'e>) -> Result<Self, Failure> {
        let left = |raw| L::take(raw, "left value");
        let right = |raw| R::take(raw, "right value");
        Ok(match row {
            (Some(both), Some(sides)) => Full::Both(left(Some(both))?, right(Some(sides))?),
            (Some(only), None) => Full::Left(left(Some(only))?),
            (None, only) => Full::Right(right(only)?),
        })
    }
}

impl<'e, L: Side<'e>, R: Side<'e>> Value<'e> for Joined<L, R> {
    const SOURCE: Source = Source {
        shape: match (L::OPTIONAL, R::OPTIONAL) {
            (false, false) => Shape::JoinedInner,
            (false, true) => Shape::JoinedLeft,
            (true, false) => Shape::JoinedRight,
            (true, true) => panic!(
                "a row of a join has at least one side: `Full<L, R>` is the input of a full join"
            ),
        },
        value: <Self as Side<'e>>::CODECS,
        name: None,
    };

    #[inline]
    fn take(entry: &Entry<'e>) -> Result<Self, Failure> {
        entry.value().ok_or_else(null).and_then(split).and_then(Self::of)
    }
}

impl<'e, L: Side<'e>, R: Side<'e>> Value<'e> for Full<L, R> {
    const SOURCE: Source = {
        assert!(
            !L::OPTIONAL && !R::OPTIONAL,
            "the sides of a `Full` are no `Option`s: its variants say which are there"
        );
        Source { shape: Shape::JoinedFull, value: <Self as Side<'e>>::CODECS, name: None }
    };

    #[inline]
    fn take(entry: &Entry<'e>) -> Result<Self, Failure> {
        entry.value().ok_or_else(null).and_then(split).and_then(Self::of)
    }
}

macro_rules! input {
    ($row:ident) => {
        impl<'e, L: Side<'e>, R: Side<'e>> Param<'e> for $row<L, R> {
            const ROLE: Role = Role::Input { sources: &[<Self as Value<'e>>::SOURCE] };
            type Prepared = ();

            fn prepare(_setup: &mut Setup<'_>, _name: &str) -> Result<(), String> {
                Ok(())
            }

            #[inline]
            fn extract((): &(), entry: &Entry<'e>) -> Result<Self, Failure> {
                <Self as Value<'e>>::take(entry)
            }
        }

        impl<'e, L: Side<'e>, R: Side<'e>> Optional<'e> for $row<L, R> {
            const ROLE: Role = <Self as Param<'e>>::ROLE;
            type Prepared = ();

            fn prepare(_setup: &mut Setup<'_>, _name: &str) -> Result<(), String> {
                Ok(())
            }

            fn extract((): &(), entry: &Entry<'e>) -> Result<Option<Self>, Failure> {
                <Option<Self> as Value<'e>>::take(entry)
            }
        }
    };
}

input!(Joined);
input!(Full);
