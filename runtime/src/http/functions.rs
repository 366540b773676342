//! Uploaded functions.

use axum::{
    Json,
    body::{Body, HttpBody},
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::json;

use super::{Api, Problem, apps::host, blocking, too_large, whole_body};
use crate::{manifest, registry::FunctionVersion};

/// A version with its name.
#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    #[serde(flatten)]
    version: &'a FunctionVersion,
}

pub(super) async fn put(
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let host = host(&api)?;
    check_name(&name)?;
    // Who asks before sending gets the answer at once.
    let announced = body.size_hint().lower();
    if announced > api.upload_bytes_max as u64 && headers.contains_key(header::EXPECT) {
        return Err(too_large(api.upload_bytes_max));
    }
    let _slot = api.uploads.acquire().await.expect("the semaphore is never closed");
    let bytes = whole_body(body, api.upload_bytes_max).await?;
    let put = {
        let name = name.clone();
        blocking(move || host.put_function(&name, &bytes)).await??
    };
    let status = if put.new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(Named { name: &name, version: &put.kept })).into_response())
}

pub(super) async fn list(State(api): State<Api>) -> Result<Response, Problem> {
    let host = host(&api)?;
    let functions = blocking(move || host.functions()).await??;
    let newest: Vec<Named<'_>> = functions
        .iter()
        .filter_map(|function| {
            Some(Named { name: &function.name, version: function.version(None)? })
        })
        .collect();
    Ok(Json(json!({ "functions": newest })).into_response())
}

pub(super) async fn get(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let host = host(&api)?;
    check_name(&name)?;
    let function = blocking(move || host.function(&name)).await??;
    Ok(Json(function).into_response())
}

pub(super) async fn delete(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let host = host(&api)?;
    check_name(&name)?;
    blocking(move || host.delete_function(&name)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// What is no name can be no file either.
fn check_name(name: &str) -> Result<(), Problem> {
    if manifest::is_name(name) {
        return Ok(());
    }
    let expected = "lower-case letters, digits, `-` and `_` that start with a letter, at most 63";
    Err(Problem::bad_request(format!("{name:?} is no function's name: expected {expected}")))
}
