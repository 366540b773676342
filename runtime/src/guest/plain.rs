//! The typed world: the same call, in WIT records.
//!
//! The task packs batches in one way only; this turns a packed batch into messages, and an outcome of records into a
//! packed outcome, so that nobody above knows the difference.

use tidemill_layout::{
    Batch, Emission, Failure, HeaderPart, Headers, HeadersWriter, Kind, OutcomeWriter, Part,
};
use wasmtime::{Store, component::TypedFunc};

use super::{
    bindings::{plain::tidemill::function::plain as wit, types},
    context::Context,
    instance::PlainExports,
};

/// The type of the world's `handle`.
pub(super) type Handle =
    TypedFunc<(u32, Vec<wit::Message>), (Result<wit::Outcome, types::Failure>,)>;

/// The outcome does not follow the contract.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(pub(super) String);

/// Calls `handle` with a packed batch, answers a packed outcome.
pub(super) fn handle(
    exports: &PlainExports,
    store: &mut Store<Context>,
    index: u32,
    batch: &[u8],
) -> wasmtime::Result<Vec<u8>> {
    let messages =
        messages(batch).map_err(|error| wasmtime::Error::new(Broken(error.to_string())))?;
    let (answer,) = exports.handle.call(store, (index, messages))?;
    Ok(pack(answer))
}

fn messages(batch: &[u8]) -> Result<Vec<wit::Message>, tidemill_layout::Malformed> {
    let batch = Batch::parse(batch)?;
    let origins = batch.origins();
    batch
        .entries()
        .map(|entry| {
            let entry = entry?;
            let origin = origins[usize::from(entry.origin)];
            let headers = entry.headers.iter();
            let (kind, source) = match entry.kind {
                Kind::Record => (wit::Kind::Record, entry.source.into()),
                Kind::Timer => (wit::Kind::Timer(entry.source.into()), 0),
            };
            Ok(wit::Message {
                kind,
                source,
                origin: wit::Origin {
                    topic: origin.topic.to_owned(),
                    partition: origin.partition,
                    offset: entry.offset,
                },
                timestamp: entry.timestamp,
                key: entry.key.map(<[u8]>::to_vec),
                value: entry.value.map(<[u8]>::to_vec),
                headers: headers
                    .map(|header| wit::Header {
                        name: header.name.to_owned(),
                        value: header.value.map(<[u8]>::to_vec),
                    })
                    .collect(),
                attempt: entry.attempt.into(),
            })
        })
        .collect()
}

fn pack(answer: Result<wit::Outcome, types::Failure>) -> Vec<u8> {
    let mut writer = OutcomeWriter::new();
    let outcome = match answer {
        Ok(outcome) => outcome,
        Err(failure) => return writer.into_bytes(0, Some(borrow(&failure))),
    };
    let mut headers = HeadersWriter::new();
    for emission in &outcome.emissions {
        headers.clear();
        for header in emission.headers.iter().flatten() {
            headers.push(&header.name, header.value.as_deref());
        }
        let output = u16::try_from(emission.output).unwrap_or(u16::MAX);
        writer.emit(&Emission {
            cause: emission.cause,
            output,
            key: part(&emission.key),
            value: part(&emission.value),
            headers: match &emission.headers {
                None => HeaderPart::Inherit,
                Some(_) => HeaderPart::Replace(Headers::from_encoded(headers.headers().bytes())),
            },
            timestamp: emission.timestamp,
            partition: emission.partition,
        });
    }
    writer.into_bytes(outcome.handled, outcome.failure.as_ref().map(borrow))
}

fn part(part: &wit::Part) -> Part<'_> {
    match part {
        wit::Part::Inherit => Part::Inherit,
        wit::Part::Null => Part::Null,
        wit::Part::Bytes(bytes) => Part::Bytes(bytes),
    }
}

fn borrow(failure: &types::Failure) -> Failure<'_> {
    match failure {
        types::Failure::Error(reason) => Failure::Error(reason),
        types::Failure::Reject(reason) => Failure::Reject(reason),
        types::Failure::Retry(retry) => {
            Failure::Retry { after_ms: retry.after_ms, reason: &retry.reason }
        }
        types::Failure::State(reason) => Failure::State(reason),
    }
}
