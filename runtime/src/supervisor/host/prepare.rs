//! From a manifest that was put to what an app is started with.

use std::{collections::BTreeMap, sync::Arc};

use super::{AppError, Deployment, Error, Host};
use crate::{
    broker::Broker,
    guest::Component,
    manifest::{self, Manifest},
    registry::{StoredApp, StoredModule, resolve},
    supervisor::AppSettings,
};

impl Host {
    /// What the manifest's modules mean now.
    pub(super) fn modules(&self, manifest: &Manifest) -> Result<Vec<StoredModule>, Error> {
        let module = |settings: &manifest::FunctionSettings| {
            let digest = resolve(self.settings.registry.as_ref(), &settings.module)?;
            Ok(StoredModule {
                function: settings.name.clone(),
                module: settings.module.to_string(),
                digest,
            })
        };
        manifest.functions.values().map(module).collect()
    }

    pub(super) fn app_settings(
        &self,
        manifest: Manifest,
        modules: &[StoredModule],
    ) -> Result<AppSettings, Error> {
        let mut components: BTreeMap<String, Component> = BTreeMap::new();
        for module in modules {
            let loaded =
                components.values().find(|component| *component.digest() == module.digest).cloned();
            let component = match loaded {
                Some(component) => component,
                None => {
                    self.settings.engine.load(&self.settings.registry.component(&module.digest)?)?
                }
            };
            components.insert(module.function.clone(), component);
        }
        let (broker, create_topics) = self.broker(&manifest)?;
        Ok(AppSettings {
            manifest,
            components,
            broker,
            create_topics,
            database: self.settings.database.clone(),
            workers: self.settings.workers,
            metrics: self.settings.metrics.clone(),
            clock: Arc::clone(&self.settings.clock),
            observer: None,
        })
    }

    /// The broker of an app, and whether its topics are created without being declared.
    fn broker(&self, manifest: &Manifest) -> Result<(Arc<dyn Broker>, bool), Error> {
        let Some(kafka) = &manifest.kafka else {
            return Ok((Arc::clone(&self.settings.embedded), true));
        };
        let name = kafka.connection.clone().unwrap_or_default();
        let Some(connection) = self.settings.connections.get(&name) else {
            let mut known: Vec<&str> = vec![manifest::EMBEDDED];
            known.extend(self.settings.connections.keys().map(String::as_str));
            return Err(Error::NoConnection { name, known: known.join(", ") });
        };
        let mut properties = connection.clone();
        properties.extend(kafka.properties.clone());
        Ok(((self.settings.connect)(&properties).map_err(AppError::from)?, false))
    }
}

pub(super) fn read(deployment: &Deployment) -> Result<Manifest, Error> {
    Ok(Manifest::uploaded(&deployment.manifest, &deployment.file, &deployment.sets)?)
}

pub(super) fn is_same(before: &StoredApp, now: &StoredApp) -> bool {
    before.manifest == now.manifest && before.sets == now.sets && before.modules == now.modules
}
