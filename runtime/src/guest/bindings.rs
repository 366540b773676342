//! What wasmtime generates from the WIT: both worlds, over one set of shared interfaces.

/// The packed world.
pub(super) mod packed {
    wasmtime::component::bindgen!({
        path: "../guest-sdk/wit",
        world: "tidemill:function/function",
    });
}

/// The typed world. Its shared interfaces are the packed world's.
pub(super) mod plain {
    wasmtime::component::bindgen!({
        path: "../guest-sdk/wit",
        world: "tidemill:function/function-plain",
        with: {
            "tidemill:function/types": super::packed::tidemill::function::types,
            "tidemill:function/log": super::packed::tidemill::function::log,
            "tidemill:function/clock": super::packed::tidemill::function::clock,
            "tidemill:function/random": super::packed::tidemill::function::random,
            "tidemill:function/state": super::packed::tidemill::function::state,
            "tidemill:function/tables": super::packed::tidemill::function::tables,
            "tidemill:function/aggregates": super::packed::tidemill::function::aggregates,
            "tidemill:function/timers": super::packed::tidemill::function::timers,
        },
    });
}

pub(super) use packed::tidemill::function::{aggregates, clock, log, random, state, types};
