//! Outputs: what a function sends, written straight into the answer to the host.

use crate::{
    Encode, Entry, Failure, Key, Param, Role, Setup, Timestamp,
    bytes::{Buffer, Span},
};
use std::{
    cell::{Cell, Ref, RefCell},
    marker::PhantomData,
    rc::Rc,
};
use tidemill_layout::{self as layout, Emission, HeaderPart, HeadersWriter, OutcomeWriter, Part};

/// A place to send records to, by the parameter's name: only the manifest knows the topic.
///
/// `Output<V>` keeps the record's key; `Output<V, Key<C>>` sets one, and `describe` says that it does. Headers and
/// timestamp stay those of the record unless a [`Meta`] says otherwise. `V` and `C` are codecs; a payload may
/// borrow: `Output<Json<Alert<'_>>>`.
///
/// What is sent counts when the function returns without a failure, and not at all otherwise.
#[derive(Debug)]
pub struct Output<V, K = Keep> {
    emitter: Rc<Emitter>,
    index: u16,
    /// Covariant, so that a payload may borrow from what lives shorter than the parameter.
    payload: PhantomData<(V, K)>,
}

/// Marks an [`Output`] that keeps the record's key.
#[derive(Debug, Clone, Copy)]
pub struct Keep;

/// What to change beside key and value: see [`Output::send_with`].
#[derive(Debug, Clone, Default)]
pub struct Meta {
    headers: HeadersWriter,
    only_these: bool,
    timestamp: Option<i64>,
    partition: Option<u32>,
}

impl Meta {
    /// Nothing changed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header behind those of the record; names may repeat.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(name, Some(value.as_ref()));
        self
    }

    /// Adds a header whose value is null.
    #[must_use]
    pub fn null_header(mut self, name: &str) -> Self {
        self.headers.push(name, None);
        self
    }

    /// Leaves the headers of the record out.
    #[must_use]
    pub fn without_headers(mut self) -> Self {
        self.only_these = true;
        self
    }

    /// Sets the event time.
    #[must_use]
    pub fn timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp.millis());
        self
    }

    /// Sets the partition, which otherwise follows from the key.
    #[must_use]
    pub fn partition(mut self, partition: u32) -> Self {
        self.partition = Some(partition);
        self
    }
}

impl<V: Encode> Output<V> {
    /// Sends a value under the record's key.
    ///
    /// # Errors
    /// Where the value has no such form.
    #[inline]
    pub fn send(&self, value: &V::Target) -> Result<(), Failure> {
        self.emitter.value::<V>(self.index, Part::Inherit, value, None)
    }

    /// As [`send`](Self::send), and changes headers, timestamp or partition.
    ///
    /// # Errors
    /// Where the value has no such form.
    pub fn send_with(&self, value: &V::Target, meta: Meta) -> Result<(), Failure> {
        self.emitter.value::<V>(self.index, Part::Inherit, value, Some(&meta))
    }

    /// Sends the record on as it came; nothing is decoded or copied.
    ///
    /// # Errors
    /// Where it is called while another value is being written.
    #[inline(always)]
    pub fn forward(&self) -> Result<(), Failure> {
        self.emitter.part(self.index, Part::Inherit, Part::Inherit)
    }

    /// Sends a null value, which deletes the key from a table or a compacted topic.
    ///
    /// # Errors
    /// Where it is called while another value is being written.
    #[inline(always)]
    pub fn delete(&self) -> Result<(), Failure> {
        self.emitter.part(self.index, Part::Inherit, Part::Null)
    }
}

impl<V: Encode, C: Encode> Output<V, Key<C>> {
    /// Sends a value under this key.
    ///
    /// # Errors
    /// Where the key or the value has no such form.
    #[inline]
    pub fn send(&self, key: &C::Target, value: &V::Target) -> Result<(), Failure> {
        self.emitter.keyed::<C>(key, |key| self.emitter.value::<V>(self.index, key, value, None))
    }

    /// As [`send`](Self::send), and changes headers, timestamp or partition.
    ///
    /// # Errors
    /// Where the key or the value has no such form.
    pub fn send_with(&self, key: &C::Target, value: &V::Target, meta: Meta) -> Result<(), Failure> {
        self.emitter
            .keyed::<C>(key, |key| self.emitter.value::<V>(self.index, key, value, Some(&meta)))
    }

    /// Sends the record on under this key; the value is not decoded or copied.
    ///
    /// # Errors
    /// Where the key has no such form.
    #[inline]
    pub fn forward(&self, key: &C::Target) -> Result<(), Failure> {
        self.emitter.keyed::<C>(key, |key| self.emitter.part(self.index, key, Part::Inherit))
    }

    /// Sends a null value under this key, which deletes it from a table or a compacted topic.
    ///
    /// # Errors
    /// Where the key has no such form.
    #[inline]
    pub fn delete(&self, key: &C::Target) -> Result<(), Failure> {
        self.emitter.keyed::<C>(key, |key| self.emitter.part(self.index, key, Part::Null))
    }
}

impl<'e, V: Encode> Param<'e> for Output<V> {
    const ROLE: Role = Role::Output { key: "", value: V::NAME };
    type Prepared = (Rc<Emitter>, u16);

