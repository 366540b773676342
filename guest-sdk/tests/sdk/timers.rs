//! Timers: when they fire, what their handlers may do, and how a batch ends for them.

use tidemill_sdk::prelude::*;
use tidemill_sdk::testing::{Effects, Input, driver};

/// `set N text` sets the timer to N milliseconds of event time; `cancel`, `look`.
#[function(timers(alarm, inner::second))]
fn clock(
    command: Text,
    key: Option<Key<Text>>,
    alarm: Timer<Text>,
    second: Timer<i64>,
    heard: Counter,
    out: Output<Text>,
) -> Result<(), Failure> {
    let mut words = command.splitn(3, ' ');
    let (verb, time, text) = (words.next(), words.next(), words.next());
    let time = || time.unwrap_or_default().parse::<i64>().map(Timestamp::from_millis);
    match verb {
        Some("set") => alarm.set(time()?, text.unwrap_or_default())?,
        Some("second") => second.set(time()?, &1)?,
        Some("fail") => {
            alarm.set(time()?, "never")?;
            return Err(reject("no"));
        }
        Some("cancel") => alarm.cancel()?,
        Some("look") => {
            let due = alarm.get()?.map(Timestamp::millis);
            return out.send(&format!("{due:?} {}", heard.get()?));
        }
        _ => {}
    }
    out.send(&format!("{command} by {}", key.as_deref().unwrap_or("nobody")))
}

#[on_timer]
fn alarm(
    fired: Fired<Text>,
    key: Key<Text>,
    at: Timestamp,
    prefix: Option<Config<String>>,
    heard: Counter,
    alarm: Timer<Text>,
    out: Output<Text>,
    alarms: Output<Text, Key<Text>>,
) -> Result<(), Failure> {
    let prefix = prefix.as_deref().map_or("", String::as_str);
    assert_eq!(fired.due, at);
    heard.add(1)?;
    match &*fired.payload {
        "again" => alarm.set(at, "once more")?,
        "forever" => alarm.set(at, "forever")?,
        "reject" => return Err(reject("a bad alarm")),
        "panic" => panic!("at night"),
        _ => {}
    }
    alarms.send("all", &format!("{prefix}{} {}", fired.len(), &*key))?;
    out.send(&fired)
}

mod inner {
    use tidemill_sdk::prelude::*;

    #[on_timer]
    pub fn second(Fired { payload, due }: Fired<i64>, heard: Counter) -> Result<(), Failure> {
        heard.add(payload * 1000 + due.millis()).map(drop)
    }
}
tidemill_sdk::export!(clock);

fn at(time: i64, value: &str) -> Input {
    Input::new(value).key("ann").timestamp(time)
}

/// What was sent to `out`, each with the record and timer that caused it.
fn sent(effects: &Effects) -> Vec<String> {
    let sent = effects.to("out");
    let line = |sent: &&tidemill_sdk::testing::Sent| {
        format!("{}{} {}", sent.cause, sent.timer.as_deref().unwrap_or(""), sent.text())
    };
    sent.iter().map(line).collect()
}

#[test]
fn a_timer_fires_before_the_first_record_that_is_as_late() {
    let mut clock = driver::<clock>();
    let effects = clock.send_all([at(10, "set 20 x"), at(19, "a"), at(20, "b"), at(30, "c")]);
    assert_eq!(
        sent(&effects),
        ["0 set 20 x by ann", "1 a by ann", "2alarm x", "2 b by ann", "3 c by ann"]
    );
    let fired = effects.to("out")[2];
    assert_eq!((fired.key_text(), fired.timestamp, fired.headers.len()), ("ann", 20, 0));
    assert_eq!(effects.only_of("alarms").text(), "1 ann");
}

trait OnlyOf {
    fn only_of(&self, output: &str) -> &tidemill_sdk::testing::Sent;
}

impl OnlyOf for Effects {
    fn only_of(&self, output: &str) -> &tidemill_sdk::testing::Sent {
        let sent = self.to(output);
        assert_eq!(sent.len(), 1);
        sent[0]
    }
}

