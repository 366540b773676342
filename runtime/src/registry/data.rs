//! The data directory: one process at a time.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// A folder that no other process uses while this lives. The lock ends with the process, however that ends.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody has it.
    #[error(
        "the data directory {path} is locked by another tidemill (pid {pid}): stop it, or use another directory"
    )]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Who, as far as it is known.
        pid: String,
    },
    /// It cannot be made or written.
    #[error("cannot use the data directory {path}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl DataDir {
    /// Makes the folder where it is missing, and locks it.
    ///
    /// # Errors
    /// Where another process has it, or it cannot be written.
    pub fn open(path: &Path) -> Result<DataDir, LockError> {
        let io = |source| LockError::Io { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(io)?;
        // Neither truncated nor written before it is locked: until then it says who has it.
        let file = path.join("lock");
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(file)
            .map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                lock.read_to_string(&mut pid).map_err(io)?;
                let pid = if pid.trim().is_empty() { "unknown" } else { pid.trim() }.to_owned();
                return Err(LockError::Locked { path: path.to_owned(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        lock.set_len(0).map_err(io)?;
        writeln!(lock, "{}", std::process::id()).map_err(io)?;
        Ok(DataDir { path: path.to_owned(), _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/data");
        let first = DataDir::open(&path).unwrap();
        let error = DataDir::open(&path).unwrap_err().to_string();
        let pid = std::process::id();
        assert!(
            error.ends_with(&format!(
                "is locked by another tidemill (pid {pid}): stop it, or use another directory"
            )),
            "{error}"
        );
        drop(first);
        assert_eq!(DataDir::open(&path).unwrap().path(), path);
    }

    #[test]
    fn says_why_a_folder_cannot_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        let error = DataDir::open(&path).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot use the data directory {}", path.display()));
    }
}
