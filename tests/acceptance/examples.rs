//! The examples with windows and joins on a real Kafka, as they stand but for where they run: records in, results out.
//!
//! Times are those of the records, a little in the past; what windows let out follows from records alone.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::Message;
use rdkafka::message::{Headers, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};

use crate::broker::{self, kafka, repository};
use crate::host::{self, Host};
use crate::{http, wait};

const LIMIT: Duration = Duration::from_secs(60);
const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;

/// An example at work.
struct Example {
    app: &'static str,
    host: Host,
    producer: BaseProducer,
    _folder: tempfile::TempDir,
}

impl Example {
    /// Runs an example, some functions of which are its own.
    fn start(name: &str, app: &'static str, functions: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("making a folder");
        let (component, listen) = (host::example(name), host::free_address());
        let manifest = repository().join("examples").join(name).join("tidemill.toml");
        let mut arguments = vec!["run".to_owned(), manifest.display().to_string()];
        let settings = [
            "start=\"earliest\"".to_owned(),
            format!("host.data=\"{}\"", folder.path().join("data").display()),
            format!("host.listen=\"{listen}\""),
            format!("kafka.\"bootstrap.servers\"=\"{}\"", broker::bootstrap()),
        ];
        let module =
            |function: &&str| format!("functions.{function}.module=\"{}\"", component.display());
        for setting in settings.into_iter().chain(functions.iter().map(module)) {
            arguments.extend(["--set".to_owned(), setting]);
        }
        let host = Host::start(arguments, listen, &folder.path().join("log"));
        let producer = broker::client()
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .create()
            .expect("making a producer");
        Self { app, host, producer, _folder: folder }
    }

    /// Writes records and waits until all of them are there.
    fn write<'a>(&self, topic: &str, records: impl IntoIterator<Item = Written<'a>>) {
        for Written { partition, key, value, at } in records {
            let value = value.to_string();
            let mut record = BaseRecord::<str, str>::to(topic).payload(&value).timestamp(at);
            record.partition = partition;
            record.key = key;
            self.producer.send(record).map_err(|(error, _)| error).expect("writing a record");
        }
        self.producer.flush(LIMIT).expect("the broker takes the records");
    }

    /// Waits until all that is in these topics is handled; each may feed those behind it.
    fn settle(&self, topics: &[&str]) {
        for topic in topics {
            wait::until(&format!("the end of {topic}"), LIMIT, || {
                let ends = broker::ends(topic);
                let partitions = i32::try_from(ends.len()).expect("few partitions");
                let committed = broker::committed(self.app, topic, partitions);
                // A partition that nothing came to has no position.
                let committed: Vec<i64> = committed.into_iter().map(|it| it.max(0)).collect();
                (committed == ends).then_some(())
            });
        }
    }

    /// What a store that is computed has of a key in windows that start in a range: start, end, value.
    fn windows(&self, store: &str, key: &str, (from, to): (i64, i64)) -> Vec<(i64, i64, Value)> {
        let path =
            format!("/apps/{}/stores/{store}/keys/{key}/entries?from={from}&to={to}", self.app);
        // Not there yet: the partition is on its way from one of the host's workers to another.
        let answer = wait::until(&path, LIMIT, || {
            let answer = http::get(&self.host.url(&path)).expect("the host answers");
            (answer.status != 503).then_some(answer)
        });
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let windows = answer.json()["entries"].as_array().expect("a list of windows").clone();
        let millis = |value: &Value| value.as_i64().expect("milliseconds");
        let window = |window: &Value| {
            (millis(&window["start"]), millis(&window["end"]), window["value"].clone())
        };
        windows.iter().map(window).collect()
    }

    fn stop(self) {
        assert!(self.host.terminate().success(), "a host that is told to stop ends well");
    }
}

/// A record to write.
struct Written<'a> {
    partition: Option<i32>,
    key: Option<&'a str>,
    value: Value,
    at: i64,
}

/// A record in the partition of its key.
fn keyed(key: &str, value: Value, at: i64) -> Written<'_> {
    Written { partition: None, key: Some(key), value, at }
}

fn now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970");
    i64::try_from(since_epoch.as_millis()).expect("this age")
}

/// A record as key, value and timestamp.
type Row = (Option<String>, Value, i64);

/// All of a topic, sorted by key and time.
fn rows(topic: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = records(topic).iter().map(row).collect();
    rows.sort_by(|one, other| (&one.0, one.2).cmp(&(&other.0, other.2)));
    rows
}

fn records(topic: &str) -> Vec<OwnedMessage> {
    kafka().read(topic).into_iter().flatten().collect()
}

fn row(record: &OwnedMessage) -> Row {
    let key = record.key().map(|key| String::from_utf8(key.to_vec()).expect("keys are text"));
    let value = serde_json::from_slice(record.payload().expect("a value")).expect("JSON");
    (key, value, record.timestamp().to_millis().expect("a time"))
}

