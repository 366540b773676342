//! The backend of getrandom 0.3 and 0.4, which `rand`, `uuid` and others draw from.

/// What getrandom calls where it was compiled for a custom backend.
///
/// # Safety
/// `bytes` points to `length` bytes that may be written; they need not be initialised.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "the signature and the raw memory are getrandom's contract")]
unsafe extern "Rust" fn __getrandom_v03_custom(
    bytes: *mut u8,
    length: usize,
) -> Result<(), getrandom::Error> {
    // SAFETY: getrandom passes memory of that length; it is initialised before a reference to it is made.
    let bytes = unsafe {
        bytes.write_bytes(0, length);
        std::slice::from_raw_parts_mut(bytes, length)
    };
    super::imports::random(bytes);
    Ok(())
}
