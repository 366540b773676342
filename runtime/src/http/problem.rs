//! Problem documents (RFC 9457): how every error is answered.

use axum::{
    Json,
    body::to_bytes,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use crate::{guest, manifest, registry};

/// What went wrong, for programs and people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Which kind it is: `urn:tidemill:problem:` and a word.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words, the same for all of it.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, and what would be right.
    pub detail: String,
    /// Each thing that is wrong, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<serde_json::Value>,
}

/// The media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";
const TYPE_PREFIX: &str = "urn:tidemill:problem:";

impl Problem {
    /// A problem of a kind.
    pub fn new(status: StatusCode, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Problem {
            kind: format!("{TYPE_PREFIX}{kind}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// There is nothing of that name.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::NOT_FOUND, "not-found", "nothing is there", detail)
    }

    /// The request is not what it should be.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "bad-request",
            "the request cannot be understood",
            detail,
        )
    }

    /// What was sent exceeds a limit.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "what was sent is too large",
            detail,
        )
    }

    /// It is in use, or otherwise not in the state for this.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::CONFLICT, "conflict", "something is in the way", detail)
    }

    /// What was sent is well-formed and still cannot be.
    pub fn unprocessable(kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, kind, title, detail)
    }

    /// Something that this host needs does not answer.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "not available now", detail)
    }

    /// The host failed.
    pub fn internal(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the host failed", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response
    }
}

/// An error with all its causes in one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl From<guest::Error> for Problem {
    fn from(error: guest::Error) -> Self {
        let detail = chain(&error);
        let (kind, title) = match error {
            guest::Error::Engine(_) => return Problem::internal(detail),
            guest::Error::NotAComponent { .. }
            | guest::Error::CoreModule
            | guest::Error::Encode { .. } => ("not-a-component", "not a WebAssembly component"),
            guest::Error::WrongWorld { .. } => ("wrong-world", "not a function of Tidemill"),
            guest::Error::UnknownImport { .. } => {
                ("unknown-import", "it imports what this host does not offer")
            }
            guest::Error::Describe(_) | guest::Error::Description { .. } => {
                ("describe", "it does not describe itself properly")
            }
        };
        Problem::unprocessable(kind, title, detail)
    }
}

impl From<manifest::Error> for Problem {
    fn from(error: manifest::Error) -> Self {
        let detail = chain(&error);
        let mut problem = Problem::unprocessable("manifest", "the manifest is not right", detail);
        if let manifest::Error::Invalid(problems) = error {
            problem.errors = problems
                .iter()
                .map(|problem| {
                    serde_json::to_value(problem).expect("a struct of texts and a number is JSON")
                })
                .collect();
        }
        problem
    }
}

impl From<registry::Error> for Problem {
    fn from(error: registry::Error) -> Self {
        let detail = chain(&error);
        match error {
            registry::Error::Unknown { .. } => {
                Problem::unprocessable("unknown-function", "no such function", detail)
            }
            _ => {
                tracing::error!(error = detail, "the registry failed");
                Problem::internal(detail)
            }
        }
    }
}

/// Makes a problem document of whatever the framework answers by itself.
pub(super) async fn answer_with_problems(response: Response) -> Response {
    let status = response.status();
    let is_problem =
        response.headers().get(header::CONTENT_TYPE).is_some_and(|is| is == MEDIA_TYPE);
    if !(status.is_client_error() || status.is_server_error()) || is_problem {
        return response;
    }
    let title = status.canonical_reason().unwrap_or("an error").to_lowercase();
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let detail =
            "this path does not take the method; the header `allow` says which ones it takes";
        return Problem::new(status, "method", &title, detail).into_response();
    }
    let text = to_bytes(response.into_body(), 4_096).await.unwrap_or_default();
    let detail = String::from_utf8_lossy(&text).into_owned();
    Problem::new(status, "http", &title, detail).into_response()
}
