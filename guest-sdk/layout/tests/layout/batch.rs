//! The batch: written by the host, read by the guest.

use crate::strategies::{self, owned};
use proptest::prelude::*;
use tidemill_layout::{
    Batch, BatchWriter, ENTRY_BYTES, Entry, Headers, HeadersWriter, Kind, Origin,
};

const ENTRY: Entry<'_> = Entry {
    kind: Kind::Record,
    source: 0,
    origin: 0,
    attempt: 0,
    offset: 0,
    timestamp: 0,
    key: None,
    value: None,
    headers: Headers::EMPTY,
};

proptest! {
    #[test]
    fn what_is_written_reads_back(batch in strategies::batch()) {
        let bytes = batch.write(&mut BatchWriter::new());
        let read = Batch::parse(&bytes).unwrap();
        let origins: Vec<_> = read.origins().iter().map(|o| (o.topic.to_owned(), o.partition)).collect();
        prop_assert_eq!(&origins, &batch.origins);
        prop_assert_eq!(read.len() as usize, batch.entries.len());
        let entries = read.entries().collect::<Result<Vec<_>, _>>().unwrap();
        prop_assert_eq!(entries.len(), batch.entries.len());
        for (read, written) in entries.iter().zip(&batch.entries) {
            prop_assert_eq!((read.kind, read.source), (written.kind, written.source));
            prop_assert_eq!(usize::from(read.origin), written.origin.index(batch.origins.len()));
            prop_assert_eq!(read.attempt, written.attempt);
            prop_assert_eq!((read.offset, read.timestamp), (written.offset, written.timestamp));
            prop_assert_eq!(read.key, written.key.as_deref());
            prop_assert_eq!(read.value, written.value.as_deref());
            prop_assert_eq!(owned(read.headers.iter()), written.headers.clone());
        }
    }

    #[test]
    fn a_cleared_writer_is_a_new_one(first in strategies::batch(), second in strategies::batch()) {
        let mut writer = BatchWriter::new();
        first.write(&mut writer);
        writer.clear();
        prop_assert_eq!(second.write(&mut writer), second.write(&mut BatchWriter::new()));
    }
}

/// The table of the crate's docs, byte by byte: it never changes within a version.
#[test]
fn bytes_are_those_of_the_table() {
    let mut writer = BatchWriter::new();
    writer.origin(Origin { topic: "t", partition: 3 });
    let mut headers = HeadersWriter::new();
    headers.push("h", None);
    writer.entry(&Entry {
        kind: Kind::Record,
        source: 1,
        origin: 0,
        attempt: 2,
        offset: 5,
        timestamp: -1,
        key: None,
        value: Some(b"v"),
        headers: headers.headers(),
    });
    writer.entry(&Entry {
        kind: Kind::Timer,
        source: 6,
        offset: -1,
        timestamp: 256,
        key: Some(b"k"),
        value: Some(b""),
        ..ENTRY
    });
    let expected = [
        &[1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 116, 0, 0, 0][..],
        &[3, 0, 0, 0, 1, 0, 0, 0, b't'],
        &[0, 0, 1, 0, 0, 0, 2, 0],
        &[5, 0, 0, 0, 0, 0, 0, 0],
        &[0xff; 8],
        &[0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0],
        b"v",
        &[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, b'h'],
        &[1, 0, 6, 0, 0, 0, 0, 0],
        &[0xff; 8],
        &[0, 1, 0, 0, 0, 0, 0, 0],
        &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        b"k",
    ];
    assert_eq!(writer.finish(), expected.concat());
    assert_eq!((writer.entries(), writer.size()), (2, 116));
}

#[test]
fn null_is_not_empty() {
    let mut writer = BatchWriter::new();
    writer.origin(Origin { topic: "", partition: 0 });
    for (key, value) in [(None, Some(&b""[..])), (Some(&b""[..]), None)] {
        writer.entry(&Entry { key, value, ..ENTRY });
    }
    let bytes = writer.finish();
    let batch = Batch::parse(bytes).unwrap();
    let read: Vec<_> =
        batch.entries().map(|entry| entry.map(|entry| (entry.key, entry.value))).collect();
    assert_eq!(read, [Ok((None, Some(&b""[..]))), Ok((Some(&b""[..]), None))]);
}

#[test]
fn the_last_header_of_a_name_counts() {
    let mut writer = HeadersWriter::new();
    writer.push("a", Some(b"1")).push("b", None).push("a", Some(b"2"));
    let headers = Headers::parse(writer.headers().bytes()).unwrap();
    assert_eq!(headers.last("a").unwrap().value, Some(&b"2"[..]));
    assert_eq!(headers.last("b").unwrap().value, None);
    assert_eq!(headers.last("c"), None);
    let mut both = HeadersWriter::new();
    both.extend(headers).push("c", Some(b"3"));
    assert_eq!(both.headers().iter().map(|header| header.name).collect::<String>(), "abac");
}

/// One wrong thing each, in a batch of one origin and two entries of 41 bytes.
#[test]
fn malformed_batches_are_refused() {
    let mut writer = BatchWriter::new();
    writer.origin(Origin { topic: "t", partition: 0 });
    writer.entry(&Entry { value: Some(b"v"), ..ENTRY });
    writer.entry(&Entry { value: Some(b"w"), ..ENTRY });
    let bytes = writer.finish().to_vec();
    let first = 16 + 9;
    let second = first + ENTRY_BYTES + 1;
    let check = |at: usize, byte: u8, expected: &str| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        let batch = Batch::parse(&bytes);
        let error = match batch {
            Err(error) => error,
            Ok(batch) => batch.entries().find_map(Result::err).expect("a batch with a wrong byte"),
        };
        assert_eq!(error.to_string(), expected, "byte {at}");
    };
    check(0, 2, "unknown layout version at byte 0");
    check(4, 1, "bytes behind the last entry at byte 66");
    check(4, 3, "bytes end too early at byte 107");
    check(8, 200, "bytes end too early at byte 66");
    check(12, 1, "total length is not the length received at byte 12");
    check(20, 200, "bytes end too early at byte 24");
    check(24, 0xff, "text is not UTF-8 at byte 24");
    check(first, 2, "unknown entry kind at byte 25");
    check(first, 0xff, "unknown entry kind at byte 25");
    check(first + 4, 1, "unknown origin at byte 25");
    check(first + 24, 0xf0, "negative length at byte 65");
    check(second + 27, 0x80, "negative length at byte 106");
    check(second + 28, 0xfe, "bytes end too early at byte 106");
    check(second + 32, 1, "bytes end too early at byte 107");
}

#[test]
fn a_bad_entry_is_the_last() {
    let mut writer = BatchWriter::new();
    writer.origin(Origin { topic: "t", partition: 0 });
    for origin in [0, 7, 0] {
        writer.entry(&Entry { origin, ..ENTRY });
    }
    let batch = Batch::parse(writer.finish()).unwrap();
    let read: Vec<_> = batch.entries().map(|entry| entry.is_ok()).collect();
    assert_eq!(read, [true, false]);
}

#[test]
fn an_empty_batch_has_nothing_behind_its_origins() {
    let mut writer = BatchWriter::new();
    let mut bytes = writer.finish().to_vec();
    assert!(Batch::parse(&bytes).unwrap().is_empty());
    bytes.push(0);
    bytes[12] += 1;
    let error = Batch::parse(&bytes).unwrap_err();
    assert_eq!(error.to_string(), "bytes behind the last entry at byte 16");
}
