//! The registry of one host, in files.
//!
//! | file | holds |
//! |---|---|
//! | `components/<digest>.wasm` | the bytes of a component |
//! | `functions/<name>.json` | a name's versions, and the next number; stays after a deletion, so that no number is given twice |
//! | `apps/<name>.json` | an app's manifest, version and the digests of its functions |

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::{About, Error, Function, FunctionVersion, Put, Registry, StoredApp, store};
use crate::{
    clock::{Clock, SystemClock},
    guest::Digest,
    manifest::AppName,
};

/// The registry of one host. The folder must be this process' own: see [`DataDir`](super::DataDir).
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    /// One change at a time: a change reads, decides, and writes.
    change: Mutex<()>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Versions {
    /// The number of the next version, less one.
    given: u32,
    versions: Vec<FunctionVersion>,
}

impl Files {
    /// Opens the registry in a folder, or makes an empty one.
    ///
    /// # Errors
    /// Where the folders cannot be made.
    pub fn open(folder: &Path) -> Result<Files, Error> {
        for part in ["components", "functions", "apps"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).map_err(|source| Error::Io { step: "make", path, source })?;
        }
        Ok(Files { folder: folder.to_owned(), change: Mutex::new(()) })
    }

    fn component_path(&self, digest: &Digest) -> PathBuf {
        self.folder.join("components").join(format!("{}.wasm", digest.hex()))
    }

    fn function_path(&self, name: &str) -> PathBuf {
        self.folder.join("functions").join(format!("{name}.json"))
    }

    fn app_path(&self, name: &str) -> PathBuf {
        self.folder.join("apps").join(format!("{name}.json"))
    }

    /// A panic in between left whole files behind, so the next one may go on.
    fn change(&self) -> MutexGuard<'_, ()> {
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn versions(&self, name: &str) -> Result<Versions, Error> {
        Ok(store::read_json(&self.function_path(name))?.unwrap_or_default())
    }

    fn is_used(&self, digest: &Digest) -> Result<bool, Error> {
        let functions = self.functions()?;
        let named = functions
            .iter()
            .flat_map(|function| &function.versions)
            .any(|version| version.digest == *digest);
        let apps = self.apps()?;
        Ok(named || apps.iter().flat_map(|app| &app.modules).any(|module| module.digest == *digest))
    }
}

impl Registry for Files {
    fn put_function(
        &self,
        name: &str,
        bytes: &[u8],
        about: &About,
    ) -> Result<Put<FunctionVersion>, Error> {
        let _one = self.change();
        let digest = Digest::of(bytes);
        // First the bytes, then what names them. Damaged bytes of the same digest are healed on the way.
        if !matches!(self.component(&digest), Ok(kept) if kept == bytes) {
            store::write(&self.component_path(&digest), bytes)?;
        }
        let mut versions = self.versions(name)?;
        if let Some(newest) = versions.versions.last().filter(|newest| newest.digest == digest) {
            return Ok(Put { kept: newest.clone(), new: false });
        }
        versions.given += 1;
        let kept = FunctionVersion {
            version: versions.given,
            digest,
            size: bytes.len(),
            uploaded_ms: SystemClock.now().millis(),
            about: about.clone(),
        };
        versions.versions.push(kept.clone());
        store::write_json(&self.function_path(name), &versions)?;
        Ok(Put { kept, new: true })
    }

