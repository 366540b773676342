//! One HTTP request at a time, for the host's API.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::broker::runtime;

const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// What a host answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }
}

pub fn get(url: &str) -> Result<Answer, String> {
    request(Method::GET, url, "application/json", Vec::new())
}

pub fn delete(url: &str) -> Result<Answer, String> {
    request(Method::DELETE, url, "application/json", Vec::new())
}

pub fn put(url: &str, content_type: &str, body: Vec<u8>) -> Result<Answer, String> {
    request(Method::PUT, url, content_type, body)
}

/// The sum of a metric over all its labels, on a page of metrics; 0 where there is none of it.
pub fn metric(url: &str, name: &str) -> f64 {
    let page = get(url).expect("a running host shows its metrics").body;
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        (rest.starts_with(['{', ' '])).then(|| rest.rsplit(' ').next())?
    });
    values.map(|value| value.parse::<f64>().expect("a metric's value is a number")).sum()
}

fn request(method: Method, url: &str, content_type: &str, body: Vec<u8>) -> Result<Answer, String> {
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header("content-type", content_type)
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    runtime().block_on(async {
        let exchange = async {
            let response = client.request(request).await.map_err(|error| format!("{error:?}"))?;
            let status = response.status().as_u16();
            let content_type =
                response.headers().get("content-type").and_then(|value| value.to_str().ok());
            let content_type = content_type.unwrap_or_default().to_owned();
            let body = response
                .into_body()
                .collect()
                .await
                .map_err(|error| format!("{error:?}"))?
                .to_bytes();
            Ok(Answer { status, content_type, body: String::from_utf8_lossy(&body).into_owned() })
        };
        tokio::time::timeout(REQUEST_LIMIT, exchange)
            .await
            .map_err(|_| format!("no answer from {url}"))?
    })
}
