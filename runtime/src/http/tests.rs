//! The API over a real connection, on the embedded log and a registry in files.

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use hyper::body::Frame;
use insta::assert_snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::*;
use crate::{
    broker::{Broker, NewTopic},
    clock::SystemClock,
    guest::{Engine, EngineSettings, encode},
    registry::Files,
    store::{Database, DatabaseSettings},
    supervisor::host::HostSettings,
};

/// A component whose one function takes every record and sends none. `pad` makes others of it.
fn component(pad: u8) -> Vec<u8> {
    let mut data = vec![0_u8; 1024];
    let mut put = |at: usize, words: &[u32]| {
        for (index, word) in words.iter().enumerate() {
            data[at + index * 4..at + index * 4 + 4].copy_from_slice(&word.to_le_bytes());
        }
    };
    put(16, &[32, 1]); // the answer of `describe`: one description at 32
    put(32, &[512, 4, 528, 1, 128, 1, 0, 0, 0, 0]); // name, layouts, sources, slots, attributes
    put(128, &[0, 0, 0, 0, 516, 5, 516, 5, 0, 0]); // no name, plain, codecs
    put(528, &[1]); // the layout's version
    put(896, &[928, 32]); // the answer of `handle`: an outcome at 928
    put(928, &[1, 0, 0, 0, u32::MAX, u32::MAX, 0, 32]);
    data[512..521].copy_from_slice(b"echobytes");
    data[1023] = pad;
    let data: String = data.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let module = format!(
        r#"(module
            (memory (export "memory") 4)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096)
            (func (export "describe") (result i32) i32.const 16)
            (func (export "init") (param i32 i32 i32) (result i32) i32.const 64)
            (func (export "handle") (param i32 i32) (result i32)
                i32.const 932 local.get 0 i32.load offset=4 i32.store
                i32.const 896)
            (data (i32.const 0) "{data}"))"#
    );
    let mut resolve = Resolve::default();
    let package =
        resolve.push_str("world.wit", include_str!("../../../guest-sdk/wit/world.wit")).unwrap();
    let world = resolve.select_world(&[package], Some("function")).unwrap();
    let mut module = wat::parse_str(module).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    encode(&module).unwrap()
}

const MANIFEST: &str =
    "app = \"trades\"\n[functions.settle]\nmodule = \"settle\"\ninputs = [\"user-trades\"]\n";

