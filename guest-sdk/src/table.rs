//! Rows of a lookup table.

use crate::{
    DecodeOwned, Entry, Failure, Param, Role, Setup,
    bindings::types::Role as SlotRole,
    host::tables,
    kept::{Kept, Place},
};
use std::{fmt, marker::PhantomData, rc::Rc};

/// A lookup table of the parameter's name: a topic whose newest value for a key is that key's row. Functions only read
/// it.
/// ```
/// use serde::Deserialize;
/// use tidemill_sdk::{prelude::*, testing::{Input, driver}};
///
/// #[derive(Deserialize)]
/// struct User { region: String }
///
/// #[function]
/// fn place(trade: Bytes, users: Table<Json<User>>, placed: Output<Bytes>) -> Result<(), Failure> {
///     let region = users.get()?.map_or_else(|| "unknown".to_owned(), |user| user.into_inner().region);
///     placed.send_with(&trade, Meta::new().header("region", region))
/// }
///
/// let mut place = driver::<place>().with_row("users", "ann", r#"{"region":"north"}"#);
/// let region = |effects: tidemill_sdk::testing::Effects| effects.only("placed").header("region").map(str::to_owned);
/// assert_eq!(region(place.send(Input::new("tea").key("ann"))).as_deref(), Some("north"));
/// assert_eq!(region(place.send(Input::new("tea").key("bob"))).as_deref(), Some("unknown"));
/// assert_eq!(region(place.send(Input::new("tea"))).as_deref(), Some("unknown"));
/// ```
pub struct Table<C> {
    place: Place,
    codec: PhantomData<fn() -> C>,
}

impl<C: DecodeOwned> Table<C> {
    /// The row under the record's key; `None` also where the record has no key.
    ///
    /// # Errors
    /// A failure of kind state where the bytes are something else.
    #[inline]
    pub fn get(&self) -> Result<Option<C>, Failure> {
        let Ok((slot, entry)) = self.place.of_key() else { return Ok(None) };
        self.row(tables::get(slot, entry))
    }

    /// The row under another key, in bytes as the topic has it: text as it is, an integer as `&id.to_be_bytes()`.
    ///
    /// # Errors
    /// An error where the key's partition is not here, which can be where the table is not broadcast; a failure of kind
    /// state where the bytes are something else.
    #[inline]
    pub fn lookup(&self, key: impl AsRef<[u8]>) -> Result<Option<C>, Failure> {
        let (slot, entry) = self.place.of_any();
        self.row(tables::lookup(slot, entry, key.as_ref()).map_err(Failure::error)?)
    }

    fn row(&self, bytes: Option<Vec<u8>>) -> Result<Option<C>, Failure> {
        bytes.map(|bytes| self.place.decode("table", "row", bytes)).transpose()
    }
}

impl<C> fmt::Debug for Table<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Table").field(&self.place).finish()
    }
}

impl<'e, C: DecodeOwned> Param<'e> for Table<C> {
    const ROLE: Role = Role::Table { value: C::NAME };
    type Prepared = Rc<Kept>;

    fn prepare(setup: &mut Setup<'_>, name: &str) -> Result<Rc<Kept>, String> {
        setup.kept(SlotRole::Table, name)
    }

    #[inline]
    fn extract(kept: &Rc<Kept>, entry: &Entry<'e>) -> Result<Self, Failure> {
        Ok(Table { place: Place::of(kept, entry), codec: PhantomData })
    }
}
