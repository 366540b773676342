//! What functions keep, read from outside: committed values of the partitions that are at work on this host.

mod windows;

use std::fmt::Write as _;

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{Api, Problem, blocking};
use crate::{
    store::Kind,
    supervisor::{Cursor, Found, Listed, ReadError, Stores, Wanted, WantedWindows},
    topology::{Codecs, codec::plain_json},
};

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 10_000;
/// What is expected of parameters.
const LIMITS: &str = "a number from 1 to 10000";
const CURSORS: &str = "what the page before has as `next`";

/// One key where the query names it, else a page of them.
pub(super) async fn keys(
    State(api): State<Api>,
    Path((app, store)): Path<(String, String)>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let stores = stores(&api, &app)?;
    if let [(name, key)] = query.as_slice()
        && name == "key"
    {
        let key = key.clone();
        return blocking(move || one(&stores, &store, &key)).await?;
    }
    if stores.aggregate(&store)?.is_some() {
        let wanted = windows::wanted(query, "limit, from, to, cursor, and key alone")?;
        return blocking(move || Ok(windows::list(&stores.list_windows(&store, &wanted)?))).await?;
    }
    let wanted =
        wanted(query, "limit, from, to, prefix, cursor, and key alone", |text| Ok(bytes(&text)))?;
    blocking(move || {
        let codecs = stores.codecs(&store);
        let listed = stores.list(&store, &wanted)?;
        Ok(Json(page(&listed, |found| shown(found, &codecs, plain_json(&found.key))))
            .into_response())
    })
    .await?
}

pub(super) async fn key(
    State(api): State<Api>,
    Path((app, store, key)): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    let stores = stores(&api, &app)?;
    blocking(move || one(&stores, &store, &key)).await?
}

/// A page of the entries of a key's map, or of its windows.
pub(super) async fn entries(
    State(api): State<Api>,
    Path((app, store, key)): Path<(String, String, String)>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let stores = stores(&api, &app)?;
    if stores.aggregate(&store)?.is_some() {
        let wanted = windows::wanted(query, "limit, from, to, cursor")?;
        let read = move || {
            let listed = stores.windows(&store, &bytes(&key), &wanted)?;
            Ok(Json(windows::page(&listed, false)).into_response())
        };
        return blocking(read).await?;
    }
    let codecs = stores.codecs(&store);
    let bound = |text: String| match text.starts_with("hex:") {
        true => Ok(bytes(&text)),
        false => codecs.entry_of(text.as_bytes()).map_err(Problem::bad_request),
    };
    let wanted = wanted(query, "limit, from, to, prefix, reverse, cursor", bound)?;
    blocking(move || {
        let listed = stores.entries(&store, &bytes(&key), &wanted)?;
        Ok(Json(page(&listed, |found| shown(found, &codecs, codecs.entry_json(&found.key))))
            .into_response())
    })
    .await?
}

/// Has the paused tasks of an app try again.
pub(super) async fn resume(
    State(api): State<Api>,
    Path(app): Path<String>,
) -> Result<StatusCode, Problem> {
    if api.apps.resume(&app) { Ok(StatusCode::NO_CONTENT) } else { Err(absent(&api, &app)) }
}

fn stores(api: &Api, app: &str) -> Result<Stores, Problem> {
    api.apps.stores(app).ok_or_else(|| absent(api, app))
}

/// Why an app cannot be asked.
fn absent(api: &Api, app: &str) -> Problem {
    match api.apps.report(app) {
        None => super::apps::no_app(app),
        Some(report) => {
            let why = report.app.reason.unwrap_or_else(|| "it is being started".to_owned());
            Problem::unavailable(format!("the app `{app}` is not at work: {why}"))
        }
    }
}

/// The value of a key; of a map its first entries, of an aggregate its first windows.
fn one(stores: &Stores, store: &str, key: &str) -> Result<Response, Problem> {
    let nothing = || Problem::not_found(format!("`{store}` has nothing under {key:?}"));
    let (codecs, key) = (stores.codecs(store), bytes(key));
    if let Some(spec) = stores.aggregate(store)? {
        let listed = stores.windows(store, &key, &WantedWindows::default())?;
        let first = listed.entries.first().ok_or_else(nothing)?;
        if spec.windows.is_none() {
            return Ok(Json(windows::shown(first, true)).into_response());
        }
        let mut page = windows::page(&listed, false);
        page["key"] = plain_json(&key);
        page["partition"] = first.partition.into();
        return Ok(Json(page).into_response());
    }
    if stores.kind(store)? != Kind::Map {
        let found = stores.get(store, &key)?.ok_or_else(nothing)?;
        return Ok(Json(shown(&found, &codecs, plain_json(&key))).into_response());
    }
    let wanted = Wanted { limit: LIMIT_DEFAULT, ..Wanted::default() };
    let listed = stores.entries(store, &key, &wanted)?;
    let partition = listed.entries.first().ok_or_else(nothing)?.partition;
    let mut page = page(&listed, |found| shown(found, &codecs, codecs.entry_json(&found.key)));
    page["key"] = plain_json(&key);
    page["partition"] = partition.into();
    Ok(Json(page).into_response())
}

