//! Bytes that nobody wrote: each side reads the other's as untrusted, so none may panic, loop, or read as more than the
//! bytes there are.

use crate::strategies;
use proptest::{collection::vec, prelude::*, sample::Index};
use tidemill_layout::{Batch, BatchWriter, Headers, Outcome, OutcomeWriter, Part};

/// Reads everything there is; what it adds up to keeps the reading from being optimised away.
fn read_batch(bytes: &[u8]) -> usize {
    let Ok(batch) = Batch::parse(bytes) else { return 0 };
    let mut read = batch.origins().iter().map(|origin| origin.topic.len()).sum::<usize>();
    for entry in batch.entries() {
        let Ok(entry) = entry else { break };
        assert!(usize::from(entry.origin) < batch.origins().len());
        read += entry.key.map_or(0, <[u8]>::len) + entry.value.map_or(0, <[u8]>::len);
        read += read_headers(entry.headers);
    }
    read
}

fn read_outcome(bytes: &[u8], entries: u32) -> usize {
    let Ok(outcome) = Outcome::parse(bytes, entries) else { return 0 };
    assert!(outcome.handled <= entries);
    let (mut read, mut cause) = (0, 0);
    for emission in outcome.emissions() {
        let Ok(emission) = emission else { break };
        assert!(emission.cause >= cause && emission.cause < outcome.handled);
        cause = emission.cause;
        for part in [emission.key, emission.value] {
            if let Part::Bytes(bytes) = part {
                read += bytes.len();
            }
        }
        if let tidemill_layout::HeaderPart::Replace(headers) = emission.headers {
            read += read_headers(headers);
        }
    }
    read
}

fn read_headers(headers: Headers<'_>) -> usize {
    headers.iter().map(|header| header.name.len() + header.value.map_or(0, <[u8]>::len)).sum()
}

/// Overwrites, cuts or extends valid bytes, and mends the total length, so that reading gets further than that check.
fn mutate(
    bytes: &mut Vec<u8>,
    total_at: usize,
    changes: &[(Index, u8)],
    cut: Option<Index>,
    tail: &[u8],
) {
    for (at, byte) in changes {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
    if let Some(cut) = cut {
        bytes.truncate(cut.index(bytes.len()));
    }
    bytes.extend_from_slice(tail);
    if let Some(total) = bytes.len().try_into().ok().filter(|_| bytes.len() >= total_at + 4) {
        let total: u32 = total;
        bytes[total_at..total_at + 4].copy_from_slice(&total.to_le_bytes());
    }
}

fn changes() -> impl Strategy<Value = Vec<(Index, u8)>> {
    let byte =
        prop_oneof![any::<u8>(), Just(0), Just(1), Just(0x7f), Just(0x80), Just(0xfe), Just(0xff)];
    vec((any::<Index>(), byte), 0..6)
}

fn tail() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => Just(Vec::new()), 1 => vec(any::<u8>(), 1..50)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn arbitrary_bytes(bytes in vec(any::<u8>(), 0..200), entries in any::<u32>()) {
        prop_assert!(read_batch(&bytes) <= bytes.len());
        prop_assert!(read_outcome(&bytes, entries) <= bytes.len());
        if let Ok(headers) = Headers::parse(&bytes) {
            prop_assert!(read_headers(headers) <= bytes.len());
        }
        prop_assert!(read_headers(Headers::from_encoded(&bytes)) <= bytes.len());
    }

    /// Random bytes hardly pass the head; these have a right one.
    #[test]
    fn arbitrary_bytes_behind_a_right_head(
        body in vec(prop_oneof![Just(0_u8), Just(0xff), any::<u8>()], 0..200),
        counts in (0..5_u32, 0..3_u32),
        entries in 0..5_u32,
    ) {
        let mut batch = [1, counts.0, counts.1, 0].map(u32::to_le_bytes).concat();
        batch.extend_from_slice(&body);
        mutate(&mut batch, 12, &[], None, &[]);
        prop_assert!(read_batch(&batch) <= batch.len());
        let mut outcome = [1, entries, counts.0, 0, 0, 0, 0, 0].map(u32::to_le_bytes).concat();
        outcome.extend_from_slice(&body);
        mutate(&mut outcome, 28, &[], None, &[]);
        prop_assert!(read_outcome(&outcome, entries) <= outcome.len());
    }

    #[test]
    fn mutated_batches(
        batch in strategies::batch(),
        changes in changes(),
        cut in proptest::option::of(any::<Index>()),
        tail in tail(),
    ) {
        let mut bytes = batch.write(&mut BatchWriter::new());
        mutate(&mut bytes, 12, &changes, cut, &tail);
        prop_assert!(read_batch(&bytes) <= bytes.len());
    }

    #[test]
    fn mutated_outcomes(
        outcome in strategies::outcome(),
        changes in changes(),
        cut in proptest::option::of(any::<Index>()),
        tail in tail(),
    ) {
        let mut bytes = outcome.write(OutcomeWriter::new());
        mutate(&mut bytes, 28, &changes, cut, &tail);
        prop_assert!(read_outcome(&bytes, outcome.entries) <= bytes.len());
    }
}