/// The window of a result.
fn window(record: &OwnedMessage) -> (i64, i64) {
    let headers = record.headers().expect("a result has headers");
    let millis = |name: &str| -> i64 {
        let mut found = headers.iter().filter(|header| header.key == name);
        let value = found.next().expect("the window is in headers").value.expect("a value");
        std::str::from_utf8(value).expect("text").parse().expect("decimal")
    };
    (millis("tidemill.window.start"), millis("tidemill.window.end"))
}

#[test]
fn fraud_raises_one_alert_at_the_fifth_failure_within_five_minutes() {
    for topic in ["logins", "alerts"] {
        broker::create_topic(topic, 3);
    }
    let fraud = Example::start("fraud", "fraud", &["fraud"]);
    let begin = now() - 5 * MINUTE;
    let at = |second: i64| begin + second * SECOND;
    let failed = |key, second| keyed(key, json!({"ok": false}), at(second));
    let ann = [0, 60, 150, 180, 299].map(|second| failed("ann", second));
    // Never five within five minutes.
    let bob = [0, 100, 200, 301].map(|second| failed("bob", second));
    fraud.write("logins", ann.into_iter().chain(bob));
    fraud.settle(&["logins"]);
    let alert = (Some("ann".to_owned()), json!({"user": "ann", "failures": 5}), at(299));
    assert_eq!(rows("alerts"), [alert]);
    // The sixth raises none.
    fraud.write("logins", [failed("ann", 300), keyed("ann", json!({"ok": true}), at(300))]);
    fraud.settle(&["logins"]);
    assert_eq!(rows("alerts").len(), 1);
    let windows = fraud.windows("failures", "ann", (at(0), at(0) + 1));
    assert_eq!(windows, [(at(0), at(300), json!({"count": 6}))]);
    fraud.stop();
}

/// Payments come under keys of their own, and reach their orders through a repartition topic.
#[test]
fn checkout_pairs_orders_and_payments_and_tells_the_rest_when_windows_close() {
    const PARTITIONS: i32 = 2;
    for topic in ["orders", "payments", "paid", "overdue", "orphan-payments"] {
        broker::create_topic(topic, PARTITIONS);
    }
    let checkout = Example::start("checkout", "checkout", &["reconcile"]);
    let repartition = "checkout.payments_by_order.repartition";
    assert_eq!(broker::ends(repartition).len(), PARTITIONS as usize);
    let begin = now() - 20 * MINUTE;
    let order = |id: &'static str, at| keyed(id, json!({"id": id}), at);
    let payment = |key, id: &str, at| keyed(key, json!({"order_id": id, "cents": 500}), at);
    checkout.write("orders", [order("o-1", begin), order("o-2", begin), order("o-3", begin)]);
    checkout.settle(&["orders"]);
    let paid_at = begin + 4 * MINUTE;
    checkout.write("payments", [payment("p-1", "o-1", paid_at), payment("p-2", "o-9", begin)]);
    checkout.settle(&["payments", repartition]);
    let key = |id: &str| Some(id.to_owned());
    assert_eq!(rows("paid"), [(key("o-1"), json!({"id": "o-1", "cents": 500}), paid_at)]);

    // What is open closes in each partition.
    let closing = |partition| Written {
        partition: Some(partition),
        key: Some("o-last"),
        value: json!({"id": "o-last"}),
        at: begin + 11 * MINUTE,
    };
    checkout.write("orders", (0..PARTITIONS).map(closing));
    checkout.settle(&["orders"]);
    let overdue = ["o-2", "o-3"].map(|id| (key(id), json!({"id": id}), begin));
    assert_eq!(rows("overdue"), overdue);
    let orphan = json!({"order_id": "o-9", "cents": 500});
    assert_eq!(rows("orphan-payments"), [(key("o-9"), orphan, begin)]);
    assert_eq!(rows("paid").len(), 1);
    checkout.stop();
}

#[test]
fn carts_tells_each_session_once_when_it_is_over() {
    broker::create_topic("cart-events", 1);
    broker::create_topic("abandoned-carts", 1);
    let carts = Example::start("carts", "carts", &["abandoned"]);
    let begin = now() - 120 * MINUTE;
    let event = |key, sku: &str, cents: i64, minute: i64| {
        keyed(key, json!({"sku": sku, "cents": cents}), begin + minute * MINUTE)
    };
    carts.write(
        "cart-events",
        [
            event("ann", "tea", 300, 0),
            event("bob", "pin", 5, 1),
            event("ann", "cup", 900, 20),
            // A session of its own; time is past the end of the others.
            event("ann", "mat", 2000, 60),
        ],
    );
    carts.settle(&["cart-events"]);
    let end = begin + 20 * MINUTE;
    let cart = json!({"items": ["tea", "cup"], "cents": 1200});
    assert_eq!(rows("abandoned-carts"), [(Some("ann".to_owned()), cart.clone(), end)]);
    assert_eq!(window(&records("abandoned-carts")[0]), (begin, end));
    let windows = carts.windows("cart", "ann", (begin, now()));
    let (last, open) = (begin + 60 * MINUTE, json!({"items": ["mat"], "cents": 2000}));
    assert_eq!(windows, [(begin, end, cart), (last, last, open)]);
    carts.stop();
}

