//! The HTTP API: uploads, apps, topics of the embedded log, health and metrics.
//!
//! | path | what |
//! |---|---|
//! | `GET /live`, `GET /ready` | health; the only ones open without the token |
//! | `GET /metrics` | for Prometheus |
//! | `GET /openapi.json` | this API in full |
//! | `GET /functions`, `PUT`, `GET`, `DELETE /functions/{name}` | uploaded components |
//! | `GET /apps`, `PUT`, `GET`, `DELETE /apps/{app}`, `GET /apps/{app}/status` | manifests at work |
//! | `POST /apps/{app}/resume` | paused tasks try again |
//! | `GET /apps/{app}/stores/{store}/keys`, `…/keys/{key}`, `…/keys/{key}/entries` | what functions keep |
//! | `GET /topics`, `POST`, `GET /topics/{topic}/records` | the embedded log |
//!
//! Every error is a problem document (RFC 9457). The data path never waits on anything here: handlers read what apps
//! say of themselves, and what takes long runs on threads of its own. The only user of hyper and axum but for the
//! command line's client.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::DefaultBodyLimit,
    handler::Handler,
    http::Method,
    middleware::{from_fn_with_state, map_response},
    routing::{MethodFilter, MethodRouter, on},
};
use bytes::BytesMut;
use bytesize::ByteSize;
use http_body_util::BodyExt;
use hyper::body::Frame;
use tokio::sync::Semaphore;

mod access;
mod apps;
mod client;
mod functions;
mod health;
mod problem;
mod server;
mod stores;
#[cfg(test)]
mod tests;
mod topics;
pub mod wire;

pub use self::{
    access::{ListenError, TOKEN_VARIABLE, Token, TokenError, listen},
    apps::{Apps, One},
    client::{Answer, Client, ClientError, DEFAULT_HOST},
    problem::{MEDIA_TYPE, Problem, chain},
    server::serve,
    topics::NEXT_HEADER,
};
use crate::{broker::memory::MemoryLog, metrics::Metrics, supervisor::host::Host};

/// What an upload may have where nothing else is said: 16 MiB.
pub const UPLOAD_BYTES_MAX: usize = 16 << 20;
/// Uploads that are held in memory at a time; further ones wait.
const UPLOADS_MAX: usize = 4;
/// Of a body that is too large, so many times what it may have is read before the answer.
const DROPPED_TIMES: usize = 4;
/// A client that sends nothing for so long is cut off.
const FRAME_TIMEOUT: Duration = Duration::from_secs(30);

/// What the API shows and changes.
pub struct ApiSettings {
    /// Guards everything but health, if there is one.
    pub token: Option<Token>,
    /// What is counted.
    pub metrics: Metrics,
    /// The embedded log, where apps run on it.
    pub log: Option<MemoryLog>,
    /// The apps at work.
    pub apps: Arc<dyn Apps>,
    /// Where functions and apps are uploaded to; `None` where the process runs one manifest.
    pub host: Option<Arc<Host>>,
    /// Bytes of an upload at most.
    pub upload_bytes_max: usize,
}

/// [`ApiSettings`] as handlers share them.
#[derive(Clone)]
struct Api {
    token: Option<Token>,
    metrics: Metrics,
    log: Option<MemoryLog>,
    apps: Arc<dyn Apps>,
    host: Option<Arc<Host>>,
    upload_bytes_max: usize,
    uploads: Arc<Semaphore>,
}

/// A method of a path. Listed rather than chained, so that a test can hold the list against the description.
struct Route {
    path: &'static str,
    open: bool,
    handler: MethodRouter<Api>,
}

