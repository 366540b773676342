//! The outcome: guest to host.

use crate::{
    Headers, VERSION,
    read::{Malformed, Reader, double_word, length32, signed_length, word},
};

/// The size of an emission's header.
pub const EMISSION_BYTES: usize = 32;
const HEAD_BYTES: usize = 32;
const NULL: i32 = -1;
const INHERIT: i32 = -2;
const HAS_TIMESTAMP: u16 = 1;
const HAS_PARTITION: u16 = 2;

/// The key or value of an emission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// That of the entry that caused it: nothing is copied back.
    Inherit,
    /// Null; as a value: a tombstone.
    Null,
    /// These bytes.
    Bytes(&'a [u8]),
}

/// The headers of an emission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderPart<'a> {
    /// Those of the entry that caused it.
    Inherit,
    /// These, and no others.
    Replace(Headers<'a>),
}

/// A record that a function sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emission<'a> {
    /// Index of the entry that caused it.
    pub cause: u32,
    /// Index among the function's slots of role output.
    pub output: u16,
    /// See [`Part`].
    pub key: Part<'a>,
    /// See [`Part`].
    pub value: Part<'a>,
    /// See [`HeaderPart`].
    pub headers: HeaderPart<'a>,
    /// Milliseconds since the Unix epoch; `None`: that of the cause.
    pub timestamp: Option<i64>,
    /// `None`: by the key.
    pub partition: Option<u32>,
}

/// Why the entry behind the handled ones is not handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure<'a> {
    /// The code failed.
    Error(&'a str),
    /// The record is wrong.
    Reject(&'a str),
    /// Not now; again after a delay, or when the host thinks fit.
    Retry {
        /// Milliseconds.
        after_ms: Option<u64>,
        /// Why.
        reason: &'a str,
    },
    /// Bytes of the function's state, or of a table's row, are not what it reads them as.
    State(&'a str),
}

/// A point in an outcome to go back to: see [`OutcomeWriter::mark`].
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    length: usize,
    emissions: u32,
}

/// Writes an outcome. Keep it and [`clear`](Self::clear) it, so that memory is reused.
#[derive(Debug)]
pub struct OutcomeWriter {
    bytes: Vec<u8>,
    emissions: u32,
}

impl Default for OutcomeWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl OutcomeWriter {
    /// An empty outcome.
    pub fn new() -> Self {
        OutcomeWriter { bytes: vec![0; HEAD_BYTES], emissions: 0 }
    }

    /// Forgets what was written, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.truncate(HEAD_BYTES);
        self.emissions = 0;
    }

    /// Remembers this point: before an entry is handled.
    pub fn mark(&self) -> Mark {
        Mark { length: self.bytes.len(), emissions: self.emissions }
    }

    /// Drops what was written since: the entry failed.
    pub fn rollback(&mut self, mark: Mark) {
        self.bytes.truncate(mark.length);
        self.emissions = mark.emissions;
    }

    /// Adds an emission.
    ///
    /// # Panics
    /// Where a key or value is 2 GiB or longer.
    // Where it is inlined, the parts are known and most of it goes away.
    #[inline(always)]
    pub fn emit(&mut self, emission: &Emission<'_>) {
        let headers = match emission.headers {
            HeaderPart::Inherit => (INHERIT, &[][..]),
            HeaderPart::Replace(headers) => (signed_length(headers.bytes().len()), headers.bytes()),
        };
        let (key, value) = (part(emission.key), part(emission.value));
        self.header(emission, key.0, value.0, headers.0);
        self.bytes.extend_from_slice(key.1);
        self.bytes.extend_from_slice(value.1);
        self.bytes.extend_from_slice(headers.1);
    }

    /// Adds an emission whose value is written in place by `write`, which spares a copy; `emission.value` is
    /// ignored. On an error the emission is not there.
    ///
    /// # Errors
    /// What `write` answers.
    ///
    /// # Panics
    /// As [`emit`](Self::emit).
    pub fn emit_with<E>(
        &mut self,
        emission: &Emission<'_>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mark = self.mark();
        let headers = match emission.headers {
            HeaderPart::Inherit => (INHERIT, &[][..]),
            HeaderPart::Replace(headers) => (signed_length(headers.bytes().len()), headers.bytes()),
        };
        let key = part(emission.key);
        self.header(emission, key.0, 0, headers.0);
        self.bytes.extend_from_slice(key.1);
        let start = self.bytes.len();
        if let Err(error) = write(&mut self.bytes) {
            self.rollback(mark);
            return Err(error);
        }
        let length = signed_length(self.bytes.len() - start);
        self.bytes[mark.length + 12..mark.length + 16].copy_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(headers.1);
        Ok(())
    }

    #[inline(always)]
    fn header(&mut self, emission: &Emission<'_>, key: i32, value: i32, headers: i32) {
        let flags = emission.timestamp.map_or(0, |_| HAS_TIMESTAMP)
            | emission.partition.map_or(0, |_| HAS_PARTITION);
        let mut header = [0; EMISSION_BYTES];
        header[0..4].copy_from_slice(&emission.cause.to_le_bytes());
        header[4..6].copy_from_slice(&emission.output.to_le_bytes());
        header[6..8].copy_from_slice(&flags.to_le_bytes());
        header[8..12].copy_from_slice(&key.to_le_bytes());
        header[12..16].copy_from_slice(&value.to_le_bytes());
        header[16..20].copy_from_slice(&headers.to_le_bytes());
        header[20..24].copy_from_slice(&emission.partition.unwrap_or(0).to_le_bytes());
        header[24..32].copy_from_slice(&emission.timestamp.unwrap_or(0).to_le_bytes());
        self.bytes.extend_from_slice(&header);
        self.emissions += 1;
    }

    /// The outcome, ready to send.
    pub fn finish(&mut self, handled: u32, failure: Option<Failure<'_>>) -> &[u8] {
        let (kind, delay, reason): (u32, i64, &str) = match failure {
            None => (0, -1, ""),
            Some(Failure::Error(reason)) => (1, -1, reason),
            Some(Failure::Reject(reason)) => (2, -1, reason),
            Some(Failure::Retry { after_ms, reason }) => {
                (3, after_ms.map_or(-1, |delay| i64::try_from(delay).unwrap_or(i64::MAX)), reason)
            }
            Some(Failure::State(reason)) => (4, -1, reason),
        };
        self.bytes.extend_from_slice(reason.as_bytes());
        let total = length32(self.bytes.len());
        self.bytes[0..4].copy_from_slice(&VERSION.to_le_bytes());
        self.bytes[4..8].copy_from_slice(&handled.to_le_bytes());
        self.bytes[8..12].copy_from_slice(&self.emissions.to_le_bytes());
        self.bytes[12..16].copy_from_slice(&kind.to_le_bytes());
        self.bytes[16..24].copy_from_slice(&delay.to_le_bytes());
        self.bytes[24..28].copy_from_slice(&length32(reason.len()).to_le_bytes());
        self.bytes[28..32].copy_from_slice(&total.to_le_bytes());
        &self.bytes
    }

    /// What [`finish`](Self::finish) answered, as long as nothing else is written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// As [`finish`](Self::finish), and gives the memory away.
    pub fn into_bytes(mut self, handled: u32, failure: Option<Failure<'_>>) -> Vec<u8> {
        self.finish(handled, failure);
        self.bytes
    }
}

