//! An Apache Kafka of three nodes whose brokers are killed and come back: for the tests of crashes alone, which take
//! turns with it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::broker::{Kafka, tool};

pub const NODES: usize = 3;

/// Topics have three replicas, two of which must be in sync.
pub struct Cluster {
    pub kafka: Kafka,
    folder: PathBuf,
}

/// The cluster, which the first call starts; nobody else has it meanwhile.
pub fn cluster() -> MutexGuard<'static, Cluster> {
    static CLUSTER: OnceLock<Mutex<Cluster>> = OnceLock::new();
    let start = || {
        let heap = [("KAFKA_HEAP", "512m")];
        let (kafka, folder) = Kafka::start(&["--nodes", "3"], &heap);
        Mutex::new(Cluster { kafka, folder })
    };
    let cluster = CLUSTER.get_or_init(start).lock().unwrap_or_else(PoisonError::into_inner);
    // A test that failed may have left one dead.
    for node in 1..=NODES {
        if !cluster.is_up(node) {
            let restarted = cluster.restart(node).wait().expect("waiting for the tool");
            assert!(restarted.success(), "broker {node} does not come back");
        }
    }
    cluster
}

impl Cluster {
    /// SIGKILL.
    pub fn kill(&self, node: usize) {
        let killed = self.tool("kill", node).status().expect("running tests/tools/kafka");
        assert!(killed.success(), "broker {node} cannot be killed");
    }

    /// The process that ends when the broker serves again.
    pub fn restart(&self, node: usize) -> Child {
        self.tool("restart", node).spawn().expect("running tests/tools/kafka")
    }

    fn is_up(&self, node: usize) -> bool {
        let status = Command::new(tool()).arg("--dir").arg(&self.folder).arg("status").output();
        let status = status.expect("running tests/tools/kafka").stdout;
        let line = format!("node {node} ");
        String::from_utf8_lossy(&status)
            .lines()
            .any(|found| found.starts_with(&line) && found.contains(" up "))
    }

    fn tool(&self, verb: &str, node: usize) -> Command {
        let mut command = Command::new(tool());
        command.arg("--dir").arg(&self.folder).args([verb, &node.to_string()]);
        command.env("KAFKA_HEAP", "512m").stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}
