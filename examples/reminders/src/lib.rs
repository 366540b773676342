//! Reminds of an order a day after it was placed, unless it is paid or cancelled by then.

use serde::{Deserialize, Serialize};
use tidemill_sdk::prelude::*;

#[rustfmt::skip]
#[derive(Deserialize)] #[serde(tag = "kind", rename_all = "lowercase")]
enum Event { Placed { email: String }, Paid, Cancelled }
#[rustfmt::skip]
#[derive(Serialize, Deserialize)] struct Reminder { email: String }

#[rustfmt::skip]
#[function(timers(due))]
fn watch(event: Json<Event>, at: Timestamp, due: Timer<Json<Reminder>>) -> Result<(), Failure> {
    match event.into_inner() {
        Event::Placed { email } => due.set(at + Duration::from_secs(86_400), &Reminder { email }),  // replaces an earlier one
        Event::Paid | Event::Cancelled => due.cancel(),                                        // absent is fine
    }
}
#[rustfmt::skip]
#[on_timer]
fn due(fired: Fired<Json<Reminder>>, reminders: Output<Json<Reminder>>) -> Result<(), Failure> {
    reminders.send(&fired.payload)
}
tidemill_sdk::export!(watch); // timer handlers come with their function

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{Input, driver};

    const DAY: Duration = Duration::from_secs(86_400);

    fn event(key: &str, event: &str) -> Input {
        Input::new(event).key(key)
    }

    #[test]
    fn an_unpaid_order_is_reminded_of_once() {
        let mut watch = driver::<watch>();
        watch.send(event("o-1", r#"{"kind":"placed","email":"a@x"}"#));
        let effects = watch.advance(DAY);
        let reminder = effects.only("reminders");
        assert_eq!((reminder.key_text(), reminder.text()), ("o-1", r#"{"email":"a@x"}"#));
        assert_eq!(watch.advance(DAY).sent, []);
    }

    #[test]
    fn a_paid_or_cancelled_order_is_not() {
        for end in ["paid", "cancelled"] {
            let end = event("o-1", &format!(r#"{{"kind":"{end}"}}"#));
            let mut watch = driver::<watch>();
            watch.send_all([event("o-1", r#"{"kind":"placed","email":"a@x"}"#), end]);
            assert_eq!(watch.timer("due", "o-1"), None);
            assert_eq!(watch.advance(DAY).sent, []);
        }
    }
}
