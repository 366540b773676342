//! Aggregates over windows of records, computed by the host.

use crate::{
    Columns, Entry, Failure, Json, Param, Role, Setup, Timestamp,
    bindings::types::Role as SlotRole,
    columns,
    host::{self, aggregates},
    kept::{Kept, Place},
};
use serde::Serialize;
use std::{fmt, marker::PhantomData, rc::Rc};

/// An aggregate for each key and window, kept by the host in the store of the parameter's name; this is the one of the
/// record's key.
///
/// The manifest says which windows there are and what is computed: `window = { sliding = "5m" }`, `compute = ["count"]`. Code
/// adds rows and reads results. `R` is a row: its fields are the columns that `compute` reads; `()` where it reads none.
/// `C` is what is read of a result: a struct with [`#[derive(Columns)]`](macro@crate::Columns), a field for each column that
/// matters here; `()` where the results are none of the function's business.
///
/// Windows open, close and expire by the records' times, and the host lets results out where the store has an output; all of
/// that is the matter of case files (`tidemill test`). In a native test results are given as data:
/// ```
/// use serde::Serialize;
/// use tidemill_sdk::{prelude::*, testing::{Input, driver}};
///
/// #[derive(Serialize)]
/// struct Sale { cents: i64 }
/// #[derive(Columns)]
/// struct Turnover { cents: i64 }
///
/// /// Says when a customer has spent much, with `compute = { cents = "sum(cents)" }`.
/// #[function]
/// fn vip(cents: Json<i64>, turnover: Aggregate<Sale, Turnover>, vips: Output<Json<i64>>) -> Result<(), Failure> {
///     let Some(recent) = turnover.add(&Sale { cents: *cents })?.current() else { return Ok(()) };
///     if recent.cents < 100_000 { return Ok(()); }
///     vips.send(&recent.cents)
/// }
///
/// let mut vip = driver::<vip>().with_window("turnover", "ann", 0, 60_000, r#"{"cents":120000}"#);
/// assert_eq!(vip.send(Input::new("70000").key("ann")).only("vips").text(), "120000");
/// assert_eq!(vip.rows("turnover", "ann"), [r#"{"cents":70000}"#]);
/// assert_eq!(vip.send(Input::new("70000").key("bob")).sent, []);
/// ```
pub struct Aggregate<R, C = ()> {
    place: Place,
    types: PhantomData<fn(&R) -> C>,
}

impl<R: Serialize, C: Columns> Aggregate<R, C> {
    /// Adds a row, at the record's time, to all windows it falls in.
    ///
    /// # Errors
    /// A reject where the record has no key; an error where the row has no JSON form; a failure of kind state where a
    /// column is something else than its field. Where a row's column is of a wrong type, or an integer would leave the range
    /// of 64 bits, the record fails as by an overflow in the code.
    #[inline]
    pub fn add(&self, row: &R) -> Result<Windows<C>, Failure> {
        let (slot, entry) = self.place.of_key()?;
        let window =
            self.place.encode::<Json<R>, _>(row, |row| aggregates::add(slot, entry, row))?;
        let current = window.map(|window| read(&self.place, &window)).transpose()?;
        Ok(Windows { current, place: self.place.clone() })
    }
}

/// The windows that a row fell in.
///
/// There is a first one unless the row is late: all its windows were closed already, and it is counted in none. The host
/// keeps the number of late records, and sends them to the topic that the manifest names.
pub struct Windows<C> {
    current: Option<Window<C>>,
    place: Place,
}

impl<C: Columns> Windows<C> {
    /// What the obvious one has come to, this row included: the window of a tumbling store, the session; of hopping and
    /// sliding windows the one that began first, with the most of the past in it, which is *the last five minutes* where
    /// the window is `sliding = "5m"`. `None`: the row is late.
    pub fn current(self) -> Option<C> {
        self.current.map(|window| window.columns)
    }

    /// As [`current`](Self::current), and says which window it is.
    pub fn current_window(self) -> Option<Window<C>> {
        self.current
    }

    /// Whether the row is late.
    pub fn is_late(&self) -> bool {
        self.current.is_none()
    }

    /// All of them, by their starts; nothing where the row is late.
    ///
    /// # Errors
    /// A failure of kind state where a column is something else than its field.
    pub fn all(&self) -> Result<Vec<Window<C>>, Failure> {
        let (slot, entry) = self.place.of_key()?;
        aggregates::all(slot, entry).iter().map(|window| read(&self.place, window)).collect()
    }
}

/// A window and what it has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window<C> {
    /// Where it begins.
    pub start: Timestamp,
    /// Where it ends: itself excluded, but for sliding and session windows.
    pub end: Timestamp,
    /// The columns that are read of it.
    pub columns: C,
}

#[inline]
fn read<C: Columns>(place: &Place, window: &host::Window) -> Result<Window<C>, Failure> {
    let columns = columns::read(&window.columns).map_err(|why| place.wrong("store", &why))?;
    let (start, end) = (window.start, window.end);
    Ok(Window { start: Timestamp::from_millis(start), end: Timestamp::from_millis(end), columns })
}

impl<R, C> fmt::Debug for Aggregate<R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Aggregate").field(&self.place).finish()
    }
}

impl<C: fmt::Debug> fmt::Debug for Windows<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Windows").field("current", &self.current).finish_non_exhaustive()
    }
}

impl<'e, R: Serialize, C: Columns> Param<'e> for Aggregate<R, C> {
    const ROLE: Role = Role::Aggregate { columns: C::COLUMNS };
    type Prepared = Rc<Kept>;

    fn prepare(setup: &mut Setup<'_>, name: &str) -> Result<Rc<Kept>, String> {
        setup.kept(SlotRole::Aggregate, name)
    }

    #[inline]
    fn extract(kept: &Rc<Kept>, entry: &Entry<'e>) -> Result<Self, Failure> {
        Ok(Aggregate { place: Place::of(kept, entry), types: PhantomData })
    }
}
