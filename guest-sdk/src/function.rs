//! A function: how it is started, and run over a batch.

use crate::{
    Entry, Failure, FromHeader, Param,
    bindings::types::{Description, Role as SlotRole, Slot},
    bytes::Buffer,
    describe::{describe, slots},
    kept::Kept,
    output::Emitter,
    param::Parameters,
    timer::{Call, Handler},
};
use serde_json::{Map, Value};
use std::{
    cell::{Ref, RefCell},
    rc::Rc,
};
use tidemill_layout::{Batch, Kind};

/// A function, as [`#[function]`](macro@crate::function) implements it for a struct of the same name as the `fn`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no function",
    note = "put `#[function]` on the `fn`"
)]
pub trait Function {
    /// Its name in the component.
    const NAME: &'static str;

    /// The names and roles of its parameters, in order. A name is empty where the pattern has none.
    const PARAMETERS: Parameters;

    /// The handlers of its timers, as `timers(…)` lists them.
    #[doc(hidden)]
    const HANDLERS: &'static [Handler];

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
    slots: &'a [Slot],
    emitter: Rc<Emitter>,
    /// The timer whose handler is prepared.
    timer: &'static str,
}

impl<'a> Setup<'a> {
    /// The manifest's value of that name.
    pub fn config(&self, name: &str) -> Option<&'a Value> {
        self.config.get(name)
    }

    /// The output of that name, and its index among the outputs.
    pub(crate) fn output(&self, name: &str) -> Result<(Rc<Emitter>, u16), String> {
        let mut outputs = self.slots.iter().filter(|slot| slot.role == SlotRole::Output);
        let index = outputs.position(|slot| slot.name == name);
        let index = index.ok_or_else(|| unknown("output", name))?;
        let index = u16::try_from(index).map_err(|_| "there are too many outputs".to_owned())?;
        Ok((Rc::clone(&self.emitter), index))
    }

    /// The timer whose handler is prepared.
    pub(crate) fn timer(&self) -> &'static str {
        self.timer
    }

    /// What the host keeps under that name.
    pub(crate) fn kept(&self, role: SlotRole, name: &str) -> Result<Rc<Kept>, String> {
        let index = self.slots.iter().position(|slot| slot.role == role && slot.name == name);
        let index = index.ok_or_else(|| unknown("slot of its kind", name))?;
        let index = u32::try_from(index).map_err(|_| "there are too many slots".to_owned())?;
        Ok(Kept::new(index, name, Rc::clone(&self.emitter)))
    }
}

fn unknown(what: &str, name: &str) -> String {
    format!(
        "`{name}` is no {what} of this function: a parameter of your own takes over ROLE and name"
    )
}

/// Starts an instance.
pub(crate) fn start<F: Function>(config: &Map<String, Value>) -> Result<Box<dyn Instance>, String> {
    F::start(&mut Setup { config, slots: &slots::<F>(), emitter: Rc::default(), timer: "" })
}

/// Starts a function with its configuration.
type Start = fn(&Map<String, Value>) -> Result<Box<dyn Instance>, String>;

/// A function that a component holds.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Export {
    pub(crate) describe: fn() -> Description,
    pub(crate) start: Start,
}

impl Export {
    /// The function of that type.
    pub const fn of<F: Function>() -> Self {
        Export { describe: describe::<F>, start: start::<F> }
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

/// An instance of the function that `call` extracts for and calls, with its timer handlers.
///
/// # Errors
/// A text that says why a handler cannot start.
#[doc(hidden)]
pub fn instance<F: Function, C>(setup: &mut Setup<'_>, call: C) -> Result<Box<dyn Instance>, String>
where
    C: for<'a, 'e> Fn(&'a Entry<'e>) -> Result<(), Failure> + 'static,
{
    let handlers = F::HANDLERS
        .iter()
        .map(|handler| {
            let slot = setup.kept(SlotRole::Timer, handler.name)?.slot();
            setup.timer = handler.name;
            Ok((slot, (handler.start)(setup)?))
        })
        .collect::<Result<_, String>>()?;
    let emitter = Rc::clone(&setup.emitter);
    Ok(Box::new(Running { call, handlers, emitter, buffer: RefCell::default() }))
}

struct Running<C> {
    call: C,
    /// By the slots of their timers.
    handlers: Vec<(u32, Call)>,
    emitter: Rc<Emitter>,
    /// Holds the batch while it is handled. It is the same one again unless somebody keeps a part of a batch.
    buffer: RefCell<Buffer>,
}

impl<C: for<'a, 'e> Fn(&'a Entry<'e>) -> Result<(), Failure>> Instance for Running<C> {
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

impl<C: for<'a, 'e> Fn(&'a Entry<'e>) -> Result<(), Failure>> Running<C> {
    /// How many are handled, and why the next is not. It ends early, without a failure, where a timer was set that
    /// falls due before the next entry.
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
            let kind = entry.kind;
            let entry = Entry::new(handled, entry, origin, buffer);
            let done = match kind {
                Kind::Record => (self.call)(&entry),
                Kind::Timer => self.fire(&entry),
            };
            if let Err(failure) = done {
                self.emitter.rollback(mark);
                return (handled, Some(failure));
            }
            handled += 1;
            if self.emitter.is_cut() {
                break;
            }
        }
        (handled, None)
    }

    #[inline(never)]
    fn fire(&self, entry: &Entry<'_>) -> Result<(), Failure> {
        let slot = u32::from(entry.source());
        match self.handlers.iter().find(|(timer, _)| *timer == slot) {
            Some((_, call)) => call(entry),
            None => Err(Failure::error(format!(
                "the host fires slot {slot}, which is no timer of this function"
            ))),
        }
    }
}
