//! What a component imports is what its functions use: an interface that nothing calls is not there, so that the imports tell
//! what a function can do.

use std::collections::BTreeSet;

/// A LEB128 number of at most 32 bits.
fn number(bytes: &mut &[u8]) -> usize {
    let (mut number, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first().expect("the module is whole");
        *bytes = rest;
        number |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return number;
        }
    }
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    taken
}

/// The interfaces that a package's core module imports functions of, as `log`.
fn interfaces(package: &str) -> BTreeSet<String> {
    const IMPORTS: u8 = 2;
    const FUNCTION: u8 = 0;
    let module = tidemill_guests::module(package);
    let mut rest = module.strip_prefix(b"\0asm\x01\0\0\0").expect("it is a core module");
    loop {
        let id = take(&mut rest, 1)[0];
        let size = number(&mut rest);
        let mut section = take(&mut rest, size);
        if id != IMPORTS {
            continue;
        }
        let count = number(&mut section);
        let interfaces = (0..count).map(|_| {
            let length = number(&mut section);
            let interface = String::from_utf8_lossy(take(&mut section, length)).into_owned();
            let length = number(&mut section);
            take(&mut section, length);
            assert_eq!(take(&mut section, 1), [FUNCTION], "{interface}");
            number(&mut section);
            let name = interface.strip_prefix("tidemill:function/");
            let name = name.and_then(|name| name.strip_suffix("@1.0.0"));
            name.expect("it imports nothing but the host's").to_owned()
        });
        return interfaces.collect();
    }
}

#[test]
fn a_component_imports_what_it_uses() {
    let check = |package: &str, expected: &[&str]| {
        let expected = expected.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(interfaces(package), expected, "{package}");
    };
    check("settle", &["log"]);
    check("running-total", &["log", "state"]);
    check("reminders", &["log", "timers"]);
    check("fraud", &["aggregates", "log", "state"]);
}
