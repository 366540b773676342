//! Write Tidemill functions in Rust.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use tidemill_sdk::prelude::*;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Order { id: String, amount: i64 }
//!
//! #[function]
//! fn large(order: Json<Order>, minimum: Config<i64>, big: Output<Json<Order>>) -> Result<(), Failure> {
//!     if order.amount < *minimum { return Ok(()); }
//!     big.send(&order)
//! }
//! tidemill_sdk::export!(large);
//! ```
//!
//! A function is a plain `fn`. What it takes says what it is: one input, and beside it keys, times, configuration, outputs,
//! and what the host keeps for it, each told by its type ([`Param`]), named by the parameter ([`macro@function`] has the
//! attributes).
//! [`export!`] makes the crate a component of the world `tidemill:function/function`.
//!
//! A function remembers nothing by itself. What must last is a [`State`], [`StateMap`] or [`Counter`], by the key of the
//! record; an [`Aggregate`] is computed over windows; a [`Table`] has rows to look up, and a [`Timer`] calls back. A counter
//! with state:
//! ```
//! use tidemill_sdk::prelude::*;
//!
//! #[function]
//! fn running_total(amount: Text, total: Counter, totals: Output<Text>) -> Result<(), Failure> {
//!     let amount: i64 = amount.parse().or_reject("amount")?;
//!     totals.send(&total.add(amount)?.to_string())
//! }
//! tidemill_sdk::export!(running_total);
//! ```
//!
//! The same code builds natively, where [`testing`] runs it without a host.
//!
//! # How a batch goes through
//! The host hands over many records in one list of bytes (`tidemill-layout`). For each, the parameters are extracted
//! and the `fn` is called; what it sends is written straight into the answer. At the first failure the batch ends:
//! what the failed record sent and wrote is dropped, the records before it are handled, the host decides about it. A batch
//! ends early, too, behind a record that sets a timer due before the next.
//!
//! # What is not here
//! No files, no network, no threads, no clock but [`now`], and no way to another key's state. `println!` vanishes: use the
//! macros of the crate [`log`].

extern crate self as tidemill_sdk;

mod aggregate;
mod agreement;
#[doc(hidden)]
pub mod bindings;
mod bytes;
mod codec;
mod columns;
mod component;
mod config;
mod counter;
mod describe;
mod entry;
mod failure;
mod function;
mod headers;
mod host;
mod integers;
mod joined;
mod json;
mod kept;
mod key;
mod map;
mod map_key;
mod origin;
mod output;
mod param;
pub mod prelude;
mod record;
mod state;
mod table;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod text;
mod timer;
mod timestamp;
mod value;
mod windowed;

pub use aggregate::{Aggregate, Window, Windows};
pub use bytes::Bytes;
pub use codec::{Codec, Decode, Encode};
pub use columns::{Column, ColumnType, ColumnValue, Columns};
pub use config::Config;
pub use counter::Counter;
pub use entry::{Entry, Raw};
pub use failure::{Answer, Failure, OrFail, reject, retry, retry_after};
pub use function::{Function, Instance, Setup};
pub use headers::{Header, Headers};
pub use host::{now, random, random_bytes};
pub use joined::{Full, Joined, Side};
pub use json::Json;
pub use kept::{DecodeOwned, Stored};
pub use key::Key;
pub use log;
pub use map::{Scan, StateMap};
pub use map_key::{KeyCodec, MapKey};
pub use origin::Origin;
pub use output::{Keep, Meta, Output};
pub use param::{Codecs, Optional, Param, Parameters, Role, Shape, Source};
pub use record::Record;
pub use serde_json;
pub use state::State;
pub use table::Table;
pub use text::Text;
pub use tidemill_sdk_macros::{Columns, Inputs, function, on_timer};
pub use timer::{Fired, OnTimer, Timer};
pub use timestamp::Timestamp;
pub use value::{FromHeader, Value};
pub use windowed::Windowed;

/// What the macros write refers to this; it may change in any release.
#[doc(hidden)]
pub mod macros {
    pub use crate::{
        agreement::{agrees, are_handled, fired, handlers_agree, inputs, is_handled, is_one_thing},
        columns::next as column,
        component::{List, describe, handle, handle_in_place, init},
        function::{Export, extract, extract_header, instance},
        timer::{Call, Handler, call},
    };
    pub use serde::de::SeqAccess;
    pub use wit_bindgen;
}

/// Makes the crate a component that holds these functions: once in a crate, `export!(enrich, settle);`.
///
/// Natively it only checks that they are functions.
#[macro_export]
macro_rules! export {
    ($($function:ty),+ $(,)?) => {
        const _: () = {
            static FUNCTIONS: &[$crate::macros::Export] = &[$($crate::macros::Export::of::<$function>()),+];
            #[cfg(target_arch = "wasm32")]
            const _: () = {
                struct Component;
                impl $crate::bindings::Guest for Component {
                    fn describe() -> ::std::vec::Vec<$crate::bindings::Description> {
                        $crate::macros::describe(FUNCTIONS)
                    }
                    fn init(
                        index: u32,
                        config: ::std::string::String,
                    ) -> ::std::result::Result<(), ::std::string::String> {
                        $crate::macros::init(FUNCTIONS, index, &config)
                    }
                    fn handle(batch: ::std::vec::Vec<u8>) -> ::std::vec::Vec<u8> {
                        $crate::macros::handle(batch)
                    }
                }
                #[unsafe(export_name = "describe")]
                unsafe extern "C" fn describe() -> *mut u8 {
                    unsafe { $crate::bindings::_export_describe_cabi::<Component>() }
                }
                #[unsafe(export_name = "cabi_post_describe")]
                unsafe extern "C" fn after_describe(answer: *mut u8) {
                    unsafe { $crate::bindings::__post_return_describe::<Component>(answer) }
                }
                #[unsafe(export_name = "init")]
                unsafe extern "C" fn init(index: i32, config: *mut u8, bytes: usize) -> *mut u8 {
                    unsafe { $crate::bindings::_export_init_cabi::<Component>(index, config, bytes) }
                }
                #[unsafe(export_name = "cabi_post_init")]
                unsafe extern "C" fn after_init(answer: *mut u8) {
                    unsafe { $crate::bindings::__post_return_init::<Component>(answer) }
                }
                #[unsafe(export_name = "handle")]
                unsafe extern "C" fn handle(batch: *mut u8, bytes: usize) -> *const $crate::macros::List {
                    unsafe { $crate::macros::handle_in_place(batch, bytes) }
                }
            };
            #[cfg(not(target_arch = "wasm32"))]
            const _: &[$crate::macros::Export] = FUNCTIONS;
        };
    };
}

/// The README's example is compiled, so that it stays true.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
