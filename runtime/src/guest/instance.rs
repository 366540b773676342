//! A live function: one instance, one index, one owner.

use std::{sync::Arc, time::Duration};

use wasmtime::{
    Store, Trap,
    component::{self, TypedFunc},
};

use super::{
    Component, Engine, Fault, Invoke, Scope, Slot, World, bindings::types, context::Context,
    engine::TICK, plain as plain_world,
};
use crate::clock::Clock;

/// What one call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory.
    pub memory_bytes: usize,
    /// Time of a call, to within 10 ms.
    pub time: Duration,
    /// Key, value and headers of one output record.
    pub output_bytes: usize,
    /// A log line; longer ones are cut.
    pub log_line_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory_bytes: 64 << 20,
            time: Duration::from_secs(1),
            output_bytes: 4 << 20,
            log_line_bytes: 1 << 10,
        }
    }
}

/// What an instance is made with.
#[derive(Clone)]
pub struct InstanceSettings {
    /// What it is called in log lines.
    pub name: Arc<str>,
    /// Which function of the component.
    pub index: u32,
    /// A JSON object with the manifest's values.
    pub config: Arc<str>,
    /// What a call may use.
    pub limits: Limits,
    /// Set where the clock is granted.
    pub clock: Option<Arc<dyn Clock>>,
    /// Whether randomness is granted.
    pub random: bool,
}

/// One instance of one function.
pub struct Instance {
    store: Store<Context>,
    exports: Exports,
    index: u32,
    limits: Limits,
    /// By slot, the columns that are read of an aggregate.
    columns: Arc<[Vec<String>]>,
}

impl Instance {
    /// Instantiates and calls `init`.
    ///
    /// # Errors
    /// [`Fault::Init`] where the function refuses its configuration, else as a call.
    pub fn new(component: &Component, settings: &InstanceSettings) -> Result<Self, Fault> {
        let limits = settings.limits;
        let context = Context::new(
            Arc::clone(&settings.name),
            limits.memory_bytes.min(component.engine().shared.memory_max),
            limits.log_line_bytes,
            settings.clock.clone(),
            settings.random,
        );
        let mut store = store(component.engine(), context, limits.time);
        let live = component
            .pre()
            .instantiate(&mut store)
            .map_err(|error| fault(&mut store, &error, &limits))?;
        let exports = Exports::find(&live, &mut store).map_err(|what| Fault::Contract { what })?;
        let answer = exports.init(&mut store, settings.index, &settings.config);
        match answer.map_err(|error| fault(&mut store, &error, &limits))? {
            Ok(()) => {
                let columns = columns(component, settings.index);
                Ok(Instance { store, exports, index: settings.index, limits, columns })
            }
            Err(message) => {
                Err(Fault::Init { message: message.chars().take(limits.log_line_bytes).collect() })
            }
        }
    }
}

impl Invoke for Instance {
    fn invoke(&mut self, batch: &[u8], scope: &mut Scope) -> Result<Vec<u8>, Fault> {
        arm(&mut self.store, self.limits.time);
        let mut lent = scope.lend();
        if let Some(lent) = &mut lent {
            lent.serve(self.limits.output_bytes, &self.columns);
        }
        self.store.data_mut().scope = lent;
        let answer = match &self.exports {
            Exports::Packed(exports) => {
                exports.handle.call(&mut self.store, (batch,)).map(|(outcome,)| outcome)
            }
            Exports::Plain(exports) => {
                plain_world::handle(exports, &mut self.store, self.index, batch)
            }
        };
        scope.take_back(self.store.data_mut().scope.take());
        answer.map_err(|error| fault(&mut self.store, &error, &self.limits))
    }
}

/// What a function says it reads of aggregates.
fn columns(component: &Component, index: u32) -> Arc<[Vec<String>]> {
    let description = component.descriptions().get(index as usize);
    let slots = description.map_or(&[][..], |description| &description.slots);
    let names = |slot: &Slot| slot.columns.iter().map(|column| column.name.clone()).collect();
    slots.iter().map(names).collect()
}

