//! Files of librdkafka properties: `name=value` lines as Kafka's tools have them, or TOML.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, bail};
use encoding_rs::UTF_8;
use java_properties::PropertiesIter;

/// Reads such a file.
///
/// # Errors
/// Where it cannot be read, is neither of both, or names no broker.
pub(super) fn read(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{shown}`"))?;
    let properties = parse(&text).with_context(|| {
        format!(
            "`{shown}` is neither of name=value lines nor TOML, as bootstrap.servers=localhost:9092"
        )
    })?;
    if !["bootstrap.servers", "metadata.broker.list"]
        .iter()
        .any(|name| properties.contains_key(*name))
    {
        bail!("`{shown}` names no broker: add bootstrap.servers=localhost:9092");
    }
    Ok(properties)
}

fn parse(text: &str) -> anyhow::Result<BTreeMap<String, String>> {
    if let Ok(table) = text.parse::<toml::Table>() {
        let table = match table.get("kafka") {
            Some(toml::Value::Table(kafka)) => kafka.clone(),
            _ => table,
        };
        let mut properties = BTreeMap::new();
        flatten("", &table, &mut properties);
        return Ok(properties);
    }
    let mut properties = BTreeMap::new();
    // Kafka reads such files as Latin-1, in which other letters are escapes; here they may stand as they are.
    PropertiesIter::new_with_encoding(text.as_bytes(), UTF_8).read_into(|name, value| {
        properties.insert(name, value);
    })?;
    Ok(properties)
}

/// `bootstrap.servers` without quotes is a table in TOML.
fn flatten(prefix: &str, table: &toml::Table, properties: &mut BTreeMap<String, String>) {
    for (name, value) in table {
        let name = format!("{prefix}{name}");
        match value {
            toml::Value::Table(inner) => flatten(&format!("{name}."), inner, properties),
            toml::Value::String(text) => {
                properties.insert(name, text.clone());
            }
            other => {
                properties.insert(name, other.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let expected = BTreeMap::from([
            ("bootstrap.servers".to_owned(), "a:9092,b:9092".to_owned()),
            ("linger.ms".to_owned(), "5".to_owned()),
        ]);
        for text in [
            "# a comment\nbootstrap.servers=a:9092,b:9092\nlinger.ms=5\n",
            "\"bootstrap.servers\" = \"a:9092,b:9092\"\n\"linger.ms\" = 5\n",
            "bootstrap.servers = \"a:9092,b:9092\"\nlinger.ms = 5\n",
            "[kafka]\nbootstrap.servers = \"a:9092,b:9092\"\nlinger.ms = 5\n",
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn letters_are_not_lost() {
        let read =
            parse("sasl.password=geh\u{e4}im \u{1f511}\nsasl.username=J\\u00fcrgen\n").unwrap();
        assert_eq!(read["sasl.password"], "geh\u{e4}im \u{1f511}");
        assert_eq!(read["sasl.username"], "J\u{fc}rgen");
    }
}
