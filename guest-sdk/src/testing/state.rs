//! What the driver keeps for its function: put there before, looked at afterwards.

use super::Driver;
use crate::{
    Function, MapKey, Timestamp,
    bindings::types::Role,
    host::{
        Window,
        keeper::{integer, timer},
    },
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

impl<F: Function> Driver<F> {
    /// Gives a [`State`](crate::State) its value for a key, in bytes as it is kept: JSON as text, an `i64` as
    /// `5_i64.to_be_bytes()`.
    ///
    /// # Panics
    /// Where the function has no such store.
    #[must_use]
    #[track_caller]
    pub fn with_value(
        mut self,
        store: &str,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Self {
        self.place(Role::Value, store, key.as_ref(), &[], Some(value.as_ref()));
        self
    }

    /// Gives a [`Counter`](crate::Counter) its value for a key.
    ///
    /// # Panics
    /// Where the function has no such store.
    #[must_use]
    #[track_caller]
    pub fn with_count(mut self, store: &str, key: impl AsRef<[u8]>, count: i64) -> Self {
        self.place(Role::Counter, store, key.as_ref(), &[], Some(&count.to_be_bytes()));
        self
    }

    /// Gives a [`StateMap`](crate::StateMap) a value under one of its keys: `with_entry("recent", "ann", &7_i64, "…")`.
    ///
    /// # Panics
    /// Where the function has no such store.
    #[must_use]
    #[track_caller]
    pub fn with_entry<K: MapKey>(
        mut self,
        store: &str,
        key: impl AsRef<[u8]>,
        entry: &K,
        value: impl AsRef<[u8]>,
    ) -> Self {
        let mut further = Vec::new();
        K::write_all(entry.view(), &mut further);
        self.place(Role::Map, store, key.as_ref(), &further, Some(value.as_ref()));
        self
    }

    /// Says what an [`Aggregate`](crate::Aggregate) has come to for a key in a window from `start` to `end`, in milliseconds:
    /// `with_window("failures", "ann", 0, 300_000, r#"{"count":5}"#)`. From then on every row of the key falls in the windows
    /// given; where none is, it is late.
    ///
    /// # Panics
    /// Where the function has no such store, or a column is missing that it reads.
    #[must_use]
    #[track_caller]
    pub fn with_window(
        mut self,
        store: &str,
        key: impl AsRef<[u8]>,
        start: i64,
        end: i64,
        columns: impl AsRef<[u8]>,
    ) -> Self {
        self.set_window(store, key, start, end, columns);
        self
    }

    /// As [`with_window`](Self::with_window), between records.
    ///
    /// # Panics
    /// As [`with_window`](Self::with_window).
    #[track_caller]
    pub fn set_window(
        &mut self,
        store: &str,
        key: impl AsRef<[u8]>,
        start: i64,
        end: i64,
        columns: impl AsRef<[u8]>,
    ) {
        let slot = self.slot(Role::Aggregate, store);
        let all: Map<String, Value> = match serde_json::from_slice(columns.as_ref()) {
            Ok(all) => all,
            Err(error) => panic!("the columns of a window are a JSON object: {error}"),
        };
        let read = self.description.slots[slot as usize].columns.iter();
        let read = read.map(|column| match all.get(&column.name) {
            Some(value) => value,
            None => panic!("`{}` reads the column `{}`, which is not given", F::NAME, column.name),
        });
        let columns = serde_json::to_vec(&read.collect::<Vec<_>>()).expect("JSON has a JSON form");
        self.keeper.set_window(slot, key.as_ref(), Window { start, end, columns });
    }

    /// Takes the windows of a key away: its next rows are late.
    ///
    /// # Panics
    /// Where the function has no such store.
    #[track_caller]
    pub fn clear_windows(&mut self, store: &str, key: impl AsRef<[u8]>) {
        let slot = self.slot(Role::Aggregate, store);
        self.keeper.clear_windows(slot, key.as_ref());
    }

    /// Gives a [`Table`](crate::Table) a row.
    ///
    /// # Panics
    /// Where the function has no such table.
    #[must_use]
    #[track_caller]
    pub fn with_row(mut self, table: &str, key: impl AsRef<[u8]>, row: impl AsRef<[u8]>) -> Self {
        self.set_row(table, key, row);
        self
    }

    /// Says that the partition of a row is not here, so that [`Table::lookup`](crate::Table::lookup) fails.
    ///
    /// # Panics
    /// Where the function has no such table.
    #[must_use]
    #[track_caller]
    pub fn with_row_elsewhere(mut self, table: &str, key: impl AsRef<[u8]>) -> Self {
        let slot = self.slot(Role::Table, table);
        self.keeper.move_away(slot, key.as_ref().to_vec());
        self
    }

    /// Sets a row of a table.
    ///
    /// # Panics
    /// Where the function has no such table.
    #[track_caller]
    pub fn set_row(&mut self, table: &str, key: impl AsRef<[u8]>, row: impl AsRef<[u8]>) {
        self.place(Role::Table, table, key.as_ref(), &[], Some(row.as_ref()));
    }

    /// Deletes a row of a table.
    ///
    /// # Panics
    /// Where the function has no such table.
    #[track_caller]
    pub fn delete_row(&mut self, table: &str, key: impl AsRef<[u8]>) {
        self.place(Role::Table, table, key.as_ref(), &[], None);
    }

    /// What a [`State`](crate::State) holds for a key, in bytes.
    ///
    /// # Panics
    /// Where the function has no such store.
    #[track_caller]
    pub fn value(&self, store: &str, key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        self.look(Role::Value, store, key.as_ref()).map(<[u8]>::to_vec)
    }

    /// What a [`State`](crate::State) holds for a key, as text.
    ///
    /// # Panics
    /// Where the function has no such store, or it holds no UTF-8.
    #[track_caller]
    pub fn text(&self, store: &str, key: impl AsRef<[u8]>) -> Option<String> {
        let text = self.value(store, key).map(String::from_utf8);
        text.transpose().expect("the value is UTF-8")
    }

    /// What a [`State`](crate::State) holds for a key, decoded from JSON.
    ///
    /// # Panics
    /// Where the function has no such store, or it holds something else.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self, store: &str, key: impl AsRef<[u8]>) -> Option<T> {
        let value = self.value(store, key).map(|value| serde_json::from_slice(&value));
        match value.transpose() {
            Ok(value) => value,
            Err(error) => panic!("the value is something else: {error}"),
        }
    }

    /// What a [`Counter`](crate::Counter) has come to for a key.
    ///
    /// # Panics
    /// Where the function has no such store.
    #[track_caller]
    pub fn count(&self, store: &str, key: impl AsRef<[u8]>) -> i64 {
        self.look(Role::Counter, store, key.as_ref()).map_or(0, integer)
    }

    /// Keys and values that a [`StateMap`](crate::StateMap) holds for a key, in order, the values in bytes.
    ///
    /// # Panics
    /// Where the function has no such store, or its keys are no `K`.
    #[track_caller]
    pub fn entries<K: MapKey>(&self, store: &str, key: impl AsRef<[u8]>) -> Vec<(K, Vec<u8>)> {
        let entries = self.keeper.entries(self.slot(Role::Map, store), key.as_ref());
        let decode = |key: &[u8]| match K::read_all(key) {
            Some(key) => key,
            None => panic!("the key {} is not of {}", key.escape_ascii(), K::CODEC),
        };
        entries.into_iter().map(|(key, value)| (decode(&key), value)).collect()
    }

    /// The rows that were added to an [`Aggregate`](crate::Aggregate) of a key, in order, as JSON.
    ///
    /// # Panics
    /// Where the function has no such store.
    #[track_caller]
    pub fn rows(&self, store: &str, key: impl AsRef<[u8]>) -> Vec<String> {
        let rows = self.keeper.entries(self.slot(Role::Aggregate, store), key.as_ref());
        rows.into_iter().map(|(_, row)| String::from_utf8_lossy(&row).into_owned()).collect()
    }

    /// When a [`Timer`](crate::Timer) of a key is due, where it is set.
    ///
    /// # Panics
    /// Where the function has no such timer.
    #[track_caller]
    pub fn timer(&self, name: &str, key: impl AsRef<[u8]>) -> Option<Timestamp> {
        let set = self.look(Role::Timer, name, key.as_ref())?;
        Some(Timestamp::from_millis(timer(set).0))
    }

    #[track_caller]
    fn place(&mut self, role: Role, name: &str, key: &[u8], further: &[u8], value: Option<&[u8]>) {
        let cell = (self.slot(role, name), key.to_vec(), further.to_vec());
        self.keeper.place(cell, value.map(<[u8]>::to_vec));
    }

    #[track_caller]
    fn look(&self, role: Role, name: &str, key: &[u8]) -> Option<&[u8]> {
        self.keeper.look(self.slot(role, name), key)
    }

    #[track_caller]
    fn slot(&self, role: Role, name: &str) -> u32 {
        let slots = &self.description.slots;
        match slots.iter().position(|slot| slot.role == role && slot.name == name) {
            Some(index) => u32::try_from(index).expect("a function has few slots"),
            None => panic!("`{}` has no {role:?} `{name}`", F::NAME),
        }
    }
}
