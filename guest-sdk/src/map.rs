//! Values by a further key, kept by the host.

use crate::{
    Entry, Failure, MapKey, Param, Role, Setup, Stored,
    bindings::types::Role as SlotRole,
    host::{Range, state},
    kept::{Kept, Place},
};
use std::{
    borrow::Borrow,
    fmt,
    marker::PhantomData,
    ops::{Bound, RangeBounds},
    rc::Rc,
    vec,
};

/// Entries a page, unless said otherwise.
const PAGE_ENTRIES: u32 = 100;

/// A map for each key, kept by the host in the store of the parameter's name; this is the one of the record's key.
///
/// `K` is a [`MapKey`]: [`Text`](crate::Text), [`Bytes`](crate::Bytes), integers, and tuples of these. `V` is a codec, as in
/// [`State`](crate::State).
/// ```
/// use tidemill_sdk::{prelude::*, testing::{Input, driver}};
///
/// /// Keeps the last three values of every key, and tells the largest.
/// #[function]
/// fn largest(value: Json<i64>, at: Timestamp, recent: StateMap<i64, i64>, out: Output<Text>) -> Result<(), Failure> {
///     recent.set(&at.millis(), &value)?;
///     let mut largest = i64::MIN;
///     for (kept, entry) in recent.scan().rev().enumerate() {
///         let (time, value) = entry?;
///         if kept < 3 { largest = largest.max(value) } else { recent.delete(&time)? }
///     }
///     out.send(&largest.to_string())
/// }
///
/// let mut largest = driver::<largest>();
/// let inputs = ["9", "4", "5", "2"].into_iter().zip(0..);
/// let effects = largest.send_all(inputs.map(|(value, time)| Input::new(value).key("ann").timestamp(time)));
/// assert_eq!(effects.sent[3].text(), "5");
/// assert_eq!(largest.entries::<i64>("recent", "ann").len(), 3);
/// ```
pub struct StateMap<K, V> {
    place: Place,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: MapKey, V: Stored> StateMap<K, V> {
    /// The value under a key, where there is one.
    ///
    /// # Errors
    /// A reject where the record has no key; a failure of kind state where the bytes are something else.
    pub fn get(&self, key: &K::Target) -> Result<Option<V>, Failure> {
        let (slot, entry) = self.place.of_key()?;
        let bytes = state::map_get(slot, entry, &encoded::<K>(key));
        bytes.map(|bytes| self.place.decode("store", "value", bytes)).transpose()
    }

    /// Sets the value under a key.
    ///
    /// # Errors
    /// A reject where the record has no key; an error where the value has no such form.
    pub fn set(&self, key: &K::Target, value: &V::Target) -> Result<(), Failure> {
        let (slot, entry) = self.place.of_key()?;
        let key = encoded::<K>(key);
        self.place.encode::<V, _>(value, |bytes| state::map_set(slot, entry, &key, bytes))
    }

    /// Deletes the value under a key, where there is one.
    ///
    /// # Errors
    /// A reject where the record has no key.
    pub fn delete(&self, key: &K::Target) -> Result<(), Failure> {
        let (slot, entry) = self.place.of_key()?;
        state::map_delete(slot, entry, &encoded::<K>(key));
        Ok(())
    }

    /// All keys and values, in the order of the keys; [`rev`](Scan::rev) turns it. They are fetched by the page, as they are
    /// asked for: what is set meanwhile shows in the pages to come.
    pub fn scan(&self) -> Scan<K, V> {
        self.between(None, None)
    }

    /// Keys and values of a range of keys: `map.range(10..20)`, `map.range("b".."c")`. See [`scan`](Self::scan).
    pub fn range<Q: Borrow<K::Target>>(&self, range: impl RangeBounds<Q>) -> Scan<K, V> {
        // Nothing lies between some bytes and the same with a 0 behind them.
        let bound = |key: &Q, behind: bool| {
            let mut bytes = encoded::<K>(key.borrow());
            if behind {
                bytes.push(0);
            }
            Some(bytes)
        };
        let from = match range.start_bound() {
            Bound::Included(key) => bound(key, false),
            Bound::Excluded(key) => bound(key, true),
            Bound::Unbounded => None,
        };
        let to = match range.end_bound() {
            Bound::Included(key) => bound(key, true),
            Bound::Excluded(key) => bound(key, false),
            Bound::Unbounded => None,
        };
        self.between(from, to)
    }

    fn between(&self, from: Option<Vec<u8>>, to: Option<Vec<u8>>) -> Scan<K, V> {
        let is_empty = matches!((&from, &to), (Some(from), Some(to)) if from >= to);
        Scan {
            place: self.place.clone(),
            from,
            to,
            reverse: false,
            page: PAGE_ENTRIES,
            fetched: Vec::new().into_iter(),
            more: !is_empty,
            types: PhantomData,
        }
    }
}

fn encoded<K: MapKey>(key: &K::Target) -> Vec<u8> {
    let mut bytes = Vec::new();
    K::write_all(key, &mut bytes);
    bytes
}

/// Keys and values of a [`StateMap`], fetched by the page: see [`StateMap::scan`]. Behind an error there are no more.
pub struct Scan<K, V> {
    place: Place,
    from: Option<Vec<u8>>,
    to: Option<Vec<u8>>,
    reverse: bool,
    page: u32,
    fetched: vec::IntoIter<(Vec<u8>, Vec<u8>)>,
    /// Whether the host may have more.
    more: bool,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: MapKey, V: Stored> Scan<K, V> {
    /// From the last to the first. Before the first one is taken; what is fetched stays as it came.
    #[must_use]
    pub fn rev(mut self) -> Self {
        self.reverse = !self.reverse;
        self
    }

    /// How many entries are fetched at once: 100 unless said otherwise, 1000 at most. Few, where few will be taken.
    #[must_use]
    pub fn page(mut self, entries: u32) -> Self {
        self.page = entries.max(1);
        self
    }

    /// Fetches the next page.
    fn fetch(&mut self) -> Result<(), Failure> {
        let (slot, entry) = self.place.of_key()?;
        let range = Range {
            from: self.from.as_deref(),
            to: self.to.as_deref(),
            reverse: self.reverse,
            limit: self.page,
        };
        let page = state::map_scan(slot, entry, &range);
        match page.entries.last() {
            Some((last, _)) if self.reverse => self.to = Some(last.clone()),
            Some((last, _)) => self.from = Some([&**last, &[0]].concat()),
            None => {}
        }
        self.more = page.more && !page.entries.is_empty();
        self.fetched = page.entries.into_iter();
        Ok(())
    }

    fn decode(&self, key: &[u8], value: Vec<u8>) -> Result<(K, V), Failure> {
        let key = K::read_all(key).ok_or_else(|| {
            let why = format!("key {} is not of {}", key.escape_ascii(), K::CODEC);
            self.place.wrong("store", &Failure::state(why))
        })?;
        Ok((key, self.place.decode("store", "value", value)?))
    }

    fn end(&mut self) {
        self.more = false;
        self.fetched = Vec::new().into_iter();
    }
}

impl<K: MapKey, V: Stored> Iterator for Scan<K, V> {
    type Item = Result<(K, V), Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.fetched.len() == 0 {
            if !self.more {
                return None;
            }
            if let Err(failure) = self.fetch() {
                self.end();
                return Some(Err(failure));
            }
        }
        let (key, value) = self.fetched.next()?;
        let decoded = self.decode(&key, value);
        if decoded.is_err() {
            self.end();
        }
        Some(decoded)
    }
}

impl<K, V> fmt::Debug for Scan<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scan").field(&self.place).finish()
    }
}

impl<K, V> fmt::Debug for StateMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StateMap").field(&self.place).finish()
    }
}

impl<'e, K: MapKey, V: Stored> Param<'e> for StateMap<K, V> {
    const ROLE: Role = Role::Map { key: K::CODEC, value: V::NAME };
    type Prepared = Rc<Kept>;

    fn prepare(setup: &mut Setup<'_>, name: &str) -> Result<Rc<Kept>, String> {
        setup.kept(SlotRole::Map, name)
    }

    #[inline]
    fn extract(kept: &Rc<Kept>, entry: &Entry<'e>) -> Result<Self, Failure> {
        Ok(StateMap { place: Place::of(kept, entry), types: PhantomData })
    }
}
