//! An outcome as a host reads it: the number of entries comes first.
#![no_main]

use tidemill_layout::{HeaderPart, Outcome};

libfuzzer_sys::fuzz_target!(|input: (u32, &[u8])| {
    let (entries, bytes) = input;
    let Ok(outcome) = Outcome::parse(bytes, entries) else { return };
    for emission in outcome.emissions() {
        let Ok(emission) = emission else { return };
        assert!(emission.cause < outcome.handled && outcome.handled <= entries);
        if let HeaderPart::Replace(headers) = emission.headers {
            assert!(headers.iter().map(|header| header.name.len()).sum::<usize>() <= bytes.len());
        }
    }
});
