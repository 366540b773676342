//! A value from the manifest.

use crate::{Entry, Failure, Optional, Param, Role, Setup};
use serde::de::DeserializeOwned;
use std::{fmt, ops::Deref, rc::Rc};

/// A value from the function's `config` in the manifest, by the parameter's name. It is read once, when the instance
/// starts; a missing one or one of another type refuses to start. `Option<Config<T>>` and `Config<Option<T>>` may be
/// missing.
#[derive(Debug, Clone)]
pub struct Config<T>(Rc<T>);

impl<T> Deref for Config<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Display> fmt::Display for Config<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Serde's own way to ask what a missing field would be.
fn missing<T: DeserializeOwned>() -> Option<T> {
    T::deserialize(Missing).ok()
}

impl<'e, T: DeserializeOwned + 'static> Param<'e> for Config<T> {
    const ROLE: Role = Role::Config { required: || missing::<T>().is_none() };
    type Prepared = Rc<T>;

    fn prepare(setup: &mut Setup<'_>, name: &str) -> Result<Rc<T>, String> {
        match read(setup, name)? {
            Some(value) => Ok(value),
            None => missing().map(Rc::new).ok_or_else(|| format!("config `{name}` is missing")),
        }
    }

    #[inline]
    fn extract(prepared: &Rc<T>, _entry: &Entry<'e>) -> Result<Self, Failure> {
        Ok(Config(Rc::clone(prepared)))
    }
}

impl<'e, T: DeserializeOwned + 'static> Optional<'e> for Config<T> {
    const ROLE: Role = Role::Config { required: || false };
    type Prepared = Option<Rc<T>>;

    fn prepare(setup: &mut Setup<'_>, name: &str) -> Result<Option<Rc<T>>, String> {
        read(setup, name)
    }

    #[inline]
    fn extract(prepared: &Option<Rc<T>>, _entry: &Entry<'e>) -> Result<Option<Self>, Failure> {
        Ok(prepared.clone().map(Config))
    }
}

fn read<T: DeserializeOwned>(setup: &Setup<'_>, name: &str) -> Result<Option<Rc<T>>, String> {
    let Some(value) = setup.config(name) else { return Ok(None) };
    match T::deserialize(value) {
        Ok(value) => Ok(Some(Rc::new(value))),
        Err(error) => Err(format!("config `{name}`: {error}")),
    }
}

/// Deserializes to nothing but an `Option` or a unit.
struct Missing;

impl<'de> serde::Deserializer<'de> for Missing {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(
        self,
        _visitor: V,
    ) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("missing"))
    }

    fn deserialize_option<V: serde::de::Visitor<'de>>(
        self,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_none()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
