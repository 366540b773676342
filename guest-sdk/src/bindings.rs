//! What wit-bindgen writes for the world `function`. Not part of the interface: the macros refer to it.
//!
//! Its export macro is not used: `handle` returns memory that the instance keeps, and needs no call afterwards that
//! frees it. See [`export!`](crate::export).

#![allow(unsafe_code, reason = "generated: the canonical ABI is written in raw pointers")]

wit_bindgen::generate!({
    world: "function",
    path: "wit",
    runtime_path: "tidemill_sdk::macros::wit_bindgen::rt",
});

pub use tidemill::function::{log, types};
