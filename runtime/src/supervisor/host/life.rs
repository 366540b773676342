//! Putting, starting, stopping, deleting apps; one change at a time.

use super::{
    super::App,
    AppReport, AppState, Deployment, Error, Host, Life, Slot, State, lock,
    prepare::{is_same, read},
};
use crate::{
    manifest::{AppName, Manifest},
    registry::{Put, StoredApp},
    supervisor::AppSettings,
};
use std::sync::atomic::Ordering;

impl Host {
    /// Checks an app, starts it in place of the one of the same name, and keeps it. The same again changes nothing
    /// where it runs.
    ///
    /// # Errors
    /// Where it is not right or does not start; the one before runs on then.
    pub fn put_app(&self, name: &AppName, deployment: &Deployment) -> Result<Put<AppState>, Error> {
        let _one = lock(&self.change);
        let manifest = read(deployment)?;
        if manifest.app != *name {
            return Err(Error::OtherApp { found: manifest.app, expected: name.clone() });
        }
        let modules = self.modules(&manifest)?;
        let before = self.settings.registry.app(name)?;
        let stored = StoredApp {
            name: name.as_str().to_owned(),
            version: before.as_ref().map_or(1, |before| before.version + 1),
            file: deployment.file.clone(),
            manifest: deployment.manifest.clone(),
            sets: deployment.sets.clone(),
            modules,
        };
        if let Some(before) = before.filter(|before| is_same(before, &stored)) {
            return self.put_same(before, manifest);
        }
        let settings = self.app_settings(manifest, &stored.modules)?;
        self.replace(stored.clone(), settings)?;
        tracing::info!(app = stored.name, version = stored.version, "app put");
        Ok(Put { kept: self.app(name)?.app, new: true })
    }

    /// What was put already runs, or is started.
    fn put_same(&self, stored: StoredApp, manifest: Manifest) -> Result<Put<AppState>, Error> {
        let name = manifest.app.clone();
        let state = self.app(&name)?.app;
        if state.state == State::Running {
            return Ok(Put { kept: state, new: false });
        }
        let settings = self.app_settings(manifest, &stored.modules)?;
        self.replace(stored, settings)?;
        Ok(Put { kept: self.app(&name)?.app, new: false })
    }

    /// Stops what runs under the name and starts this; where that fails, starts again what ran.
    fn replace(&self, stored: StoredApp, settings: AppSettings) -> Result<(), Error> {
        let name = stored.name.clone();
        let before = self.stop(&name);
        let started = App::start(settings).map_err(Error::from).and_then(|app| {
            match self.settings.registry.put_app(&stored) {
                Ok(()) => Ok(app),
                Err(error) => {
                    app.stop();
                    Err(error.into())
                }
            }
        });
        match started {
            Ok(app) => {
                lock(&self.apps).insert(name, Slot { stored, life: Life::Running(Box::new(app)) });
                Ok(())
            }
            Err(error) => {
                match before {
                    Some(before) => self.start(before),
                    None => drop(lock(&self.apps).remove(&name)),
                }
                Err(error)
            }
        }
    }

    /// Stops what runs under a name; it stays listed, as starting.
    fn stop(&self, name: &str) -> Option<StoredApp> {
        let (stored, life) = {
            let mut apps = lock(&self.apps);
            let slot = apps.get_mut(name)?;
            (slot.stored.clone(), std::mem::replace(&mut slot.life, Life::Starting))
        };
        // Outside the lock: it may take as long as the outputs under way.
        if let Life::Running(app) = life {
            app.stop();
        }
        Some(stored)
    }

