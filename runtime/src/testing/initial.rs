//! What an app under test has from the begin: written to changelogs and tables' topics, from which it then restores as
//! after a move to another host.

use super::{DriveError, TaskDriver};
use crate::{
    broker::memory::Append,
    partitioner::partition_of,
    record::Headers,
    store::{Kind, changelog_record},
    topology::StoreAt,
};

/// See the module's page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Initial {
    /// What stores hold.
    pub values: Vec<InitialValue>,
    /// What tables hold.
    pub rows: Vec<InitialRow>,
}

/// A value of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialValue {
    /// Which store; `-` and `_` are the same letter.
    pub store: String,
    /// Under which key.
    pub key: Vec<u8>,
    /// Of a map: which entry, as text.
    pub entry: Option<Vec<u8>>,
    /// The value as text: a counter in decimal.
    pub value: Vec<u8>,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialRow {
    /// Which table; `-` and `_` are the same letter.
    pub table: String,
    /// Under which key.
    pub key: Vec<u8>,
    /// The row; `None` is none.
    pub value: Option<Vec<u8>>,
}

impl Initial {
    /// Puts it where the app will look. The wall clock is its event time.
    pub(super) fn write(&self, driver: &TaskDriver) -> Result<(), DriveError> {
        self.values.iter().try_for_each(|value| value.write(driver))?;
        self.rows.iter().try_for_each(|row| row.write(driver))
    }
}

impl InitialValue {
    fn write(&self, driver: &TaskDriver) -> Result<(), DriveError> {
        let InitialValue { store, key, entry, value } = self;
        let wrong = |what: String| DriveError::Initial(format!("given state {store}: {what}"));
        let stores = driver.stores();
        let at = stores.find(store)?;
        match (at.spec.kind, entry) {
            (Kind::Map, None) => {
                return Err(wrong("it is a map: say which entry in brackets, as [tea]".to_owned()));
            }
            (Kind::Value | Kind::Counter, Some(_)) => {
                return Err(wrong("it is no map and has no entries".to_owned()));
            }
            (Kind::Table | Kind::Meta, _) => {
                return Err(wrong("it is a table: write given table".to_owned()));
            }
            (Kind::Window | Kind::Session | Kind::Join, _) => {
                return Err(wrong("what the host computes cannot be given".to_owned()));
            }
            _ => {}
        }
        let codecs = stores.codecs(store);
        let value = codecs.value_of(value).map_err(wrong)?;
        let entry =
            entry.as_ref().map(|entry| codecs.entry_of(entry)).transpose().map_err(wrong)?;
        let (record_key, record) = changelog_record(key, entry.as_deref(), &value, driver.now());
        append(driver, &at, key, &record_key, Some(&record))
    }
}

impl InitialRow {
    fn write(&self, driver: &TaskDriver) -> Result<(), DriveError> {
        let InitialRow { table, key, value } = self;
        let stores = driver.stores();
        let at = stores.find(table)?;
        if at.spec.kind != Kind::Table {
            let what = format!("given table {table}: it is a store: write given state");
            return Err(DriveError::Initial(what));
        }
        append(driver, &at, key, key, value.as_deref())
    }
}

/// Into the partition of the key it belongs to.
fn append(
    driver: &TaskDriver,
    at: &StoreAt<'_>,
    of: &[u8],
    key: &[u8],
    value: Option<&[u8]>,
) -> Result<(), DriveError> {
    let count = driver.topics.stores[at.part][at.store].partitions;
    let record = Append {
        partition: Some(partition_of(of, count)),
        key: Some(key),
        value,
        headers: Headers::EMPTY,
        timestamp: Some(driver.now()),
    };
    driver.log().append(&at.spec.topic, &record)?;
    Ok(())
}
