//! Results of windows as inputs.

use crate::{Entry, Failure, Param, Role, Setup, Shape, Source, Timestamp, Value, reject};
use tidemill_layout::{WINDOW_END, WINDOW_START};

/// The result of a window of an aggregate store: an input.
///
/// `T` takes the value: `Json<Cart>` with a field for each column. A result that is gone, as of a session that became part of
/// a longer one, has a null value: `Windowed<Option<Json<Cart>>>` takes it, and still knows which window it was.
/// ```
/// use serde::Deserialize;
/// use tidemill_sdk::{prelude::*, testing::{Input, driver}};
///
/// #[derive(Deserialize)]
/// struct Cart { cents: i64 }
///
/// #[function]
/// fn large(cart: Windowed<Json<Cart>>, worth: Config<i64>, carts: Output<Json<i64>>) -> Result<(), Failure> {
///     if cart.value.cents < *worth { return Ok(()); }
///     carts.send(&(cart.end.millis() - cart.start.millis()))
/// }
///
/// let mut large = driver::<large>().config("worth", 1000);
/// assert_eq!(large.send(Input::new(r#"{"cents":1200}"#).window(0, 60_000)).only("carts").text(), "60000");
/// assert_eq!(large.send(Input::new(r#"{"cents":999}"#).window(0, 60_000)).sent, []);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windowed<T> {
    /// The columns.
    pub value: T,
    /// Where the window begins.
    pub start: Timestamp,
    /// Where it ends: itself excluded, but for sliding and session windows.
    pub end: Timestamp,
}

impl<'e, V: Value<'e>> Value<'e> for Windowed<V> {
    const SOURCE: Source = {
        assert!(
            matches!(V::SOURCE.shape, Shape::Plain),
            "the value of a window's result is plain: `Json<T>`"
        );
        Source { shape: Shape::Windowed, ..V::SOURCE }
    };

    fn take(entry: &Entry<'e>) -> Result<Self, Failure> {
        let (start, end) = (at(entry, WINDOW_START)?, at(entry, WINDOW_END)?);
        Ok(Windowed { value: V::take(entry)?, start, end })
    }
}

fn at(entry: &Entry<'_>, name: &str) -> Result<Timestamp, Failure> {
    let value = entry.header(name).flatten();
    let value = value.ok_or_else(|| {
        reject(format!("header `{name}` is missing: a result of a window has it"))
    })?;
    let millis = std::str::from_utf8(value.as_slice()).ok().and_then(|text| text.parse().ok());
    let millis = millis.ok_or_else(|| {
        reject(format!("header `{name}` is no time: milliseconds since 1970 are right"))
    })?;
    Ok(Timestamp::from_millis(millis))
}

impl<'e, V: Value<'e>> Param<'e> for Windowed<V> {
    const ROLE: Role = Role::Input { sources: &[<Self as Value<'e>>::SOURCE] };
    type Prepared = ();

    fn prepare(_setup: &mut Setup<'_>, _name: &str) -> Result<(), String> {
        Ok(())
    }

    #[inline]
    fn extract((): &(), entry: &Entry<'e>) -> Result<Self, Failure> {
        <Self as Value<'e>>::take(entry)
    }
}