fn route<H, T>(method: Method, path: &'static str, handler: H) -> Route
where
    H: Handler<T, Api>,
    T: 'static,
{
    let filter = MethodFilter::try_from(method).expect("a method that axum knows");
    Route { path, open: false, handler: on(filter, handler) }
}

fn open(route: Route) -> Route {
    Route { open: true, ..route }
}

fn routes() -> Vec<Route> {
    vec![
        open(route(Method::GET, "/live", health::live)),
        open(route(Method::GET, "/ready", health::ready)),
        route(Method::GET, "/metrics", health::metrics),
        route(Method::GET, "/openapi.json", health::openapi),
        route(Method::GET, "/functions", functions::list),
        route(Method::PUT, "/functions/{name}", functions::put),
        route(Method::GET, "/functions/{name}", functions::get),
        route(Method::DELETE, "/functions/{name}", functions::delete),
        route(Method::GET, "/apps", apps::list),
        route(Method::PUT, "/apps/{app}", apps::put),
        route(Method::GET, "/apps/{app}", apps::get),
        route(Method::DELETE, "/apps/{app}", apps::delete),
        route(Method::GET, "/apps/{app}/status", apps::status),
        route(Method::POST, "/apps/{app}/resume", stores::resume),
        route(Method::GET, "/apps/{app}/stores/{store}/keys", stores::keys),
        route(Method::GET, "/apps/{app}/stores/{store}/keys/{key}", stores::key),
        route(Method::GET, "/apps/{app}/stores/{store}/keys/{key}/entries", stores::entries),
        route(Method::GET, "/topics", topics::list),
        route(Method::POST, "/topics/{topic}/records", topics::append),
        route(Method::GET, "/topics/{topic}/records", topics::read),
    ]
}

/// The API as a router, for [`serve`].
pub fn router(settings: ApiSettings) -> Router {
    let api = Api {
        token: settings.token,
        metrics: settings.metrics,
        log: settings.log,
        apps: settings.apps,
        host: settings.host,
        upload_bytes_max: settings.upload_bytes_max,
        uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
    };
    let add = |router: Router<Api>, route: Route| router.route(route.path, route.handler);
    let (open, guarded): (Vec<Route>, Vec<Route>) =
        routes().into_iter().partition(|route| route.open);
    let guarded = guarded.into_iter().fold(Router::new(), add).fallback(health::no_such_path);
    let guarded = guarded.layer(from_fn_with_state(api.clone(), access::guard));
    // Handlers count what they read themselves.
    let all = open.into_iter().fold(guarded, add).layer(DefaultBodyLimit::disable());
    all.layer(map_response(problem::answer_with_problems)).with_state(api)
}

/// Runs what may take long beside the handlers. It goes on where the client has gone away meanwhile.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| {
        tracing::error!(%error, "a request failed");
        Problem::internal("the request failed on the host: see its log")
    })
}

/// The whole body, or a problem where it has more bytes than it may. The rest of a body that is too large is read and
/// dropped within bounds: many clients look for an answer only when they have sent everything.
async fn whole_body(mut body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut whole = BytesMut::new();
    let mut seen = 0;
    while let Some(frame) = next_frame(&mut body).await? {
        let Ok(data) = frame.into_data() else { continue };
        seen += data.len();
        if seen <= bytes_max {
            whole.extend_from_slice(&data);
        } else if seen / DROPPED_TIMES > bytes_max {
            break;
        }
    }
    if seen > bytes_max { Err(too_large(bytes_max)) } else { Ok(whole.freeze()) }
}

async fn next_frame(body: &mut Body) -> Result<Option<Frame<Bytes>>, Problem> {
    let early = |cause: &dyn std::fmt::Display| {
        Problem::bad_request(format!("the body ended early: {cause}"))
    };
    match tokio::time::timeout(FRAME_TIMEOUT, body.frame()).await {
        Ok(frame) => frame.transpose().map_err(|error| early(&error)),
        Err(_) => Err(early(&"nothing came for 30 s")),
    }
}

fn too_large(bytes_max: usize) -> Problem {
    let limit = ByteSize(bytes_max as u64).display().iec();
    Problem::too_large(format!("this host takes at most {limit}"))
}
