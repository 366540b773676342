//! What wit-bindgen writes for the world `function`. Not part of the interface: the macros refer to it.

#![allow(unsafe_code, reason = "generated: the canonical ABI is written in raw pointers")]

wit_bindgen::generate!({
    world: "function",
    path: "wit",
    runtime_path: "tidemill_sdk::macros::wit_bindgen::rt",
    pub_export_macro: true,
    export_macro_name: "__export_component",
    default_bindings_module: "tidemill_sdk::bindings",
});

pub use tidemill::function::{log, types};
