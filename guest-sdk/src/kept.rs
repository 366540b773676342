//! What the host keeps for a function under one name, and how one entry reaches it: what state, tables and timers have in
//! common.

use crate::{Decode, Encode, Entry, Failure, Raw, bytes::Buffer, output::Emitter, reject};
use std::{cell::Cell, fmt, rc::Rc};

/// A codec that holds nothing of what it was read from: `Json<T>` with a `T` that owns all it has, `Text`, `Bytes`, `i32`
/// and `i64`.
pub trait DecodeOwned: for<'a> Decode<'a> {}

impl<C: for<'a> Decode<'a>> DecodeOwned for C {}

/// What the host can keep: a [`DecodeOwned`] that can be written, too.
pub trait Stored: Encode + DecodeOwned {}

impl<C: Encode + DecodeOwned> Stored for C {}

/// A slot of the function's description that the host keeps something under.
pub struct Kept {
    slot: u32,
    name: String,
    emitter: Rc<Emitter>,
    /// Memory to encode in.
    bytes: Cell<Vec<u8>>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kept").field(&self.name).finish()
    }
}

impl Kept {
    pub(crate) fn new(slot: u32, name: &str, emitter: Rc<Emitter>) -> Rc<Self> {
        Rc::new(Kept { slot, name: name.to_owned(), emitter, bytes: Cell::default() })
    }

    /// Its index in the description.
    pub(crate) fn slot(&self) -> u32 {
        self.slot
    }
}

/// A slot as one entry reaches it: the host takes the key from the entry.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    kept: Rc<Kept>,
    entry: u32,
    has_key: bool,
}

impl Place {
    #[inline]
    pub(crate) fn of(kept: &Rc<Kept>, entry: &Entry<'_>) -> Self {
        Place { kept: Rc::clone(kept), entry: entry.index(), has_key: entry.key().is_some() }
    }

    /// Slot and entry, for calls that need no key.
    #[inline]
    pub(crate) fn of_any(&self) -> (u32, u32) {
        (self.kept.slot, self.entry)
    }

    /// Slot and entry.
    #[inline]
    pub(crate) fn of_key(&self) -> Result<(u32, u32), Failure> {
        if self.has_key { Ok(self.of_any()) } else { Err(reject("record has no key")) }
    }

    /// Ends the batch behind this entry.
    pub(crate) fn cut(&self) {
        self.kept.emitter.cut();
    }

    /// Encodes a value and hands it on, in memory that is used again.
    #[inline]
    pub(crate) fn encode<C: Encode, T>(
        &self,
        value: &C::Target,
        hand_on: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, Failure> {
        let mut bytes = self.kept.bytes.take();
        bytes.clear();
        C::encode(value, &mut bytes)?;
        let answer = hand_on(&bytes);
        self.kept.bytes.set(bytes);
        Ok(answer)
    }

    /// Decodes what the host keeps. `kind` and `part` say what it is: `store` and `value`.
    #[inline]
    pub(crate) fn decode<C: DecodeOwned>(
        &self,
        kind: &str,
        part: &str,
        bytes: Vec<u8>,
    ) -> Result<C, Failure> {
        let buffer = Buffer::new(bytes);
        C::decode(Raw::all(&buffer), part).map_err(|failure| self.wrong(kind, &failure))
    }

    /// What is kept is not what it should be, which is not the record's doing.
    #[cold]
    pub(crate) fn wrong(&self, kind: &str, why: &Failure) -> Failure {
        Failure::state(format!("{kind} `{}`: {}", self.kept.name, why.reason()))
    }
}
