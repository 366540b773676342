//! Keeps the records whose value contains a word, written without the SDK against the world `function-plain`.

#[cfg_attr(
    not(any(test, target_arch = "wasm32")),
    expect(dead_code, reason = "only the component and the tests use it")
)]
mod filter;

#[allow(unsafe_code, reason = "generated: the canonical ABI is written in raw pointers")]
#[allow(missing_docs, reason = "generated: the WIT package documents these items")]
mod bindings {
    wit_bindgen::generate!({ world: "function-plain", path: "../../guest-sdk/wit" });
}

#[cfg(target_arch = "wasm32")]
mod component {
    //! The exports of the component.

    use crate::{
        bindings::{self, Description, Failure, Guest, Message, Outcome},
        filter::{self, Filter},
    };
    use std::cell::RefCell;

    thread_local! {
        static FILTER: RefCell<Option<Filter>> = const { RefCell::new(None) };
    }

    struct Component;

    impl Guest for Component {
        fn describe() -> Vec<Description> {
            vec![filter::description()]
        }

        fn init(index: u32, config: String) -> Result<(), String> {
            if index != 0 {
                return Err(format!("no function {index}: there is one"));
            }
            FILTER.set(Some(Filter::new(&config)?));
            Ok(())
        }

        fn handle(_index: u32, messages: Vec<Message>) -> Result<Outcome, Failure> {
            FILTER.with_borrow(|filter| {
                let filter = filter
                    .as_ref()
                    .ok_or_else(|| Failure::Error("handle before init".to_owned()))?;
                Ok(filter.handle(&messages))
            })
        }
    }

    #[allow(unsafe_code, reason = "generated: exports are written in raw pointers")]
    mod export {
        use super::{Component, bindings};
        bindings::export!(Component with_types_in bindings);
    }
}
