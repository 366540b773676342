//! Health, metrics, and the API's description of itself.

use axum::{Json, extract::State, http::Uri, http::header, response::IntoResponse};
use serde_json::json;

use super::{Api, Problem};
use crate::metrics::Metrics;

/// What the API takes and answers, for tools. Kept by hand; a test holds it against the routes.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

pub(super) async fn live() -> impl IntoResponse {
    Json(json!({ "status": "live" }))
}

pub(super) async fn ready(State(api): State<Api>) -> Result<impl IntoResponse, Problem> {
    match api.apps.ready() {
        Ok(()) => Ok(Json(json!({ "status": "ready" }))),
        Err(reason) => Err(Problem::unavailable(reason)),
    }
}

pub(super) async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, Metrics::CONTENT_TYPE)], api.metrics.render())
}

pub(super) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

pub(super) async fn no_such_path(uri: Uri) -> Problem {
    Problem::not_found(format!(
        "there is nothing at {}: /openapi.json says what there is",
        uri.path()
    ))
}