#[inline(always)]
fn part<'a>(part: Part<'a>) -> (i32, &'a [u8]) {
    match part {
        Part::Inherit => (INHERIT, &[]),
        Part::Null => (NULL, &[]),
        Part::Bytes(bytes) => (signed_length(bytes.len()), bytes),
    }
}

/// A received outcome. Its head and failure are checked; emissions are checked as they are read.
#[derive(Debug, Clone)]
pub struct Outcome<'a> {
    /// How many entries are handled, from the front.
    pub handled: u32,
    /// Why the next one is not.
    pub failure: Option<Failure<'a>>,
    emissions: u32,
    reader: Reader<'a>,
}

impl<'a> Outcome<'a> {
    /// Reads the head and the failure of the outcome of a batch of `entries`.
    ///
    /// # Errors
    /// On another version, a wrong length, more handled than there were, none without a failure, or a failure
    /// where everything is handled. (Some but not all without a failure is fine: the rest comes in a further call.)
    pub fn parse(bytes: &'a [u8], entries: u32) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.u32()? != VERSION {
            return Err(Malformed { at: 0, what: "unknown layout version" });
        }
        let handled = reader.u32()?;
        let emissions = reader.u32()?;
        let kind = reader.u32()?;
        let delay = reader.i64()?;
        let reason = reader.u32()? as usize;
        if reader.u32()? as usize != bytes.len() {
            return Err(Malformed { at: 28, what: "total length is not the length received" });
        }
        let body = bytes.len().checked_sub(reason).filter(|end| *end >= HEAD_BYTES);
        let body = body.ok_or(Malformed { at: 24, what: "reason is longer than the outcome" })?;
        let mut tail = Reader::new(bytes);
        tail.take(body)?;
        let reason = tail.text(reason)?;
        let failure = failure(kind, delay, reason)?;
        match handled.cmp(&entries) {
            std::cmp::Ordering::Greater => {
                return Err(Malformed { at: 4, what: "more handled than there were" });
            }
            std::cmp::Ordering::Equal if failure.is_some() => {
                return Err(Malformed { at: 12, what: "a failure, but everything is handled" });
            }
            std::cmp::Ordering::Less if handled == 0 && failure.is_none() => {
                return Err(Malformed { at: 4, what: "nothing is handled, without a failure" });
            }
            _ => {}
        }
        let mut reader = Reader::new(&bytes[..body]);
        reader.take(HEAD_BYTES)?;
        Ok(Outcome { handled, failure, emissions, reader })
    }

    /// How many emissions the head announces.
    pub fn len(&self) -> u32 {
        self.emissions
    }

    /// Whether there is no emission.
    pub fn is_empty(&self) -> bool {
        self.emissions == 0
    }

    /// The emissions in order. After an error there are no more.
    pub fn emissions(&self) -> Emissions<'a> {
        Emissions { reader: self.reader, left: self.emissions, handled: self.handled, cause: 0 }
    }
}

