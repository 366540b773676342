//! Timers: set by a function, handled by an `fn` with `#[on_timer]` when they fire.

use crate::{
    Codec, Decode, Encode, Entry, Failure, Param, Role, Setup, Timestamp,
    bindings::types::Role as SlotRole,
    host::timers,
    kept::{Kept, Place},
    param::Parameters,
};
use std::{fmt, marker::PhantomData, ops::Deref, rc::Rc};

/// A timer for each key, kept by the host; this is the one of the record's key. When it fires, the function of its name with
/// [`#[on_timer]`](macro@crate::on_timer) gets the payload as a [`Fired<P>`].
///
/// It is due in event time, so a backlog never fires it early: it fires before the first record that is as late as it is due,
/// or, when there is nothing more to read, once the wall clock is there. It is set and cancelled in the same
/// transaction as what the function sends, and survives any crash.
/// ```
/// use tidemill_sdk::{prelude::*, testing::{Input, driver}};
///
/// /// Says so when a sensor has been quiet for a minute.
/// #[function(timers(quiet))]
/// fn listen(reading: Text, at: Timestamp, quiet: Timer<Text>) -> Result<(), Failure> {
///     quiet.set(at + Duration::from_secs(60), &reading)
/// }
/// #[on_timer]
/// fn quiet(last: Fired<Text>, alarms: Output<Text>) -> Result<(), Failure> {
///     alarms.send(&last.payload)
/// }
///
/// let mut listen = driver::<listen>();
/// listen.send(Input::new("20 °C").key("cellar"));
/// assert_eq!(listen.advance(Duration::from_secs(59)).sent, []);
/// assert_eq!(listen.advance(Duration::from_secs(1)).only("alarms").text(), "20 °C");
/// ```
pub struct Timer<P> {
    place: Place,
    codec: PhantomData<fn() -> P>,
}

impl<P: Encode> Timer<P> {
    /// Sets it, in place of the one that is set. Where it is due already it fires before the next record.
    ///
    /// # Errors
    /// A reject where the record has no key; an error where the payload has no such form.
    #[inline]
    pub fn set(&self, due: Timestamp, payload: &P::Target) -> Result<(), Failure> {
        let (slot, entry) = self.place.of_key()?;
        let due = due.millis();
        let cut =
            self.place.encode::<P, _>(payload, |bytes| timers::set(slot, entry, due, bytes))?;
        if cut {
            self.place.cut();
        }
        Ok(())
    }

    /// Cancels it, where it is set.
    ///
    /// # Errors
    /// A reject where the record has no key.
    pub fn cancel(&self) -> Result<(), Failure> {
        let (slot, entry) = self.place.of_key()?;
        timers::cancel(slot, entry);
        Ok(())
    }

    /// When it is due, where it is set. One that fired is not.
    ///
    /// # Errors
    /// A reject where the record has no key.
    pub fn get(&self) -> Result<Option<Timestamp>, Failure> {
        let (slot, entry) = self.place.of_key()?;
        Ok(timers::get(slot, entry).map(Timestamp::from_millis))
    }
}

impl<P> fmt::Debug for Timer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timer").field(&self.place).finish()
    }
}

impl<'e, P: Encode> Param<'e> for Timer<P> {
    const ROLE: Role = Role::Timer { value: P::NAME };
    type Prepared = Rc<Kept>;

    fn prepare(setup: &mut Setup<'_>, name: &str) -> Result<Rc<Kept>, String> {
        setup.kept(SlotRole::Timer, name)
    }

    #[inline]
    fn extract(kept: &Rc<Kept>, entry: &Entry<'e>) -> Result<Self, Failure> {
        Ok(Timer { place: Place::of(kept, entry), codec: PhantomData })
    }
}

/// What a timer brings when it fires, in its handler. The key it was set under is a [`Key<C>`](crate::Key) beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fired<P> {
    /// What it was set with.
    pub payload: P,
    /// When it was due, which is what a [`Timestamp`] beside it is, too.
    pub due: Timestamp,
}

impl<P: Codec> Deref for Fired<P> {
    type Target = P::Target;

    /// The payload.
    #[inline]
    fn deref(&self) -> &P::Target {
        self.payload.view()
    }
}

impl<'e, P: Decode<'e>> Param<'e> for Fired<P> {
    const ROLE: Role = Role::Fired { value: P::NAME };
    type Prepared = &'static str;

    fn prepare(setup: &mut Setup<'_>, _name: &str) -> Result<&'static str, String> {
        Ok(setup.timer())
    }

    fn extract(timer: &&'static str, entry: &Entry<'e>) -> Result<Self, Failure> {
        let wrong = |why: &str| Failure::state(format!("timer `{timer}`: {why}"));
        let raw = entry.value().ok_or_else(|| wrong("payload is null"))?;
        let payload = P::decode(raw, "payload").map_err(|failure| wrong(failure.reason()))?;
        Ok(Fired { payload, due: entry.timestamp() })
    }
}

/// The handler of a timer, as [`#[on_timer]`](macro@crate::on_timer) implements it for a struct of the same name as the
/// `fn`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` handles no timer",
    note = "put `#[on_timer]` on the `fn`"
)]
pub trait OnTimer {
    /// The name of the timer.
    const NAME: &'static str;

    /// As [`Function::PARAMETERS`](crate::Function::PARAMETERS).
    const PARAMETERS: Parameters;

    /// Prepares what the handler takes.
    ///
    /// # Errors
    /// A text that says what is wrong with the configuration.
    #[doc(hidden)]
    fn start(setup: &mut Setup<'_>) -> Result<Call, String>;
}

/// Extracts for a handler and calls it.
pub type Call = Box<dyn for<'a, 'e> Fn(&'a Entry<'e>) -> Result<(), Failure>>;

/// Makes a [`Call`].
pub fn call<C>(call: C) -> Call
where
    C: for<'a, 'e> Fn(&'a Entry<'e>) -> Result<(), Failure> + 'static,
{
    Box::new(call)
}

/// A handler of a function.
#[derive(Debug, Clone, Copy)]
pub struct Handler {
    pub(crate) name: &'static str,
    pub(crate) parameters: Parameters,
    pub(crate) start: fn(&mut Setup<'_>) -> Result<Call, String>,
}

impl Handler {
    /// The handler of that type.
    pub const fn of<T: OnTimer>() -> Self {
        Handler { name: T::NAME, parameters: T::PARAMETERS, start: T::start }
    }
}
