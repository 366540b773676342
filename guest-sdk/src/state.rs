//! One value a key, kept by the host.

use crate::{
    Entry, Failure, Param, Role, Setup, Stored,
    bindings::types::Role as SlotRole,
    host::state,
    kept::{Kept, Place},
};
use std::{fmt, marker::PhantomData, rc::Rc};

/// One value for each key, kept by the host in the store of the parameter's name; this is the one of the record's key.
///
/// It is written in the same transaction as what the function sends, and comes back after any crash. `C` is a codec:
/// `State<Json<Cart>>`, `State<Text>`, `State<i64>`.
/// ```
/// use tidemill_sdk::{prelude::*, testing::{Input, driver}};
///
/// /// Passes on what differs from the last value of the key.
/// #[function]
/// fn changes(value: Text, last: State<Text>, changed: Output<Text>) -> Result<(), Failure> {
///     if last.get()?.as_deref() == Some(&*value) { return Ok(()); }
///     last.set(&value)?;
///     changed.forward()
/// }
///
/// let mut changes = driver::<changes>().with_value("last", "ann", "1");
/// assert_eq!(changes.send(Input::new("1").key("ann")).sent, []);
/// assert_eq!(changes.send(Input::new("2").key("ann")).only("changed").text(), "2");
/// assert_eq!(changes.text("last", "ann").as_deref(), Some("2"));
/// assert_eq!(changes.send(Input::new("2")).failure(), "reject: record has no key");
/// ```
pub struct State<C> {
    place: Place,
    codec: PhantomData<fn() -> C>,
}

impl<C: Stored> State<C> {
    /// The value, where there is one.
    ///
    /// # Errors
    /// A reject where the record has no key; a failure of kind state where the bytes are something else.
    #[inline]
    pub fn get(&self) -> Result<Option<C>, Failure> {
        let (slot, entry) = self.place.of_key()?;
        let bytes = state::get(slot, entry);
        bytes.map(|bytes| self.place.decode("store", "value", bytes)).transpose()
    }

    /// Sets the value.
    ///
    /// # Errors
    /// A reject where the record has no key; an error where the value has no such form.
    #[inline]
    pub fn set(&self, value: &C::Target) -> Result<(), Failure> {
        let (slot, entry) = self.place.of_key()?;
        self.place.encode::<C, _>(value, |bytes| state::set(slot, entry, bytes))
    }

    /// Deletes the value, where there is one.
    ///
    /// # Errors
    /// A reject where the record has no key.
    pub fn delete(&self) -> Result<(), Failure> {
        let (slot, entry) = self.place.of_key()?;
        state::delete(slot, entry);
        Ok(())
    }
}

impl<C> fmt::Debug for State<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("State").field(&self.place).finish()
    }
}

impl<'e, C: Stored> Param<'e> for State<C> {
    const ROLE: Role = Role::Value { value: C::NAME };
    type Prepared = Rc<Kept>;

    fn prepare(setup: &mut Setup<'_>, name: &str) -> Result<Rc<Kept>, String> {
        setup.kept(SlotRole::Value, name)
    }

    #[inline]
    fn extract(kept: &Rc<Kept>, entry: &Entry<'e>) -> Result<Self, Failure> {
        Ok(State { place: Place::of(kept, entry), codec: PhantomData })
    }
}
