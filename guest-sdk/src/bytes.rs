//! Bytes of the batch, shared rather than copied.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    rc::Rc,
};

/// The memory of one batch. Whoever keeps a part of it keeps all of it.
pub(crate) type Buffer = Rc<Vec<u8>>;

/// A part of a [`Buffer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    start: usize,
    length: usize,
}

impl Span {
    /// Where `part` lies in `whole`. It is checked when it is used: most spans never are.
    #[inline]
    pub(crate) fn of(part: &[u8], whole: &[u8]) -> Self {
        Span {
            start: (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize),
            length: part.len(),
        }
    }

    /// The part. An empty one may lie anywhere.
    ///
    /// # Panics
    /// Where it does not lie in there.
    #[inline]
    pub(crate) fn within(self, whole: &[u8]) -> &[u8] {
        if self.length == 0 { &[] } else { &whole[self.start..][..self.length] }
    }
}

/// Bytes: as an input the record's value, undecoded; as a codec, what keys and outputs hold.
///
/// It shares the memory of the batch, so taking and cloning it copies nothing. [`to_vec`](slice::to_vec) where it is to
/// outlive the batch by long.
#[derive(Clone)]
pub struct Bytes {
    buffer: Buffer,
    span: Span,
}

impl Bytes {
    #[inline]
    pub(crate) fn shared(buffer: &Buffer, part: &[u8]) -> Self {
        Bytes { span: Span::of(part, buffer), buffer: Rc::clone(buffer) }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.span.within(&self.buffer)
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes { span: Span { start: 0, length: bytes.len() }, buffer: Rc::new(bytes) }
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl PartialEq<[u8]> for Bytes {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl PartialOrd for Bytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bytes {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Bytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}
