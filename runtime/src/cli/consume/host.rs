//! Reads the embedded log of a host over its HTTP API.

use std::io::Write;

use anyhow::Context as _;
use hyper::{Method, body::Bytes};

use super::{From, Reading, Screen};
use crate::http::{Client, NEXT_HEADER};

/// Records an answer at most.
const LIMIT: u64 = 10_000;

pub(super) async fn read<W: Write>(
    client: &Client,
    reading: &Reading,
    screen: &mut Screen<W>,
) -> anyhow::Result<()> {
    let path = format!("/topics/{}/records", reading.topic);
    let partition = reading.partition.map(|partition| partition.to_string());
    let mut from = match reading.from {
        From::Earliest => "earliest".to_owned(),
        From::Latest => "latest".to_owned(),
    };
    loop {
        let limit = screen.left.unwrap_or(LIMIT).min(LIMIT).to_string();
        // Where it begins at the end, the first answer only tells where that is.
        let wait = if reading.follow && from != "latest" { "20s" } else { "0s" };
        let mut query = vec![("from", from.as_str()), ("limit", &limit), ("wait", wait)];
        if let Some(partition) = &partition {
            query.push(("partition", partition));
        }
        let answer = client.send(Method::GET, &path, &query, None, Bytes::new().into()).await?;
        let mut records = 0;
        for line in answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            screen.line(line).context("the host's answer is not understood")?;
            records += 1;
        }
        screen.out.flush()?;
        if screen.is_full() || (records == 0 && !reading.follow) {
            return Ok(());
        }
        let next = answer.headers.get(NEXT_HEADER).and_then(|next| next.to_str().ok());
        from = next.context("the host does not say where to go on")?.to_owned();
    }
}
