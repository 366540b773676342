//! WebAssembly functions: from the bytes of a component to an answer for a batch.
//!
//! [`Engine`] compiles (or takes from its cache on disk), [`Component`] is compiled code that was checked and has
//! described itself, [`Instance`] is one function of it, ready to be called. A component is hostile code: it is
//! described and called under limits of time and memory, sees no file, network, environment or credential, and
//! whatever it answers is checked. A guest's failure is data: a [`Fault`]. What state it may touch is a [`Scope`].
//!
//! This module knows nothing of topics, offsets kept, or what a failure leads to. It is the only user of wasmtime.

mod bindings;
mod component;
mod context;
mod description;
mod encode;
mod engine;
mod imports;
mod instance;
mod plain;
mod scope;

use std::time::Duration;

use bytesize::ByteSize;

pub use component::{Component, Digest, World};
pub use context::Capability;
pub use description::{Attribute, Description, Role, Shape, Slot, Source};
pub use encode::encode;
pub use engine::{Engine, EngineSettings};
pub use instance::{Instance, InstanceSettings, Limits};
pub use scope::{MapPage, MapRange, Scope, ScopeEntry, Window};

/// What a slot of a function's description stands for in its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// A store that the function reads and writes: index into the task's stores.
    Store(usize),
    /// An aggregate that the function feeds: index into the task's stores.
    Aggregate(usize),
    /// A table: index into the task's stores.
    Table(usize),
    /// A timer: its number in the task.
    Timer(u16),
}

/// The seam to a function: a batch in the layout of `tidemill-layout` in, its outcome out, unchecked.
pub trait Invoke {
    /// Calls the function once. `scope` is what it may do with state; it is given back also after a fault.
    ///
    /// # Errors
    /// After a fault the instance is of no more use.
    fn invoke(&mut self, batch: &[u8], scope: &mut Scope) -> Result<Vec<u8>, Fault>;
}

/// Makes fresh instances of a function.
pub trait Instantiate: Send + Sync {
    /// A fresh instance, initialised.
    ///
    /// # Errors
    /// [`Fault::Init`] where the function refuses its configuration, else as a call.
    fn instantiate(&self) -> Result<Box<dyn Invoke>, Fault>;
}

/// Why a component was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine's settings do not fit this machine.
    #[error("cannot set up the WebAssembly engine")]
    Engine(#[source] Cause),
    /// The bytes are neither a component nor a module.
    #[error("not a WebAssembly component: {cause}; `tidemill build` makes one")]
    NotAComponent {
        /// What the validator said.
        cause: String,
    },
    /// The bytes are a core module.
    #[error("a core module, not a component: `tidemill build` makes a component of it")]
    CoreModule,
    /// The module lacks what makes it a component.
    #[error("the module cannot be made a component: {cause}")]
    Encode {
        /// What is missing.
        cause: String,
    },
    /// Exports are missing or have other types.
    #[error(
        "the component is of neither world `tidemill:function/function` nor `function-plain`: {what}; write it with \
         tidemill-sdk or against guest-sdk/wit"
    )]
    WrongWorld {
        /// What was found.
        what: String,
    },
    /// The host does not offer something that is imported.
    #[error(
        "the component imports `{import}`, which this host does not offer (it offers tidemill:function/log, clock, \
         random, state, tables, aggregates and timers, and WASI 0.2 with nothing granted)"
    )]
    UnknownImport {
        /// The import's name.
        import: String,
    },
    /// `describe` failed.
    #[error("`describe` failed: {0}")]
    Describe(Fault),
    /// `describe` answered something that cannot be.
    #[error("`describe` says {what}")]
    Description {
        /// What is wrong.
        what: String,
    },
}

/// An error of the engine, kept for the chain.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Cause(pub(crate) String);

impl From<wasmtime::Error> for Cause {
    fn from(error: wasmtime::Error) -> Self {
        Cause(format!("{error:#}"))
    }
}

/// Why a call into a guest failed. The instance that failed is dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It trapped; the message is the panic's where the guest told it.
    #[error("{message}")]
    Trap {
        /// `panicked at src/lib.rs:21: ...` or the trap's name.
        message: String,
    },
    /// It ran longer than a call may.
    #[error("the call took longer than `limits.time` = {}", humantime::format_duration(*limit))]
    Timeout {
        /// What a call may take.
        limit: Duration,
    },
    /// It asked for more memory than it may have.
    #[error("it asked for more memory than `limits.memory` = {}", ByteSize(*limit).display().iec())]
    Memory {
        /// Bytes.
        limit: u64,
    },
    /// A record it sent is larger than it may be.
    #[error(
        "a record for output `{output}` has {} and `limits.output` is {}",
        ByteSize(*size).display().iec(),
        ByteSize(*limit).display().iec()
    )]
    Output {
        /// The output's name.
        output: String,
        /// Bytes of key, value and headers.
        size: u64,
        /// Bytes.
        limit: u64,
    },
    /// Its answer, or what it asks of the host, does not follow the contract.
    #[error("the function does not follow the contract: {what}")]
    Contract {
        /// What is wrong with it.
        what: String,
    },
    /// What it asked of the host cannot be done for this record: that is the record's doing.
    #[error("{reason}")]
    Reject {
        /// Why not.
        reason: String,
    },
    /// It sends a record on in memory under a key whose state is not here.
    #[error("{what}")]
    Partition {
        /// Which, and what would be right.
        what: String,
    },
    /// The state of the task cannot be read: nobody's doing but the disk's.
    #[error("{what}")]
    Storage {
        /// What the disk says.
        what: String,
    },
    /// `init` refused: the configuration is wrong.
    #[error("`init` failed: {message}")]
    Init {
        /// What the function said.
        message: String,
    },
}

impl Fault {
    /// A short name for metrics and status.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Trap { .. } => "trap",
            Fault::Timeout { .. } => "timeout",
            Fault::Memory { .. } => "memory",
            Fault::Output { .. } => "output",
            Fault::Contract { .. } => "contract",
            Fault::Reject { .. } => "reject",
            Fault::Partition { .. } => "partition",
            Fault::Storage { .. } => "storage",
            Fault::Init { .. } => "init",
        }
    }
}