    /// Starts what was accepted before; where that fails it waits to be tried again.
    fn start(&self, stored: StoredApp) {
        let name = stored.name.clone();
        let deployment = Deployment {
            file: stored.file.clone(),
            manifest: stored.manifest.clone(),
            sets: stored.sets.clone(),
        };
        let start = || -> Result<App, Error> {
            let settings = self.app_settings(read(&deployment)?, &stored.modules)?;
            Ok(App::start(settings)?)
        };
        // What an app waits for stays to be seen while it is tried again.
        let waits_for = match lock(&self.apps).get(&name).map(|slot| &slot.life) {
            Some(Life::Waiting { reason }) => Some(reason.clone()),
            _ => None,
        };
        if waits_for.is_none() {
            let slot = Slot { stored: stored.clone(), life: Life::Starting };
            lock(&self.apps).insert(name.clone(), slot);
        }
        let life = match start() {
            Ok(app) => {
                tracing::info!(app = name, version = stored.version, "app started");
                Life::Running(Box::new(app))
            }
            Err(error) => {
                let reason = error.to_string();
                if waits_for.as_ref() != Some(&reason) {
                    tracing::warn!(app = name, "the app waits to be started again: {reason}");
                }
                Life::Waiting { reason }
            }
        };
        lock(&self.apps).insert(name, Slot { stored, life });
    }

    /// Starts every app that was accepted before.
    ///
    /// # Errors
    /// Where they cannot be read. An app that does not start is no error of the host: it waits.
    pub fn start_stored(&self) -> Result<(), Error> {
        let _one = lock(&self.change);
        for stored in self.settings.registry.apps()? {
            self.start(stored);
        }
        self.restored.store(true, Ordering::Release);
        Ok(())
    }
    /// Tries once more to start the apps that wait.
    pub fn retry(&self) {
        let _one = lock(&self.change);
        let waiting: Vec<StoredApp> = {
            let apps = lock(&self.apps);
            let waiting = apps.values().filter(|slot| matches!(slot.life, Life::Waiting { .. }));
            waiting.map(|slot| slot.stored.clone()).collect()
        };
        for stored in waiting {
            self.start(stored);
        }
    }

    /// Stops an app and forgets it.
    ///
    /// # Errors
    /// [`Error::Absent`].
    pub fn delete_app(&self, name: &AppName) -> Result<(), Error> {
        let _one = lock(&self.change);
        if self.settings.registry.app(name)?.is_none() {
            return Err(Error::Absent { what: "app", name: name.to_string() });
        }
        self.stop(name.as_str());
        // Stopped first: what is forgotten must not go on after a restart, nor before one.
        self.settings.registry.delete_app(name)?;
        lock(&self.apps).remove(name.as_str());
        tracing::info!(app = name.as_str(), "app deleted");
        Ok(())
    }

    /// Stops all apps; they start again with the host.
    pub fn stop_all(&self) {
        let _one = lock(&self.change);
        let names: Vec<String> = lock(&self.apps).keys().cloned().collect();
        // Together: each waits for its own outputs.
        std::thread::scope(|scope| {
            for name in &names {
                scope.spawn(|| self.stop(name));
            }
        });
    }

    /// All apps.
    pub fn apps(&self) -> Vec<AppState> {
        lock(&self.apps).values().map(Slot::state).collect()
    }

    /// One app.
    ///
    /// # Errors
    /// [`Error::Absent`].
    pub fn app(&self, name: &AppName) -> Result<AppReport, Error> {
        let apps = lock(&self.apps);
        let slot = apps
            .get(name.as_str())
            .ok_or_else(|| Error::Absent { what: "app", name: name.to_string() })?;
        let report = match &slot.life {
            Life::Running(app) => Some(app.status()),
            Life::Starting | Life::Waiting { .. } => None,
        };
        Ok(AppReport { app: slot.state(), report })
    }

    /// Does something with an app, while it is at work.
    pub fn with_app<T>(&self, name: &str, use_app: impl FnOnce(&App) -> T) -> Option<T> {
        match &lock(&self.apps).get(name)?.life {
            Life::Running(app) => Some(use_app(app)),
            Life::Starting | Life::Waiting { .. } => None,
        }
    }

    /// What was put as the app.
    ///
    /// # Errors
    /// [`Error::Absent`].
    pub fn stored_app(&self, name: &AppName) -> Result<StoredApp, Error> {
        let stored = self.settings.registry.app(name)?;
        stored.ok_or_else(|| Error::Absent { what: "app", name: name.to_string() })
    }
}
