//! `tidemill state`: what the functions of an app keep.

use std::io::{self, Write as _};

use hyper::{Method, body::Bytes};
use serde_json::Value;

use super::remote;
use crate::http::Client;

const EXAMPLES: &str = "Examples:
  tidemill state get trades last_trade User_7
  tidemill state get trades pending_per_minute ZVV
  tidemill state scan running-total total --prefix a

What is shown is committed. Counters and integers are decimal, keys are text or hex:00ff.
A host answers for the partitions that are at work on it.";

/// Show what the functions of an app keep: stores and tables
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    query: Query,
}

#[derive(Debug, clap::Subcommand)]
enum Query {
    Get(Get),
    Scan(Scan),
}

/// Show the value of a key; of a map its entries, of an aggregate its windows
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  tidemill state get trades pending_per_minute ZVV")]
struct Get {
    /// The app
    app: String,
    /// The store or table
    store: String,
    /// The key: text, or hex:00ff
    key: String,
    #[command(flatten)]
    host: remote::Args,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// List keys with their values; of a map its keys, or the entries of one; of an aggregate all windows, or those of one key
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tidemill state scan running-total total --limit 20\n  tidemill state scan trades \
                  pending_per_minute --from 2026-01-02T10:00:00Z"
)]
struct Scan {
    /// The app
    app: String,
    /// The store or table
    store: String,
    /// The key of a map or an aggregate, whose entries or windows are listed
    key: Option<String>,
    /// Begin with this key; of an aggregate, with windows that begin then
    #[arg(long, value_name = "KEY")]
    from: Option<String>,
    /// Only keys that begin so
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Entries at most; all where it is absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    #[command(flatten)]
    host: remote::Args,
    /// Print an entry a line as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self.query {
            Query::Get(get) => get.run(),
            Query::Scan(scan) => scan.run(),
        }
    }
}

impl Get {
    fn run(self) -> anyhow::Result<()> {
        let client = self.host.client()?;
        let path = path(&self.app, &self.store)?;
        let found: Value = super::runtime()?.block_on(async {
            let query = [("key", self.key.as_str())];
            let answer = client.send(Method::GET, &path, &query, None, Bytes::new().into()).await?;
            anyhow::Ok(client.json(&answer)?)
        })?;
        let mut out = io::stdout().lock();
        if self.json {
            writeln!(out, "{found}")?;
        } else if let Some(entries) = found["entries"].as_array() {
            entries.iter().try_for_each(|entry| writeln!(out, "{}", line(entry)))?;
            if found["next"].is_string() {
                let (app, store, key) = (&self.app, &self.store, &self.key);
                writeln!(io::stderr(), "there are more: tidemill state scan {app} {store} {key}")?;
            }
        } else {
            writeln!(out, "{}", text(&found["value"]))?;
        }
        Ok(())
    }
}

impl Scan {
    fn run(self) -> anyhow::Result<()> {
        let client = self.host.client()?;
        let mut path = path(&self.app, &self.store)?;
        if let Some(key) = &self.key {
            path = format!("{path}/{}/entries", segment(key));
        }
        super::runtime()?.block_on(self.pages(&client, &path))
    }

    /// Prints page after page.
    async fn pages(&self, client: &Client, path: &str) -> anyhow::Result<()> {
        const PAGE: u64 = 1_000;
        let mut left = self.limit.unwrap_or(u64::MAX);
        let mut cursor: Option<String> = None;
        while left > 0 {
            let limit = left.min(PAGE).to_string();
            let mut query = vec![("limit", limit.as_str())];
            query.extend(self.from.as_deref().map(|from| ("from", from)));
            query.extend(self.prefix.as_deref().map(|prefix| ("prefix", prefix)));
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let answer = client.send(Method::GET, path, &query, None, Bytes::new().into()).await?;
            let page: Value = client.json(&answer)?;
            let mut out = io::stdout().lock();
            for entry in page["entries"].as_array().into_iter().flatten() {
                let line = if self.json { entry.to_string() } else { line(entry) };
                writeln!(out, "{line}")?;
                left = left.saturating_sub(1);
            }
            match page["next"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        Ok(())
    }
}

fn path(app: &str, store: &str) -> anyhow::Result<String> {
    Ok(format!("/apps/{}/stores/{}/keys", remote::app(app)?, segment(store)))
}

/// A text as a part of a path.
fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        if plain(byte) {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    segment
}

/// Key, window and value, as far as there are these, tabs between.
fn line(entry: &Value) -> String {
    let mut line = entry.get("key").map(text).unwrap_or_default();
    if let (Some(start), Some(end)) = (time(entry, "start"), time(entry, "end")) {
        let tab = if line.is_empty() { "" } else { "\t" };
        line.push_str(&format!("{tab}{start}/{end}"));
    }
    if let Some(value) = entry.get("value") {
        line.push_str(&format!("\t{}", text(value)));
    }
    line
}

fn time(entry: &Value, name: &str) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(entry.get(name)?.as_i64()?).ok()
}

/// Text as it is, all else as JSON.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_an_entry() {
        let value = json!({ "key": "ann", "partition": 0, "timestamp": 5, "value": { "a": 1 } });
        assert_eq!(line(&value), "ann\t{\"a\":1}");
        let text = json!({ "key": ["a", 1], "partition": 0, "timestamp": 5, "value": "two words" });
        assert_eq!(line(&text), "[\"a\",1]\ttwo words");
        assert_eq!(line(&json!({ "key": "ann", "partition": 0 })), "ann");
        let (start, end) = (1_767_261_600_000_i64, 1_767_261_660_000_i64);
        let mut window = json!({ "start": start, "end": end, "partition": 0, "value": { "n": 1 } });
        let interval = "2026-01-01T10:00:00Z/2026-01-01T10:01:00Z";
        assert_eq!(line(&window), format!("{interval}\t{{\"n\":1}}"));
        window["key"] = "ann".into();
        assert_eq!(line(&window), format!("ann\t{interval}\t{{\"n\":1}}"));
    }

    #[test]
    fn keys_stand_in_a_path() {
        assert_eq!(segment("a b/ä"), "a%20b%2F%C3%A4");
        assert_eq!(path("trades", "last-trade").unwrap(), "/apps/trades/stores/last-trade/keys");
        assert!(path("Trades", "total").is_err());
    }
}