struct Served {
    client: Client,
    address: SocketAddr,
    host: Arc<Host>,
    log: MemoryLog,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Served {
    async fn start(folder: &TempDir, token: Option<&str>) -> Served {
        let log = MemoryLog::new();
        let metrics = Metrics::new();
        let connect = |properties: &std::collections::BTreeMap<String, String>| {
            let address = properties["bootstrap.servers"].clone();
            Err(crate::broker::Error::Unreachable { address, cause: "timed out".to_owned() })
        };
        let main = [("bootstrap.servers".to_owned(), "nowhere:9092".to_owned())];
        let host = Arc::new(Host::new(HostSettings {
            registry: Box::new(Files::open(folder.path()).unwrap()),
            engine: Engine::new(&EngineSettings { instances: 20, ..EngineSettings::default() })
                .unwrap(),
            embedded: Arc::new(log.clone()),
            connections: [("main".to_owned(), main.into_iter().collect())].into_iter().collect(),
            connect: Box::new(connect),
            database: Database::open(
                &folder.path().join("state"),
                DatabaseSettings { memory_bytes: 8 << 20 },
            )
            .unwrap(),
            workers: 1,
            metrics: metrics.clone(),
            clock: Arc::new(SystemClock),
        }));
        let token = token.map(|token| Token::parse(token).unwrap());
        let listener = listen("127.0.0.1:0".parse().unwrap(), token.as_ref()).unwrap();
        let address = listener.local_addr().unwrap();
        let router = router(ApiSettings {
            token: token.clone(),
            metrics,
            log: Some(log.clone()),
            apps: host.clone(),
            host: Some(host.clone()),
            upload_bytes_max: 100_000,
        });
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(serve(listener, router, async {
            let _gone = stopped.await;
        }));
        let client = Client::new(&address.to_string(), token).unwrap();
        Served { client, address, host, log, stop, server }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.server.await.unwrap().unwrap();
        let host = self.host;
        tokio::task::spawn_blocking(move || host.stop_all()).await.unwrap();
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        body: impl Into<Body>,
    ) -> Result<Answer, Problem> {
        let media = path.ends_with("/records").then_some("application/json");
        let sent = self.client.send(method.parse().unwrap(), path, &[], media, body.into()).await;
        sent.map_err(|error| match error {
            ClientError::Refused(problem) => problem,
            error => panic!("{method} {path}: {error}"),
        })
    }

    async fn json(&self, method: &str, path: &str, body: impl Into<Body>) -> (u16, Value) {
        let answer = self
            .send(method, path, body)
            .await
            .unwrap_or_else(|problem| panic!("{method} {path}: {problem:?}"));
        (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
    }

    async fn problem(&self, method: &str, path: &str, body: impl Into<Body>) -> String {
        let problem = self.send(method, path, body).await.expect_err("a problem");
        let kind = problem.kind.strip_prefix("urn:tidemill:problem:").unwrap();
        format!("{} {kind}: {}", problem.status, problem.detail)
    }

    /// Puts the function and the app.
    async fn deploy(&self) {
        self.json("PUT", "/functions/settle", component(0)).await;
        self.json("PUT", "/apps/trades", MANIFEST).await;
    }
}

/// Sends a request as it stands, and reads until the other side is done.
async fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn run<F: Future<Output = ()>>(test: impl FnOnce(TempDir) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test(tempfile::tempdir().unwrap()));
}

#[test]
fn functions_are_uploaded_listed_and_deleted() {
    run(async |folder| {
        let served = Served::start(&folder, None).await;
        let (status, first) = served.json("PUT", "/functions/settle", component(0)).await;
        assert_eq!(status, 201);
        assert_eq!(
            (&first["name"], &first["version"], &first["world"]),
            (&"settle".into(), &1.into(), &"packed".into())
        );
        assert_eq!(first["functions"][0]["name"], "echo");
        assert_eq!(
            served.json("PUT", "/functions/settle", component(0)).await,
            (200, first.clone())
        );
        let (status, second) = served.json("PUT", "/functions/settle", component(1)).await;
        assert_eq!((status, &second["version"]), (201, &2.into()));
        assert_eq!(
            served.json("GET", "/functions", Body::empty()).await.1,
            json!({ "functions": [second] })
        );
        let (_, all) = served.json("GET", "/functions/settle", Body::empty()).await;
        assert_eq!(all["versions"][0]["digest"], first["digest"]);
        assert_eq!(served.json("DELETE", "/functions/settle", Body::empty()).await.0, 204);
        assert_snapshot!(served.problem("GET", "/functions/settle", Body::empty()).await, @r"404 not-found: there is no function `settle`");
        served.stop().await;
    });
}

#[test]
fn what_is_no_function_is_refused_and_not_kept() {
    run(async |folder| {
        let served = Served::start(&folder, None).await;
        let empty = wat::parse_str("(component)").unwrap();
        let module = wat::parse_str("(module)").unwrap();
        assert_snapshot!(served.problem("PUT", "/functions/a", "not wasm").await, @r"422 not-a-component: not a WebAssembly component: it does not begin as WebAssembly does; `tidemill build` makes one");
        assert_snapshot!(served.problem("PUT", "/functions/a", module).await, @r"422 not-a-component: a core module, not a component: `tidemill build` makes a component of it");
        assert_snapshot!(served.problem("PUT", "/functions/a", empty).await, @r"422 wrong-world: the component is of neither world `tidemill:function/function` nor `function-plain`: it does not export describe, init, handle; write it with tidemill-sdk or against guest-sdk/wit");
        assert_snapshot!(served.problem("PUT", "/functions/a", vec![0; 100_001]).await, @r"413 too-large: this host takes at most 97.7 KiB");
        let streamed = Body::new(Chunks(20));
        assert_snapshot!(served.problem("PUT", "/functions/a", streamed).await, @r"413 too-large: this host takes at most 97.7 KiB");
        assert_snapshot!(served.problem("PUT", "/functions/..%2Fa", component(0)).await, @r#"400 bad-request: "../a" is no function's name: expected lower-case letters, digits, `-` and `_` that start with a letter, at most 63"#);
        assert_eq!(
            served.json("GET", "/functions", Body::empty()).await.1,
            json!({ "functions": [] })
        );
        // As a client does that looks for an answer only when it has sent everything.
        let zeros = "0".repeat(300_000);
        let whole = format!(
            "PUT /functions/a HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: 300000\r\n\r\n{zeros}",
            served.address
        );
        let answer = raw(served.address, &whole).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert_eq!(std::fs::read_dir(folder.path().join("components")).unwrap().count(), 0);
        served.stop().await;
    });
}

/// So many chunks of 10,000 bytes, of which nobody says beforehand how many they are.
struct Chunks(usize);

impl hyper::body::Body for Chunks {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(left) = self.0.checked_sub(1) else { return Poll::Ready(None) };
        self.0 = left;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 10_000])))))
    }
}

