//! Owned batches and outcomes, made at random; and how to write them.

use proptest::{collection::vec, option, prelude::*};
use tidemill_layout::{
    BatchWriter, Emission, Entry, Failure, Header, HeaderPart, HeadersWriter, Kind, Origin,
    OutcomeWriter, Part,
};

pub(crate) type OwnedHeaders = Vec<(String, Option<Vec<u8>>)>;

#[derive(Debug, Clone)]
pub(crate) struct OwnedEntry {
    pub(crate) kind: Kind,
    pub(crate) source: u16,
    pub(crate) origin: prop::sample::Index,
    pub(crate) attempt: u16,
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: OwnedHeaders,
}

#[derive(Debug, Clone)]
pub(crate) struct OwnedBatch {
    pub(crate) origins: Vec<(String, u32)>,
    pub(crate) entries: Vec<OwnedEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OwnedPart {
    Inherit,
    Null,
    Bytes(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnedEmission {
    pub(crate) cause: u32,
    pub(crate) output: u16,
    pub(crate) key: OwnedPart,
    pub(crate) value: OwnedPart,
    pub(crate) headers: Option<OwnedHeaders>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) partition: Option<u32>,
}

#[derive(Debug, Clone)]
pub(crate) enum OwnedFailure {
    Error(String),
    Reject(String),
    Retry(Option<u64>, String),
    State(String),
}

/// Of so many entries; the emissions' causes are below `handled` and in order.
#[derive(Debug, Clone)]
pub(crate) struct OwnedOutcome {
    pub(crate) entries: u32,
    pub(crate) handled: u32,
    pub(crate) failure: Option<OwnedFailure>,
    pub(crate) emissions: Vec<OwnedEmission>,
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn headers() -> impl Strategy<Value = OwnedHeaders> {
    vec((any::<String>(), option::of(bytes())), 0..4)
}

fn entry() -> impl Strategy<Value = OwnedEntry> {
    let kind = prop_oneof![Just(Kind::Record), Just(Kind::Timer)];
    let numbers = (kind, any::<u16>(), any::<u16>(), any::<i64>(), any::<i64>());
    (numbers, any::<prop::sample::Index>(), option::of(bytes()), option::of(bytes()), headers())
        .prop_map(|((kind, source, attempt, offset, timestamp), origin, key, value, headers)| {
            OwnedEntry { kind, source, origin, attempt, offset, timestamp, key, value, headers }
        })
}

pub(crate) fn batch() -> impl Strategy<Value = OwnedBatch> {
    (vec((any::<String>(), any::<u32>()), 1..4), vec(entry(), 0..12))
        .prop_map(|(origins, entries)| OwnedBatch { origins, entries })
}

fn part() -> impl Strategy<Value = OwnedPart> {
    prop_oneof![Just(OwnedPart::Inherit), Just(OwnedPart::Null), bytes().prop_map(OwnedPart::Bytes)]
}

pub(crate) fn emission() -> impl Strategy<Value = OwnedEmission> {
    let meta = (option::of(headers()), option::of(any::<i64>()), option::of(any::<u32>()));
    (any::<u32>(), any::<u16>(), part(), part(), meta).prop_map(
        |(cause, output, key, value, (headers, timestamp, partition))| OwnedEmission {
            cause,
            output,
            key,
            value,
            headers,
            timestamp,
            partition,
        },
    )
}

fn failure() -> impl Strategy<Value = OwnedFailure> {
    // A delay is written as a signed number.
    let delay = option::of(0..=i64::MAX.cast_unsigned());
    prop_oneof![
        any::<String>().prop_map(OwnedFailure::Error),
        any::<String>().prop_map(OwnedFailure::Reject),
        (delay, any::<String>()).prop_map(|(delay, reason)| OwnedFailure::Retry(delay, reason)),
        any::<String>().prop_map(OwnedFailure::State),
    ]
}

pub(crate) fn outcome() -> impl Strategy<Value = OwnedOutcome> {
    (1..20_u32, 0..20_u32, option::of(failure()), vec(emission(), 0..12)).prop_map(
        |(entries, handled, failure, mut emissions)| {
            let handled = match failure {
                Some(_) => handled % entries,
                None => 1 + handled % entries,
            };
            if handled == 0 {
                emissions.clear();
            }
            for emission in &mut emissions {
                emission.cause %= handled;
            }
            emissions.sort_by_key(|emission| emission.cause);
            OwnedOutcome { entries, handled, failure, emissions }
        },
    )
}

pub(crate) fn encode(headers: &OwnedHeaders) -> HeadersWriter {
    let mut writer = HeadersWriter::new();
    for (name, value) in headers {
        writer.push(name, value.as_deref());
    }
    writer
}

pub(crate) fn owned<'a>(headers: impl Iterator<Item = Header<'a>>) -> OwnedHeaders {
    headers.map(|header| (header.name.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
}

impl OwnedBatch {
    pub(crate) fn write(&self, writer: &mut BatchWriter) -> Vec<u8> {
        for (topic, partition) in &self.origins {
            writer.origin(Origin { topic, partition: *partition });
        }
        for entry in &self.entries {
            writer.entry(&Entry {
                kind: entry.kind,
                source: entry.source,
                origin: u16::try_from(entry.origin.index(self.origins.len()))
                    .expect("a batch has few origins"),
                attempt: entry.attempt,
                offset: entry.offset,
                timestamp: entry.timestamp,
                key: entry.key.as_deref(),
                value: entry.value.as_deref(),
                headers: encode(&entry.headers).headers(),
            });
        }
        writer.finish().to_vec()
    }
}

impl OwnedPart {
    pub(crate) fn of(part: Part<'_>) -> Self {
        match part {
            Part::Inherit => OwnedPart::Inherit,
            Part::Null => OwnedPart::Null,
            Part::Bytes(bytes) => OwnedPart::Bytes(bytes.to_vec()),
        }
    }

    pub(crate) fn borrow(&self) -> Part<'_> {
        match self {
            OwnedPart::Inherit => Part::Inherit,
            OwnedPart::Null => Part::Null,
            OwnedPart::Bytes(bytes) => Part::Bytes(bytes),
        }
    }
}

impl OwnedEmission {
    pub(crate) fn of(emission: &Emission<'_>) -> Self {
        OwnedEmission {
            cause: emission.cause,
            output: emission.output,
            key: OwnedPart::of(emission.key),
            value: OwnedPart::of(emission.value),
            headers: match emission.headers {
                HeaderPart::Inherit => None,
                HeaderPart::Replace(headers) => Some(owned(headers.iter())),
            },
            timestamp: emission.timestamp,
            partition: emission.partition,
        }
    }

    /// Lends it to `take`, headers encoded.
    pub(crate) fn lend<T>(&self, take: impl FnOnce(&Emission<'_>) -> T) -> T {
        let encoded = self.headers.as_ref().map(encode);
        let headers = encoded
            .as_ref()
            .map_or(HeaderPart::Inherit, |headers| HeaderPart::Replace(headers.headers()));
        take(&Emission {
            cause: self.cause,
            output: self.output,
            key: self.key.borrow(),
            value: self.value.borrow(),
            headers,
            timestamp: self.timestamp,
            partition: self.partition,
        })
    }
}

impl OwnedFailure {
    pub(crate) fn borrow(&self) -> Failure<'_> {
        match self {
            OwnedFailure::Error(reason) => Failure::Error(reason),
            OwnedFailure::Reject(reason) => Failure::Reject(reason),
            OwnedFailure::Retry(after_ms, reason) => Failure::Retry { after_ms: *after_ms, reason },
            OwnedFailure::State(reason) => Failure::State(reason),
        }
    }
}

impl OwnedOutcome {
    pub(crate) fn write(&self, mut writer: OutcomeWriter) -> Vec<u8> {
        for emission in &self.emissions {
            emission.lend(|emission| writer.emit(emission));
        }
        writer.into_bytes(self.handled, self.failure.as_ref().map(OwnedFailure::borrow))
    }
}
