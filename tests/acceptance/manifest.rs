//! The manifest most tests run: `settle` between two topics on the tests' broker.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{broker, host};

/// A host of `settle`, in a folder of its own.
pub struct Settling {
    pub app: String,
    pub input: String,
    pub output: String,
    pub folder: PathBuf,
    pub listen: String,
    /// More lines of `[kafka]`.
    pub kafka: String,
}

impl Settling {
    /// An app with topics named after it and a host named `name`, whose folder this makes in `parent`.
    pub fn new(app: &str, parent: &Path, name: &str) -> Self {
        let folder = parent.join(name);
        fs::create_dir(&folder).expect("making a host's folder");
        let (input, output) = (format!("{app}.trades"), format!("{app}.settlements"));
        Self {
            app: app.to_owned(),
            input,
            output,
            folder,
            listen: host::free_address(),
            kafka: String::new(),
        }
    }

    pub fn create_topics(&self, partitions: i32) {
        broker::create_topic(&self.input, partitions);
        broker::create_topic(&self.output, partitions);
    }

    pub fn text(&self) -> String {
        let Self { app, input, output, listen, kafka, .. } = self;
        let (settle, bootstrap, data) = (
            host::settle().display(),
            broker::bootstrap(),
            self.folder.join("data").display().to_string(),
        );
        format!(
            r#"app = "{app}"
start = "earliest"

[host]
data = "{data}"
listen = "{listen}"
workers = 2

[kafka]
"bootstrap.servers" = "{bootstrap}"
{kafka}

[functions.settle]
module = "{settle}"
inputs = ["{input}"]
outputs = {{ settlements = "{output}" }}
config = {{ large_trade = 100000 }}
"#
        )
    }

    /// Writes a manifest into the folder; its path.
    pub fn write(&self, text: &str) -> PathBuf {
        let path = self.folder.join("tidemill.toml");
        fs::write(&path, text).expect("writing a manifest");
        path
    }

    /// Runs the manifest until it is ready.
    pub fn start(&self) -> host::Host {
        let path = self.write(&self.text());
        host::Host::start(
            ["run".as_ref(), path.as_os_str()],
            self.listen.clone(),
            &self.folder.join("log"),
        )
    }
}
