//! What functions keep, in cases on the task driver and over HTTP.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tidemill::{
    broker::{
        Broker as _, NewTopic,
        memory::{Append, MemoryLog},
    },
    clock::SystemClock,
    guest::{Component, Engine, EngineSettings, encode},
    http::{self, ApiSettings, Client, ClientError, One},
    manifest::Manifest,
    metrics::Metrics,
    record::{Headers, Timestamp},
    store::{Database, DatabaseSettings},
    supervisor::{App, AppSettings},
    testing::case,
};

fn component(package: &str) -> Component {
    static LOADED: OnceLock<(Engine, Mutex<BTreeMap<String, Component>>)> = OnceLock::new();
    let (engine, loaded) = LOADED.get_or_init(|| {
        (Engine::new(&EngineSettings::with_user_cache()).unwrap(), Mutex::default())
    });
    let mut loaded = loaded.lock().unwrap();
    let load = || engine.load(&encode(&tidemill_guests::module(package)).unwrap()).unwrap();
    loaded.entry(package.to_owned()).or_insert_with(load).clone()
}

fn manifest(text: &str) -> Manifest {
    Manifest::parse(text, "tidemill.toml", &[], &|_| None).unwrap()
}

/// The code of every function: the guest without the SDK, unless it is called as a ready-made one.
fn components(manifest: &Manifest) -> BTreeMap<String, Component> {
    let component = |name: &String| match name.as_str() {
        "running_total" => component("running-total"),
        "watch" => component("reminders"),
        "look_up" => component("guest-faulty"),
        _ => component("guest-raw"),
    };
    manifest.functions.keys().map(|name| (name.clone(), component(name))).collect()
}

/// What is wrong with the cases; nothing where all is right.
fn wrong(manifest_text: &str, cases: &str) -> String {
    let manifest = manifest(manifest_text);
    let components = components(&manifest);
    let file = case::parse("t.case", cases, &|_| unreachable!("no case names a file")).unwrap();
    let mut wrong = String::new();
    for case in &file.cases {
        match case::start(case, &manifest, &components) {
            Ok(mut driver) => {
                for problem in case::run(case, &mut driver).problems(case) {
                    wrong += &format!("t.case:{}\n{problem}\n", problem.line());
                }
            }
            Err(error) => wrong += &format!("{error}\n"),
        }
    }
    wrong
}

const KEEPER: &str = r#"
    app = "keeper"
    [functions.raw]
    module = "raw.wasm"
    inputs = ["in"]
    outputs = { out = "out" }
    [stores.value]
    ttl = "5m"
    [stores.map]
    [stores.counter]
    [tables.users]
    topic = "people"
"#;

#[test]
fn what_is_given_is_there_and_what_is_kept_comes_back_from_the_changelogs() {
    let cases = r#"
case state and rows are given, and state is there after the disk is lost
given state counter k 40
given state value k hello
given state map k [tea] 3
given state map k [cup] 1
given table users k {"name":"Kay"}
in    in 10:00:00 k add 2 . 2; map-get 1 . tea; map-delete 1 . cup; map-set 1 . "a" x; row 3 .
out   out k 42, 3, done, done, {"name":"Kay"}
state counter k 42
state map k [tea] 3
state map k [cup] null
state map k ["\"a\""] x
state counter other null
table users k {"name": "Kay"}
table users other null
restart
state counter k 42
state map k [tea] 3
in    in k add 2 . 1
out   out k 43

case rows come and go while the app runs
in    people k one
in    in 10:00:00 k row 3 .
out   out k one
in    people k null
in    in k row 3 .
out   out k none
restart
in    in k row 3 .
out   out k none

case what is written in one partition is read there
given partitions 3
given state counter a 1
given state counter b 2
given state counter c 3
in    in a add 2 . 1
out   out a 2
in    in/2 d add 2 . 7
out   out d 7
state counter a 2
state counter b 2
state counter c 3
state counter d 7
restart
state counter b 2
state counter d 7

case a value goes when its time is over, also where no record follows
in    in 10:00:00 k set 0 . v
out   out k done
state value k v
at    10:04:59
state value k v
at    10:05:00
state value k null
in    in 10:05:00 k get 0 .
out   out k none
"#;
    assert_eq!(wrong(KEEPER, cases), "");
}

