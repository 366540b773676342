//! How state is tested, as printed in the README.

use tidemill_sdk::prelude::*;
use tidemill_sdk::testing::{Input, driver};

#[rustfmt::skip]
#[function(timers(forget))]
fn count(_visit: Text, at: Timestamp, visits: Counter, limits: Table<i64>, forget: Timer<Text>) -> Result<(), Failure> {
    if visits.get()? >= limits.get()?.unwrap_or(10) { return Err(reject("too many")); }
    visits.add(1)?;
    forget.set(at + Duration::from_secs(3600), "")
}
#[rustfmt::skip]
#[on_timer]
fn forget(_: Fired<Text>, visits: Counter) -> Result<(), Failure> {
    visits.add(-visits.get()?).map(drop)
}

#[rustfmt::skip]
#[test]
fn visits_are_limited_and_forgotten_after_an_hour() {
    let visit = || Input::new("").key("ann");
    let mut count = driver::<count>().with_count("visits", "ann", 4).with_row("limits", "ann", 5_i64.to_be_bytes());
    count.send(visit());
    assert_eq!(count.send(visit()).failure(), "reject: too many");
    assert_eq!(count.count("visits", "ann"), 5);
    count.advance(Duration::from_secs(3600));
    assert_eq!((count.count("visits", "ann"), count.timer("forget", "ann")), (0, None));
}
