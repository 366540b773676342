//! The outcome: written by the guest, read by the host.

use crate::strategies::{self, OwnedEmission, OwnedFailure};
use proptest::{collection::vec, prelude::*};
use tidemill_layout::{
    EMISSION_BYTES, Emission, Failure, HeaderPart, Headers, Outcome, OutcomeWriter, Part,
};

const EMISSION: Emission<'_> = Emission {
    cause: 0,
    output: 0,
    key: Part::Inherit,
    value: Part::Inherit,
    headers: HeaderPart::Inherit,
    timestamp: None,
    partition: None,
};

fn read(bytes: &[u8], entries: u32) -> Vec<OwnedEmission> {
    let outcome = Outcome::parse(bytes, entries).expect("an outcome");
    outcome.emissions().map(|emission| OwnedEmission::of(&emission.expect("an emission"))).collect()
}

proptest! {
    #[test]
    fn what_is_written_reads_back(outcome in strategies::outcome()) {
        let bytes = outcome.write(OutcomeWriter::new());
        let parsed = Outcome::parse(&bytes, outcome.entries).unwrap();
        prop_assert_eq!(parsed.handled, outcome.handled);
        prop_assert_eq!(parsed.failure, outcome.failure.as_ref().map(OwnedFailure::borrow));
        prop_assert_eq!(parsed.len() as usize, outcome.emissions.len());
        prop_assert_eq!(read(&bytes, outcome.entries), outcome.emissions);
    }

    /// Whatever was written since the mark, it leaves no trace.
    #[test]
    fn a_rollback_leaves_no_trace(kept in strategies::outcome(), dropped in vec(strategies::emission(), 0..6)) {
        let mut writer = OutcomeWriter::new();
        for emission in &kept.emissions {
            let mark = writer.mark();
            for dropped in &dropped {
                dropped.lend(|dropped| writer.emit(dropped));
            }
            writer.rollback(mark);
            emission.lend(|emission| writer.emit(emission));
        }
        let bytes = writer.into_bytes(kept.handled, kept.failure.as_ref().map(OwnedFailure::borrow));
        prop_assert_eq!(bytes, kept.write(OutcomeWriter::new()));
    }

    /// A value written in place is the value given, wherever it comes among others; one that fails is not there.
    #[test]
    fn a_value_may_be_written_in_place(emissions in vec(strategies::emission(), 1..6), fails in any::<u8>()) {
        let (mut in_place, mut given) = (OutcomeWriter::new(), OutcomeWriter::new());
        for emission in &emissions {
            emission.lend(|emission| {
                let value = match emission.value {
                    Part::Bytes(bytes) => bytes,
                    Part::Inherit | Part::Null => b"other",
                };
                let failed = in_place.emit_with(emission, |bytes| {
                    bytes.extend_from_slice(&value[..value.len() / 2]);
                    Err(fails)
                });
                assert_eq!(failed, Err(fails));
                let written = in_place.emit_with(emission, |bytes| {
                    bytes.extend_from_slice(value);
                    Ok::<_, u8>(())
                });
                assert_eq!(written, Ok(()));
                given.emit(&Emission { value: Part::Bytes(value), ..*emission });
            });
        }
        prop_assert_eq!(in_place.into_bytes(1, None), given.into_bytes(1, None));
    }

    #[test]
    fn a_cleared_writer_is_a_new_one(first in strategies::outcome(), second in strategies::outcome()) {
        let mut writer = OutcomeWriter::new();
        for emission in &first.emissions {
            emission.lend(|emission| writer.emit(emission));
        }
        writer.finish(first.handled, first.failure.as_ref().map(OwnedFailure::borrow));
        writer.clear();
        prop_assert_eq!(second.write(writer), second.write(OutcomeWriter::new()));
    }
}

