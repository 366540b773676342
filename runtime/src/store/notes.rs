//! Small things to remember beside the state: text by name. Kept through a crash.

use rocksdb::WriteBatch;

use super::{Database, Error, database::Family};

impl Database {
    /// What was noted under a name.
    ///
    /// # Errors
    /// What the disk says.
    pub fn note(&self, name: &str) -> Result<Option<String>, Error> {
        let bytes = self.inner.get(Family::Meta, &key(name))?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Notes something under a name, in place of what was there. It is on disk when this returns.
    ///
    /// # Errors
    /// What the disk says.
    pub fn set_note(&self, name: &str, note: &str) -> Result<(), Error> {
        if self.note(name)?.as_deref() == Some(note) {
            return Ok(());
        }
        let mut writes = WriteBatch::default();
        writes.put_cf(self.inner.family(Family::Meta), key(name), note);
        self.inner.write(writes)?;
        self.flush()
    }
}

fn key(name: &str) -> Vec<u8> {
    [b"w", name.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use crate::store::{Database, DatabaseSettings};

    #[test]
    fn a_note_is_there_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let settings = DatabaseSettings { memory_bytes: 8 << 20 };
        let database = Database::open(folder.path(), settings).unwrap();
        assert_eq!(database.note("a").unwrap(), None);
        database.set_note("a", "1").unwrap();
        database.set_note("a", "2").unwrap();
        drop(database);
        let database = Database::open(folder.path(), settings).unwrap();
        assert_eq!(database.note("a").unwrap().as_deref(), Some("2"));
    }
}
