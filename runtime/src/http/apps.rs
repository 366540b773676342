//! Apps at work, and manifests that are put.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{Api, Problem, blocking, problem::chain, whole_body};
use crate::{
    broker,
    manifest::{APP_NAME, AppName, FILE_NAME},
    registry::StoredModule,
    supervisor::{
        self, App, Stores,
        host::{self, AppReport, AppState, Deployment, Host, State as LifeState},
    },
};

/// Bytes of a manifest at most.
const MANIFEST_BYTES_MAX: usize = 1 << 20;

/// The apps of a process, as far as they are shown.
pub trait Apps: Send + Sync {
    /// All of them.
    fn apps(&self) -> Vec<AppState>;

    /// One of them in full.
    fn report(&self, name: &str) -> Option<AppReport>;

    /// What functions of one of them keep, while it is at work.
    fn stores(&self, name: &str) -> Option<Stores>;

    /// Has the paused tasks of one of them try again. Whether it is at work.
    fn resume(&self, name: &str) -> bool;

    /// Whether the process does its work, or why not.
    ///
    /// # Errors
    /// With the reason.
    fn ready(&self) -> Result<(), String>;
}

impl Apps for Host {
    fn apps(&self) -> Vec<AppState> {
        Host::apps(self)
    }

    fn report(&self, name: &str) -> Option<AppReport> {
        self.app(&AppName::parse(name)?).ok()
    }

    fn stores(&self, name: &str) -> Option<Stores> {
        self.with_app(name, App::stores)
    }

    fn resume(&self, name: &str) -> bool {
        self.with_app(name, App::resume).is_some()
    }

    fn ready(&self) -> Result<(), String> {
        if self.is_ready() {
            Ok(())
        } else {
            Err("the apps that were put before are being started".to_owned())
        }
    }
}

/// The app of a process that runs one manifest; `None` while it is not there.
#[derive(Clone, Default)]
pub struct One(pub Arc<Mutex<Option<App>>>);

impl One {
    fn with<T>(&self, see: impl FnOnce(&App) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(see)
    }
}

impl Apps for One {
    fn apps(&self) -> Vec<AppState> {
        self.with(|app| report(app).app).into_iter().collect()
    }

    fn report(&self, name: &str) -> Option<AppReport> {
        self.with(|app| (app.name() == name).then(|| report(app)))?
    }

    fn stores(&self, name: &str) -> Option<Stores> {
        self.with(|app| (app.name() == name).then(|| app.stores()))?
    }

    fn resume(&self, name: &str) -> bool {
        self.with(|app| (app.name() == name).then(|| app.resume())).flatten().is_some()
    }

    fn ready(&self) -> Result<(), String> {
        match self.with(|app| (app.is_ready(), app.status())) {
            Some((true, _)) => Ok(()),
            Some((false, status)) => {
                let reason = status.failure.or_else(|| status.trouble.into_iter().next());
                Err(reason.unwrap_or_else(|| "the app has no partitions yet".to_owned()))
            }
            None => Err("the app is not there yet".to_owned()),
        }
    }
}

fn report(app: &App) -> AppReport {
    let status = app.status();
    let functions = app.topology().nodes().filter_map(|node| {
        let function = node.function()?;
        Some(StoredModule {
            function: node.name.to_string(),
            module: app.manifest().functions[&*node.name].module.to_string(),
            digest: *function.component.digest(),
        })
    });
    let state = AppState {
        name: app.name().to_owned(),
        version: 1,
        state: if status.failure.is_some() { LifeState::Failed } else { LifeState::Running },
        reason: status.failure.clone(),
        functions: functions.collect(),
    };
    AppReport { app: state, report: Some(status) }
}

pub(super) async fn list(State(api): State<Api>) -> Response {
    Json(json!({ "apps": api.apps.apps() })).into_response()
}

