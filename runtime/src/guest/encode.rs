//! From a compiler's output to a component.

use super::Error;

/// Makes a component of a core module that was built against one of the worlds; a component passes as it is. Text
/// (WAT) is taken too.
///
/// # Errors
/// [`Error::NotAComponent`] where the bytes are no WebAssembly, [`Error::Encode`] where the module lacks the
/// contract's custom section or imports something that no interface of it offers.
pub fn encode(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let binary = wat::parse_bytes(bytes)
        .map_err(|error| Error::NotAComponent { cause: error.to_string() })?;
    if binary.len() < 8 || !binary.starts_with(b"\0asm") {
        return Err(Error::NotAComponent {
            cause: "it does not begin as WebAssembly does".to_owned(),
        });
    }
    if !binary.starts_with(b"\0asm\x01\0\0\0") {
        return Ok(binary.into_owned());
    }
    let encoded = wit_component::ComponentEncoder::default()
        .module(&binary)
        .and_then(|encoder| encoder.validate(true).encode());
    encoded.map_err(|error| Error::Encode { cause: format!("{error:#}") })
}
