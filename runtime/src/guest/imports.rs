//! The imports `state`, `tables`, `aggregates` and `timers`, linked by hand rather than as generated: a value that a guest passes is
//! read where it lies in its memory, without a copy.

use wasmtime::{
    AsContext as _, StoreContextMut,
    component::{Linker, WasmList},
};

use super::{
    Fault, MapPage, MapRange, Window,
    bindings::{aggregates, state},
    context::Context,
    scope::{Inner, no_state},
};

type Bytes = WasmList<u8>;
type Caller<'a> = StoreContextMut<'a, Context>;

/// Offers all of them.
pub(super) fn add_to_linker(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    values(linker)?;
    maps(linker)?;
    tables(linker)?;
    aggregates(linker)?;
    timers(linker)
}

fn values(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    let mut it = linker.instance("tidemill:function/state@1.0.0")?;
    it.func_wrap("get", |caller: Caller<'_>, (slot, entry): (u32, u32)| {
        call(caller, |scope| scope.get(slot, entry))
    })?;
    it.func_wrap("set", |caller: Caller<'_>, (slot, entry, value): (u32, u32, Bytes)| {
        let result = with(caller, &value, |scope, value| scope.put(slot, entry, Some(value)));
        result.map(|((),)| ())
    })?;
    it.func_wrap("delete", |caller: Caller<'_>, (slot, entry): (u32, u32)| {
        call(caller, |scope| scope.put(slot, entry, None)).map(|((),)| ())
    })?;
    it.func_wrap("count", |caller: Caller<'_>, (slot, entry): (u32, u32)| {
        call(caller, |scope| scope.count(slot, entry))
    })?;
    it.func_wrap("add", |caller: Caller<'_>, (slot, entry, delta): (u32, u32, i64)| {
        call(caller, |scope| scope.add(slot, entry, delta))
    })
}

fn maps(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    let mut it = linker.instance("tidemill:function/state@1.0.0")?;
    it.func_wrap("map-get", |caller: Caller<'_>, (slot, entry, key): (u32, u32, Bytes)| {
        with(caller, &key, |scope, key| scope.map_get(slot, entry, key))
    })?;
    it.func_wrap(
        "map-set",
        |mut caller: Caller<'_>, (slot, entry, key, value): (u32, u32, Bytes, Bytes)| {
            let mut scope = take(&mut caller)?;
            let (key, value) =
                (key.as_le_slice(caller.as_context()), value.as_le_slice(caller.as_context()));
            let answer = scope.map_put(slot, entry, key, Some(value));
            caller.data_mut().scope = Some(scope);
            answer.map_err(wasmtime::Error::new)
        },
    )?;
    it.func_wrap("map-delete", |caller: Caller<'_>, (slot, entry, key): (u32, u32, Bytes)| {
        with(caller, &key, |scope, key| scope.map_put(slot, entry, key, None)).map(|((),)| ())
    })?;
    it.func_wrap(
        "map-scan",
        |caller: Caller<'_>, (slot, entry, range): (u32, u32, state::Range)| {
            let state::Range { from, to, reverse, limit } = range;
            let range = MapRange { from, to, reverse, limit };
            call(caller, |scope| scope.map_scan(slot, entry, &range).map(page))
        },
    )
}

fn page(page: MapPage) -> state::Page {
    let entries = page.entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
    state::Page { entries, more: page.more }
}

fn tables(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    let mut it = linker.instance("tidemill:function/tables@1.0.0")?;
    it.func_wrap("get", |caller: Caller<'_>, (slot, entry): (u32, u32)| {
        call(caller, |scope| scope.row(slot, entry))
    })?;
    it.func_wrap("lookup", |caller: Caller<'_>, (slot, entry, key): (u32, u32, Bytes)| {
        with(caller, &key, |scope, key| scope.lookup(slot, entry, key))
    })
}

fn aggregates(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    let mut it = linker.instance("tidemill:function/aggregates@1.0.0")?;
    it.func_wrap("add", |caller: Caller<'_>, (slot, entry, row): (u32, u32, Bytes)| {
        with(caller, &row, |scope, row| Ok(scope.add_row(slot, entry, row)?.map(window)))
    })?;
    it.func_wrap("all", |caller: Caller<'_>, (slot, entry): (u32, u32)| {
        call(caller, |scope| {
            let windows = scope.windows(slot, entry)?;
            Ok(windows.into_iter().map(window).collect::<Vec<_>>())
        })
    })
}

fn window(window: Window) -> aggregates::Window {
    let (start, end) = (window.start.millis(), window.end.millis());
    aggregates::Window { start, end, columns: window.columns }
}

fn timers(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    let mut it = linker.instance("tidemill:function/timers@1.0.0")?;
    it.func_wrap(
        "set",
        |caller: Caller<'_>, (slot, entry, due, payload): (u32, u32, i64, Bytes)| {
            with(caller, &payload, |scope, payload| scope.set_timer(slot, entry, due, payload))
        },
    )?;
    it.func_wrap("cancel", |caller: Caller<'_>, (slot, entry): (u32, u32)| {
        call(caller, |scope| scope.cancel_timer(slot, entry)).map(|((),)| ())
    })?;
    it.func_wrap("get", |caller: Caller<'_>, (slot, entry): (u32, u32)| {
        call(caller, |scope| scope.timer(slot, entry))
    })
}

/// A call that passes no bytes.
#[inline]
fn call<T>(
    mut caller: Caller<'_>,
    does: impl FnOnce(&mut Inner) -> Result<T, Fault>,
) -> wasmtime::Result<(T,)> {
    let scope = caller.data_mut().scope.as_deref_mut();
    let scope = scope.ok_or_else(|| wasmtime::Error::new(no_state()))?;
    does(scope).map(|answer| (answer,)).map_err(wasmtime::Error::new)
}

/// A call that passes some. The scope leaves the context meanwhile, so that the guest's memory can be read.
#[inline]
fn with<T>(
    mut caller: Caller<'_>,
    bytes: &Bytes,
    does: impl FnOnce(&mut Inner, &[u8]) -> Result<T, Fault>,
) -> wasmtime::Result<(T,)> {
    let mut scope = take(&mut caller)?;
    let answer = does(&mut scope, bytes.as_le_slice(caller.as_context()));
    caller.data_mut().scope = Some(scope);
    answer.map(|answer| (answer,)).map_err(wasmtime::Error::new)
}

fn take(caller: &mut Caller<'_>) -> wasmtime::Result<Box<Inner>> {
    caller.data_mut().scope.take().ok_or_else(|| wasmtime::Error::new(no_state()))
}