#[test]
fn timers_fire_in_event_time_and_at_the_end_of_the_inputs_by_the_clock() {
    let cases = r#"
case a record makes an earlier timer fire before it
in    in 10:00:00 k timer-set 4 . 1767261660000 add/2/./5
out   out k cut false
timer raw.due k 10:01:00
in    in 10:00:30 other count 2 .
out   out other 0
timer raw.due k 10:01:00
restart
timer raw.due k 10:01:00
at    10:00:59
at    10:01:30
dead  raw k add/2/./5
timer raw.due k null
"#;
    assert_eq!(wrong(KEEPER, cases), "");
}

#[test]
fn ready_made_functions_do_as_their_cases_say() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for app in ["functions/running-total", "examples/reminders"] {
        let folder = folder.join(app);
        let manifest = std::fs::read_to_string(folder.join("tidemill.toml")).unwrap();
        for file in std::fs::read_dir(folder.join("cases")).unwrap() {
            let cases = std::fs::read_to_string(file.unwrap().path()).unwrap();
            assert_eq!(wrong(&manifest, &cases), "", "{app}");
        }
    }
}

#[test]
fn what_a_case_gives_must_be_there() {
    let given = |line: &str| wrong(KEEPER, &format!("case a\n{line}\nin in k get 0 .\n"));
    let lines = [
        "given state nothing k v",
        "given state users k v",
        "given state map k v",
        "given state value k [a] v",
        "given state counter k many",
        "given table value k v",
    ];
    insta::assert_snapshot!(lines.map(given).concat(), @r"
    the app has no store or table `nothing`; it has `counter`, `map`, `users`, `value`
    given state users: it is a table: write given table
    given state map: it is a map: say which entry in brackets, as [tea]
    given state value: it is no map and has no entries
    given state counter: `many` is no i64
    given table value: it is a store: write given state
    ");
    let check =
        |line: &str| wrong(KEEPER, &format!("case a\nin in k set 0 . v\nout out k done\n{line}\n"));
    let lines = [
        "state nothing k v",
        "state map k v",
        "state users k v",
        "table value k v",
        "timer raw.never k null",
        "state value k w",
    ];
    insta::assert_snapshot!(lines.map(check).concat(), @r"
    t.case:2
         in  in k set 0 . v
       ! the app has no store or table `nothing`; it has `counter`, `map`, `users`, `value`
    t.case:2
         in  in k set 0 . v
       ! `map` is a map: say which entry in brackets, as [tea]
    t.case:2
         in  in k set 0 . v
       ! `users` is a table: write table users KEY VALUE
    t.case:2
         in  in k set 0 . v
       ! `value` is a store: write state value KEY VALUE
    t.case:2
         in  in k set 0 . v
       ! the app has no timer `raw.never`; it has `raw.due`
    t.case:4
         in  in k set 0 . v
         out out k done
       - state value k w
       + state value k v
    ");
}

const TOPICS: &[&str] = &["in", "out", "people"];

/// Without time to live: records of a test are older than that.
fn lasting() -> String {
    KEEPER.replace("ttl = \"5m\"", "")
}

const LOOK_UP: &str = r#"
    app = "asking"
    [functions.look_up]
    module = "faulty.wasm"
    inputs = ["in"]
    outputs = { out = "out" }
    [tables.users]
    topic = "users"
"#;

#[test]
fn a_row_that_does_not_decode_pauses_its_task() {
    let cases = r#"
case nothing behind the record goes on, not even after a restart
given table users u1 nonsense
in    in 10:00:00 u1 x
pause look_up ! state: table `users`: row is not JSON: expected ident at column 2
in    in u2 x
restart
pause look_up ! state: table `users`: row is not JSON: expected ident at column 2
"#;
    assert_eq!(wrong(LOOK_UP, cases), "");
}

#[test]
fn a_paused_task_is_shown_and_goes_on_when_it_is_told_to() {
    let served = Served::start(LOOK_UP, &["in", "out", "users"], 1);
    served.append("users", b"u1", "nonsense");
    served.wait("stores/users/keys/u1", Result::is_ok).unwrap();
    served.append("in", b"u1", "x");
    let is_paused = |status: &Result<Value, String>| {
        let status = status.as_ref().unwrap();
        let waiting = &status["report"]["partitions"][0]["waiting"];
        waiting.as_str().is_some_and(|waiting| waiting.starts_with("paused: "))
    };
    served.wait("status", is_paused).unwrap();
    served.append("users", b"u1", "7");
    let mended = |row: &Result<Value, String>| row.as_ref().is_ok_and(|row| row["value"] == 7);
    served.wait("stores/users/keys/u1", mended).unwrap();
    let resumed = served.client.send(
        "POST".parse().unwrap(),
        "/apps/asking/resume",
        &[],
        None,
        Default::default(),
    );
    assert_eq!(served.runtime.block_on(resumed).unwrap().status.as_u16(), 204);
    let status = served.wait("status", |status| !is_paused(status)).unwrap();
    assert_eq!(status["state"], "running");
    let caught_up = |status: &Result<Value, String>| status.as_ref().unwrap()["report"]["lag"] == 0;
    let status = served.wait("status", caught_up).unwrap();
    assert_eq!(status["report"]["functions"]["look_up"]["records_out"], 1);
    served.stop();
}

/// An app with state that is at work, and its API.
struct Served {
    log: MemoryLog,
    name: String,
    app: One,
    client: Client,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl Served {
    fn start(manifest_text: &str, topics: &[&str], partitions: u32) -> Served {
        let log = MemoryLog::new();
        for name in topics {
            let topic = NewTopic {
                name: (*name).to_owned(),
                partitions: Some(partitions),
                replicas: None,
                settings: BTreeMap::new(),
            };
            log.admin().unwrap().create(&topic).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let manifest = manifest(manifest_text);
        let name = manifest.app.to_string();
        let metrics = Metrics::new();
        let app = App::start(AppSettings {
            components: components(&manifest),
            manifest,
            broker: Arc::new(log.clone()),
            create_topics: true,
            database: Database::open(folder.path(), DatabaseSettings { memory_bytes: 8 << 20 })
                .unwrap(),
            workers: 1,
            metrics: metrics.clone(),
            clock: Arc::new(SystemClock),
            observer: None,
        })
        .unwrap();
        let one = One::default();
        *one.0.lock().unwrap() = Some(app);
        let listener = http::listen("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let address = listener.local_addr().unwrap();
        let router = http::router(ApiSettings {
            token: None,
            metrics,
            log: Some(log.clone()),
            apps: Arc::new(one.clone()),
            host: None,
            upload_bytes_max: 1,
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(http::serve(listener, router, std::future::pending()));
        let client = Client::new(&address.to_string(), None).unwrap();
        Served { log, name, app: one, client, runtime, _folder: folder }
    }

    fn append(&self, topic: &str, key: &[u8], value: &str) {
        let record = Append {
            partition: None,
            key: Some(key),
            value: Some(value.as_bytes()),
            headers: Headers::EMPTY,
            timestamp: Some(Timestamp(1_767_261_600_000)),
        };
        self.log.append(topic, &record).unwrap();
    }

    fn get(&self, path: &str) -> Result<Value, String> {
        let path = format!("/apps/{}/{path}", self.name);
        self.runtime.block_on(self.client.get(&path)).map_err(|error| match error {
            ClientError::Refused(problem) => format!("{} {}", problem.status, problem.detail),
            other => panic!("{other}"),
        })
    }

    /// Asks until the answer is as expected.
    #[track_caller]
    fn wait(
        &self,
        path: &str,
        until: impl Fn(&Result<Value, String>) -> bool,
    ) -> Result<Value, String> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = self.get(path);
            if until(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{path}: {answer:?}");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn stop(self) {
        let app = self.app.0.lock().unwrap().take().unwrap();
        app.stop();
        self.runtime.shutdown_background();
    }
}

const COUNTING: &str = r#"
    app = "counting"
    [stores.per_minute]
    from = "sales"
    window = { tumbling = "60s" }
    grace = "1m"
    compute = { n = "count()", cents = "sum(cents)" }
    [stores.ever]
    from = "sales"
    compute = ["count"]
"#;

#[test]
fn windows_are_checked_in_cases() {
    let cases = r#"
case a minute is a window, and without windows there is one count
in    sales 10:00:00 ann {"cents":300}
in    sales 10:00:59.999 ann {"cents":200}
in    sales 10:01:00 ann {"cents":1}
in    sales bob {"cents":7}
state per_minute ann [10:00:00,10:01:00) {"n":2,"cents":500}
state per_minute ann [2026-01-01T10:01:00Z,2026-01-01T10:02:00Z) {"n":1,"cents":1}
state per_minute bob [10:00:00,10:01:00) null
state ever ann {"count":3}
restart
state per_minute ann [10:00:00,10:01:00) {"n":2,"cents":500}
state ever bob {"count":1}
"#;
    assert_eq!(wrong(COUNTING, cases), "");
    let cases = r#"
case a
in    sales 10:00:00 ann {"cents":300}
state per_minute ann {"n":1}
case b
in    sales 10:00:00 ann {"cents":300}
state ever ann [10:00:00,10:01:00) {"count":1}
case c
in    sales 10:00:00 ann {"cents":300}
state per_minute ann [10:00:00,10:01:00) {"n":2}
"#;
    insta::assert_snapshot!(wrong(COUNTING, cases), @r#"
    t.case:3
         in  sales 10:00:00 ann {"cents":300}
       ! `per_minute` has windows: say which in brackets, as [10:00:00,10:01:00)
    t.case:6
         in  sales 10:00:00 ann {"cents":300}
       ! `ever` has no windows: leave it out
    t.case:10
         in  sales 10:00:00 ann {"cents":300}
       - state per_minute ann [10:00:00,10:01:00) {"n":2}
       + state per_minute ann [10:00:00,10:01:00) {"n":1,"cents":300}
    "#);
}

#[test]
fn windows_are_read_over_http() {
    let served = Served::start(COUNTING, &["sales"], 2);
    let minute = 1_767_261_600_000_i64;
    let sale = |key: &str, after: i64, cents: i64| {
        let value = format!(r#"{{"cents":{cents}}}"#);
        let record = Append {
            partition: None,
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            headers: Headers::EMPTY,
            timestamp: Some(Timestamp(minute + after)),
        };
        served.log.append("sales", &record).unwrap();
    };
    for (after, cents) in [(0, 300), (59_000, 200), (60_000, 1), (180_000, 4)] {
        sale("ann", after, cents);
    }
    let window = |index: i64, at: i64, n: i64, cents: i64| {
        let start = minute + index * 60_000;
        json!({ "start": start, "end": start + 60_000, "partition": 0, "timestamp": minute + at,
            "value": { "n": n, "cents": cents } })
    };
    let all = [window(0, 59_000, 2, 500), window(1, 60_000, 1, 1), window(3, 180_000, 1, 4)];
    let is_there = |page: &Result<Value, String>| {
        page.as_ref().is_ok_and(|page| page["entries"].as_array().is_some_and(|it| it.len() == 3))
    };
    let page = served.wait("stores/per_minute/keys/ann", is_there).unwrap();
    let partition = page["partition"].as_i64().unwrap();
    let all = all.map(|mut window| {
        window["partition"] = partition.into();
        window
    });
    assert_eq!(page, json!({ "key": "ann", "partition": partition, "entries": all }));
    let get = |path: &str| served.get(path).unwrap();
    let entries = "stores/per_minute/keys/ann/entries";
    assert_eq!(get(entries), json!({ "entries": all }));
    let from = "from=2026-01-01T10:01:00Z";
    assert_eq!(get(&format!("{entries}?{from}")), json!({ "entries": all[1..] }));
    let to = minute + 180_000;
    assert_eq!(get(&format!("{entries}?{from}&to={to}")), json!({ "entries": all[1..2] }));
    let first = get(&format!("{entries}?limit=2"));
    assert_eq!(first["entries"], json!(all[..2]));
    let next = first["next"].as_str().unwrap();
    assert_eq!(get(&format!("{entries}?limit=2&cursor={next}")), json!({ "entries": all[2..] }));

    let keyed = |mut window: Value| {
        window["key"] = "ann".into();
        window
    };
    let keyed = all.map(keyed);
    assert_eq!(get("stores/per_minute/keys"), json!({ "entries": keyed }));
    let mut paged = Vec::new();
    let mut path = "stores/per_minute/keys?limit=1".to_owned();
    loop {
        let page = get(&path);
        paged.extend(page["entries"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("stores/per_minute/keys?limit=1&cursor={next}");
    }
    assert_eq!(paged, keyed);

    let ever = json!({ "key": "ann", "partition": partition, "timestamp": minute + 180_000,
        "value": { "count": 4 } });
    assert_eq!(get("stores/ever/keys/ann"), ever);
    assert_eq!(get("stores/ever/keys"), json!({ "entries": [ever] }));
    let refused = [
        "stores/per_minute/keys/bob",
        "stores/per_minute/keys?from=noon",
        "stores/per_minute/keys?prefix=a",
    ]
    .map(|path| served.get(path).unwrap_err());
    insta::assert_snapshot!(refused.join("\n"), @r#"
    404 `per_minute` has nothing under "bob"
    400 from=noon: expected a time, as 2026-01-02T10:00:00Z or in milliseconds since 1970
    400 unknown parameter `prefix`; known here: limit, from, to, cursor, and key alone
    "#);
    served.stop();
}

#[test]
fn committed_state_is_read_over_http() {
    let served = Served::start(&lasting(), TOPICS, 1);
    for (key, value) in [("a", 1), ("b", 2), ("c", 3)] {
        served.append("in", key.as_bytes(), &format!("add 2 . {value}"));
    }
    served.append("in", b"a", "map-set 1 . tea 3; map-set 1 . cup {}; set 0 . text");
    served.append("in", &[0, 255], "add 2 . 9");
    served.append("people", b"a", "{\"name\":\"Ann\"}");
    served.wait("stores/counter/keys?key=hex:00ff", Result::is_ok).unwrap();
    let at = 1_767_261_600_000_i64;
    let get = |path: &str| served.get(path).unwrap();
    let counter = |key: Value, value: i64| json!({ "key": key, "partition": 0, "timestamp": at, "value": value });
    assert_eq!(get("stores/counter/keys/a"), counter(json!("a"), 1));
    assert_eq!(get("stores/counter/keys/hex:00ff"), counter(json!({ "base64": "AP8=" }), 9));
    assert_eq!(get("stores/value/keys/a")["value"], "text");
    served.wait("stores/users/keys/a", Result::is_ok).unwrap();

    let all = get("stores/counter/keys");
    let expected = [
        counter(json!({ "base64": "AP8=" }), 9),
        counter(json!("a"), 1),
        counter(json!("b"), 2),
        counter(json!("c"), 3),
    ];
    assert_eq!(all, json!({ "entries": expected }));
    let first = get("stores/counter/keys?limit=2");
    assert_eq!(first["entries"], json!(expected[..2]));
    let next = first["next"].as_str().unwrap();
    assert_eq!(
        get(&format!("stores/counter/keys?limit=2&cursor={next}")),
        json!({ "entries": expected[2..] })
    );
    assert_eq!(get("stores/counter/keys?from=b&to=c")["entries"], json!([expected[2]]));
    assert_eq!(get("stores/counter/keys?prefix=c")["entries"], json!([expected[3]]));
    assert_eq!(get("stores/map/keys"), json!({ "entries": [{ "key": "a", "partition": 0 }] }));

    let entry = |key: &str, value: &str| json!({ "key": key, "partition": 0, "timestamp": at, "value": value });
    let entries = json!([entry("cup", "{}"), entry("tea", "3")]);
    assert_eq!(get("stores/map/keys/a/entries")["entries"], entries);
    assert_eq!(get("stores/map/keys/a"), json!({ "key": "a", "partition": 0, "entries": entries }));
    assert_eq!(get("stores/map/keys/a/entries?from=d")["entries"], json!([entry("tea", "3")]));
    assert_eq!(get("stores/map/keys/a/entries?to=d")["entries"], json!([entry("cup", "{}")]));
    let one = get("stores/map/keys/a/entries?limit=1");
    let next = one["next"].as_str().unwrap();
    let rest = get(&format!("stores/map/keys/a/entries?cursor={next}"));
    assert_eq!(rest, json!({ "entries": [entry("tea", "3")] }));
    assert_eq!(get("stores/map/keys/b/entries"), json!({ "entries": [] }));
    let last = get("stores/map/keys/a/entries?reverse=true&limit=1");
    assert_eq!(last["entries"], json!([entry("tea", "3")]));
    let next = last["next"].as_str().unwrap();
    let rest = get(&format!("stores/map/keys/a/entries?reverse=true&cursor={next}"));
    assert_eq!(rest, json!({ "entries": [entry("cup", "{}")] }));
    let prefixed = get("stores/map/keys/a/entries?reverse=true&prefix=c");
    assert_eq!(prefixed["entries"], json!([entry("cup", "{}")]));

    let paths = [
        "stores/counter/keys/z",
        "stores/map/keys/z",
        "stores/nothing/keys/a",
        "stores/counter/keys/a/entries",
        "stores/counter/keys?limit=0",
        "stores/counter/keys?cursor=x",
        "stores/counter/keys?form=a",
    ];
    let problems: Vec<String> = paths.map(|path| served.get(path).unwrap_err()).into();
    insta::assert_snapshot!(problems.join("\n"), @r#"
    404 `counter` has nothing under "z"
    404 `map` has nothing under "z"
    404 the app has no store or table `nothing`; it has `counter`, `map`, `users`, `value`
    400 `counter` is no map: a key of it has no entries
    400 limit=0: expected a number from 1 to 10000
    400 cursor=x: expected what the page before has as `next`
    400 unknown parameter `form`; known here: limit, from, to, prefix, cursor, and key alone
    "#);
    served.stop();
}

#[test]
fn a_key_that_is_elsewhere_says_so() {
    let served = Served::start(&lasting(), TOPICS, 2);
    served.append("in", b"a", "add 2 . 1");
    served.wait("stores/counter/keys/a", Result::is_ok).unwrap();
    // A second member takes one of the two partitions over.
    let folder = tempfile::tempdir().unwrap();
    let manifest = manifest(&lasting());
    let other = App::start(AppSettings {
        components: components(&manifest),
        manifest,
        broker: Arc::new(served.log.clone()),
        create_topics: true,
        database: Database::open(folder.path(), DatabaseSettings { memory_bytes: 8 << 20 })
            .unwrap(),
        workers: 1,
        metrics: Metrics::new(),
        clock: Arc::new(SystemClock),
        observer: None,
    })
    .unwrap();
    let keys = ["a", "b", "c", "d", "e"];
    let elsewhere = |served: &Served| {
        let answers = keys.map(|key| served.get(&format!("stores/counter/keys/{key}")));
        answers.into_iter().filter_map(Result::err).find(|error| error.starts_with("421"))
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    let error = loop {
        if let Some(error) = elsewhere(&served) {
            break error;
        }
        assert!(Instant::now() < deadline, "no key went elsewhere");
        std::thread::park_timeout(Duration::from_millis(5));
    };
    assert!(
        error.ends_with("of `counter`, where this key belongs, is not at work on this host"),
        "{error}"
    );
    other.stop();
    served.stop();
}