/// The table of the crate's docs, byte by byte: it never changes within a version.
#[test]
fn bytes_are_those_of_the_table() {
    let mut writer = OutcomeWriter::new();
    writer.emit(&Emission {
        output: 2,
        key: Part::Null,
        value: Part::Bytes(b"v"),
        headers: HeaderPart::Replace(Headers::EMPTY),
        timestamp: Some(-1),
        partition: Some(4),
        ..EMISSION
    });
    writer.emit(&EMISSION);
    let expected = [
        &[1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0][..],
        &[9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 98, 0, 0, 0],
        &[0, 0, 0, 0, 2, 0, 3, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0],
        &[0, 0, 0, 0, 4, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        b"v",
        &[0, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff],
        &[0xfe, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        b"r",
    ];
    let failure = Failure::Retry { after_ms: Some(9), reason: "r" };
    assert_eq!(writer.finish(1, Some(failure)), expected.concat());
}

/// What each failure is written as.
#[test]
fn failures_are_those_of_the_table() {
    let cases = [
        (None, 0),
        (Some(Failure::Error("r")), 1),
        (Some(Failure::Reject("r")), 2),
        (Some(Failure::Retry { after_ms: None, reason: "r" }), 3),
        (Some(Failure::State("r")), 4),
    ];
    for (failure, kind) in cases {
        let bytes = OutcomeWriter::new().into_bytes(1, failure);
        assert_eq!(bytes[12..16], [kind, 0, 0, 0], "{failure:?}");
        assert_eq!(Outcome::parse(&bytes, 2).unwrap().failure, failure);
    }
}

#[test]
fn a_delay_too_long_to_write_is_the_longest() {
    let failure = Failure::Retry { after_ms: Some(u64::MAX), reason: "" };
    let bytes = OutcomeWriter::new().into_bytes(0, Some(failure));
    let longest = Failure::Retry { after_ms: Some(i64::MAX.cast_unsigned()), reason: "" };
    assert_eq!(Outcome::parse(&bytes, 1).unwrap().failure, Some(longest));
}

#[test]
fn handled_and_failure_must_agree() {
    let parse = |handled, failure, entries| {
        let bytes = OutcomeWriter::new().into_bytes(handled, failure);
        Outcome::parse(&bytes, entries)
            .map(|outcome| outcome.handled)
            .map_err(|error| error.to_string())
    };
    let reject = Some(Failure::Reject(""));
    assert_eq!(parse(2, None, 2), Ok(2));
    assert_eq!(parse(1, None, 2), Ok(1));
    assert_eq!(parse(1, reject, 2), Ok(1));
    assert_eq!(parse(0, reject, 2), Ok(0));
    assert_eq!(parse(0, None, 0), Ok(0));
    assert_eq!(parse(3, None, 2), Err("more handled than there were at byte 4".to_owned()));
    assert_eq!(
        parse(2, reject, 2),
        Err("a failure, but everything is handled at byte 12".to_owned())
    );
    assert_eq!(
        parse(0, None, 2),
        Err("nothing is handled, without a failure at byte 4".to_owned())
    );
}

/// One wrong thing each, in the outcome of two entries: two emissions of 33 bytes and a reason of one.
#[test]
fn malformed_outcomes_are_refused() {
    let mut writer = OutcomeWriter::new();
    writer.emit(&Emission { cause: 1, value: Part::Bytes(b"v"), ..EMISSION });
    writer.emit(&Emission { cause: 1, value: Part::Bytes(b"w"), ..EMISSION });
    let bytes = writer.into_bytes(2, Some(Failure::Error("r")));
    let second = 32 + EMISSION_BYTES + 1;
    let check = |at: usize, byte: u8, expected: &str| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        let error = match Outcome::parse(&bytes, 3) {
            Err(error) => error,
            Ok(outcome) => {
                outcome.emissions().find_map(Result::err).expect("an outcome with a wrong byte")
            }
        };
        assert_eq!(error.to_string(), expected, "byte {at}");
    };
    check(0, 2, "unknown layout version at byte 0");
    check(4, 1, "caused by an entry that is not handled at byte 32");
    check(8, 1, "bytes behind the last emission at byte 65");
    check(8, 3, "bytes end too early at byte 98");
    check(12, 0, "unknown failure at byte 12");
    check(12, 5, "unknown failure at byte 12");
    check(24, 0, "bytes behind the last emission at byte 98");
    check(24, 200, "reason is longer than the outcome at byte 24");
    check(28, 0, "total length is not the length received at byte 28");
    check(98, 0xff, "text is not UTF-8 at byte 98");
    check(second, 0, "out of the order of its causes at byte 65");
    check(second, 2, "caused by an entry that is not handled at byte 65");
    check(second + 8, 0xfd, "negative length at byte 97");
    check(second + 12, 2, "bytes end too early at byte 97");
    check(second + 16, 0xff, "null headers at byte 65");
}

#[test]
fn an_empty_outcome_has_nothing_behind_its_head() {
    let mut bytes = OutcomeWriter::new().into_bytes(1, None);
    assert!(Outcome::parse(&bytes, 1).unwrap().is_empty());
    bytes.push(0);
    bytes[28] += 1;
    let outcome = Outcome::parse(&bytes, 1).unwrap();
    assert_eq!(outcome.emissions().map(|emission| emission.is_ok()).collect::<Vec<_>>(), [false]);
}