pub(super) async fn put(
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    body: Body,
) -> Result<Response, Problem> {
    let host = host(&api)?;
    let expected =
        || Problem::bad_request(format!("{name:?} is no app's name: expected {APP_NAME}"));
    let name = AppName::parse(&name).ok_or_else(expected)?;
    let mut deployment =
        Deployment { file: FILE_NAME.to_owned(), manifest: String::new(), sets: Vec::new() };
    for (key, value) in query {
        match key.as_str() {
            "file" => {
                deployment.file =
                    value.chars().filter(|char| !char.is_control()).take(200).collect()
            }
            "set" => deployment.sets.push(value),
            _ => {
                return Err(Problem::bad_request(format!(
                    "unknown parameter `{key}`; known here: file, set"
                )));
            }
        }
    }
    let bytes = whole_body(body, MANIFEST_BYTES_MAX).await?;
    let text = String::from_utf8(bytes.into())
        .map_err(|_| Problem::bad_request("the manifest is not UTF-8"))?;
    deployment.manifest = text;
    let put = blocking(move || host.put_app(&name, &deployment)).await??;
    let status = if put.new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(put.kept)).into_response())
}

pub(super) async fn get(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let app = api.apps.report(&name).ok_or_else(|| no_app(&name))?.app;
    let mut shown = serde_json::to_value(&app).expect("a struct with text keys is JSON");
    if let (Some(host), Some(name)) = (&api.host, AppName::parse(&name)) {
        let host = Arc::clone(host);
        let stored = blocking(move || host.stored_app(&name)).await??;
        shown["file"] = stored.file.into();
        shown["manifest"] = stored.manifest.into();
        shown["sets"] = stored.sets.into();
    }
    Ok(Json(shown).into_response())
}

pub(super) async fn status(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let report = api.apps.report(&name).ok_or_else(|| no_app(&name))?;
    Ok(Json(report).into_response())
}

pub(super) async fn delete(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let host = host(&api)?;
    let name = AppName::parse(&name).ok_or_else(|| no_app(&name))?;
    blocking(move || host.delete_app(&name)).await??;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn no_app(name: &str) -> Problem {
    Problem::not_found(format!("there is no app `{name}`"))
}

/// What takes uploads.
pub(super) fn host(api: &Api) -> Result<Arc<Host>, Problem> {
    let detail = "functions and apps are put to `tidemill serve`; this process runs the manifest it was started with";
    api.host.clone().ok_or_else(|| Problem::not_found(detail))
}

impl From<host::Error> for Problem {
    fn from(error: host::Error) -> Self {
        let detail = chain(&error);
        match error {
            host::Error::Manifest(error) => error.into(),
            host::Error::Guest(error) => error.into(),
            host::Error::Registry(error) => error.into(),
            host::Error::Start(error) => not_started(&error, detail),
            host::Error::OtherApp { .. } => {
                Problem::unprocessable("other-app", "the manifest of another app", detail)
            }
            host::Error::NoConnection { .. } => {
                Problem::unprocessable("connection", "no such connection", detail)
            }
            host::Error::InUse { .. } => Problem::conflict(detail),
            host::Error::Absent { .. } => Problem::not_found(detail),
        }
    }
}

fn not_started(error: &supervisor::Error, detail: String) -> Problem {
    match error {
        supervisor::Error::Topology(_) => Problem::unprocessable(
            "topology",
            "the manifest and the functions do not fit together",
            detail,
        ),
        supervisor::Error::Topic(_) => {
            Problem::unprocessable("topic", "a topic is not as it must be", detail)
        }
        supervisor::Error::Function { .. } => {
            Problem::unprocessable("function", "a function does not start", detail)
        }
        supervisor::Error::Aggregate(_) => {
            Problem::unprocessable("store", "a store holds something else", detail)
        }
        supervisor::Error::Broker(broker::Error::Refused(_)) => {
            Problem::unprocessable("broker", "the broker refuses", detail)
        }
        supervisor::Error::Broker(_) => Problem::unavailable(detail),
        supervisor::Error::Thread(_)
        | supervisor::Error::State(_)
        | supervisor::Error::OtherTopics => Problem::internal(detail),
    }
}
