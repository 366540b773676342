//! Values and headers by codec: what inputs and `#[header]` parameters are made of.

use crate::{
    Bytes, Codec, Decode, Entry, Failure, Json, Optional, Param, Record, Role, Setup, Source, Text,
    reject,
};
use serde::Deserialize;

/// What a record's value can be taken as: as the input, or as the field of a variant of an enum with
/// [`#[derive(Inputs)]`](macro@crate::Inputs).
#[diagnostic::on_unimplemented(
    message = "a record's value cannot be taken as `{Self}`",
    note = "`Json<T>`, `Bytes`, `Text`, `Record`, or an `Option` of these for null values",
    note = "a row of a join: `Joined<L, R>`, `Full<L, R>`; a result of a window: `Windowed<T>`"
)]
pub trait Value<'e>: Sized {
    /// What `describe` says of it; it has no name.
    const SOURCE: Source;

    /// Takes it.
    ///
    /// # Errors
    /// A reject where the value is null or something else.
    fn take(entry: &Entry<'e>) -> Result<Self, Failure>;
}

/// What a header can be taken as, by `#[header("name")]`.
#[diagnostic::on_unimplemented(
    message = "a header cannot be taken as `{Self}`",
    note = "`Text`, `Bytes`, `Json<T>`, or an `Option` of these where it may be missing or null"
)]
pub trait FromHeader<'e>: Sized {
    /// Takes the last header of that name.
    ///
    /// # Errors
    /// A reject where it is missing, null or something else.
    fn from_header(entry: &Entry<'e>, name: &str) -> Result<Self, Failure>;
}

/// A tombstone where there must be a value.
#[cold]
pub(crate) fn null() -> Failure {
    reject("value is null: take Option<…> to accept it")
}

impl<'e, V: Optional<'e> + Value<'e>> Value<'e> for Option<V> {
    const SOURCE: Source = V::SOURCE;

    #[inline]
    fn take(entry: &Entry<'e>) -> Result<Self, Failure> {
        entry.value().map(|_| V::take(entry)).transpose()
    }
}

impl<'e, H: FromHeader<'e>> FromHeader<'e> for Option<H> {
    fn from_header(entry: &Entry<'e>, name: &str) -> Result<Self, Failure> {
        entry.header(name).flatten().map(|_| H::from_header(entry, name)).transpose()
    }
}

macro_rules! value {
    (impl[$($generics:tt)*] for $type:ty) => {
        impl<$($generics)*> Value<'e> for $type {
            const SOURCE: Source = Source::plain(<$type as Codec>::NAME);

            #[inline]
            fn take(entry: &Entry<'e>) -> Result<Self, Failure> {
                match entry.value() {
                    Some(raw) => <$type>::decode(raw, "value"),
                    None => Err(null()),
                }
            }
        }

        impl<$($generics)*> FromHeader<'e> for $type {
            fn from_header(entry: &Entry<'e>, name: &str) -> Result<Self, Failure> {
                let found = match entry.header(name) {
                    Some(Some(raw)) => return <$type>::decode(raw, &format!("header `{name}`")),
                    Some(None) => "null",
                    None => "missing",
                };
                Err(reject(format!("header `{name}` is {found}: take Option<…> to accept it")))
            }
        }

        impl<$($generics)*> Optional<'e> for $type {
            const ROLE: Role = <Self as Param<'e>>::ROLE;
            type Prepared = ();

            fn prepare(_setup: &mut Setup<'_>, _name: &str) -> Result<(), String> {
                Ok(())
            }

            #[inline]
            fn extract((): &(), entry: &Entry<'e>) -> Result<Option<Self>, Failure> {
                <Option<Self> as Value<'e>>::take(entry)
            }
        }

        input!(impl[$($generics)*] for $type);
    };
}

macro_rules! input {
    (impl[$($generics:tt)*] for $type:ty) => {
        impl<$($generics)*> Param<'e> for $type {
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
    };
}

value!(impl['e, T: Deserialize<'e>] for Json<T>);
value!(impl['e] for Bytes);
value!(impl['e] for Text);

impl<'e> Value<'e> for Record {
    const SOURCE: Source = Source::plain(<Bytes as Codec>::NAME);

    #[inline]
    fn take(entry: &Entry<'e>) -> Result<Self, Failure> {
        Ok(Record::of(entry))
    }
}

input!(impl['e] for Record);