#[test]
fn an_app_is_put_watched_changed_and_deleted() {
    run(async |folder| {
        let served = Served::start(&folder, None).await;
        served.json("PUT", "/functions/settle", component(0)).await;
        let (status, put) = served.json("PUT", "/apps/trades", MANIFEST).await;
        assert_eq!((status, &put["version"], &put["state"]), (201, &1.into(), &"running".into()));
        assert_eq!(served.json("PUT", "/apps/trades", MANIFEST).await, (200, put.clone()));
        assert_eq!(served.json("GET", "/apps", Body::empty()).await.1, json!({ "apps": [put] }));
        assert_eq!(served.json("GET", "/apps/trades", Body::empty()).await.1["manifest"], MANIFEST);
        let (_, status) = served.json("GET", "/apps/trades/status", Body::empty()).await;
        assert_eq!(status["report"]["app"], "trades");

        assert_snapshot!(served.problem("DELETE", "/functions/settle", Body::empty()).await, @r"409 conflict: the function `settle` is in use by trades: delete or change the app first");
        // The newest code is taken when the app is put again, not before.
        served.json("PUT", "/functions/settle", component(1)).await;
        assert_eq!(served.json("GET", "/apps", Body::empty()).await.1, json!({ "apps": [put] }));
        let (status, again) = served.json("PUT", "/apps/trades", MANIFEST).await;
        assert_eq!((status, &again["version"]), (201, &2.into()));
        assert_ne!(again["functions"], put["functions"]);

        assert_eq!(served.json("DELETE", "/apps/trades", Body::empty()).await.0, 204);
        assert_snapshot!(served.problem("GET", "/apps/trades/status", Body::empty()).await, @r"404 not-found: there is no app `trades`");
        assert_snapshot!(served.problem("DELETE", "/apps/trades", Body::empty()).await, @r"404 not-found: there is no app `trades`");
        assert_eq!(served.json("DELETE", "/functions/settle", Body::empty()).await.0, 204);
        served.stop().await;
    });
}