    fn prepare(setup: &mut Setup<'_>, name: &str) -> Result<Self::Prepared, String> {
        setup.output(name)
    }

    #[inline]
    fn extract((emitter, index): &Self::Prepared, _entry: &Entry<'e>) -> Result<Self, Failure> {
        Ok(Output { emitter: Rc::clone(emitter), index: *index, payload: PhantomData })
    }
}

impl<'e, V: Encode, C: Encode> Param<'e> for Output<V, Key<C>> {
    const ROLE: Role = Role::Output { key: C::NAME, value: V::NAME };
    type Prepared = (Rc<Emitter>, u16);

    fn prepare(setup: &mut Setup<'_>, name: &str) -> Result<Self::Prepared, String> {
        setup.output(name)
    }

    #[inline]
    fn extract((emitter, index): &Self::Prepared, _entry: &Entry<'e>) -> Result<Self, Failure> {
        Ok(Output { emitter: Rc::clone(emitter), index: *index, payload: PhantomData })
    }
}

/// Where the outputs of an instance write: the outcome in the making, and which record causes what comes now.
#[derive(Debug, Default)]
pub struct Emitter {
    writer: RefCell<OutcomeWriter>,
    key: RefCell<Vec<u8>>,
    cause: Cell<u32>,
    headers: Cell<Option<Span>>,
    batch: RefCell<Option<Buffer>>,
    /// Whether the batch ends behind the entry that is handled.
    cut: Cell<bool>,
}

const BUSY: &str = "an output was used while another value was being written";

impl Emitter {
    /// Begins a batch.
    pub(crate) fn begin(&self, batch: &Buffer) {
        self.writer.borrow_mut().clear();
        self.cut.set(false);
        *self.batch.borrow_mut() = Some(Rc::clone(batch));
    }

    /// Begins an entry; the mark is where it began.
    #[inline]
    pub(crate) fn cause(
        &self,
        index: u32,
        entry: &layout::Entry<'_>,
        batch: &Buffer,
    ) -> layout::Mark {
        self.cause.set(index);
        self.headers
            .set((!entry.headers.is_empty()).then(|| Span::of(entry.headers.bytes(), batch)));
        self.writer.borrow().mark()
    }

    /// Ends the batch behind the entry that is handled.
    pub(crate) fn cut(&self) {
        self.cut.set(true);
    }

    #[inline]
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.get()
    }

    pub(crate) fn rollback(&self, mark: layout::Mark) {
        self.writer.borrow_mut().rollback(mark);
    }

    /// Ends the batch.
    pub(crate) fn finish(&self, handled: u32, failure: Option<layout::Failure<'_>>) {
        *self.batch.borrow_mut() = None;
        self.writer.borrow_mut().finish(handled, failure);
    }

    /// The outcome of the batch that ended last.
    pub(crate) fn outcome(&self) -> Ref<'_, [u8]> {
        Ref::map(self.writer.borrow(), OutcomeWriter::as_bytes)
    }

    #[inline(always)]
    fn emission<'a>(&self, output: u16, key: Part<'a>, value: Part<'a>) -> Emission<'a> {
        let cause = self.cause.get();
        Emission {
            cause,
            output,
            key,
            value,
            headers: HeaderPart::Inherit,
            timestamp: None,
            partition: None,
        }
    }

    #[inline(always)]
    fn part(&self, output: u16, key: Part<'_>, value: Part<'_>) -> Result<(), Failure> {
        let mut writer = self.writer.try_borrow_mut().map_err(|_| Failure::error(BUSY))?;
        writer.emit(&self.emission(output, key, value));
        Ok(())
    }

    #[inline]
    fn value<V: Encode>(
        &self,
        output: u16,
        key: Part<'_>,
        value: &V::Target,
        meta: Option<&Meta>,
    ) -> Result<(), Failure> {
        let mut writer = self.writer.try_borrow_mut().map_err(|_| Failure::error(BUSY))?;
        let mut emission = self.emission(output, key, Part::Null);
        let mut headers = HeadersWriter::new();
        if let Some(meta) = meta {
            emission.timestamp = meta.timestamp;
            emission.partition = meta.partition;
            if meta.only_these || !meta.headers.headers().is_empty() {
                self.headers(meta, &mut headers);
                emission.headers = HeaderPart::Replace(headers.headers());
            }
        }
        writer.emit_with(&emission, |bytes| V::encode(value, bytes))
    }

    fn headers(&self, meta: &Meta, into: &mut HeadersWriter) {
        let batch = self.batch.borrow();
        if let (false, Some(span), Some(batch)) = (meta.only_these, self.headers.get(), &*batch) {
            into.extend(layout::Headers::from_encoded(span.within(batch)));
        }
        into.extend(meta.headers.headers());
    }

    /// Writes the key into memory that is kept for it, since it comes before the value.
    #[inline]
    fn keyed<C: Encode>(
        &self,
        key: &C::Target,
        emit: impl FnOnce(Part<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut bytes = self.key.try_borrow_mut().map_err(|_| Failure::error(BUSY))?;
        bytes.clear();
        C::encode(key, &mut bytes)?;
        emit(Part::Bytes(&bytes))
    }
}
