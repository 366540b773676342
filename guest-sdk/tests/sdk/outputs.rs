//! Every way to send.

use serde::Serialize;
use std::collections::HashMap;
use tidemill_sdk::prelude::*;
use tidemill_sdk::testing::{Input, Sent, driver};

#[function]
fn keep(how: Text, out: Output<Text>) -> Result<(), Failure> {
    match &*how {
        "send" => out.send("sent"),
        "forward" => out.forward(),
        "delete" => out.delete(),
        "meta" => {
            let meta = Meta::new().header("b", "2").null_header("c");
            out.send_with(
                "sent",
                meta.timestamp(Timestamp::from_millis(9) + Duration::from_secs(1)).partition(3),
            )
        }
        "own headers" => out.send_with("sent", Meta::new().header("b", "2").without_headers()),
        "no headers" => out.send_with("sent", Meta::new().without_headers()),
        _ => out.send_with("sent", Meta::new()),
    }
}

fn kept(how: &str) -> Sent {
    let input = Input::new(how).key("k").header("a", "1").timestamp(5);
    driver::<keep>().send(input).only("out").clone()
}

fn headers(sent: &Sent) -> Vec<(&str, Option<&[u8]>)> {
    sent.headers.iter().map(|(name, value)| (&**name, value.as_deref())).collect()
}

#[test]
fn key_headers_and_time_are_kept() {
    for how in ["send", "forward", "delete", "meta of nothing"] {
        let sent = kept(how);
        assert_eq!((sent.key_text(), sent.timestamp, sent.partition), ("k", 5, None), "{how}");
        assert_eq!(headers(&sent), [("a", Some(&b"1"[..]))], "{how}");
    }
    assert_eq!(kept("send").text(), "sent");
    assert_eq!(kept("forward").text(), "forward");
    assert_eq!(kept("delete").value, None);
}

#[test]
fn meta_changes_what_it_says() {
    let sent = kept("meta");
    assert_eq!(headers(&sent), [("a", Some(&b"1"[..])), ("b", Some(b"2")), ("c", None)]);
    assert_eq!((sent.timestamp, sent.partition), (1009, Some(3)));
    assert_eq!(headers(&kept("own headers")), [("b", Some(&b"2"[..]))]);
    assert_eq!(headers(&kept("no headers")), []);
}

#[derive(Serialize)]
struct Alert<'a> {
    user: &'a str,
    tags: Vec<&'a str>,
}

type Ranked<'a> = (i32, &'a str);

#[function]
fn several(
    record: Record,
    alerts: Output<Json<Alert<'_>>, Key<Json<Ranked<'_>>>>,
    counts: Output<i64, Key<i64>>,
    raw: Output<Bytes, Key<Bytes>>,
) -> Result<(), Failure> {
    let user = String::from("ann");
    let tag = user.to_uppercase();
    alerts.send(&(1, &user), &Alert { user: &user, tags: vec![&tag] })?;
    counts.send(&7, &-1)?;
    raw.forward(b"forwarded")?;
    raw.delete(record.key().unwrap_or_default())?;
    raw.send_with(&tag.into_bytes(), b"v", Meta::new().partition(1))
}

#[test]
fn outputs_with_keys_set_them() {
    let effects = driver::<several>().send(Input::new("v").key("k"));
    let alert = effects.only("alerts");
    assert_eq!(
        (alert.key_text(), alert.text()),
        (r#"[1,"ann"]"#, r#"{"user":"ann","tags":["ANN"]}"#)
    );
    let count = effects.only("counts");
    assert_eq!(count.key.as_deref(), Some(&[0, 0, 0, 0, 0, 0, 0, 7][..]));
    assert_eq!(count.value.as_deref(), Some(&[0xff; 8][..]));
    let raw: Vec<_> = effects
        .to("raw")
        .iter()
        .map(|sent| (sent.key_text().to_owned(), sent.value.clone()))
        .collect();
    let v = Some(b"v".to_vec());
    assert_eq!(
        raw,
        [("forwarded".to_owned(), v.clone()), ("k".to_owned(), None), ("ANN".to_owned(), v)]
    );
    assert_eq!(effects.to("raw")[2].partition, Some(1));
}

#[function]
fn unwritable(record: Record, out: Output<Json<HashMap<Vec<u8>, i64>>>) -> Result<(), Failure> {
    let map = HashMap::from([(record.value().unwrap_or_default().to_vec(), 1)]);
    out.send(&map)
}

#[test]
fn what_has_no_json_form_is_a_failure_and_leaves_nothing() {
    let effects = driver::<unwritable>().send(Input::new("x"));
    assert_eq!(effects.failure(), "error: cannot be written as JSON: key must be a string");
    assert_eq!(effects.sent, []);
}
