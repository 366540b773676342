//! A function: how it is described, started, and run over a batch.

use crate::{
    Entry, Failure, FromHeader, Param, Role,
    bindings::types::{Description, Role as SlotRole, Shape, Slot, Source},
    bytes::Buffer,
    output::Emitter,
};
use serde_json::{Map, Value};
use std::{
    cell::{Ref, RefCell},
    rc::Rc,
};
use tidemill_layout::{Batch, VERSION};

/// A function, as [`#[function]`](macro@crate::function) implements it for a struct of the same name as the `fn`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no function",
    note = "put `#[function]` on the `fn`"
)]
pub trait Function {
    /// Its name in the component.
    const NAME: &'static str;

    /// The names and roles of its parameters, in order. A name is empty where the pattern has none.
    const PARAMETERS: &'static [(&'static str, Role)];

    /// Makes an instance.
    ///
    /// # Errors
    /// A text that says what is wrong with the configuration.
    #[doc(hidden)]
    fn start(setup: &mut Setup<'_>) -> Result<Box<dyn Instance>, String>;
}

/// A function that is started, with its configuration read.
#[doc(hidden)]
pub trait Instance {
    /// Handles a batch and answers the outcome, both in `tidemill-layout`. The outcome's memory is the instance's, and
    /// is written again by the next call.
    fn handle(&self, batch: Vec<u8>) -> Ref<'_, [u8]>;
}

/// What [`Param::prepare`] takes from.
#[derive(Debug)]
pub struct Setup<'a> {
    config: &'a Map<String, Value>,
    emitter: Rc<Emitter>,
    outputs: u16,
}

impl<'a> Setup<'a> {
    pub(crate) fn new(config: &'a Map<String, Value>) -> Self {
        Setup { config, emitter: Rc::default(), outputs: 0 }
    }

    /// The manifest's value of that name.
    pub fn config(&self, name: &str) -> Option<&'a Value> {
        self.config.get(name)
    }

    /// The next output.
    pub(crate) fn output(&mut self) -> (Rc<Emitter>, u16) {
        let index = self.outputs;
        self.outputs += 1;
        (Rc::clone(&self.emitter), index)
    }
}

/// What `describe` says of a function.
pub(crate) fn describe<F: Function>() -> Description {
    let (mut sources, mut slots, mut keys) = (Vec::new(), Vec::new(), "bytes");
    for (name, role) in F::PARAMETERS {
        match role {
            Role::Input { sources: inputs } => sources.extend_from_slice(inputs),
            Role::Key { codec } => keys = codec,
            Role::Output { key, value } => {
                let rekeys = !key.is_empty();
                slots.push(Slot { rekeys, ..slot(name, SlotRole::Output, key, value) });
            }
            Role::Config { required } => {
                slots.push(Slot {
                    required: required(),
                    ..slot(name, SlotRole::Config, "", "json")
                });
            }
            Role::Beside => {}
        }
    }
    let sources = sources.iter().map(|source| Source {
        name: source.name.map(str::to_owned),
        shape: Shape::Plain,
        key: keys.to_owned(),
        value: source.value.to_owned(),
        attributes: Vec::new(),
    });
    Description {
        name: F::NAME.to_owned(),
        layouts: vec![VERSION],
        sources: sources.collect(),
        slots,
        attributes: Vec::new(),
    }
}

fn slot(name: &str, role: SlotRole, key: &str, value: &str) -> Slot {
    Slot {
        name: name.to_owned(),
        role,
        key: key.to_owned(),
        value: value.to_owned(),
        rekeys: false,
        required: false,
        columns: Vec::new(),
        attributes: Vec::new(),
    }
}

/// A function that a component holds.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Export {
    pub(crate) describe: fn() -> Description,
    pub(crate) start: fn(&mut Setup<'_>) -> Result<Box<dyn Instance>, String>,
}

impl Export {
    /// The function of that type.
    pub const fn of<F: Function>() -> Self {
        Export { describe: describe::<F>, start: F::start }
    }
}

/// Extracts a parameter whose type the call of the function tells.
#[doc(hidden)]
#[inline]
pub fn extract<'e, P: Param<'e>>(prepared: &P::Prepared, entry: &Entry<'e>) -> Result<P, Failure> {
    P::extract(prepared, entry)
}

/// Extracts a header whose type the call of the function tells.
#[doc(hidden)]
#[inline]
pub fn extract_header<'e, H: FromHeader<'e>>(name: &str, entry: &Entry<'e>) -> Result<H, Failure> {
    H::from_header(entry, name)
}

/// An instance of the function that `call` extracts for and calls.
#[doc(hidden)]
pub fn instance<F>(setup: &Setup<'_>, call: F) -> Box<dyn Instance>
where
    F: for<'a, 'e> Fn(&'a Entry<'e>) -> Result<(), Failure> + 'static,
{
    Box::new(Running { call, emitter: Rc::clone(&setup.emitter), buffer: RefCell::default() })
}

struct Running<F> {
    call: F,
    emitter: Rc<Emitter>,
    /// Holds the batch while it is handled. It is the same one again unless somebody keeps a part of a batch.
    buffer: RefCell<Buffer>,
}

impl<F: for<'a, 'e> Fn(&'a Entry<'e>) -> Result<(), Failure>> Instance for Running<F> {
    fn handle(&self, batch: Vec<u8>) -> Ref<'_, [u8]> {
        let mut buffer = self.buffer.borrow_mut();
        match Rc::get_mut(&mut buffer) {
            Some(bytes) => *bytes = batch,
            None => *buffer = Rc::new(batch),
        }
        self.emitter.begin(&buffer);
        let (handled, failure) = self.run(&buffer);
        self.emitter.finish(handled, failure.as_ref().map(Failure::as_layout));
        if let Some(bytes) = Rc::get_mut(&mut buffer) {
            *bytes = Vec::new();
        }
        self.emitter.outcome()
    }
}

impl<F: for<'a, 'e> Fn(&'a Entry<'e>) -> Result<(), Failure>> Running<F> {
    /// How many are handled, and why the next is not.
    #[inline]
    fn run(&self, buffer: &Buffer) -> (u32, Option<Failure>) {
        let malformed = |error| Failure::error(format!("the host's batch is malformed: {error}"));
        let batch = match Batch::parse(buffer) {
            Ok(batch) => batch,
            Err(error) => return (0, Some(malformed(error))),
        };
        let mut handled = 0;
        for entry in batch.entries() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return (handled, Some(malformed(error))),
            };
            let mark = self.emitter.cause(handled, &entry, buffer);
            let origin = batch.origins()[usize::from(entry.origin)];
            if let Err(failure) = (self.call)(&Entry::new(entry, origin, buffer)) {
                self.emitter.rollback(mark);
                return (handled, Some(failure));
            }
            handled += 1;
        }
        (handled, None)
    }
}
