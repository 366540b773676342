//! A newcomer's first minutes: a new function, outside any workspace, is tested, built, run and talked to.

use serde_json::{Value, json};

use crate::broker::repository;
use crate::host::{self, Host};

#[test]
fn a_new_function_passes_its_case_builds_runs_and_answers() {
    let parent = tempfile::tempdir().expect("making a folder");
    let folder = parent.path().join("hello");
    let sdk = repository().join("guest-sdk");
    let said = host::run_in(
        parent.path(),
        ["new".as_ref(), "hello".as_ref(), "--sdk-path".as_ref(), sdk.as_os_str()],
    );
    assert!(said.status.success(), "{said:?}");
    for command in ["test", "build"] {
        let said = host::run_in(&folder, [command]);
        assert!(said.status.success(), "tidemill {command}: {said:?}");
    }

    let listen = host::free_address();
    let dev = Host::start(["dev", "--listen", &listen], listen.clone(), &folder.join("log"));
    let url = dev.url("");
    let said = host::run([
        "produce",
        "orders",
        "--host",
        &url,
        "--key",
        "o-1",
        r#"{"id":"o-1","amount":250}"#,
    ]);
    assert!(said.status.success(), "{said:?}");
    let consume = [
        "consume",
        "big-orders",
        "--host",
        &url,
        "--from",
        "earliest",
        "--follow",
        "--count",
        "1",
        "--json",
    ];
    let said = host::run(consume);
    assert!(said.status.success(), "{said:?}");
    let record: Value = serde_json::from_str(&said.out).expect("a record as JSON");
    assert_eq!(record["key"], "o-1", "{record}");
    let order: Value =
        serde_json::from_str(record["value"].as_str().expect("text")).expect("an order as JSON");
    assert_eq!(order, json!({"id": "o-1", "amount": 250, "tier": "gold"}));
    assert!(dev.terminate().success(), "a host that is told to stop ends well");
}
