//! A reminder after a day, as printed in the handbook.

use serde::{Deserialize, Serialize};
use tidemill_sdk::prelude::*;
use tidemill_sdk::testing::{Input, driver};

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Event {
    Placed { email: String },
    Paid,
    Cancelled,
}
#[derive(Serialize, Deserialize)]
struct Reminder {
    email: String,
}

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

const DAY: Duration = Duration::from_secs(86_400);

fn placed(key: &str) -> Input {
    Input::new(r#"{"kind":"placed","email":"a@x"}"#).key(key)
}

#[test]
fn unpaid_means_one_reminder_though_no_record_follows() {
    let mut watch = driver::<watch>();
    assert_eq!(watch.send(placed("o-1")).sent, []);
    let effects = watch.advance(DAY);
    let reminder = effects.only("reminders");
    assert_eq!((reminder.key_text(), reminder.text()), ("o-1", r#"{"email":"a@x"}"#));
    assert_eq!(watch.advance(DAY).sent, []);
}

#[test]
fn paid_in_time_means_none_also_when_read_from_a_backlog() {
    let mut watch = driver::<watch>();
    let backlog = [placed("o-1"), Input::new(r#"{"kind":"paid"}"#).key("o-1")];
    assert_eq!(watch.send_all(backlog).sent, []);
    assert_eq!(watch.timer("due", "o-1"), None);
    assert_eq!(watch.advance(3 * DAY).sent, []);
}
