//! An integer a key, kept by the host.

use crate::{
    Entry, Failure, Param, Role, Setup,
    bindings::types::Role as SlotRole,
    host::state,
    kept::{Kept, Place},
};
use std::rc::Rc;

/// A signed 64-bit integer for each key, kept by the host in the store of the parameter's name; this is the one of the
/// record's key. It begins at 0.
/// ```
/// use tidemill_sdk::{prelude::*, testing::{Input, driver}};
///
/// #[function]
/// fn visits(_page: Text, seen: Counter, counts: Output<Text>) -> Result<(), Failure> {
///     counts.send(&seen.add(1)?.to_string())
/// }
///
/// let mut visits = driver::<visits>();
/// visits.send_all(["/", "/docs"].map(|page| Input::new(page).key("ann")));
/// assert_eq!(visits.send(Input::new("/").key("ann")).only("counts").text(), "3");
/// assert_eq!((visits.count("seen", "ann"), visits.count("seen", "bob")), (3, 0));
/// ```
#[derive(Debug)]
pub struct Counter {
    place: Place,
}

impl Counter {
    /// Its value.
    ///
    /// # Errors
    /// A reject where the record has no key.
    #[inline]
    pub fn get(&self) -> Result<i64, Failure> {
        let (slot, entry) = self.place.of_key()?;
        Ok(state::count(slot, entry))
    }

    /// Adds, and answers the new value. Where that would leave the range of 64 bits the record fails, as by an overflow in the
    /// code.
    ///
    /// # Errors
    /// A reject where the record has no key.
    #[inline]
    pub fn add(&self, delta: i64) -> Result<i64, Failure> {
        let (slot, entry) = self.place.of_key()?;
        Ok(state::add(slot, entry, delta))
    }
}

impl<'e> Param<'e> for Counter {
    const ROLE: Role = Role::Counter;
    type Prepared = Rc<Kept>;

    fn prepare(setup: &mut Setup<'_>, name: &str) -> Result<Rc<Kept>, String> {
        setup.kept(SlotRole::Counter, name)
    }

    #[inline]
    fn extract(kept: &Rc<Kept>, entry: &Entry<'e>) -> Result<Self, Failure> {
        Ok(Counter { place: Place::of(kept, entry) })
    }
}
