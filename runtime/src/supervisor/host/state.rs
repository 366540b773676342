//! What an app is and does, as the host keeps and shows it.

use serde::{Deserialize, Serialize};

use super::super::{App, AppStatus};
use crate::registry::{StoredApp, StoredModule};

/// An app that was accepted.
pub(super) struct Slot {
    pub stored: StoredApp,
    pub life: Life,
}

/// ```text
///    +---------- cannot start ---------> Waiting
///    |                                      |
/// Starting <--------- tried again ----------+
///    |  ^
///    |  +---- stopped, for a change ----+
///    +----------- started ---------> Running
/// ```
/// A running app that fails stays so until it is put again.
pub(super) enum Life {
    Starting,
    Running(Box<App>),
    Waiting { reason: String },
}

/// An app as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppState {
    /// Its name.
    pub name: String,
    /// From 1, one more with each change.
    pub version: u32,
    /// What it does.
    pub state: State,
    /// Why it does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The code of its functions.
    pub functions: Vec<StoredModule>,
}

/// What an app does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is being started or stopped.
    Starting,
    /// It works.
    Running,
    /// It could not be started; it is tried again.
    Waiting,
    /// It cannot go on.
    Failed,
}

/// An app in full.
#[derive(Debug, Clone, Serialize)]
pub struct AppReport {
    /// As in lists.
    #[serde(flatten)]
    pub app: AppState,
    /// What it says of itself while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<AppStatus>,
}

impl Slot {
    pub fn state(&self) -> AppState {
        let (state, reason) = match &self.life {
            Life::Starting => (State::Starting, None),
            Life::Waiting { reason } => (State::Waiting, Some(reason.clone())),
            Life::Running(app) => match app.failure().borrow().clone() {
                Some(reason) => (State::Failed, Some(reason)),
                None => (State::Running, None),
            },
        };
        AppState {
            name: self.stored.name.clone(),
            version: self.stored.version,
            state,
            reason,
            functions: self.stored.modules.clone(),
        }
    }
}
