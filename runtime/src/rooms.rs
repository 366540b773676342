//! The map in the crate's page is true: each module uses only those above it, and client libraries stay in their room.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// In the order of the map.
const ROOMS: &[&str] = &[
    "record",
    "partitioner",
    "clock",
    "metrics",
    "store",
    "aggregate",
    "guest",
    "topology",
    "manifest",
    "bind",
    "operator",
    "task",
    "broker",
    "worker",
    "registry",
    "supervisor",
    "http",
    "testing",
    "cli",
];

/// A library and the only room that may name it.
const LIBRARIES: &[(&str, &str)] = &[
    ("prometheus", "metrics"),
    ("rocksdb", "store"),
    ("wasmtime", "guest"),
    ("wit_component", "guest"),
    ("rdkafka", "broker"),
    ("rdkafka_sys", "broker"),
    ("axum", "http"),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Lines of code by room: comments and what stands behind `#[cfg(test)]` left out.
fn rooms() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut rooms: BTreeMap<String, Vec<(PathBuf, String)>> = BTreeMap::new();
    for file in files {
        let first = file.strip_prefix(&root).unwrap().components().next().unwrap();
        let room = first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if file.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text.lines().take_while(|line| *line != "#[cfg(test)]");
        let code =
            code.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        rooms.entry(room).or_default().push((file, code));
    }
    rooms
}

/// Names behind `crate::`, also those in braces that follow it.
fn used(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let word = |text: &str| -> String {
            text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
        };
        let Some(list) = rest.strip_prefix('{') else {
            names.push(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = true;
        for (at, letter) in list.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                _ if letter.is_whitespace() => {}
                _ if start && depth == 0 => {
                    names.push(word(&list[at..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    names
}

#[test]
fn each_room_uses_only_those_above_it() {
    let level = |room: &str| ROOMS.iter().position(|name| *name == room);
    let mut wrong = Vec::new();
    for (room, files) in rooms() {
        if room == "lib" || room == "main" || room == "rooms" {
            continue;
        }
        let own = level(&room).unwrap_or_else(|| panic!("{room} is not on the map"));
        for (file, code) in files {
            for name in used(&code) {
                if level(&name).is_some_and(|other| other > own) {
                    wrong.push(format!("{} uses {name}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn libraries_stay_in_their_room() {
    let mut wrong = Vec::new();
    for (room, files) in rooms() {
        for (file, code) in files {
            for (library, home) in LIBRARIES {
                let named = code.contains(&format!("use {library}::"))
                    || code.contains(&format!(" {library}::"));
                if named && room != *home && room != "rooms" {
                    wrong.push(format!("{} uses {library}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
