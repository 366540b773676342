//! A record's headers as a parameter.

use crate::{Bytes, Entry, Failure, Param, Role, Setup};
use tidemill_layout as layout;

pub use layout::Header;

/// All headers of the record, in order; names may repeat. For one header by its name there is `#[header("x-user")]`
/// on a parameter of type [`Text`](crate::Text), [`Bytes`] or [`Json<T>`](crate::Json), or an `Option` of these.
#[derive(Debug, Clone)]
pub struct Headers {
    bytes: Bytes,
}

impl Headers {
    /// Them in order.
    pub fn iter(&self) -> impl Iterator<Item = Header<'_>> {
        self.layout().iter()
    }

    /// The value of the last header of that name, as Kafka's `lastHeader`; `None` also where it is null.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.layout().last(name)?.value
    }

    /// As [`get`](Self::get), where it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get(name)?).ok()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn layout(&self) -> layout::Headers<'_> {
        layout::Headers::from_encoded(&self.bytes)
    }
}

impl<'e> Param<'e> for Headers {
    const ROLE: Role = Role::Beside;
    type Prepared = ();

    fn prepare(_setup: &mut Setup<'_>, _name: &str) -> Result<(), String> {
        Ok(())
    }

    #[inline]
    fn extract((): &(), entry: &Entry<'e>) -> Result<Self, Failure> {
        Ok(Headers { bytes: entry.raw(entry.layout().headers.bytes()).to_bytes() })
    }
}