/// What the host has counted per minute is what the settlements are.
#[test]
fn stock_trades_are_settled_and_counted_per_minute() {
    const PARTITIONS: i32 = 6;
    const STORES: [(&str, &str); 4] = [
        ("Completed", "completed_per_minute"),
        ("Pending", "pending_per_minute"),
        ("SEC Flagged", "flagged_per_minute"),
        ("Rejected", "rejected_per_minute"),
    ];
    const SYMBOLS: [&str; 3] = ["ZVV", "ZTEST", "ZBZX"];
    const TRADES: i64 = 300;
    kafka().create_topic("users", PARTITIONS, &[("cleanup.policy", "compact")]);
    broker::create_topic("stocktrade", PARTITIONS);
    let trades = Example::start("stock-trades", "trades", &["enrich", "settle"]);
    // Around the end of a minute; all within the windows' grace, whatever order partitions are read in.
    let begin = now() / MINUTE * MINUTE - 2 * MINUTE - 4 * SECOND;
    let trade = |number: i64| Written {
        partition: Some(i32::try_from(number).expect("few trades") % PARTITIONS),
        key: None,
        value: json!({
            "userid": (number % 10 > 0).then(|| format!("User_{}", number % 10)),
            "symbol": SYMBOLS[usize::try_from(number % 3).expect("few symbols")],
            "quantity": 1 + number % 7,
            "price": if number % 4 == 0 { 50_000 } else { 5 },
            "account": "ABC123",
            "side": "BUY",
        }),
        at: begin + number * 8 * SECOND / TRADES,
    };
    trades.write("stocktrade", (0..TRADES).map(trade));
    let repartition = "trades.trades_by_user.repartition";
    trades.settle(&["stocktrade", repartition, "user_trades", "trade-settlements"]);

    let user_trades = rows("user_trades");
    assert_eq!(i64::try_from(user_trades.len()), Ok(TRADES));
    for (key, value, _) in &user_trades {
        assert_eq!(value["userid"].as_str(), key.as_deref(), "a trade is under its user");
    }
    let mut expected = BTreeMap::<(String, String, i64), i64>::new();
    for (symbol, settlement, at) in rows("trade-settlements") {
        let disposition = settlement["disposition"].as_str().expect("text").to_owned();
        let symbol = symbol.expect("settlements are under their symbol");
        *expected.entry((disposition, symbol, at / MINUTE * MINUTE)).or_default() += 1;
    }
    assert_eq!(expected.values().sum::<i64>(), TRADES);
    let mut found = BTreeMap::new();
    for (disposition, store) in STORES {
        for record in records(&store.replace('_', "-")) {
            let ((symbol, value, _), (start, end)) = (row(&record), window(&record));
            assert_eq!(end, start + MINUTE);
            let count = value["count"].as_i64().expect("a number");
            let symbol = symbol.expect("counts are under their symbol");
            found.insert((disposition.to_owned(), symbol, start), count);
        }
    }
    assert_eq!(found, expected, "the newest result of each window");
    for (disposition, store) in STORES {
        let mut counted = Vec::new();
        for ((of, symbol, start), count) in &expected {
            if of == disposition && symbol == "ZVV" {
                counted.push((*start, start + MINUTE, json!({"count": count})));
            }
        }
        assert_eq!(trades.windows(store, "ZVV", (begin - MINUTE, now())), counted, "{store}");
    }
    trades.stop();
}

#[test]
fn topics_of_a_join_that_are_cut_differently_are_refused_with_the_way_out() {
    broker::create_topic("uneven.asked", 2);
    broker::create_topic("uneven.answered", 3);
    broker::create_topic("uneven.pairs", 2);
    let folder = tempfile::tempdir().expect("making a folder");
    let path = folder.path().join("tidemill.toml");
    let manifest = format!(
        r#"app = "uneven"
[host]
data = "{}"
[kafka]
"bootstrap.servers" = "{}"
[joins.settled]
left = "uneven.asked"
right = "uneven.answered"
kind = "left"
within = "10s"
[functions.pair]
module = "{}"
inputs = ["settled"]
outputs = {{ pairs = "uneven.pairs" }}
"#,
        folder.path().join("data").display(),
        broker::bootstrap(),
        host::guest("guest-pairing").display()
    );
    std::fs::write(&path, manifest).expect("writing a manifest");
    let said = host::run(["run".as_ref(), path.as_os_str()]);
    assert!(said.status.code().is_some_and(|code| code != 0), "it fails by itself: {said:?}");
    assert_eq!(said.out, "", "nothing has started");
    for word in ["settled", "`uneven.asked` has 2", "`uneven.answered` has 3", "[rekey."] {
        assert!(said.err.contains(word), "{word:?} is told: {}", said.err);
    }
}
