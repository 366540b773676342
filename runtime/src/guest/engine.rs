//! The engine: one per process.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use wasmtime::{
    Cache, CacheConfig, Config, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::{HasSelf, Linker},
};

use super::{
    Cause, Error,
    bindings::{clock, log, random},
    component::Component,
    context::Context,
    imports,
};

/// How often the clock that ends calls ticks: a time limit holds to within one tick.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// How an [`Engine`] is made.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Where compiled code is kept, by digest of code and compiler settings; bounded, cleaned by wasmtime. `None`:
    /// compiled anew each time.
    pub cache: Option<PathBuf>,
    /// Instances alive at once, over all functions.
    pub instances: u32,
    /// The largest linear memory any function may ask for, in bytes.
    pub memory_max: usize,
}

impl Default for EngineSettings {
    fn default() -> Self {
        EngineSettings { cache: None, instances: 1000, memory_max: 1 << 30 }
    }
}

impl EngineSettings {
    /// With the user's cache folder (`$XDG_CACHE_HOME/tidemill/code`, or under `~/.cache`).
    pub fn with_user_cache() -> Self {
        let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let base = base
            .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
        let cache =
            base.filter(|base| base.is_absolute()).map(|base| base.join("tidemill").join("code"));
        EngineSettings { cache, ..Self::default() }
    }
}

/// Compiles components and holds what their instances share. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) engine: wasmtime::Engine,
    pub(super) linker: Linker<Context>,
    pub(super) memory_max: usize,
    stop: Arc<AtomicBool>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Engine {
    /// Sets up compiler, instance pool and the clock that ends calls.
    ///
    /// # Errors
    /// [`Error::Engine`] where the machine lacks what is needed, such as address space or a writable cache folder.
    pub fn new(settings: &EngineSettings) -> Result<Self, Error> {
        let engine = wasmtime::Engine::new(&config(settings)?).map_err(engine_error)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker).map_err(engine_error)?;
        log::add_to_linker::<_, HasSelf<_>>(&mut linker, |context| context)
            .map_err(engine_error)?;
        clock::add_to_linker::<_, HasSelf<_>>(&mut linker, |context| context)
            .map_err(engine_error)?;
        random::add_to_linker::<_, HasSelf<_>>(&mut linker, |context| context)
            .map_err(engine_error)?;
        imports::add_to_linker(&mut linker).map_err(engine_error)?;
        let stop = Arc::new(AtomicBool::new(false));
        tick(&engine, &stop).map_err(|error| Error::Engine(Cause(error.to_string())))?;
        Ok(Engine {
            shared: Arc::new(Shared { engine, linker, memory_max: settings.memory_max, stop }),
        })
    }

    /// Checks a component: that it is valid and of one of the two worlds, that what it imports is offered, and what
    /// it says of itself, run under the limits of a call.
    ///
    /// # Errors
    /// Whatever is wrong with it; see [`Error`].
    pub fn load(&self, bytes: &[u8]) -> Result<Component, Error> {
        Component::load(self, bytes)
    }
}

fn engine_error(error: wasmtime::Error) -> Error {
    Error::Engine(error.into())
}

fn config(settings: &EngineSettings) -> Result<Config, Error> {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(settings.instances)
        .total_core_instances(settings.instances * 4)
        .total_memories(settings.instances)
        .total_tables(settings.instances * 2)
        .max_memory_size(settings.memory_max);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        // Calls are synchronous; with concurrency support each of them costs three times as much.
        .concurrency_support(false)
        .epoch_interruption(true)
        .wasm_backtrace_max_frames(None);
    if let Some(folder) = &settings.cache {
        let mut cache = CacheConfig::new();
        cache.with_directory(folder);
        config.cache(Some(Cache::new(cache).map_err(engine_error)?));
    }
    Ok(config)
}

/// Advances the epoch until the engine is dropped. The thread holds the engine weakly.
fn tick(engine: &wasmtime::Engine, stop: &Arc<AtomicBool>) -> std::io::Result<()> {
    let (engine, stop) = (engine.weak(), Arc::clone(stop));
    let run = move || {
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(TICK);
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    };
    thread::Builder::new().name("tidemill-epoch".into()).spawn(run).map(drop)
}
