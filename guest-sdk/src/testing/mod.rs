//! A function in a plain `#[test]`, natively, without a host.
//!
//! ```
//! use tidemill_sdk::{prelude::*, testing::{Input, driver}};
//!
//! #[function]
//! fn greet(name: Text, greeting: Config<String>, greetings: Output<Text>) -> Result<(), Failure> {
//!     if name.is_empty() { return Err(reject("nobody to greet")); }
//!     greetings.send(&format!("{greeting} {name}"))
//! }
//!
//! let mut greet = driver::<greet>().config("greeting", "hello");
//! assert_eq!(greet.send(Input::new("ann")).only("greetings").text(), "hello ann");
//! assert_eq!(greet.send(Input::new("")).failure(), "reject: nobody to greet");
//! ```
//!
//! What is sent goes through the real batch layout and back. A panic is a failure here as it is under a host, and the
//! next record meets a fresh instance. State, tables and timers are the driver's by the rules of a host: each record sees
//! what is kept for its key, and what a failed one wrote is undone. Time and randomness are the driver's, so that a test repeats.

mod batch;
mod driver;
mod effects;
mod input;
mod state;

pub use driver::{Driver, driver};
pub use effects::{Effects, Failed, Line, Reaction, Sent};
pub use input::Input;
