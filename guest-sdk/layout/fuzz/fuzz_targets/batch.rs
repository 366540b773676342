//! A batch as a guest reads it.
#![no_main]

use tidemill_layout::Batch;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(batch) = Batch::parse(bytes) else { return };
    for entry in batch.entries() {
        let Ok(entry) = entry else { return };
        assert!(usize::from(entry.origin) < batch.origins().len());
        assert!(entry.headers.iter().map(|header| header.name.len()).sum::<usize>() <= bytes.len());
    }
});