fn failure(kind: u32, delay: i64, reason: &str) -> Result<Option<Failure<'_>>, Malformed> {
    Ok(match kind {
        0 if reason.is_empty() => None,
        1 => Some(Failure::Error(reason)),
        2 => Some(Failure::Reject(reason)),
        3 => Some(Failure::Retry { after_ms: u64::try_from(delay).ok(), reason }),
        4 => Some(Failure::State(reason)),
        _ => return Err(Malformed { at: 12, what: "unknown failure" }),
    })
}

/// See [`Outcome::emissions`].
#[derive(Debug, Clone)]
pub struct Emissions<'a> {
    reader: Reader<'a>,
    left: u32,
    handled: u32,
    cause: u32,
}

impl<'a> Emissions<'a> {
    fn read(&mut self) -> Result<Emission<'a>, Malformed> {
        let start = self.reader.at();
        let wrong = |what| Malformed { at: start, what };
        let header = self.reader.array::<EMISSION_BYTES>()?;
        let cause = u32::from_le_bytes(word(header, 0));
        if cause >= self.handled {
            return Err(wrong("caused by an entry that is not handled"));
        }
        if cause < self.cause {
            return Err(wrong("out of the order of its causes"));
        }
        self.cause = cause;
        let flags = u16::from_le_bytes([header[6], header[7]]);
        let key = self.part(i32::from_le_bytes(word(header, 8)))?;
        let value = self.part(i32::from_le_bytes(word(header, 12)))?;
        let headers = match self.part(i32::from_le_bytes(word(header, 16)))? {
            Part::Inherit => HeaderPart::Inherit,
            Part::Bytes(bytes) => HeaderPart::Replace(Headers::parse(bytes)?),
            Part::Null => return Err(wrong("null headers")),
        };
        Ok(Emission {
            cause,
            output: u16::from_le_bytes([header[4], header[5]]),
            key,
            value,
            headers,
            timestamp: (flags & HAS_TIMESTAMP != 0)
                .then(|| i64::from_le_bytes(double_word(header, 24))),
            partition: (flags & HAS_PARTITION != 0).then(|| u32::from_le_bytes(word(header, 20))),
        })
    }

    #[inline]
    fn part(&mut self, length: i32) -> Result<Part<'a>, Malformed> {
        match length {
            INHERIT => Ok(Part::Inherit),
            NULL => Ok(Part::Null),
            _ => match usize::try_from(length) {
                Ok(length) => self.reader.take(length).map(Part::Bytes),
                Err(_) => Err(self.reader.malformed("negative length")),
            },
        }
    }
}

impl<'a> Iterator for Emissions<'a> {
    type Item = Result<Emission<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            if !self.reader.is_empty() {
                let rest = self.reader.malformed("bytes behind the last emission");
                self.reader = Reader::new(&[]);
                return Some(Err(rest));
            }
            return None;
        }
        self.left -= 1;
        let emission = self.read();
        if emission.is_err() {
            self.left = 0;
            self.reader = Reader::new(&[]);
        }
        Some(emission)
    }
}
