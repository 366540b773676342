//! A client of this API, for the command line: it sends, and turns problem documents into errors.

use std::path::Path;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Method, Request, StatusCode, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::de::DeserializeOwned;

use super::{MEDIA_TYPE, Problem, Token, TokenError, chain};

/// Where a host listens if nothing else is said.
pub const DEFAULT_HOST: &str = "http://127.0.0.1:8080";

/// Talks to one host. Cheap to clone; connections are kept.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    token: Option<Token>,
    pool: Pool<HttpConnector, Body>,
}

/// What a host answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// A success.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no answer, or none that helps.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is none.
    #[error("{host:?} is no address of a host: expected http://NAME:PORT")]
    Address {
        /// What was given.
        host: String,
    },
    /// There is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Nobody answers.
    #[error("no host answers at {host} ({cause}): is `tidemill serve` or `dev` running there?")]
    Unreachable {
        /// Where.
        host: String,
        /// Why.
        cause: String,
    },
    /// The answer ended early, or is none of this API.
    #[error("{host} gave an answer that is not of Tidemill: {cause}")]
    Foreign {
        /// Where.
        host: String,
        /// What is odd.
        cause: String,
    },
    /// The host said no.
    #[error("{}", .0.detail)]
    Refused(Problem),
}

impl Client {
    /// A client of the host at `http://NAME:PORT`.
    ///
    /// # Errors
    /// [`ClientError::Address`].
    pub fn new(host: &str, token: Option<Token>) -> Result<Client, ClientError> {
        let wrong = || ClientError::Address { host: host.to_owned() };
        let base = if host.contains("://") { host.to_owned() } else { format!("http://{host}") };
        let base = base.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().map_err(|_| wrong())?;
        if uri.scheme_str() != Some("http") || uri.authority().is_none() || uri.path() != "/" {
            return Err(wrong());
        }
        Ok(Client { base, token, pool: Pool::builder(TokioExecutor::new()).build_http() })
    }

    /// As [`new`](Self::new), with the token of the file, else of the environment, else none.
    ///
    /// # Errors
    /// [`ClientError::Address`] and [`ClientError::Token`].
    pub fn with_token_file(host: &str, token_file: Option<&Path>) -> Result<Client, ClientError> {
        Client::new(host, Token::find(token_file)?)
    }

    /// Where it sends to.
    pub fn host(&self) -> &str {
        &self.base
    }

    /// Sends a request; `path` begins with a slash.
    ///
    /// # Errors
    /// [`ClientError::Refused`] for every answer that is no success.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        media: Option<&str>,
        body: Body,
    ) -> Result<Answer, ClientError> {
        let foreign = |cause: String| ClientError::Foreign { host: self.base.clone(), cause };
        let mut uri = format!("{}{path}", self.base);
        if !query.is_empty() {
            uri.push('?');
            uri.push_str(
                &form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish(),
            );
        }
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(media) = media {
            request = request.header(CONTENT_TYPE, media);
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.bearer());
        }
        let request = request.body(body).map_err(|error| foreign(error.to_string()))?;
        let response = self.pool.request(request).await.map_err(|error| self.failed(&error))?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| foreign(error.to_string()))?.to_bytes();
        if parts.status.is_success() {
            return Ok(Answer { status: parts.status, headers: parts.headers, body });
        }
        let is_problem = parts.headers.get(CONTENT_TYPE).is_some_and(|media| media == MEDIA_TYPE);
        match serde_json::from_slice(&body) {
            Ok(problem) if is_problem => Err(ClientError::Refused(problem)),
            _ => Err(foreign(format!("status {}", parts.status))),
        }
    }

    fn failed(&self, error: &hyper_util::client::legacy::Error) -> ClientError {
        let host = self.base.clone();
        let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), chain);
        if error.is_connect() {
            ClientError::Unreachable { host, cause }
        } else {
            ClientError::Foreign { host, cause }
        }
    }

    /// `GET`, as JSON.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.send(Method::GET, path, &[], None, Body::empty()).await?;
        self.json(&answer)
    }

    /// `DELETE`.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.send(Method::DELETE, path, &[], None, Body::empty()).await.map(drop)
    }

    /// The answer's body as JSON.
    ///
    /// # Errors
    /// [`ClientError::Foreign`].
    pub fn json<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, ClientError> {
        let foreign = |error: serde_json::Error| ClientError::Foreign {
            host: self.base.clone(),
            cause: error.to_string(),
        };
        serde_json::from_slice(&answer.body).map_err(foreign)
    }
}
