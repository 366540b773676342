//! The component's side of the contract: what [`export!`](crate::export) writes calls these.

use crate::{Instance, bindings::types::Description, function::Export, host};
use std::cell::{Cell, RefCell};

/// A list as the canonical ABI returns it: where it is in memory, and its length.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct List {
    at: *const u8,
    bytes: usize,
}

thread_local! {
    /// The one function that this instance of the component is.
    static INSTANCE: RefCell<Option<Box<dyn Instance>>> = const { RefCell::new(None) };
    /// What `handle` returned last.
    static OUTCOME: Cell<List> = const { Cell::new(List { at: std::ptr::null(), bytes: 0 }) };
}

/// Says what the component holds.
pub fn describe(functions: &[Export]) -> Vec<Description> {
    host::install();
    functions.iter().map(|function| (function.describe)()).collect()
}

/// Becomes the function of that index.
///
/// # Errors
/// A text that says what is wrong with the index or the configuration.
pub fn init(functions: &[Export], index: u32, config: &str) -> Result<(), String> {
    host::install();
    let function = usize::try_from(index).ok().and_then(|index| functions.get(index));
    let function =
        function.ok_or_else(|| format!("no function {index}: there are {}", functions.len()))?;
    let config = serde_json::from_str(config)
        .map_err(|error| format!("config is not a JSON object: {error}"))?;
    let instance = (function.start)(&config)?;
    INSTANCE.set(Some(instance));
    Ok(())
}

/// Handles a batch.
///
/// # Panics
/// Before `init`.
pub fn handle(batch: Vec<u8>) -> Vec<u8> {
    INSTANCE.with_borrow(|instance| {
        instance.as_ref().expect("init comes before handle").handle(batch).to_vec()
    })
}

/// Handles a batch as the canonical ABI has it. The outcome stays where it was written until the next call, so that
/// nothing is copied, and there is nothing to free when the host has read it.
///
/// # Safety
/// `batch` is memory of that length from this component's allocator, and it is given away.
///
/// # Panics
/// Before `init`.
#[expect(unsafe_code, reason = "the canonical ABI is written in raw pointers")]
pub unsafe fn handle_in_place(batch: *mut u8, bytes: usize) -> *const List {
    // SAFETY: the caller's promise; the canonical ABI allocates lists of bytes with their exact length.
    let batch = unsafe { Vec::from_raw_parts(batch, bytes, bytes) };
    INSTANCE.with_borrow(|instance| {
        let outcome = instance.as_ref().expect("init comes before handle").handle(batch);
        OUTCOME.set(List { at: outcome.as_ptr(), bytes: outcome.len() });
    });
    OUTCOME.with(Cell::as_ptr)
}
