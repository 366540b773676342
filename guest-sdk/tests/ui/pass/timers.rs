//! Timers by paths and other names, handlers of several functions, and everything a handler can take.
#![allow(unused)]

use tidemill_sdk::prelude::*;

mod handlers {
    use tidemill_sdk::prelude::*;

    #[on_timer]
    pub fn due(
        Fired { payload, due }: Fired<Json<String>>,
        key: Option<Key<Text>>,
        at: Timestamp,
        limit: Config<i64>,
        #[name("kept")] state: State<Json<Vec<i64>>>,
        due_again: Option<Config<String>>,
        users: Table<Json<i64>>,
        map: StateMap<(Text, i64), i64>,
        again: Timer<i64>,
        out: Output<Text, Key<i64>>,
    ) -> Result<(), Failure> {
        out.send(&due.millis(), &payload)
    }

    #[on_timer]
    pub fn again(_fired: Fired<i64>, count: Counter) {}
}

#[function(timers(handlers::due, handlers::again,))]
fn watch(event: Text, at: Timestamp, #[name("due")] reminder: Timer<Json<String>>, kept: State<Json<Vec<i64>>>) -> Result<(), Failure> {
    reminder.set(at + Duration::from_secs(1), &event.to_string())
}

#[function(timers(handlers::again))]
fn other(event: Text, again: Timer<i64>, out: Output<Bytes>) -> Result<(), Failure> {
    again.cancel()
}
tidemill_sdk::export!(watch, other);

fn main() {}