fn page(listed: &Listed, entry: impl Fn(&Found) -> Value) -> Value {
    paged(listed.entries.iter().map(entry).collect(), listed.next.as_ref())
}

fn paged(entries: Vec<Value>, next: Option<&Cursor>) -> Value {
    let mut page = json!({ "entries": entries });
    if let Some(next) = next {
        let mut cursor = format!("{}:", next.partition);
        for byte in &next.key {
            // Writing to a text cannot fail.
            let _ = write!(cursor, "{byte:02x}");
        }
        page["next"] = cursor.into();
    }
    page
}

fn shown(found: &Found, codecs: &Codecs, key: Value) -> Value {
    let mut shown = json!({ "key": key, "partition": found.partition });
    if let Some((value, at)) = &found.stored {
        shown["timestamp"] = at.millis().into();
        shown["value"] = codecs.value_json(value);
    }
    shown
}

/// The bytes that a text stands for: `hex:00ff`, else its own.
fn bytes(text: &str) -> Vec<u8> {
    text.strip_prefix("hex:").and_then(unhex).unwrap_or_else(|| text.as_bytes().to_vec())
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digit =
        |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = digits.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    pairs.collect()
}

fn wanted(
    query: Vec<(String, String)>,
    known: &str,
    bound: impl Fn(String) -> Result<Vec<u8>, Problem>,
) -> Result<Wanted, Problem> {
    let mut wanted = Wanted { limit: LIMIT_DEFAULT, ..Wanted::default() };
    for (key, value) in query {
        let wrong =
            |expected: &str| Problem::bad_request(format!("{key}={value}: expected {expected}"));
        match key.as_str() {
            "limit" => wanted.limit = limit(&value).ok_or_else(|| wrong(LIMITS))?,
            "from" => wanted.from = Some(bound(value)?),
            "to" => wanted.to = Some(bound(value)?),
            "prefix" => wanted.prefix = Some(bytes(&value)),
            "reverse" if known.contains("reverse") => {
                wanted.reverse = value.parse().map_err(|_| wrong("true or false"))?;
            }
            "cursor" => {
                wanted.cursor = Some(cursor(&value).ok_or_else(|| wrong(CURSORS))?);
            }
            _ => return Err(unknown(&key, known)),
        }
    }
    Ok(wanted)
}

fn limit(text: &str) -> Option<usize> {
    text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit))
}

fn unknown(key: &str, known: &str) -> Problem {
    Problem::bad_request(format!("unknown parameter `{key}`; known here: {known}"))
}

fn cursor(text: &str) -> Option<Cursor> {
    let (partition, key) = text.split_once(':')?;
    Some(Cursor::new(partition.parse().ok()?, unhex(key)?))
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        let detail = error.to_string();
        match error {
            ReadError::Unknown { .. } => Problem::not_found(detail),
            ReadError::Kind(_) => Problem::bad_request(detail),
            ReadError::Elsewhere { .. } => Problem::new(
                StatusCode::MISDIRECTED_REQUEST,
                "elsewhere",
                "the key is not at work on this host",
                detail,
            ),
            ReadError::NotYet { .. } => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "not-yet",
                "the key's partition is not there yet",
                detail,
            ),
            ReadError::Window { .. } | ReadError::Store(_) => Problem::internal(detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_text_or_hex() {
        assert_eq!(bytes("ann"), b"ann");
        assert_eq!(bytes("hex:00fF"), [0, 255]);
        assert_eq!(bytes("hex:0"), b"hex:0", "no hex");
        assert_eq!(cursor("3:00ff"), Some(Cursor::new(3, vec![0, 255])));
        assert_eq!(cursor("3:"), Some(Cursor::new(3, vec![])));
        assert_eq!((cursor("3"), cursor("a:00"), cursor("3:x")), (None, None, None));
    }
}