    fn functions(&self) -> Result<Vec<Function>, Error> {
        let names = store::names(&self.folder.join("functions"))?;
        let functions = names.into_iter().map(|name| self.function(&name));
        Ok(functions.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    fn function(&self, name: &str) -> Result<Option<Function>, Error> {
        let versions = self.versions(name)?.versions;
        Ok((!versions.is_empty()).then(|| Function { name: name.to_owned(), versions }))
    }

    fn delete_function(&self, name: &str) -> Result<(), Error> {
        let _one = self.change();
        let mut versions = self.versions(name)?;
        let deleted = std::mem::take(&mut versions.versions);
        store::write_json(&self.function_path(name), &versions)?;
        for version in deleted {
            if !self.is_used(&version.digest)? {
                store::delete(&self.component_path(&version.digest))?;
            }
        }
        Ok(())
    }

    fn component(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let path = self.component_path(digest);
        let Some(bytes) = store::read(&path)? else {
            let known = "its file is gone: upload it again".to_owned();
            return Err(Error::Unknown { module: digest.to_string(), known });
        };
        let found = Digest::of(&bytes);
        if found == *digest { Ok(bytes) } else { Err(Error::Damaged { path, found }) }
    }

    fn put_app(&self, app: &StoredApp) -> Result<(), Error> {
        let _one = self.change();
        store::write_json(&self.app_path(&app.name), app)
    }

    fn apps(&self) -> Result<Vec<StoredApp>, Error> {
        let names = store::names(&self.folder.join("apps"))?;
        let apps = names.iter().map(|name| store::read_json(&self.app_path(name)));
        Ok(apps.collect::<Result<Vec<Option<StoredApp>>, _>>()?.into_iter().flatten().collect())
    }

    fn app(&self, name: &AppName) -> Result<Option<StoredApp>, Error> {
        store::read_json(&self.app_path(name.as_str()))
    }

    fn delete_app(&self, name: &AppName) -> Result<(), Error> {
        let _one = self.change();
        store::delete(&self.app_path(name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{manifest::Module, registry::resolve};

    fn about() -> About {
        About {
            world: "packed".into(),
            imports: vec![],
            functions: serde_json::json!([{ "name": "settle" }]),
        }
    }

    fn app(modules: &[(&str, Digest)]) -> StoredApp {
        let module = |(name, digest): &(&str, Digest)| super::super::StoredModule {
            function: (*name).to_owned(),
            module: (*name).to_owned(),
            digest: *digest,
        };
        StoredApp {
            name: "trades".to_owned(),
            version: 1,
            file: "tidemill.toml".to_owned(),
            manifest: "app = \"trades\"".to_owned(),
            sets: vec![],
            modules: modules.iter().map(module).collect(),
        }
    }

    fn named(name: &str, version: Option<u32>) -> Module {
        Module::Registry { name: name.to_owned(), version }
    }

    #[test]
    fn versions_count_up_and_survive() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        let one = files.put_function("settle", b"one", &about()).unwrap();
        assert!(one.new && one.kept.version == 1);
        assert_eq!(
            files.put_function("settle", b"one", &about()).unwrap(),
            Put { new: false, ..one.clone() }
        );
        assert_eq!(files.put_function("settle", b"two", &about()).unwrap().kept.version, 2);
        // Going back to old code is a step forward.
        assert_eq!(files.put_function("settle", b"one", &about()).unwrap().kept.version, 3);

        let again = Files::open(folder.path()).unwrap();
        assert_eq!(again.functions().unwrap(), files.functions().unwrap());
        assert_eq!(resolve(&again, &named("settle", None)).unwrap(), Digest::of(b"one"));
        assert_eq!(resolve(&again, &named("settle", Some(2))).unwrap(), Digest::of(b"two"));
        assert_eq!(
            resolve(&again, &Module::Digest(one.kept.digest.to_string())).unwrap(),
            one.kept.digest
        );
        assert_eq!(again.component(&one.kept.digest).unwrap(), b"one");
    }

    #[test]
    fn says_what_there_is_instead() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        let error = |module| resolve(&files, &module).unwrap_err().to_string();
        assert_eq!(
            error(named("a", None)),
            "a is no uploaded function; functions here: none is uploaded yet"
        );
        files.put_function("settle", b"one", &about()).unwrap();
        assert_eq!(
            error(named("a", Some(1))),
            "a@1 is no uploaded function; functions here: settle"
        );
        assert_eq!(
            error(named("settle", Some(2))),
            "settle@2 is no uploaded function; versions of settle here: 1"
        );
        let other = Digest::of(b"other").to_string();
        assert_eq!(
            error(Module::Digest(other.clone())),
            format!("{other} is no uploaded function; upload it first")
        );
    }

    #[test]
    fn a_deleted_name_gives_no_number_twice_and_apps_keep_their_code() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        let used = files.put_function("settle", b"used", &about()).unwrap().kept.digest;
        let unused = files.put_function("settle", b"unused", &about()).unwrap().kept.digest;
        let shared = files.put_function("settle", b"shared", &about()).unwrap().kept.digest;
        files.put_function("other", b"shared", &about()).unwrap();
        files.put_app(&app(&[("settle", used)])).unwrap();
        files.delete_function("settle").unwrap();
        assert_eq!(files.function("settle").unwrap(), None);
        assert_eq!(files.functions().unwrap().len(), 1);
        assert!(files.component(&used).is_ok() && files.component(&shared).is_ok());
        assert!(matches!(files.component(&unused), Err(Error::Unknown { .. })));
        assert_eq!(files.put_function("settle", b"new", &about()).unwrap().kept.version, 4);
    }

    #[test]
    fn apps_are_kept_until_they_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        let trades = app(&[("settle", Digest::of(b"a"))]);
        files.put_app(&trades).unwrap();
        let again = Files::open(folder.path()).unwrap();
        let name = AppName::parse("trades").unwrap();
        assert_eq!(again.app(&name).unwrap(), Some(trades.clone()));
        assert_eq!(again.apps().unwrap(), [trades]);
        again.delete_app(&name).unwrap();
        assert_eq!((again.app(&name).unwrap(), again.apps().unwrap()), (None, vec![]));
    }

    #[test]
    fn damage_is_told_and_healed_by_another_upload() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        let digest = files.put_function("settle", b"one", &about()).unwrap().kept.digest;
        fs::write(files.component_path(&digest), b"evil").unwrap();
        let error = files.component(&digest).unwrap_err().to_string();
        let evil = Digest::of(b"evil");
        assert!(
            error.ends_with(&format!(
                "is damaged: its content has the digest {evil}; upload the function again"
            )),
            "{error}"
        );
        assert!(!files.put_function("settle", b"one", &about()).unwrap().new);
        assert_eq!(files.component(&digest).unwrap(), b"one");

        fs::write(files.function_path("settle"), b"{").unwrap();
        let error = files.functions().unwrap_err().to_string();
        assert!(error.contains("settle.json is damaged (EOF"), "{error}");
    }

    #[test]
    fn what_a_crash_left_unfinished_is_no_entry() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        fs::write(folder.path().join("functions/.tmpX1"), b"{").unwrap();
        fs::write(folder.path().join("apps/.tmpX2"), b"{").unwrap();
        assert!(files.functions().unwrap().is_empty() && files.apps().unwrap().is_empty());
    }
}
