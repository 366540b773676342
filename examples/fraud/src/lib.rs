//! Raises an alert where a user's logins fail five times in five minutes, and no second one while the first is fresh.

use serde::{Deserialize, Serialize};
use tidemill_sdk::prelude::*;

#[rustfmt::skip]
#[derive(Deserialize)] struct Login { ok: bool }
#[rustfmt::skip]
#[derive(Columns)]     struct Failures { count: i64 }
#[rustfmt::skip]
#[derive(Serialize)]   struct Alert<'a> { user: &'a str, failures: i64 }
#[rustfmt::skip]
#[function]
fn fraud(login: Json<Login>, user: Key<Text>, limit: Config<i64>, failures: Aggregate<(), Failures>,
         alerted: State<Json<bool>>, alerts: Output<Json<Alert<'_>>>) -> Result<(), Failure> {
    if login.ok { return Ok(()); }
    let Some(recent) = failures.add(&())?.current() else { return Ok(()) };   // late: counted by the host
    if recent.count < *limit || alerted.get()?.is_some() { return Ok(()); }
    alerted.set(&true)?;
    alerts.send(&Alert { user: &user, failures: recent.count })
}
tidemill_sdk::export!(fraud);

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{Driver, Input, driver};

    /// With so many failures in the last five minutes, the next one included.
    fn watching(failures: i64) -> Driver<fraud> {
        let count = format!(r#"{{"count":{failures}}}"#);
        driver::<fraud>().config("limit", 5).with_window("failures", "ann", 0, 300_000, count)
    }

    fn login(ok: bool) -> Input {
        Input::new(format!(r#"{{"ok":{ok}}}"#)).key("ann")
    }

    #[test]
    fn the_fifth_failure_raises_one_alert() {
        assert_eq!(watching(4).send(login(false)).sent, []);
        let mut fraud = watching(5);
        let effects = fraud.send(login(false));
        assert_eq!(effects.only("alerts").text(), r#"{"user":"ann","failures":5}"#);
        assert_eq!(fraud.text("alerted", "ann").as_deref(), Some("true"));
        assert_eq!(fraud.send(login(false)).sent, []);
    }

    #[test]
    fn logins_that_succeed_are_not_counted() {
        let mut fraud = watching(5);
        assert_eq!(fraud.send(login(true)).sent, []);
        assert!(fraud.rows("failures", "ann").is_empty());
    }

    #[test]
    fn a_late_failure_raises_nothing() {
        let mut fraud = watching(5);
        fraud.clear_windows("failures", "ann");
        assert_eq!(fraud.send(login(false)).sent, []);
        assert_eq!(fraud.rows("failures", "ann"), ["null"]);
    }
}
