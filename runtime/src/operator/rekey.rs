//! Sends records on under another key.

use tidemill_layout::{HeaderPart, Part};

use super::{Arrival, Host, Out, Reason, Sent};
use crate::{
    guest::Scope,
    topology::{KeyFrom, RekeyNode},
};

/// The node at work. Where there is no key, the record goes on with a null one; what is no key is rejected.
#[derive(Debug)]
pub struct Rekey {
    by: KeyFrom,
    buffer: Vec<u8>,
}

impl Rekey {
    /// At work for this node.
    pub fn new(node: &RekeyNode) -> Self {
        Rekey { by: node.by.clone(), buffer: Vec::new() }
    }
}

impl Host for Rekey {
    fn take(
        &mut self,
        arrival: &Arrival<'_>,
        _scope: &mut Scope,
        out: &mut Out<'_>,
    ) -> Result<(), Reason> {
        let key = self.by.read(&arrival.record, &mut self.buffer).map_err(Reason::Reject)?;
        let _ = out(Sent {
            output: 0,
            timestamp: arrival.record.timestamp,
            key: key.map_or(Part::Null, Part::Bytes),
            value: Part::Inherit,
            headers: HeaderPart::Inherit,
            closing: false,
        });
        Ok(())
    }
}