#[test]
fn a_timer_that_is_due_already_fires_before_the_next_record() {
    let mut clock = driver::<clock>();
    let effects = clock.send_all([at(50, "set 20 x"), at(10, "a"), at(60, "b")]);
    assert_eq!(sent(&effects), ["0 set 20 x by ann", "1alarm x", "1 a by ann", "2 b by ann"]);
    let effects = clock.send(at(60, "set 20 y"));
    assert_eq!(sent(&effects), ["0 set 20 y by ann", "0alarm y"]);
}

#[test]
fn a_timer_can_be_replaced_and_cancelled_and_looked_at() {
    let mut clock = driver::<clock>();
    clock.send_all([at(0, "set 20 x"), at(1, "set 30 y"), at(2, "look")]);
    assert_eq!(clock.timer("alarm", "ann"), Some(Timestamp::from_millis(30)));
    let effects = clock.send_all([at(25, "look"), at(26, "cancel"), at(40, "look")]);
    assert_eq!(sent(&effects), ["0 Some(30) 0", "1 cancel by ann", "2 None 0"]);
    let effects = clock.send_all([at(41, "set 50 z"), at(50, "look")]);
    assert_eq!(sent(&effects)[1..], ["1alarm z", "1 None 1"]);
}

#[test]
fn a_timer_is_of_its_key() {
    let mut clock = driver::<clock>();
    clock.send_all([at(0, "set 20 x"), at(0, "set 10 y").key("bob"), at(0, "cancel").key("eve")]);
    let effects = clock.send(at(30, "a"));
    assert_eq!(sent(&effects), ["0alarm y", "0alarm x", "0 a by ann"]);
    assert_eq!(clock.count("heard", "bob"), 1);
    let failure = clock.send(Input::new("set 1 x")).failure();
    assert_eq!(failure, "reject: record has no key");
}

#[test]
fn a_quiet_partition_fires_by_the_wall_clock() {
    let mut clock = driver::<clock>();
    clock.set_now(0);
    clock.send(at(10, "set 1000 x"));
    assert_eq!(sent(&clock.advance(Duration::from_millis(989))), [""; 0]);
    assert_eq!(sent(&clock.advance(Duration::from_millis(1))), ["0alarm x"]);
    assert_eq!(sent(&clock.advance(Duration::from_secs(100))), [""; 0]);
    clock.send(at(10, "set 200000 y"));
    assert_eq!(sent(&clock.set_now(200_000)), ["0alarm y"]);
}

#[test]
fn several_timers_fire_in_the_order_they_are_due() {
    let mut clock = driver::<clock>();
    clock.send_all([at(0, "set 30 x"), at(0, "second 20")]);
    clock.send(at(25, "a"));
    assert_eq!(clock.count("heard", "ann"), 1020);
    clock.send(at(30, "a"));
    assert_eq!(clock.count("heard", "ann"), 1021);
}

#[test]
fn a_handler_may_set_the_timer_again_and_takes_the_functions_configuration() {
    let mut clock = driver::<clock>().config("prefix", "> ");
    let effects = clock.send_all([at(0, "set 20 again"), at(20, "a")]);
    assert_eq!(sent(&effects)[1..], ["1alarm again", "1alarm once more", "1 a by ann"]);
    assert_eq!(effects.to("alarms")[1].text(), "> 9 ann");
}

#[test]
fn a_record_that_fails_sets_no_timer() {
    let mut clock = driver::<clock>();
    clock.send_all([at(0, "fail 5 x"), at(10, "a")]);
    assert_eq!((clock.timer("alarm", "ann"), clock.count("heard", "ann")), (None, 0));
}

#[test]
fn a_handler_that_fails_leaves_nothing_and_the_timer_is_gone() {
    for (how, reason) in [("reject", "reject: a bad alarm"), ("panic", "at night")] {
        let mut clock = driver::<clock>();
        let effects = clock.send_all([at(0, &format!("set 5 {how}")), at(10, "look")]);
        let failed = &effects.failed[0];
        assert_eq!((failed.index, failed.timer.as_deref()), (1, Some("alarm")));
        assert!(effects.failure().ends_with(reason), "{}", effects.failure());
        assert_eq!(sent(&effects)[1..], ["1 None 0"]);
    }
}

#[test]
#[should_panic(expected = "set timers that are due at once, without end")]
fn a_timer_that_never_rests_is_found() {
    driver::<clock>().send_all([at(0, "set 5 forever"), at(10, "a")]);
}
