//! A function that needs the clock: its component imports it.

use tidemill_sdk::prelude::*;

/// Says what time it is.
#[function]
fn timely(_record: Text, out: Output<Text>) -> Result<(), Failure> {
    out.send(&Text::from(now().millis().to_string()))
}

tidemill_sdk::export!(timely);
