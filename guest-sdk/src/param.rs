//! What a parameter of a function can be.

use crate::{Column, Entry, Failure, KeyCodec, Setup};
use std::fmt;

/// A parameter of a function: says what it is, is prepared once, and extracted for every record.
///
/// Everything goes through this trait, so your own types work too:
/// ```
/// use tidemill_sdk::{prelude::*, Entry, Param, Role, Setup};
///
/// /// The part of the key before the first dash.
/// struct Tenant(String);
///
/// impl<'e> Param<'e> for Tenant {
///     const ROLE: Role = Role::Beside;
///     type Prepared = ();
///     fn prepare(_: &mut Setup<'_>, _: &str) -> Result<(), String> { Ok(()) }
///     fn extract((): &(), entry: &Entry<'e>) -> Result<Self, Failure> {
///         let key: Key<Text> = Param::extract(&(), entry)?;
///         Ok(Tenant(key.split('-').next().unwrap_or_default().to_owned()))
///     }
/// }
///
/// #[function]
/// fn route(order: Bytes, tenant: Tenant, ours: Output<Bytes>) -> Result<(), Failure> {
///     if tenant.0 == "acme" { ours.send(&order)? }
///     Ok(())
/// }
/// ```
/// `'e` is the lifetime of the batch, for parameters that borrow from it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing that a function can take",
    label = "not a parameter",
    note = "an input: `Json<T>`, `Bytes`, `Text`, `Record`, an `Option` of these, or an enum with `#[derive(Inputs)]`",
    note = "a row of a join: `Joined<L, R>`, `Full<L, R>`; a result of a window: `Windowed<T>`",
    note = "beside it: `Key<C>`, `Timestamp`, `Headers`, `Origin`, `Config<T>`, `Output<V>`, or a type that implements `Param`",
    note = "kept by the host: `State<V>`, `StateMap<K, V>`, `Counter`, `Aggregate<R, C>`, `Table<V>`, `Timer<P>`",
    note = "for one header: `#[header(\"name\")]` on a `Text`, `Bytes` or `Json<T>`, or an `Option` of these"
)]
pub trait Param<'e>: Sized {
    /// What it is, for `describe`.
    const ROLE: Role;

    /// What is kept from the start of the instance.
    type Prepared: 'static;

    /// Called once, when the instance starts; `name` is the parameter's, empty where its pattern has none.
    ///
    /// # Errors
    /// A text that says why the instance cannot start.
    fn prepare(setup: &mut Setup<'_>, name: &str) -> Result<Self::Prepared, String>;

    /// Called for every record.
    ///
    /// # Errors
    /// Where the record does not have it: usually a [`reject`](crate::reject).
    fn extract(prepared: &Self::Prepared, entry: &Entry<'e>) -> Result<Self, Failure>;
}

/// The names and roles of parameters, in order. A name is empty where the pattern has none.
pub type Parameters = &'static [(&'static str, Role)];

/// What a parameter is. Roles are added by later releases.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Role {
    /// The input. A function has exactly one such parameter.
    Input {
        /// One, or those it tells apart.
        sources: &'static [Source],
    },
    /// The record's key.
    Key {
        /// What it is decoded as.
        codec: &'static str,
    },
    /// Something of the record that `describe` has no word for.
    Beside,
    /// A place to send records to, by the parameter's name.
    Output {
        /// What its keys are written as; empty where it keeps the key of the cause.
        key: &'static str,
        /// What its values are written as.
        value: &'static str,
    },
    /// A value of the manifest, by the parameter's name.
    Config {
        /// Whether the manifest must give it.
        required: fn() -> bool,
    },
    /// One value a key, kept by the host in a store of the parameter's name.
    Value {
        /// What it is written as.
        value: &'static str,
    },
    /// Values by a further key, kept by the host in a store of the parameter's name.
    Map {
        /// What the further keys are written as.
        key: KeyCodec,
        /// What the values are written as.
        value: &'static str,
    },
    /// An integer, kept by the host in a store of the parameter's name.
    Counter,
    /// Aggregates over windows, kept by the host in a store of the parameter's name.
    Aggregate {
        /// What is read of them.
        columns: &'static [Column],
    },
    /// Rows of a lookup table of the parameter's name.
    Table {
        /// What they are decoded as.
        value: &'static str,
    },
    /// A timer of the parameter's name.
    Timer {
        /// What its payload is written as.
        value: &'static str,
    },
    /// What a timer brings when it fires. A timer's handler has exactly one such parameter.
    Fired {
        /// What the payload is decoded as.
        value: &'static str,
    },
}

impl Role {
    /// Whether it is found by its name.
    #[doc(hidden)]
    pub const fn is_named(&self) -> bool {
        !matches!(self, Role::Input { .. } | Role::Key { .. } | Role::Beside | Role::Fired { .. })
    }
}

/// An input of a function.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Set where the function tells several inputs apart.
    pub name: Option<&'static str>,
    /// What its records are.
    pub shape: Shape,
    /// What values are decoded as.
    pub value: Codecs,
}

impl Source {
    /// Records whose values are decoded as this: `json`, `text`, `bytes`.
    pub const fn plain(value: &'static str) -> Self {
        Source { name: None, shape: Shape::Plain, value: Codecs::One(value) }
    }
}

/// What the records of an input are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Records as they are.
    Plain,
    /// Rows of a join, both sides needed.
    JoinedInner,
    /// Rows of a join, the right side may be missing.
    JoinedLeft,
    /// Rows of a join, the left side may be missing.
    JoinedRight,
    /// Rows of a join, either side may be missing.
    JoinedFull,
    /// Results of windows.
    Windowed,
}

/// What values are decoded as. It prints as `describe` has it: `json`, of a join's rows `(json,text)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codecs {
    /// A codec.
    One(&'static str),
    /// The left and the right side of a join.
    Pair(&'static Codecs, &'static Codecs),
}

impl fmt::Display for Codecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Codecs::One(name) => f.write_str(name),
            Codecs::Pair(left, right) => write!(f, "({left},{right})"),
        }
    }
}

/// What may be absent: `Option` of it is a [`Param`].
#[diagnostic::on_unimplemented(
    message = "an `Option` of `{Self}` is nothing that a function can take",
    note = "`Option` takes null values and keys and missing configuration: `Json<T>`, `Bytes`, `Text`, `Joined<L, R>`, `Full<L, R>`, `Key<C>`, `Config<T>`",
    note = "of a window's result it goes inside: `Windowed<Option<T>>`"
)]
pub trait Optional<'e>: Sized {
    /// See [`Param::ROLE`].
    const ROLE: Role;

    /// See [`Param::Prepared`].
    type Prepared: 'static;

    /// See [`Param::prepare`].
    ///
    /// # Errors
    /// A text that says why the instance cannot start.
    fn prepare(setup: &mut Setup<'_>, name: &str) -> Result<Self::Prepared, String>;

    /// `None` where it is absent; see [`Param::extract`].
    ///
    /// # Errors
    /// Where it is there and wrong.
    fn extract(prepared: &Self::Prepared, entry: &Entry<'e>) -> Result<Option<Self>, Failure>;
}

impl<'e, P: Optional<'e>> Param<'e> for Option<P> {
    const ROLE: Role = P::ROLE;
    type Prepared = P::Prepared;

    fn prepare(setup: &mut Setup<'_>, name: &str) -> Result<P::Prepared, String> {
        P::prepare(setup, name)
    }

    #[inline]
    fn extract(prepared: &P::Prepared, entry: &Entry<'e>) -> Result<Self, Failure> {
        P::extract(prepared, entry)
    }
}
