//! What comes before and after settling: `enrich` gives each trade the region of its user, `tally` counts what became of
//! them. Between the two is the ready-made function `settle`.

mod enrich;
mod tally;

tidemill_sdk::export!(enrich::enrich, tally::tally);
