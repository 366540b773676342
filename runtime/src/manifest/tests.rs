//! What a manifest means, and what is said where it means nothing.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Manifest, Error> {
    parse_set(text, &[])
}

fn parse_set(text: &str, sets: &[&str]) -> Result<Manifest, Error> {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    Manifest::parse(text, "app/tidemill.toml", &sets, &|name| {
        (name == "USER").then(|| "ann".to_owned())
    })
}

fn problems(text: &str) -> String {
    parse(text).expect_err("something is wrong").to_string()
}

fn uploaded(text: &str) -> String {
    Manifest::uploaded(text, "tidemill.toml", &[]).expect_err("something is wrong").to_string()
}

const SETTLE: &str = "\n[functions.settle]\nmodule = \".\"\ninputs = [\"user-trades\"]\n";

/// The lines after the top of a small right manifest.
fn settle(more: &str) -> String {
    format!("app = \"trades\"{SETTLE}{more}")
}

#[test]
fn a_small_manifest_has_defaults() {
    let manifest = parse(&settle("")).unwrap();
    assert_eq!(manifest.app.as_str(), "trades");
    assert_eq!(manifest.start, Start::Earliest);
    assert_eq!(manifest.on_missing_offset, OnMissingOffset::Fail);
    assert_eq!(manifest.commit_interval, Duration::from_millis(100));
    assert_eq!(manifest.host.data, Path::new("app/.tidemill"));
    assert_eq!(manifest.host.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(manifest.kafka, None);
    assert_eq!(manifest.guarantee, Guarantee::ExactlyOnce);
    assert_eq!(manifest.max_ahead, Duration::from_secs(3600));
    assert_eq!(manifest.host.state_memory, 256 << 20);
    let settle = &manifest.functions["settle"];
    assert_eq!(settle.module, Module::Path("app".into()));
    assert_eq!(settle.inputs, [(None, Input::Topic("user-trades".to_owned()))]);
    assert_eq!(settle.batch, Batch { records: 500, bytes: 65_536 });
    assert_eq!(settle.limits.time, Duration::from_secs(1));
    assert_eq!(settle.on_failure.retries, None);
}

#[test]
fn every_key_is_read() {
    let manifest = parse(
        r#"
        app = "trades"
        guarantee = "at-least-once"
        start = { timestamp = "2026-11-01T00:00:00Z" }
        on-missing-offset = "latest"
        commit-interval = "1s 500ms"
        max-ahead = "5m"
        [host]
        data = "/var/lib/tidemill"
        workers = 3
        listen = "localhost:0"
        state-memory = "1GiB"
        [kafka]
        "bootstrap.servers" = "localhost:9092"
        "sasl.username" = "${env:USER}-${env:ROLE:-reader}"
        linger.ms = 5
        [topics.user-trades]
        partitions = 6
        replicas = 3
        timestamp = "json:ts"
        settings = { "retention.ms" = -1, cleanup.policy = "delete" }
        [stores.per-symbol]
        kind = "counter"
        ttl = "5m"
        [stores.seen]
        [tables.known-users]
        topic = "users"
        [tables.rates]
        topic = "topic:rates.daily"
        broadcast = true
        [functions.settle-trades]
        module  = "code/../settle.wasm"
        inputs  = { trades = "user-trades", re-tries = "topic:fix.retries", other = "fix.again" }
        where   = { side = "BUY", level = 2, open = true }
        outputs = { large-ones = "large" }
        config  = { large-trade = 100000, names = ["a", { b = 1.5 }], since = 2026-01-01 }
        stores  = ["per-symbol"]
        tables  = []
        batch   = { records = 7, bytes = "1KiB" }
        limits  = { memory = "8MiB", time = "20ms", output = "1MB", log-line = "2KiB" }
        on-failure = { retries = 3, backoff = "1ms..1m" }
        allow   = ["clock", "random"]
        [functions.fix]
        module = "settle@4"
        inputs = ["raw"]
        "#,
    )
    .unwrap();
    let properties = &manifest.kafka.as_ref().unwrap().properties;
    assert_eq!(properties["sasl.username"], "ann-reader");
    assert_eq!(properties["linger.ms"], "5");
    assert_eq!(manifest.host.listen.to_string(), "127.0.0.1:0");
    assert_eq!(manifest.guarantee, Guarantee::AtLeastOnce);
    assert_eq!(manifest.max_ahead, Duration::from_secs(300));
    assert_eq!(manifest.host.state_memory, 1 << 30);
    assert_snapshot!(format!("{:#?}\n{:#?}", manifest.stores, manifest.tables), @r#"
    {
        "per_symbol": StoreSettings {
            name: "per-symbol",
            kind: Some(
                Counter,
            ),
            ttl: Some(
                300s,
            ),
            aggregate: None,
        },
        "seen": StoreSettings {
            name: "seen",
            kind: None,
            ttl: None,
            aggregate: None,
        },
    }
    {
        "known_users": TableSettings {
            name: "known-users",
            topic: "users",
            broadcast: false,
        },
        "rates": TableSettings {
            name: "rates",
            topic: "rates.daily",
            broadcast: true,
        },
    }
    "#);
    assert_eq!(manifest.start, Start::Timestamp(Timestamp(1_793_491_200_000)));
    assert_snapshot!(format!("{:#?}", manifest.topics), @r#"
    {
        "user-trades": TopicSettings {
            partitions: Some(
                6,
            ),
            replicas: Some(
                3,
            ),
            timestamp: Some(
                Json(
                    "ts",
                ),
            ),
            late: None,
            key_format: None,
            format: None,
            settings: {
                "cleanup.policy": "delete",
                "retention.ms": "-1",
            },
        },
    }
    "#);
    assert_snapshot!(format!("{:#?}", manifest.functions), @r#"
    {
        "fix": FunctionSettings {
            name: "fix",
            module: Registry {
                name: "settle",
                version: Some(
                    4,
                ),
            },
            inputs: [
                (
                    None,
                    Topic(
                        "raw",
                    ),
                ),
            ],
            filter: {},
            outputs: {},
            config: {},
            stores: None,
            tables: None,
            batch: Batch {
                records: 500,
                bytes: 65536,
            },
            limits: Limits {
                memory: 67108864,
                time: 1s,
                output: 4194304,
                log_line: 1024,
            },
            on_failure: OnFailure {
                retries: None,
                backoff: (
                    100ms,
                    10s,
                ),
            },
            allow: [],
        },
        "settle-trades": FunctionSettings {
            name: "settle-trades",
            module: Path(
                "app/code/../settle.wasm",
            ),
            inputs: [
                (
                    Some(
                        "trades",
                    ),
                    Topic(
                        "user-trades",
                    ),
                ),
                (
                    Some(
                        "re_tries",
                    ),
                    Topic(
                        "fix.retries",
                    ),
                ),
                (
                    Some(
                        "other",
                    ),
                    Function {
                        function: "fix",
                        output: "again",
                    },
                ),
            ],
            filter: {
                "level": Number(2),
                "open": Bool(true),
                "side": String("BUY"),
            },
            outputs: {
                "large_ones": "large",
            },
            config: {
                "large_trade": Number(100000),
                "names": Array [
                    String("a"),
                    Object {
                        "b": Number(1.5),
                    },
                ],
                "since": String("2026-01-01"),
            },
            stores: Some(
                {
                    "per_symbol",
                },
            ),
            tables: Some(
                {},
            ),
            batch: Batch {
                records: 7,
                bytes: 1024,
            },
            limits: Limits {
                memory: 8388608,
                time: 20ms,
                output: 1000000,
                log_line: 2048,
            },
            on_failure: OnFailure {
                retries: Some(
                    3,
                ),
                backoff: (
                    1ms,
                    60s,
                ),
            },
            allow: [
                Clock,
                Random,
            ],
        },
    }
    "#);
}

#[test]
fn set_overrides_any_key() {
    let text = settle(
        "config = { large_trade = 100000, note = \"a\" }\n[kafka]\n\"bootstrap.servers\" = \"a:1\"",
    );
    let sets = [
        "functions.settle.config.large_trade=5",
        "functions.settle.config.note = b=c",
        "kafka.\"bootstrap.servers\"=b:2",
        "host.workers=2",
        "start=latest",
        "functions.settle.inputs=[\"other\"]",
    ];
    let manifest = parse_set(&text, &sets).unwrap();
    let settle = &manifest.functions["settle"];
    assert_eq!(serde_json::to_string(&settle.config).unwrap(), r#"{"large_trade":5,"note":"b=c"}"#);
    assert_eq!(settle.inputs[0].1, Input::Topic("other".to_owned()));
    assert_eq!(manifest.kafka.unwrap().properties["bootstrap.servers"], "b:2");
    assert_eq!((manifest.host.workers, manifest.start), (2, Start::Latest));
    let plain = parse_set(&text, &["kafka.bootstrap.servers=c:3"]).unwrap();
    assert_eq!(plain.kafka.unwrap().properties["bootstrap.servers"], "c:3");
    assert_eq!(parse_set(&text, &["kafka=embedded"]).unwrap().kafka, None);

    let sets = [
        "host.wokers=2",
        "workers",
        "host.listen=8080",
        "a b=1",
        "functions.settle.config.x=1\nstart=\"latest\"",
    ];
    assert_snapshot!(parse_set(&text, &[sets[0], sets[2]]).unwrap_err(), @r#"
    --set host.listen=8080: host.listen: found the number 8080; expected an address and a port, such as "127.0.0.1:8080"
    --set host.wokers=2: host.wokers: unknown key; did you mean `workers`? known here: data, workers, listen, state-memory
    "#);
    assert_snapshot!(parse_set(&text, &sets[..4]).unwrap_err(), @r"
    --set workers: no `=` in it; key=value, such as functions.settle.config.large_trade=5000
    --set a b=1: not TOML: key with no value, expected `=`
    ");
    let manifest = parse_set(&text, &sets[4..]).unwrap();
    assert_eq!(manifest.start, Start::Earliest, "a value brings no keys of its own");
}

#[test]
fn several_problems_are_told_at_once_in_the_order_of_the_file() {
    let text = r#"
app = "Trades"
guarantee = "at-most-once"
strat = "latest"
[functions.settle]
inputs = 3
output = { settlements = "trade-settlements" }
on-failure = { retries = -1, then = "pause" }
[joins.completed]
left = "orders"
"#;
    assert_snapshot!(problems(text), @r#"
    app/tidemill.toml:2: app: found the text "Trades"; expected a name of lower-case letters, digits, `-` and `_` that starts with a letter, at most 63
    app/tidemill.toml:3: guarantee: found the text "at-most-once"; expected "exactly-once" or "at-least-once"
    app/tidemill.toml:4: strat: unknown key; did you mean `start`? known here: app, guarantee, start, on-missing-offset, commit-interval, max-ahead, host, kafka, topics, functions, stores, tables, joins, rekey
    app/tidemill.toml:5: functions.settle.module: missing; write for instance module = "."
    app/tidemill.toml:6: functions.settle.inputs: found the number 3; expected a list of topics, or a table of the code's names to topics
    app/tidemill.toml:7: functions.settle.output: unknown key; did you mean `outputs`? known here: module, inputs, where, outputs, config, stores, tables, batch, limits, on-failure, allow
    app/tidemill.toml:8: functions.settle.on-failure.retries: found the number -1; expected a number from 0 to 1000000
    app/tidemill.toml:8: functions.settle.on-failure.then: unknown key; known here: retries, backoff
    app/tidemill.toml:9: joins.completed.right: missing; write for instance right = "payments"
    app/tidemill.toml:9: joins.completed.kind: missing; write for instance kind = "inner"
    "#);
}

#[test]
fn says_what_is_wrong_at_the_top() {
    let cases = [
        "",
        "app = 3\nfunctions = {}",
        "app = \"a\"\nfunctions = 3",
        "app = \"a\nb\"",
        "app = \"a\"\napp = \"b\"",
        &format!("guarantee = \"twice\"\n{}", settle("")),
        &format!("start = \"now\"\n{}", settle("")),
        &format!("start = {{ timestamp = \"2026-11-01\" }}\n{}", settle("")),
        &format!("start = {{ time = 2026-11-01T00:00:00Z }}\n{}", settle("")),
        &format!("on-missing-offset = true\n{}", settle("")),
        &format!("commit-interval = \"0s\"\n{}", settle("")),
        &format!("commit_interval = \"1s\"\n{}", settle("")),
        &settle("[host]\nworkers = 0\nlisten = \"8080\"\nstate-memory = \"1GiB\""),
        &settle(
            "[topics.\"a b\"]\n[topics.b]\npartitions = 0\ntimestamp = \"ts\"\nlate = \"c\"\nsettings = { a = [1] }",
        ),
        &format!("max-ahead = \"soon\"\n{}", settle("")),
        &settle("[host]\nstate-memory = \"1MiB\""),
        &settle("[joins.a]\n[rekey.b]"),
        &settle("batch = { records = 99999999999999999999 }"),
    ];
    assert_snapshot!(cases.map(problems).join("\n--\n"), @r#"
    app/tidemill.toml:1: app: missing; write for instance app = "trades"
    app/tidemill.toml:1: functions: missing; write for instance [functions.settle] with module, inputs and outputs below it
    --
    app/tidemill.toml:1: app: found the number 3; expected a name of lower-case letters, digits, `-` and `_` that starts with a letter, at most 63
    app/tidemill.toml:2: functions: found no function; add [functions.NAME] with module, inputs and outputs below it
    --
    app/tidemill.toml:2: functions: found the number 3; expected a table of functions
    --
    app/tidemill.toml:1: not TOML: invalid basic string, expected `"`
    app/tidemill.toml:2: not TOML: key with no value, expected `=`
    app/tidemill.toml:2: not TOML: invalid unquoted key, expected letters, numbers, `-`, `_`
    --
    app/tidemill.toml:2: not TOML: duplicate key
    --
    app/tidemill.toml:1: guarantee: found the text "twice"; expected "exactly-once" or "at-least-once"
    --
    app/tidemill.toml:1: start: found the text "now"; expected "earliest", "latest" or { timestamp = "2026-11-01T00:00:00Z" }
    --
    app/tidemill.toml:1: start.timestamp: found the text "2026-11-01"; expected a time with its zone, such as "2026-11-01T00:00:00Z"
    --
    app/tidemill.toml:1: start.timestamp: missing; write for instance timestamp = "2026-11-01T00:00:00Z"
    app/tidemill.toml:1: start.time: unknown key; did you mean `timestamp`? known here: timestamp
    --
    app/tidemill.toml:1: on-missing-offset: found true; expected "fail", "earliest" or "latest"
    --
    app/tidemill.toml:1: commit-interval: found the text "0s"; expected a duration from "1ms" to "1m"
    --
    app/tidemill.toml:1: commit_interval: unknown key; did you mean `commit-interval`? known here: app, guarantee, start, on-missing-offset, commit-interval, max-ahead, host, kafka, topics, functions, stores, tables, joins, rekey
    --
    app/tidemill.toml:6: host.workers: found the number 0; expected a number from 1 to 1024
    app/tidemill.toml:7: host.listen: found the text "8080"; expected an address and a port, such as "127.0.0.1:8080"
    --
    app/tidemill.toml:5: topics."a b": no topic; expected a topic's name: letters, digits, `.`, `_` and `-`, at most 249
    app/tidemill.toml:7: topics.b.partitions: found the number 0; expected a number from 1 to 100000
    app/tidemill.toml:8: topics.b.timestamp: found the text "ts"; expected "json:FIELD" or "header:NAME"
    app/tidemill.toml:10: topics.b.settings.a: found a list; expected a text, a number, true or false
    --
    app/tidemill.toml:1: max-ahead: found the text "soon"; expected a duration from "1ms" to "100years"
    --
    app/tidemill.toml:6: host.state-memory: found the text "1MiB"; expected a size from "8MiB" to "1TiB"
    --
    app/tidemill.toml:5: joins.a.left: missing; write for instance left = "orders"
    app/tidemill.toml:5: joins.a.right: missing; write for instance right = "payments"
    app/tidemill.toml:5: joins.a.kind: missing; write for instance kind = "inner"
    app/tidemill.toml:6: rekey.b.input: missing; write for instance input = "orders"
    --
    app/tidemill.toml:5: the number 99999999999999999999; one of 64 bits
    "#);
}

#[test]
fn says_what_is_wrong_with_a_function() {
    let function =
        |more: &str| problems(&format!("app = \"a\"\n[functions.f]\nmodule = \".\"\n{more}"));
    let with = |more: &str| function(&format!("inputs = [\"x\"]\n{more}"));
    let cases = [
        function(""),
        function("inputs = []"),
        function("inputs = [\"a b\"]"),
        function("inputs = [\"a\", \"a\"]"),
        function("inputs = { A = \"a\" }"),
        function("inputs = { a-b = \"a\", a_b = \"b\" }"),
        with("where = { side = [1] }"),
        with("outputs = [\"a\"]"),
        with("outputs = { o = \"a/b\" }"),
        with("config = { a = inf }"),
        with("batch = { records = 0, bytes = \"1GB\", size = 3 }"),
        with("limits = { memory = \"64\", time = \"10s\", cpu = 1 }"),
        with("on-failure = { backoff = \"10s..1s\" }"),
        with("on-failure = { backoff = \"10s\", breaker = 20 }"),
        with("allow = [\"clocks\", \"http:example.com:443\"]"),
        with("allow = \"clock\""),
        with(
            "[functions.f-g]\nmodule = \"sha256:12\"\ninputs = [\"x\"]\n[functions.f_g]\n[functions.F]",
        ),
        with("[functions.G]\nmodule = \"\"\ninputs = [\"f.\"]"),
    ];
    assert_snapshot!(cases.join("\n--\n"), @r#"
    app/tidemill.toml:2: functions.f.inputs: missing; write for instance inputs = ["orders"]
    --
    app/tidemill.toml:4: functions.f.inputs: found no input; expected a list of topics, or a table of the code's names to topics
    --
    app/tidemill.toml:4: functions.f.inputs: found the text "a b"; expected a topic's name: letters, digits, `.`, `_` and `-`, at most 249
    --
    app/tidemill.toml:4: functions.f.inputs: found a twice; name each input once
    --
    app/tidemill.toml:4: functions.f.inputs.A: no name; names have lower-case letters, digits, `-` and `_`, and start with a letter
    --
    app/tidemill.toml:4: functions.f.inputs.a_b: found twice: `-` and `_` are the same letter; name it once
    --
    app/tidemill.toml:5: functions.f.where.side: found a list; expected a text, a number, true or false that the field must equal
    --
    app/tidemill.toml:5: functions.f.outputs: found a list; expected a table of the code's names
    --
    app/tidemill.toml:5: functions.f.outputs.o: found the text "a/b"; expected a topic's name: letters, digits, `.`, `_` and `-`, at most 249
    --
    app/tidemill.toml:5: functions.f.config.a: found the number inf; expected a number that JSON knows
    --
    app/tidemill.toml:5: functions.f.batch.records: found the number 0; expected a number from 1 to 100000
    app/tidemill.toml:5: functions.f.batch.bytes: found the text "1GB"; expected a size from "1KiB" to "16MiB"
    app/tidemill.toml:5: functions.f.batch.size: unknown key; known here: records, bytes
    --
    app/tidemill.toml:5: functions.f.limits.memory: found the text "64"; expected a size from "1MiB" to "4GiB"
    app/tidemill.toml:5: functions.f.limits.time: found the text "10s"; expected a duration from "1ms" to "4s 900ms"
    app/tidemill.toml:5: functions.f.limits.cpu: unknown key; known here: memory, time, output, log-line
    --
    app/tidemill.toml:5: functions.f.on-failure.backoff: found the text "10s..1s"; expected the first and the longest wait, at least 1ms and at most 1h, such as "100ms..10s"
    --
    app/tidemill.toml:5: functions.f.on-failure.backoff: found the text "10s"; expected the first and the longest wait, at least 1ms and at most 1h, such as "100ms..10s"
    app/tidemill.toml:5: functions.f.on-failure.breaker: unknown key; known here: retries, backoff
    --
    app/tidemill.toml:5: functions.f.allow: unknown capability "clocks"; did you mean `clock`? known here: clock, random
    app/tidemill.toml:5: functions.f.allow: unknown capability "http:example.com:443"; known here: clock, random
    --
    app/tidemill.toml:5: functions.f.allow: found the text "clock"; expected a list of "clock" and "random"
    --
    app/tidemill.toml:6: functions.f-g.module: found the text "sha256:12"; expected sha256: and 64 digits of 0-9 and a-f
    app/tidemill.toml:8: functions.f_g: the same name as "f-g": `-` and `_` are the same letter; give each function a name of its own
    app/tidemill.toml:9: functions.F: no name; functions have lower-case letters, digits, `-` and `_`, and start with a letter
    --
    app/tidemill.toml:5: functions.G: no name; functions have lower-case letters, digits, `-` and `_`, and start with a letter
    "#);
}

#[test]
fn says_what_is_wrong_with_stores_and_tables() {
    let cases = [
        settle("[stores]\ntotal = 3\n[tables]\nusers = \"users\""),
        settle("stores = 3\ntables = [3]"),
        settle("[stores.Total]\n[stores.\"a b\"]\n[stores.meta]"),
        settle("[stores.total]\nkind = \"count\"\nttl = \"0s\"\nkey = 1"),
        settle("[stores.total]\nkind = 3\nttl = 60"),
        settle("[tables.users]\n[tables.rates]\ntopic = \"a b\"\nbroadcast = \"yes\"\nkey = 1"),
        settle("[stores.a-b]\n[stores.a_b]\n[tables.a-b]\ntopic = \"x\""),
        settle(
            "stores = [\"totals\", \"users\"]\ntables = [\"total\"]\n[stores.total]\n[tables.users]\ntopic = \"users\"",
        ),
        settle("stores = [\"total\"]\ntables = []"),
        settle(
            "[functions.other]\nmodule = \".\"\ninputs = [\"known_users\", \"total\", \"topic:total\"]\n[stores.total]\n[tables.known-users]\ntopic = \"users\"",
        ),
    ];
    assert_snapshot!(cases.map(|text| problems(&text)).join("\n--\n"), @r#"
    app/tidemill.toml:6: stores.total: found the number 3; expected a table with `kind`, `ttl`, or what the host is to compute
    app/tidemill.toml:8: tables.users: found the text "users"; expected a table with `topic` and perhaps `broadcast`
    --
    app/tidemill.toml:5: functions.settle.stores: found the number 3; expected a list of stores
    app/tidemill.toml:6: functions.settle.tables: found the number 3; expected a list of tables
    --
    app/tidemill.toml:5: stores.Total: no name; stores have lower-case letters, digits, `-` and `_`, and start with a letter
    app/tidemill.toml:6: stores."a b": no name; stores have lower-case letters, digits, `-` and `_`, and start with a letter
    app/tidemill.toml:7: stores.meta: a name that is Tidemill's own; choose another one
    --
    app/tidemill.toml:6: stores.total.kind: found the text "count"; did you mean `counter`? known here: value, map, counter, aggregate
    app/tidemill.toml:7: stores.total.ttl: found the text "0s"; expected a duration from "1ms" to "100years"
    app/tidemill.toml:8: stores.total.key: unknown key; known here: kind, ttl, window, grace, retention, from, where, emit, every-update, idle, output, key-format, format, compute
    --
    app/tidemill.toml:6: stores.total.kind: found the number 3; expected "value", "map", "counter" or "aggregate"
    app/tidemill.toml:7: stores.total.ttl: found the number 60; expected a duration from "1ms" to "100years"
    --
    app/tidemill.toml:5: tables.users.topic: missing; write for instance topic = "users"
    app/tidemill.toml:7: tables.rates.topic: found the text "a b"; expected a topic's name: letters, digits, `.`, `_` and `-`, at most 249
    app/tidemill.toml:8: tables.rates.broadcast: found the text "yes"; expected true or false
    app/tidemill.toml:9: tables.rates.key: unknown key; known here: topic, broadcast
    --
    app/tidemill.toml:6: stores.a_b: there is a store "a-b" already; tables, joins, rekeys and stores share their names, in which `-` and `_` are the same letter: choose another one
    app/tidemill.toml:7: tables.a-b: there is a store "a-b" already; tables, joins, rekeys and stores share their names, in which `-` and `_` are the same letter: choose another one
    --
    app/tidemill.toml:5: functions.settle.stores: there is no [stores.totals]; did you mean `total`? known here: total
    app/tidemill.toml:5: functions.settle.stores: there is no [stores.users]; known here: total
    app/tidemill.toml:6: functions.settle.tables: there is no [tables.total]; known here: users
    --
    app/tidemill.toml:5: functions.settle.stores: there is no [stores.total]; add it, or take the name out of the list
    --
    app/tidemill.toml:7: functions.other.inputs: found "known-users", which is a table here; a table is looked up or joined: name the topic that is to be read, topic:known-users where one is called so
    app/tidemill.toml:7: functions.other.inputs: found "total", which is a store that only functions write; a store that the host computes hands on what changes in it, with compute = …; topic:total is the topic of that name
    "#);
}

/// What is wrong with each of these sections, which follow a small right manifest.
fn wrong<const N: usize>(sections: [&str; N]) -> String {
    sections.map(|section| problems(&settle(section))).join("\n--\n")
}

#[test]
fn says_what_is_wrong_with_what_the_host_computes() {
    assert_snapshot!(wrong([
        "[stores.n]\nkind = \"aggregate\"",
        "[stores.n]\nwindow = { tumbling = \"60s\" }",
        "[stores.n]\nkind = \"map\"\ncompute = [\"count\"]",
        "[stores.n]\ncompute = [\"count\"]\nwindow = { tumbling = \"60s\" }\nttl = \"1h\"",
        "[stores.n]\ncompute = [\"count\"]\nttl = \"1h\"\ngrace = \"1s\"\nretention = \"1h\"\nkey-format = \"plain\"\nemit = \"final\"",
        "[stores.n]\ngrace = \"1s\"\noutput = \"x\"\nidle = \"1s\"",
    ]), @r#"
    app/tidemill.toml:5: stores.n: `compute` is missing; write for instance compute = ["count"]
    --
    app/tidemill.toml:5: stores.n: `compute` is missing; write for instance compute = ["count"]
    --
    app/tidemill.toml:5: stores.n: found kind = "map" and something to compute; write kind = "aggregate", or leave it out
    --
    app/tidemill.toml:8: stores.n.ttl: a store that is computed has no ttl; windows are kept as long as `retention` says: use retention
    --
    app/tidemill.toml:7: stores.n.ttl: a store that is computed has no ttl; without windows each key is kept: leave it out
    app/tidemill.toml:8: stores.n.grace: the store has no windows; add some, as in window = { tumbling = "60s" }, or leave it out
    app/tidemill.toml:10: stores.n.key-format: the store has no windows; add some, as in window = { tumbling = "60s" }, or leave it out
    app/tidemill.toml:11: stores.n.emit: the store has no windows; add some, as in window = { tumbling = "60s" }, or leave it out
    --
    app/tidemill.toml:6: stores.n.grace: the host computes nothing in this store; say what, as in compute = ["count"], or leave it out
    app/tidemill.toml:7: stores.n.output: the host computes nothing in this store; say what, as in compute = ["count"], or leave it out
    app/tidemill.toml:8: stores.n.idle: the host computes nothing in this store; say what, as in compute = ["count"], or leave it out
    "#);
    assert_snapshot!(wrong([
        "[stores.n]\ncompute = \"count\"",
        "[stores.n]\ncompute = []",
        "[stores.n]\ncompute = [\"count\", \"count\"]",
        "[stores.n]\ncompute = [\"sum(cents)\"]",
        "[stores.n]\ncompute = { n = \"cuont()\", cents = \"sum(\" }",
    ]), @r#"
    app/tidemill.toml:6: stores.n.compute: found the text "count"; expected a table such as { n = "count()", cents = "sum(cents)" }, or a list such as ["count"]
    --
    app/tidemill.toml:6: stores.n.compute: no aggregates: name at least one, as in `n = count()`; expected a table such as { n = "count()", cents = "sum(cents)" }, or a list such as ["count"]
    --
    app/tidemill.toml:6: stores.n.compute: column `count`: it is there twice; expected a table such as { n = "count()", cents = "sum(cents)" }, or a list such as ["count"]
    --
    app/tidemill.toml:6: stores.n.compute: found "sum(cents)", which gives its column no name; write a table, as in compute = { n = "sum(cents)" }
    --
    app/tidemill.toml:6: stores.n.compute.n: `cuont()`: there is no function `cuont`; there are count, sum, min, max, avg, first, last, collect-list, collect-set, top-k, count-distinct, variance, stddev, histogram, percentile; expected a function, as in "sum(cents)"
    app/tidemill.toml:6: stores.n.compute.cents: `sum(`: write a function and its column, as in `sum(cents)` or `top-k(cents, 3)`; expected a function, as in "sum(cents)"
    "#);
    assert_snapshot!(wrong([
        "[stores.n]\ncompute = [\"count\"]\nwindow = \"60s\"",
        "[stores.n]\ncompute = [\"count\"]\nwindow = { tumbling = \"60s\", session = \"1m\" }",
        "[stores.n]\ncompute = [\"count\"]\nwindow = { tumbling = \"60s\", advance = \"1s\" }",
        "[stores.n]\ncompute = [\"count\"]\nwindow = { hopping = \"60s\" }",
        "[stores.n]\ncompute = [\"count\"]\nwindow = { hopping = \"60s\", advance = \"61s\" }",
        "[stores.n]\ncompute = [\"count\"]\nwindow = { tumbling = \"60s\" }\ngrace = \"10s\"\nretention = \"69s\"",
        "[stores.n]\ncompute = [\"count\"]\nwindow = { tumbling = \"60s\" }\nemit = \"every now\"\nkey-format = \"text\"",
        "[stores.n]\ncompute = [\"count\"]\nwindow = { tumbling = \"60s\" }\nemit = \"final\"\nevery-update = true\nidle = \"soon\"",
        "[stores.n]\ncompute = [\"count\"]\nwindow = { tumbling = \"60s\" }\nidle = \"30s\"",
        "[stores.n]\ncompute = { n = \"count()\", m = \"sum(m)\" }\nformat = \"long\"",
        "[stores.n]\ncompute = [\"count\"]\nformat = \"avro\"\nwhere = { a = 1 }",
        "[tables.users]\ntopic = \"users\"\n[stores.n]\ncompute = [\"count\"]\nfrom = \"users\"",
    ]), @r#"
    app/tidemill.toml:7: stores.n.window: found the text "60s"; expected one of { tumbling = "60s" }, { hopping = "60s", advance = "1s" }, { sliding = "5m" } and { session = "30m" }
    --
    app/tidemill.toml:7: stores.n.window: found no window or several; expected one of { tumbling = "60s" }, { hopping = "60s", advance = "1s" }, { sliding = "5m" } and { session = "30m" }
    --
    app/tidemill.toml:7: stores.n.window.advance: unknown key; known here: tumbling
    --
    app/tidemill.toml:7: stores.n.window.advance: missing; write for instance advance = "1s"
    --
    app/tidemill.toml:7: stores.n.window.advance: found the text "61s"; expected a duration from "1ms" to "1m"
    --
    app/tidemill.toml:9: stores.n.retention: found the text "69s"; expected a duration from "1m 10s" to "100years"
    --
    app/tidemill.toml:8: stores.n.emit: found the text "every now"; expected "changes", "final" or "every 10s"
    app/tidemill.toml:9: stores.n.key-format: found the text "text"; expected "plain" or "kafka-streams"
    --
    app/tidemill.toml:9: stores.n.every-update: results come out as "final"; it belongs to emit = "changes": leave one of them out
    app/tidemill.toml:10: stores.n.idle: found the text "soon"; expected "off" or a duration such as "30s"
    --
    app/tidemill.toml:8: stores.n.idle: nothing waits for windows to close; it belongs to emit = "final": leave it out
    --
    app/tidemill.toml:7: stores.n.format: 2 columns cannot be written as long; json has all columns, other formats are one
    --
    app/tidemill.toml:7: stores.n.format: found the text "avro"; known here: json, string, bytes, long, double
    app/tidemill.toml:8: stores.n.where: there is no `from` that it could choose from; name what feeds the store, or let the function that feeds it choose
    --
    app/tidemill.toml:9: stores.n.from: found "users", which is a table here; a table is looked up or joined: name the topic that is to be read, topic:users where one is called so
    "#);
}

#[test]
fn says_what_is_wrong_with_joins_and_rekeys() {
    assert_snapshot!(wrong([
        "[joins.j]\nleft = \"a\"\nright = \"b\"\nkind = \"outer\"",
        "[joins.j]\nleft = \"a\"\nright = \"b\"\nkind = \"inner\"\nidle = \"1s\"\nkey = \"json:id\"",
        "[joins.j]\nleft = \"a\"\nright = \"b\"\nkind = \"left\"\nwithin = { before = \"1s\" }\ngrace = 1",
        "[tables.t]\ntopic = \"t\"\n[joins.j]\nleft = \"t\"\nright = \"b\"\nkind = \"left\"",
        "[tables.t]\ntopic = \"t\"\n[joins.j]\nleft = \"a\"\nright = \"t\"\nkind = \"full\"\nwithin = \"1s\"\nkey = \"json:id\"",
        "[tables.t]\ntopic = \"t\"\nbroadcast = true\n[joins.j]\nleft = \"a\"\nright = \"t\"\nkind = \"left\"\nkey = \"id\"",
        "[tables.t]\ntopic = \"t\"\n[tables.u]\ntopic = \"u\"\n[joins.i]\nleft = \"t\"\nright = \"u\"\nkind = \"full\"\n[joins.j]\nleft = \"a\"\nright = \"i\"\nkind = \"left\"",
        "[joins.j]\n[rekey.j]\n[stores.j]",
        "[stores.s]\n[joins.j]\nleft = \"s\"\nright = \"b c\"\nkind = \"inner\"\nwithin = \"1s\"",
    ]), @r#"
    app/tidemill.toml:8: joins.j.kind: found the text "outer"; expected "inner", "left", "right" or "full"
    --
    app/tidemill.toml:5: joins.j: `within` is missing: both sides are streams; write for instance within = "10m", or within = { before = "0s", after = "10m" }
    app/tidemill.toml:9: joins.j.idle: nothing waits in an inner join; it belongs to left, right and full ones: leave it out
    app/tidemill.toml:10: joins.j.key: the right side is not a broadcast table; others are joined by the record's key: leave it out, use [rekey.NAME], or declare the table with broadcast = true
    --
    app/tidemill.toml:9: joins.j.within.after: missing; write for instance after = "10m"
    app/tidemill.toml:10: joins.j.grace: found the number 1; expected a duration from "0s" to "100years"
    --
    app/tidemill.toml:9: joins.j.right: a table on the left side is joined with a table; put the stream on the left side and the table on the right one
    --
    app/tidemill.toml:10: joins.j.kind: found the text "full", and rows of a table come out with records only; with a table on the right side it is "inner" or "left"
    app/tidemill.toml:11: joins.j.within: one side is a table; it belongs to two streams: leave it out
    app/tidemill.toml:12: joins.j.key: the right side is not a broadcast table; others are joined by the record's key: leave it out, use [rekey.NAME], or declare the table with broadcast = true
    --
    app/tidemill.toml:12: joins.j.key: found the text "id"; expected "json:FIELD" or "header:NAME"
    --
    app/tidemill.toml:15: joins.j.right: the join of two tables keeps no rows that could be looked up; write it to a compacted topic in a function, and declare that under [tables.NAME]
    --
    app/tidemill.toml:5: joins.j: there is a store "j" already; tables, joins, rekeys and stores share their names, in which `-` and `_` are the same letter: choose another one
    app/tidemill.toml:6: rekey.j: there is a store "j" already; tables, joins, rekeys and stores share their names, in which `-` and `_` are the same letter: choose another one
    --
    app/tidemill.toml:7: joins.j.left: found "s", which is a store that only functions write; a store that the host computes hands on what changes in it, with compute = …; topic:s is the topic of that name
    app/tidemill.toml:8: joins.j.right: found the text "b c"; expected a topic's name: letters, digits, `.`, `_` and `-`, at most 249
    "#);
    assert_snapshot!(wrong([
        "[rekey.r]",
        "[rekey.r]\ninput = \"a\"",
        "[rekey.r]\ninput = \"a\"\nby = \"id\"\ntopic = \"\"\npartitions = 0",
        "[tables.t]\ntopic = \"t\"\n[rekey.r]\ninput = \"t\"\nby = \"header:id\"",
    ]), @r#"
    app/tidemill.toml:5: rekey.r.input: missing; write for instance input = "orders"
    --
    app/tidemill.toml:5: rekey.r: `by` is missing; write for instance by = "json:userid"; only an output of a function brings keys of its own
    --
    app/tidemill.toml:7: rekey.r.by: found the text "id"; expected "json:FIELD" or "header:NAME"
    app/tidemill.toml:8: rekey.r.topic: found the text ""; expected a topic's name: letters, digits, `.`, `_` and `-`, at most 249
    app/tidemill.toml:9: rekey.r.partitions: found the number 0; expected a number from 1 to 100000
    --
    app/tidemill.toml:8: rekey.r.input: found "t", which is a table here; a table is looked up or joined: name the topic that is to be read, topic:t where one is called so
    "#);
}

#[test]
fn refuses_cycles_over_whatever_is_declared() {
    let join = "kind = \"inner\"\nwithin = \"1s\"\nright = \"other\"\n";
    let cases = [
        format!("[rekey.r]\ninput = \"j\"\nby = \"json:id\"\n[joins.j]\nleft = \"r\"\n{join}"),
        format!(
            "outputs = {{ out = \"back\" }}\n[joins.j]\nleft = \"back\"\n{join}[functions.more]\nmodule = \".\"\ninputs = [\"j\"]\noutputs = {{ out = \"user-trades\" }}"
        ),
        "[stores.n]\ncompute = [\"count\"]\nfrom = \"topic:n\"\noutput = \"n\"".to_owned(),
    ];
    assert_snapshot!(cases.map(|section| problems(&settle(&section))).join("\n--\n"), @r"
    app/tidemill.toml:9: joins.j.left: found a cycle: j → r → j; records would go round without end: take one of these inputs away
    --
    app/tidemill.toml:13: functions.more.inputs: found a cycle: more → settle → j → more; records would go round without end: take one of these inputs away
    --
    app/tidemill.toml:7: stores.n.from: found a cycle: n → n; records would go round without end: take one of these inputs away
    ");
}

#[test]
fn what_the_host_computes_has_defaults() {
    let manifest = parse(&settle(
        r#"
        [topics.user-trades]
        late = "late-trades"
        key-format = "string"
        format = "json"
        [tables.users]
        topic = "users"
        broadcast = true
        [rekey.by_user]
        input = "user-trades"
        by = "json:user"
        topic = "trades-by-user"
        partitions = 3
        [joins.with-users]
        left = "by-user"
        right = "users"
        kind = "left"
        key = "header:user"
        [joins.pairs]
        left = "by_user"
        right = "settle.out"
        kind = "full"
        within = "10m"
        [stores.per-user]
        from = "by-user"
        where = { side = "BUY" }
        compute = { n = "count()", cents = "sum(cents)" }
        window = { hopping = "2h", advance = "1m" }
        grace = "5m"
        emit = "every 10s"
        output = "per-user"
        key-format = "kafka-streams"
        [stores.total]
        compute = ["count"]
        every-update = true
        format = "long"
        [stores.last]
        compute = ["count"]
        window = { session = "1m" }
        emit = "final"
        "#,
    ))
    .unwrap();
    assert_snapshot!(format!("{:?}", manifest.topics["user-trades"]), @r#"TopicSettings { partitions: None, replicas: None, timestamp: None, late: Some("late-trades"), key_format: Some(String), format: Some(Json), settings: {} }"#);
    assert_snapshot!(format!("{:#?}\n{:#?}", manifest.joins, manifest.rekeys), @r#"
    {
        "pairs": JoinSettings {
            name: "pairs",
            left: Rekey(
                "by_user",
            ),
            right: Function {
                function: "settle",
                output: "out",
            },
            kind: Full,
            tables: false,
            within: Some(
                (
                    600s,
                    600s,
                ),
            ),
            grace: 0ns,
            idle: Some(
                30s,
            ),
            key: None,
        },
        "with_users": JoinSettings {
            name: "with-users",
            left: Rekey(
                "by_user",
            ),
            right: Table(
                "users",
            ),
            kind: Left,
            tables: false,
            within: None,
            grace: 0ns,
            idle: None,
            key: Some(
                Header(
                    "user",
                ),
            ),
        },
    }
    {
        "by_user": RekeySettings {
            name: "by_user",
            input: Topic(
                "user-trades",
            ),
            by: Column {
                format: Json,
                name: "user",
            },
            topic: Some(
                "trades-by-user",
            ),
            partitions: Some(
                3,
            ),
        },
    }
    "#);
    let of = |name: &str| manifest.stores[name].aggregate.clone().unwrap();
    assert_snapshot!(["per_user", "total", "last"].map(|name| {
        let AggregateSettings { spec, from, filter, output, format } = of(name);
        format!(
            "{name}: {} {:?} grace {:?} retention {:?} {:?} idle {:?} {:?} from {from:?} where {filter:?} output {output:?} {format}",
            spec.compute, spec.windows, spec.grace, spec.retention, spec.emit, spec.idle, spec.key_format
        )
    }).join("\n"), @r#"
    per_user: n = count(), cents = sum(cents) Some(Hopping { size: 7200s, advance: 60s }) grace 300s retention 7500s Every(10s) idle None KafkaStreams from Some(Rekey("by_user")) where {"side": String("BUY")} output Some("per-user") json
    total: count = count() None grace 0ns retention 3600s Changes { every_update: true } idle None Plain from None where {} output None long
    last: count = count() Some(Session { gap: 60s }) grace 0ns retention 3600s Final idle Some(30s) Plain from None where {} output None json
    "#);
}

#[test]
fn an_app_needs_no_function_where_the_host_does_something() {
    let manifest =
        parse("app = \"counts\"\n[stores.n]\nfrom = \"clicks\"\ncompute = [\"count\"]").unwrap();
    assert_eq!(manifest.functions.len(), 0);
    assert_eq!(manifest.inputs().map(ToString::to_string).collect::<Vec<_>>(), ["clicks"]);
    assert_eq!(
        (manifest.line("stores.n.compute"), manifest.line("stores.n.emit")),
        (Some(4), Some(2))
    );
    let idle = problems("app = \"counts\"\n[stores.n]\ncompute = [\"count\"]");
    assert_snapshot!(idle, @"app/tidemill.toml:1: functions: missing; write for instance [functions.settle] with module, inputs and outputs below it");
}

#[test]
fn refuses_properties_that_are_not_for_manifests() {
    let local = settle(
        "[kafka]\n\"group.id\" = \"x\"\nacks = 1\nlinger.ms = { a = [] }\nrebalance_cb = \"x\"\n\"sasl.password\" = \"${env:NOPE}\"",
    );
    assert_snapshot!(problems(&local), @r#"
    app/tidemill.toml:5: kafka: no "bootstrap.servers"; add "bootstrap.servers" = "localhost:9092"
    app/tidemill.toml:6: kafka."group.id": this property is Tidemill's own; leave it out: the group is the app's name
    app/tidemill.toml:7: kafka.acks: this property is Tidemill's own; leave it out: Tidemill waits for all in-sync replicas
    app/tidemill.toml:8: kafka."linger.ms.a": found a list; expected a text, a number, true or false
    app/tidemill.toml:9: kafka.rebalance_cb: this property is Tidemill's own; leave it out: it is no text but part of a program
    app/tidemill.toml:10: kafka."sasl.password": the environment variable NOPE is not set; write "${env:NAME}", "${env:NAME:-default}" or "${file:PATH}"
    "#);
    assert_snapshot!(problems(&settle("[kafka]\n\"linger.ms\" = 5")), @r#"app/tidemill.toml:5: kafka: no "bootstrap.servers"; add "bootstrap.servers" = "localhost:9092""#);
    assert!(
        parse(&settle("[kafka]\nconnection = \"main\"\n\"plugin.library.paths\" = \"x\"")).is_ok()
    );

    let upload = |kafka: &str| uploaded(&settle(kafka).replace("\".\"", "\"settle@1\""));
    assert_snapshot!(upload("[kafka]\n\"bootstrap.servers\" = \"evil:9092\""), @r#"
    tidemill.toml:5: kafka: a connection of its own; connections belong to the host: name one, as in kafka = "main"
    tidemill.toml:6: kafka."bootstrap.servers": an uploaded manifest may not set this property; leave it out; of the properties these may be: batch.num.messages, batch.size, check.crcs, client.rack, compression.codec, compression.level, compression.type, delivery.timeout.ms, fetch.max.bytes, fetch.message.max.bytes, fetch.min.bytes, fetch.wait.max.ms, group.protocol, heartbeat.interval.ms, linger.ms, max.partition.fetch.bytes, max.poll.interval.ms, message.max.bytes, message.timeout.ms, queue.buffering.max.ms, request.timeout.ms, retry.backoff.max.ms, retry.backoff.ms, session.timeout.ms, sticky.partitioning.linger.ms
    "#);
    assert_snapshot!(upload("[kafka]\nconnection = \"main\"\n\"plugin.library.paths\" = \"x\"\nacks = 1\n\"linger.ms\" = \"${file:/etc/passwd}\""), @r#"
    tidemill.toml:7: kafka."plugin.library.paths": an uploaded manifest may not set this property; leave it out; of the properties these may be: batch.num.messages, batch.size, check.crcs, client.rack, compression.codec, compression.level, compression.type, delivery.timeout.ms, fetch.max.bytes, fetch.message.max.bytes, fetch.min.bytes, fetch.wait.max.ms, group.protocol, heartbeat.interval.ms, linger.ms, max.partition.fetch.bytes, max.poll.interval.ms, message.max.bytes, message.timeout.ms, queue.buffering.max.ms, request.timeout.ms, retry.backoff.max.ms, retry.backoff.ms, session.timeout.ms, sticky.partitioning.linger.ms
    tidemill.toml:8: kafka.acks: this property is Tidemill's own; leave it out: Tidemill waits for all in-sync replicas
    tidemill.toml:9: kafka."linger.ms": found `${` in an uploaded manifest; secrets belong to the host's connection
    "#);
    assert_snapshot!(upload("[host]\nworkers = 1"), @r"tidemill.toml:5: host: the host has its own; leave [host] out of what you upload");
    assert_snapshot!(uploaded(&settle("")), @r#"tidemill.toml:3: functions.settle.module: found ".", which names no uploaded function; upload it first, then write its name, name@version or sha256:…"#);
}

#[test]
fn uploaded_manifests_name_uploaded_functions_and_the_hosts_connection() {
    let text =
        settle("[kafka]\nconnection = \"main\"\n\"linger.ms\" = 5").replace("\".\"", "\"settle\"");
    let manifest = Manifest::uploaded(&text, "tidemill.toml", &[]).unwrap();
    assert_eq!(
        manifest.functions["settle"].module,
        Module::Registry { name: "settle".to_owned(), version: None }
    );
    assert_eq!(manifest.kafka.unwrap().connection.unwrap(), "main");
    let sets = ["kafka=\"main\"".to_owned(), "functions.settle.module=settle@2".to_owned()];
    let manifest = Manifest::uploaded(&text, "tidemill.toml", &sets).unwrap();
    assert_eq!(manifest.functions["settle"].module.to_string(), "settle@2");
    assert_eq!(manifest.kafka.unwrap().properties.len(), 0);
}

#[test]
fn refuses_records_that_go_in_circles() {
    let text = r#"
app = "a"
[functions.one]
module = "."
inputs = ["in", "three.out"]
outputs = { out = "mid" }
[functions.two]
module = "."
inputs = ["mid"]
[functions.three]
module = "."
inputs = ["two.out"]
[functions.alone]
module = "."
inputs = ["alone.out"]
[functions.topic]
module = "."
outputs = { a = "x" }
inputs = ["x"]
"#;
    assert_snapshot!(problems(text), @r"
    app/tidemill.toml:5: functions.one.inputs: found a cycle: one → two → three → one; records would go round without end: take one of these inputs away
    app/tidemill.toml:15: functions.alone.inputs: found a cycle: alone → alone; records would go round without end: take one of these inputs away
    app/tidemill.toml:19: functions.topic.inputs: found a cycle: topic → topic; records would go round without end: take one of these inputs away
    ");
}

proptest! {
    #[test]
    fn no_text_breaks_it(text in ".{0,200}") {
        let _checked = parse(&text);
    }

    #[test]
    fn no_value_breaks_it(
        key in "(app|start|kafka|host|max-ahead|topics\\.a|stores\\.a|tables\\.b|functions\\.[a-z]\\.(module|inputs|where|config|batch|limits|allow|on-failure|stores|tables))(\\.[a-z]{1,3})?",
        value in "(\"[a-z0-9.@:$\\{\\}-]{0,12}\"|-?[0-9]{1,20}|[0-9]\\.[0-9]e[0-9]|\\[.{0,9}\\]|\\{.{0,9}\\}|true|nan)",
        set in "[a-z.\"']{0,9}=?.{0,9}",
    ) {
        let text = settle(&format!("[x]\n{key} = {value}\n")).replace("[x]\n", "");
        let _inside = parse(&text);
        let _on_top = parse_set(&format!("{key} = {value}\n{}", settle("")), &[&set]);
        let _uploaded = Manifest::uploaded(&format!("{key} = {value}\n"), "a", &[]);
    }
}
