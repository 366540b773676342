//! Names what is behind an import that no host offers.

use std::path::Path;

use super::cargo::brought_by;
use crate::guest;

/// An encoding error with the import behind it and its fix, where they can be told. `source` is the crate's folder
/// and compilation target.
pub(super) fn explain(
    core: &[u8],
    source: Option<(&Path, &str)>,
    error: guest::Error,
) -> anyhow::Error {
    let foreign =
        imports(core).unwrap_or_default().into_iter().find(|(module, _)| is_foreign(module));
    match foreign {
        Some((module, name)) => anyhow::Error::msg(describe(&module, &name, source)),
        None => error.into(),
    }
}

fn is_foreign(module: &str) -> bool {
    !module.contains(':') && !module.starts_with('$') && !module.starts_with('[')
}

fn describe(module: &str, name: &str, source: Option<(&Path, &str)>) -> String {
    let import = format!("the module imports `{module}.{name}`, which no host offers");
    let by = |dependency: &str| {
        let brought = source.and_then(|(folder, target)| brought_by(folder, target, dependency));
        match brought {
            Some(direct) if direct != dependency => {
                format!("crate `{dependency}`, brought in by `{direct}`")
            }
            _ => format!("crate `{dependency}`"),
        }
    };
    match module {
        "__wbindgen_placeholder__" | "__wbindgen_externref_xform__" | "wbg" => format!(
            "{import}: it comes from {}, which is for browsers; turn off the feature that needs it (as `wasmbind`, \
             `js` or default features), or use another crate",
            by("wasm-bindgen")
        ),
        "env" if name.contains("getrandom") => format!(
            "{import}: it comes from {}; turn on the feature: tidemill-sdk = {{ …, features = [\"getrandom\"] }}, and \
             grant allow = [\"random\"] in the manifest",
            by("getrandom")
        ),
        "wasi_snapshot_preview1" | "wasi_unstable" => {
            format!(
                "{import}: it was built for WASI 0.1; build it for wasm32-unknown-unknown or wasm32-wasip2"
            )
        }
        _ => format!(
            "{import}: some code declares `{name}` as external and nothing defines it; is a C library missing?"
        ),
    }
}

/// Module and name of every import of a core module; `None` where the bytes are cut short. A component has none that
/// are read here.
fn imports(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    const IMPORT_SECTION: u8 = 2;
    let mut rest = bytes.strip_prefix(b"\0asm\x01\0\0\0")?;
    while let Some((id, after)) = rest.split_first() {
        rest = after;
        let size = number(&mut rest)?;
        let (mut section, after) = rest.split_at_checked(size)?;
        rest = after;
        if *id != IMPORT_SECTION {
            continue;
        }
        let count = number(&mut section)?;
        let mut found = Vec::new();
        for _ in 0..count {
            let import = (text(&mut section)?, text(&mut section)?);
            found.push(import);
            skip_kind(&mut section)?;
        }
        return Some(found);
    }
    Some(Vec::new())
}

fn skip_kind(section: &mut &[u8]) -> Option<()> {
    let (kind, rest) = section.split_first()?;
    *section = rest;
    match kind {
        // A function's type.
        0 => drop(number(section)?),
        // A table's element type, then its limits.
        1 => {
            *section = section.get(1..)?;
            skip_limits(section)?;
        }
        2 => skip_limits(section)?,
        // A global's type and mutability.
        3 => *section = section.get(2..)?,
        // A tag's attribute and type.
        4 => {
            *section = section.get(1..)?;
            number(section)?;
        }
        _ => return None,
    }
    Some(())
}

fn skip_limits(section: &mut &[u8]) -> Option<()> {
    let flags = number(section)?;
    number(section)?;
    if flags & 1 == 1 {
        number(section)?;
    }
    Some(())
}

/// LEB128.
fn number(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0_usize;
    for shift in (0..usize::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn text(bytes: &mut &[u8]) -> Option<String> {
    let length = number(bytes)?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(text: &str) -> String {
        let core = wat::parse_str(text).unwrap();
        let error = guest::Error::CoreModule;
        explain(&core, None, error).to_string()
    }

    #[test]
    fn a_foreign_import_is_named_with_its_fix() {
        let tidemill = r#"(import "tidemill:function/log@1.0.0" "write" (func (param i32)))"#;
        let table = r#"(import "a:b/c" "t" (table 1 2 funcref)) (import "a:b/c" "m" (memory 1)) (import "a:b/c" "g" (global (mut i32)))"#;
        let getrandom =
            r#"(import "env" "__getrandom_v03_custom" (func (param i32 i32) (result i32)))"#;
        let shown = explained(&format!("(module {tidemill} {table} {getrandom})"));
        assert!(
            shown.starts_with(
                "the module imports `env.__getrandom_v03_custom`, which no host offers"
            ),
            "{shown}"
        );
        assert!(shown.contains("features = [\"getrandom\"]"), "{shown}");
        let browser =
            explained(r#"(module (import "__wbindgen_placeholder__" "__wbindgen_throw" (func)))"#);
        assert!(browser.contains("wasm-bindgen"), "{browser}");
        let wasi = explained(r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)))"#);
        assert!(wasi.contains("WASI 0.1"), "{wasi}");
        let other = explained(&format!("(module {tidemill})"));
        assert_eq!(other, guest::Error::CoreModule.to_string());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60)) {
            let mut module = b"\0asm\x01\0\0\0".to_vec();
            module.extend(bytes);
            let _ = imports(&module);
        }
    }
}
