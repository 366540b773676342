//! Many apps in one process: those that were put and not deleted, across restarts.
//!
//! An app that is put takes the place of the one before it only if it starts; else the one before goes on. What was
//! accepted once is started again with the host, and tried again until it runs: a broker that is away for a while
//! costs no app. One change at a time; reading never waits for a change.

mod life;
mod prepare;
mod state;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

pub use self::state::{AppReport, AppState, State};
use self::state::{Life, Slot};
use super::Error as AppError;
use crate::{
    broker::{self, Broker},
    clock::Clock,
    guest::{self, Engine},
    manifest::{self, AppName},
    metrics::Metrics,
    registry::{self, About, Function, FunctionVersion, Put, Registry, StoredApp},
    store::Database,
};

/// librdkafka properties.
pub type Properties = BTreeMap<String, String>;

/// Makes a broker of librdkafka properties.
pub type Connect = dyn Fn(&Properties) -> Result<Arc<dyn Broker>, broker::Error> + Send + Sync;

/// What a host is made with.
pub struct HostSettings {
    /// Where functions and apps are kept.
    pub registry: Box<dyn Registry>,
    /// What runs functions.
    pub engine: Engine,
    /// The log of apps that name no connection.
    pub embedded: Arc<dyn Broker>,
    /// The connections that manifests may name.
    pub connections: BTreeMap<String, Properties>,
    /// What makes a broker of a connection.
    pub connect: Box<Connect>,
    /// Where state is kept.
    pub database: Database,
    /// Worker threads of each app.
    pub workers: usize,
    /// Where all of it counts.
    pub metrics: Metrics,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Functions and apps of a process.
pub struct Host {
    settings: HostSettings,
    apps: Mutex<BTreeMap<String, Slot>>,
    /// Held during a change.
    change: Mutex<()>,
    /// Set when every app that was accepted before was tried.
    restored: AtomicBool,
}

/// A manifest that is put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The manifest's file name, for messages.
    pub file: String,
    /// The manifest as it was written.
    pub manifest: String,
    /// What overrides it: `key=value`.
    pub sets: Vec<String>,
}

/// Why something was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The manifest is not right.
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    /// The bytes are no function.
    #[error(transparent)]
    Guest(#[from] guest::Error),
    /// It is not kept here, or cannot be kept.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The app does not start.
    #[error(transparent)]
    Start(#[from] AppError),
    /// The manifest is for another app.
    #[error("the manifest says app = \"{found}\", not \"{expected}\": put it to its own name")]
    OtherApp {
        /// What it says.
        found: AppName,
        /// What it was put to.
        expected: AppName,
    },
    /// The host has no such connection.
    #[error("this host has no connection \"{name}\"; it has {known}")]
    NoConnection {
        /// What the manifest names.
        name: String,
        /// What there is.
        known: String,
    },
    /// The code of an app would be gone.
    #[error("the function `{function}` is in use by {}: delete or change the app first", apps.join(", "))]
    InUse {
        /// Which.
        function: String,
        /// By whom.
        apps: Vec<String>,
    },
    /// There is nothing of that name.
    #[error("there is no {what} `{name}`")]
    Absent {
        /// `app` or `function`.
        what: &'static str,
        /// Which.
        name: String,
    },
}

/// A panic left whole values behind: entries are replaced, never half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Host {
    /// A host with no app running: [`start_stored`](Self::start_stored) starts those that it has kept.
    pub fn new(settings: HostSettings) -> Self {
        Host {
            settings,
            apps: Mutex::default(),
            change: Mutex::default(),
            restored: AtomicBool::new(false),
        }
    }

    /// Where it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.settings.metrics
    }

    /// Checks a component and keeps it under a name.
    ///
    /// # Errors
    /// [`Error::Guest`] where it is none; nothing is kept then.
    pub fn put_function(&self, name: &str, bytes: &[u8]) -> Result<Put<FunctionVersion>, Error> {
        let component = self.settings.engine.load(bytes)?;
        let put = self.settings.registry.put_function(name, bytes, &About::of(&component))?;
        if put.new {
            let (version, digest) = (put.kept.version, put.kept.digest.to_string());
            tracing::info!(function = name, version, digest, "function uploaded");
        }
        Ok(put)
    }

    /// All functions.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn functions(&self) -> Result<Vec<Function>, Error> {
        Ok(self.settings.registry.functions()?)
    }

    /// One function.
    ///
    /// # Errors
    /// [`Error::Absent`].
    pub fn function(&self, name: &str) -> Result<Function, Error> {
        let function = self.settings.registry.function(name)?;
        function.ok_or_else(|| Error::Absent { what: "function", name: name.to_owned() })
    }

    /// Forgets a function.
    ///
    /// # Errors
    /// [`Error::InUse`] where an app runs one of its versions.
    pub fn delete_function(&self, name: &str) -> Result<(), Error> {
        let _one = lock(&self.change);
        let function = self.function(name)?;
        let uses = |stored: &StoredApp| {
            let mut modules = stored.modules.iter();
            modules.any(|module| {
                function.versions.iter().any(|version| version.digest == module.digest)
            })
        };
        let apps = self.settings.registry.apps()?;
        let apps: Vec<String> = apps.into_iter().filter(uses).map(|app| app.name).collect();
        if !apps.is_empty() {
            return Err(Error::InUse { function: name.to_owned(), apps });
        }
        self.settings.registry.delete_function(name)?;
        tracing::info!(function = name, "function deleted");
        Ok(())
    }

    /// Whether [`start_stored`](Self::start_stored) is done.
    pub fn is_ready(&self) -> bool {
        self.restored.load(Ordering::Acquire)
    }
}