/// A store with limits, armed for one call.
pub(super) fn store(engine: &Engine, context: Context, time: Duration) -> Store<Context> {
    let mut store = Store::new(&engine.shared.engine, context);
    store.limiter(|context| &mut context.memory);
    arm(&mut store, time);
    store
}

fn arm(store: &mut Store<Context>, time: Duration) {
    // One tick more: the first may come at once.
    let ticks = time.as_millis().div_ceil(TICK.as_millis()) + 1;
    store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX / 2));
    let context = store.data_mut();
    context.lines = 0;
    context.panic = None;
}

/// What an error of a call means.
pub(super) fn fault(store: &mut Store<Context>, error: &wasmtime::Error, limits: &Limits) -> Fault {
    let context = store.data_mut();
    let panic = context.panic.take();
    if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
        return Fault::Timeout { limit: limits.time };
    }
    if std::mem::take(&mut context.memory.refused) {
        return Fault::Memory { limit: limits.memory_bytes as u64 };
    }
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return fault.clone();
    }
    if let Some(contract) = error.downcast_ref::<plain_world::Broken>() {
        return Fault::Contract { what: contract.0.clone() };
    }
    let message = panic.unwrap_or_else(|| match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => format!("{error:#}"),
    });
    Fault::Trap { message }
}

/// The exports of either world.
pub(super) enum Exports {
    Packed(PackedExports),
    Plain(PlainExports),
}

type Describe = TypedFunc<(), (Vec<types::Description>,)>;
type Init = TypedFunc<(u32, String), (Result<(), String>,)>;

/// As generated, but `handle` takes its batch by reference.
pub(super) struct PackedExports {
    describe: Describe,
    init: Init,
    handle: TypedFunc<(&'static [u8],), (Vec<u8>,)>,
}

pub(super) struct PlainExports {
    describe: Describe,
    init: Init,
    pub(super) handle: plain_world::Handle,
}

impl Exports {
    /// Finds them by name and type.
    ///
    /// # Errors
    /// Says which export has the wrong type.
    pub(super) fn find(
        live: &component::Instance,
        store: &mut Store<Context>,
    ) -> Result<Self, String> {
        let wrong = |name: &str, error: &wasmtime::Error| {
            format!("its export `{name}` has another type ({error:#})")
        };
        let describe: Describe = live
            .get_typed_func(&mut *store, "describe")
            .map_err(|error| wrong("describe", &error))?;
        let init: Init =
            live.get_typed_func(&mut *store, "init").map_err(|error| wrong("init", &error))?;
        if let Ok(handle) = live.get_typed_func(&mut *store, "handle") {
            return Ok(Exports::Packed(PackedExports { describe, init, handle }));
        }
        let handle =
            live.get_typed_func(&mut *store, "handle").map_err(|error| wrong("handle", &error))?;
        Ok(Exports::Plain(PlainExports { describe, init, handle }))
    }

    pub(super) fn world(&self) -> World {
        match self {
            Exports::Packed(_) => World::Packed,
            Exports::Plain(_) => World::Plain,
        }
    }

    pub(super) fn describe(
        &self,
        store: &mut Store<Context>,
    ) -> wasmtime::Result<Vec<types::Description>> {
        let describe = match self {
            Exports::Packed(exports) => &exports.describe,
            Exports::Plain(exports) => &exports.describe,
        };
        describe.call(store, ()).map(|(described,)| described)
    }

    fn init(
        &self,
        store: &mut Store<Context>,
        index: u32,
        config: &str,
    ) -> wasmtime::Result<Result<(), String>> {
        let init = match self {
            Exports::Packed(exports) => &exports.init,
            Exports::Plain(exports) => &exports.init,
        };
        init.call(store, (index, config.to_owned())).map(|(answer,)| answer)
    }
}