#[test]
fn a_manifest_that_is_not_right_changes_nothing() {
    run(async |folder| {
        let served = Served::start(&folder, None).await;
        served.deploy().await;
        let put = |manifest: String| served.problem("PUT", "/apps/trades", manifest);
        assert_snapshot!(put(MANIFEST.replace("inputs", "input")).await, @r#"
        422 manifest: tidemill.toml:2: functions.settle.inputs: missing; write for instance inputs = ["orders"]
        tidemill.toml:4: functions.settle.input: unknown key; did you mean `inputs`? known here: module, inputs, where, outputs, config, stores, tables, batch, limits, on-failure, allow
        "#);
        assert_snapshot!(put(MANIFEST.replace("\"settle\"", "\".\"")).await, @r#"422 manifest: tidemill.toml:3: functions.settle.module: found ".", which names no uploaded function; upload it first, then write its name, name@version or sha256:…"#);
        assert_snapshot!(put(MANIFEST.replace("\"settle\"", "\"settle@7\"")).await, @r"422 unknown-function: settle@7 is no uploaded function; versions of settle here: 1");
        assert_snapshot!(put(MANIFEST.replace("trades", "other")).await, @r#"422 other-app: the manifest says app = "other", not "trades": put it to its own name"#);
        assert_snapshot!(put(format!("kafka = \"mian\"\n{MANIFEST}")).await, @r#"422 connection: this host has no connection "mian"; it has embedded, main"#);
        assert_snapshot!(put(format!("kafka = \"main\"\n{MANIFEST}")).await, @r"503 unavailable: no broker answers at nowhere:9092 (timed out): is it running, and is `bootstrap.servers` right?");
        assert_snapshot!(put(format!("{MANIFEST}config = {{ a = 1 }}")).await, @"422 topology: tidemill.toml:5: functions.settle.config: the code has no config `a`; it has no config at all");
        assert_snapshot!(served.problem("PUT", "/apps/trades", vec![255]).await, @r"400 bad-request: the manifest is not UTF-8");
        assert_snapshot!(served.problem("PUT", "/apps/trades?sett=a", MANIFEST).await, @r"400 bad-request: unknown parameter `sett`; known here: file, set");
        let (_, apps) = served.json("GET", "/apps", Body::empty()).await;
        assert_eq!(
            (&apps["apps"][0]["version"], &apps["apps"][0]["state"]),
            (&1.into(), &"running".into())
        );
        served.stop().await;
    });
}

#[test]
fn what_was_put_is_there_after_a_restart() {
    run(async |folder| {
        let served = Served::start(&folder, None).await;
        served.deploy().await;
        let before = served.json("GET", "/apps", Body::empty()).await;
        let functions = served.json("GET", "/functions", Body::empty()).await;
        served.stop().await;

        let served = Served::start(&folder, None).await;
        assert_snapshot!(served.problem("GET", "/ready", Body::empty()).await, @r"503 unavailable: the apps that were put before are being started");
        let host = served.host.clone();
        blocking(move || host.start_stored()).await.unwrap().unwrap();
        assert_eq!(
            served.json("GET", "/ready", Body::empty()).await.1,
            json!({ "status": "ready" })
        );
        assert_eq!(served.json("GET", "/apps", Body::empty()).await, before);
        assert_eq!(served.json("GET", "/functions", Body::empty()).await, functions);
        served.stop().await;
    });
}

#[test]
fn damaged_code_is_told_and_its_app_waits_until_it_is_healed() {
    run(async |folder| {
        let served = Served::start(&folder, None).await;
        served.deploy().await;
        served.stop().await;
        for entry in std::fs::read_dir(folder.path().join("components")).unwrap() {
            std::fs::write(entry.unwrap().path(), component(9)).unwrap();
        }
        let served = Served::start(&folder, None).await;
        let host = served.host.clone();
        blocking(move || host.start_stored()).await.unwrap().unwrap();
        let (_, status) = served.json("GET", "/apps/trades/status", Body::empty()).await;
        assert_eq!(status["state"], "waiting");
        assert!(
            status["reason"].as_str().unwrap().contains("is damaged: its content has the digest"),
            "{status}"
        );
        served.json("PUT", "/functions/settle", component(0)).await;
        let host = served.host.clone();
        blocking(move || host.retry()).await.unwrap();
        let (_, status) = served.json("GET", "/apps/trades/status", Body::empty()).await;
        assert_eq!(status["state"], "running");
        served.stop().await;
    });
}

#[test]
fn records_are_appended_and_read_back() {
    run(async |folder| {
        let served = Served::start(&folder, None).await;
        let topic = NewTopic {
            name: "t".to_owned(),
            partitions: Some(2),
            replicas: None,
            settings: Default::default(),
        };
        served.log.admin().unwrap().create(&topic).unwrap();
        let path = "/topics/t/records";
        let one = r#"{"key":"a","value":{"base64":"/w=="},"partition":1,"timestamp":5,"headers":{"h":null}}"#;
        let (_, appended) = served.json("POST", path, one).await;
        assert_eq!(
            appended,
            json!({ "appended": 1, "records": [{ "partition": 1, "offset": 0 }] })
        );
        let lines = "{\"value\":\"1\",\"partition\":0,\"timestamp\":6}\n\n{\"value\":null,\"partition\":0,\"timestamp\":7}";
        let lines = served
            .client
            .send(Method::POST, path, &[], Some("application/x-ndjson"), lines.into())
            .await;
        assert_eq!(lines.unwrap().body, r#"{"appended":2}"#);

        let read = async |query: &[(&str, &str)]| {
            let answer =
                served.client.send(Method::GET, path, query, None, Body::empty()).await.unwrap();
            let next = answer.headers[NEXT_HEADER].to_str().unwrap().to_owned();
            (String::from_utf8(answer.body.to_vec()).unwrap(), next)
        };
        let (mut all, next) = read(&[]).await;
        let mut sorted: Vec<&str> = all.lines().collect();
        sorted.sort_unstable();
        all = sorted.join("\n");
        assert_snapshot!(all, @r#"
        {"topic":"t","partition":0,"offset":0,"timestamp":6,"key":null,"value":"1","headers":[]}
        {"topic":"t","partition":0,"offset":1,"timestamp":7,"key":null,"value":null,"headers":[]}
        {"topic":"t","partition":1,"offset":0,"timestamp":5,"key":"a","value":{"base64":"/w=="},"headers":[{"name":"h","value":null}]}
        "#);
        assert_eq!(next, "0:2,1:1");
        let (only, next) = read(&[("partition", "0"), ("limit", "1")]).await;
        assert_eq!((only.lines().count(), next.as_str()), (1, "0:1"));
        let (rest, next) = read(&[("partition", "0"), ("from", &next), ("wait", "5s")]).await;
        assert!(rest.contains("\"value\":null") && rest.lines().count() == 1, "{rest}");
        assert_eq!(read(&[("from", "latest")]).await, (String::new(), "0:2,1:1".to_owned()));

        // What comes while somebody waits ends the waiting.
        let later = tokio::spawn({
            let client = served.client.clone();
            let next = next.clone();
            async move {
                let query = [("partition", "0"), ("from", next.as_str()), ("wait", "30s")];
                client
                    .send(Method::GET, "/topics/t/records", &query, None, Body::empty())
                    .await
                    .unwrap()
                    .body
            }
        });
        served.json("POST", path, r#"[{"value":"new","partition":0}]"#).await;
        assert!(String::from_utf8(later.await.unwrap().to_vec()).unwrap().contains("new"));

        let (_, topics) = served.json("GET", "/topics", Body::empty()).await;
        assert_eq!(
            topics["topics"][0]["partitions"][0],
            json!({ "partition": 0, "start": 0, "end": 3 })
        );
        served.stop().await;
    });
}

#[test]
fn says_what_is_wrong_with_records() {
    run(async |folder| {
        let served = Served::start(&folder, None).await;
        let topic = NewTopic {
            name: "t".to_owned(),
            partitions: Some(2),
            replicas: None,
            settings: Default::default(),
        };
        served.log.admin().unwrap().create(&topic).unwrap();
        let post = |body: &'static str| served.problem("POST", "/topics/t/records", body);
        assert_snapshot!(post("{").await, @r"400 bad-request: not a record: EOF while parsing an object at line 1 column 1");
        assert_snapshot!(post("{\"key\":\"a\"}").await, @r"400 bad-request: not a record: missing field `value` at line 1 column 11");
        assert_snapshot!(post("[{\"value\":\"a\"},{\"value\":\"b\",\"partition\":2}]").await, @r"400 bad-request: record 2: no partition 2: the topic has 2; the 1 before it are in the topic");
        assert_snapshot!(served.problem("POST", "/topics/u/records", "{}").await, @r"404 not-found: there is no topic `u` in the embedded log; topics: t");
        let get = |query: &'static str| served.problem("GET", query, Body::empty());
        assert_snapshot!(get("/topics/t/records?from=3").await, @r"400 bad-request: from=3: expected earliest, latest, or partition:offset with commas between");
        assert_snapshot!(get("/topics/t/records?limit=0").await, @r"400 bad-request: limit=0: expected a number from 1 to 100000");
        assert_snapshot!(get("/topics/t/records?wait=1h").await, @r"400 bad-request: wait=1h: expected a duration up to 30s");
        assert_snapshot!(get("/topics/t/records?partition=2").await, @r"404 not-found: t has the partitions 0 to 1, not 2");
        assert_snapshot!(get("/topics/t/records?form=latest").await, @r"400 bad-request: unknown parameter `form`; known here: from, limit, wait, partition");
        let text = served
            .client
            .send(Method::POST, "/topics/t/records", &[], Some("text/plain"), "{}".into())
            .await;
        assert_snapshot!(text.unwrap_err(), @r#"Content-Type is "text/plain"; expected application/json (a record or a list), or application/x-ndjson (a record a line)"#);
        served.stop().await;
    });
}

#[test]
fn a_token_guards_everything_but_health() {
    run(async |folder| {
        let served = Served::start(&folder, Some("geheim")).await;
        let stranger = Client::new(&served.address.to_string(), None).unwrap();
        let guesser = Client::new(&served.address.to_string(), Token::parse("geheim2")).unwrap();
        for route in
            routes().into_iter().map(|route| (route.path.replace(['{', '}'], ""), route.open))
        {
            for client in [&stranger, &guesser] {
                let answer = client.send(Method::GET, &route.0, &[], None, Body::empty()).await;
                let refused =
                    matches!(&answer, Err(ClientError::Refused(problem)) if problem.status == 401);
                assert_eq!(refused, !route.1, "{route:?}: {answer:?}");
            }
        }
        assert_eq!(served.json("GET", "/apps", Body::empty()).await.0, 200);
        assert!(
            stranger
                .get::<Value>("/nothing")
                .await
                .unwrap_err()
                .to_string()
                .contains("wants its token")
        );
        served.stop().await;
    });
}

#[test]
fn without_a_token_only_this_machine_is_answered() {
    run(async |folder| {
        let served = Served::start(&folder, None).await;
        let port = served.address.port();
        let local = Client::new(&format!("http://localhost:{port}"), None).unwrap();
        assert!(local.get::<Value>("/apps").await.is_ok());
        // As a browser asks whose name for us is a web page's.
        let request = "GET /apps HTTP/1.1\r\nHost: evil.example:8080\r\nConnection: close\r\n\r\n";
        let answer = raw(served.address, request).await;
        assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
        served.stop().await;
    });
}

#[test]
fn every_error_is_a_problem_document() {
    run(async |folder| {
        let served = Served::start(&folder, None).await;
        assert_snapshot!(served.problem("GET", "/nothing", Body::empty()).await, @r"404 not-found: there is nothing at /nothing: /openapi.json says what there is");
        assert_snapshot!(served.problem("POST", "/apps", Body::empty()).await, @r"405 method: this path does not take the method; the header `allow` says which ones it takes");
        assert_snapshot!(served.problem("GET", "/apps/%FF", Body::empty()).await, @r"400 http: Invalid URL: Invalid UTF-8 in `app`");
        assert_snapshot!(served.problem("GET", "/functions/A", Body::empty()).await, @r#"400 bad-request: "A" is no function's name: expected lower-case letters, digits, `-` and `_` that start with a letter, at most 63"#);
        let plain =
            format!("POST /apps HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", served.address);
        let answer = raw(served.address, &plain).await.to_lowercase();
        assert!(answer.contains("allow: get,head\r\n"), "{answer}");
        assert!(answer.contains("content-type: application/problem+json\r\n"), "{answer}");
        served.stop().await;
    });
}

#[test]
fn the_description_has_every_route_and_no_other() {
    run(async |folder| {
        let served = Served::start(&folder, None).await;
        let document: Value = serde_json::from_str(health::OPENAPI).unwrap();
        let described = document["paths"].as_object().unwrap();
        let mut paths: Vec<&str> = routes().iter().map(|route| route.path).collect();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(described.keys().map(String::as_str).collect::<Vec<_>>(), paths);
        for (path, methods) in described {
            for method in ["get", "put", "post", "delete", "patch"] {
                let sent = served
                    .send(&method.to_uppercase(), &path.replace(['{', '}'], ""), Body::empty())
                    .await;
                let routed = !matches!(sent, Err(problem) if problem.status == 405);
                assert_eq!(routed, methods.get(method).is_some(), "{method} {path}");
            }
        }
        served.stop().await;
    });
}

#[test]
fn metrics_are_shown() {
    run(async |folder| {
        let served = Served::start(&folder, None).await;
        served.deploy().await;
        let answer = served.send("GET", "/metrics", Body::empty()).await.unwrap();
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(
            text.contains("tidemill_function_records_in_total{app=\"trades\",function=\"settle\"}"),
            "{text}"
        );
        served.stop().await;
    });
}

#[test]
fn a_stop_does_not_wait_for_those_who_wait() {
    run(async |folder| {
        let served = Served::start(&folder, None).await;
        let topic = NewTopic {
            name: "t".to_owned(),
            partitions: None,
            replicas: None,
            settings: Default::default(),
        };
        served.log.admin().unwrap().create(&topic).unwrap();
        let client = served.client.clone();
        let (asked, waiting) = oneshot::channel();
        let waiter = tokio::spawn(async move {
            asked.send(()).unwrap();
            client
                .send(Method::GET, "/topics/t/records", &[("wait", "30s")], None, Body::empty())
                .await
        });
        waiting.await.unwrap();
        let begun = std::time::Instant::now();
        served.stop().await;
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        assert!(waiter.await.unwrap().is_err());
    });
}

#[test]
fn addresses_of_hosts() {
    for right in ["http://a:1", "a:1", "http://127.0.0.1:8080/"] {
        assert!(Client::new(right, None).is_ok(), "{right}");
    }
    for wrong in ["https://a", "http://", "http://a/b", "a b"] {
        assert!(Client::new(wrong, None).is_err(), "{wrong}");
    }
}
