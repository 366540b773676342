//! The component's side of the contract: what [`export!`](crate::export) writes calls these.

use crate::{Instance, Setup, bindings::types::Description, function::Export, host};
use std::cell::RefCell;

thread_local! {
    /// The one function that this instance of the component is.
    static INSTANCE: RefCell<Option<Box<dyn Instance>>> = const { RefCell::new(None) };
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
    let instance = (function.start)(&mut Setup::new(&config))?;
    INSTANCE.set(Some(instance));
    Ok(())
}

/// Handles a batch.
///
/// # Panics
/// Before `init`.
pub fn handle(batch: Vec<u8>) -> Vec<u8> {
    INSTANCE
        .with_borrow(|instance| instance.as_ref().expect("init comes before handle").handle(batch))
}
