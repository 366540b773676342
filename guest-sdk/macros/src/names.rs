//! Names as the manifest sees them.

use syn::{Attribute, Error, Ident, LitStr, Result, ext::IdentExt};

/// What a name may be.
const RULE: &str =
    "a name is a lower-case letter, then up to 62 lower-case letters, digits and `_`";

/// Whether the manifest can hold it.
fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_ascii_lowercase())
        && name.len() <= 63
        && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The name of an identifier: `r#type` is `type`, `_unused` is `unused`.
pub(crate) fn of_ident(ident: &Ident) -> Result<String> {
    let name = ident.unraw().to_string();
    let name = name.trim_start_matches('_');
    if is_name(name) {
        Ok(name.to_owned())
    } else {
        Err(Error::new(ident.span(), format!("`{name}` is no name: {RULE}")))
    }
}

/// The name of a variant: `OrderLine` is `order_line`.
pub(crate) fn of_variant(ident: &Ident) -> Result<String> {
    let mut name = String::new();
    for (index, letter) in ident.unraw().to_string().chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    if is_name(&name) {
        Ok(name)
    } else {
        Err(Error::new(ident.span(), format!("`{name}` is no name: {RULE}")))
    }
}

/// The argument of `#[name("…")]`.
pub(crate) fn of_attribute(attribute: &Attribute) -> Result<String> {
    let text: LitStr = argument(attribute, "name")?;
    let name = text.value();
    if is_name(&name) {
        Ok(name)
    } else {
        Err(Error::new(text.span(), format!("`{name}` is no name: {RULE}")))
    }
}

/// The one text that an attribute takes.
pub(crate) fn argument(attribute: &Attribute, name: &str) -> Result<LitStr> {
    attribute.parse_args().map_err(|_| {
        Error::new_spanned(attribute, format!("one text is expected: #[{name}(\"…\")]"))
    })
}
