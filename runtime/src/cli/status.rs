//! `tidemill status`: what an app of a host does.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use serde_json::Value;

use super::remote::{self, short};

/// Show what an app does, or all apps
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidemill status\n  tidemill status trades --json")]
pub(super) struct Args {
    /// The app; all where none is named
    app: Option<String>,
    #[command(flatten)]
    host: remote::Args,
    /// Print facts as JSON, an app a line
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let client = self.host.client()?;
        let named = self.app.as_deref().map(remote::app).transpose()?;
        let reports: Vec<Value> = super::runtime()?.block_on(async {
            let names = match named {
                Some(name) => vec![name.to_string()],
                None => {
                    let list: Value = client.get("/apps").await?;
                    let apps = list["apps"].as_array().into_iter().flatten();
                    apps.filter_map(|app| app["name"].as_str().map(str::to_owned)).collect()
                }
            };
            let mut reports = Vec::new();
            for name in names {
                reports.push(client.get(&format!("/apps/{name}/status")).await?);
            }
            anyhow::Ok(reports)
        })?;
        let mut out = io::stdout().lock();
        for report in &reports {
            let text = if self.json { format!("{report}\n") } else { show(report) };
            out.write_all(text.as_bytes())?;
        }
        if reports.is_empty() && !self.json {
            writeln!(out, "no app yet: `tidemill deploy` uploads one")?;
        }
        Ok(())
    }
}

/// A word for a state: what somebody must look at stands out.
pub(super) fn state(report: &Value) -> String {
    let state = report["state"].as_str().unwrap_or("?");
    let troubled =
        report["report"]["trouble"].as_array().is_some_and(|trouble| !trouble.is_empty());
    match state {
        "running" if troubled || is_paused(report) => "DEGRADED".to_owned(),
        "running" | "starting" => state.to_owned(),
        _ => state.to_uppercase(),
    }
}

/// Whether a task stands still until somebody has it go on.
fn is_paused(report: &Value) -> bool {
    let partitions = report["report"]["partitions"].as_array().into_iter().flatten();
    let mut waiting = partitions.filter_map(|partition| partition["waiting"].as_str());
    waiting.any(|waiting| waiting.starts_with("paused: "))
}

fn show(report: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let number = |value: &Value| value.as_i64().unwrap_or_default();
    let mut lines = format!("{} v{} {}", text(&report["name"]), report["version"], state(report));
    let inside = &report["report"];
    if inside.is_object() {
        let _ = write!(lines, "  lag {}", number(&inside["lag"]));
    }
    lines.push('\n');
    let trouble = inside["trouble"].as_array().into_iter().flatten();
    for reason in trouble.chain(Some(&report["reason"])).filter_map(Value::as_str) {
        let _ = writeln!(lines, "  {reason}");
    }
    for function in report["functions"].as_array().into_iter().flatten() {
        let name = text(&function["function"]);
        let did = &inside["functions"][&name];
        let _ = write!(lines, "  {name} {}", short(&text(&function["digest"])));
        let counts = [
            ("in", "records_in"),
            ("out", "records_out"),
            ("retries", "retries"),
            ("dead letters", "dead_letters"),
        ];
        for (word, field) in counts.iter().filter(|_| inside.is_object()) {
            let _ = write!(lines, "  {word} {}", number(&did[field]));
        }
        lines.push('\n');
        let last = &did["last_failure"];
        if last.is_object() {
            let place =
                format!("{}/{}@{}", text(&last["topic"]), last["partition"], last["offset"]);
            let _ = writeln!(
                lines,
                "    last failure: {}: {}  {place}",
                text(&last["kind"]),
                text(&last["message"])
            );
        }
    }
    for partition in inside["partitions"].as_array().into_iter().flatten() {
        let place = format!("{}/{}", text(&partition["topic"]), partition["partition"]);
        let end = partition["end"].as_i64().map_or("?".to_owned(), |end| end.to_string());
        let _ = write!(lines, "  {place}  at {} of {end}", number(&partition["position"]));
        if let Some(waiting) = partition["waiting"].as_str() {
            let _ = write!(lines, "  {waiting}");
        }
        lines.push('\n');
    }
    if is_paused(report) {
        let _ = writeln!(
            lines,
            "  paused tasks go on with other code, or try again: tidemill resume {}",
            text(&report["name"])
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shows_what_somebody_must_look_at() {
        let failure = json!({ "topic": "user_trades", "partition": 3, "offset": 88121, "kind": "trap",
            "message": "panicked at src/lib.rs:21", "attempts": 2, "at": 0 });
        let did = json!({ "digest": "sha256:9a02d7aa", "records_in": 5, "records_out": 4, "dead_letters": 1, "retries": 0,
            "last_failure": failure });
        let partition = json!({ "topic": "user_trades", "partition": 3, "position": 10, "end": 12, "lag": 2,
            "waiting": "settle: again in 2s" });
        let module =
            json!({ "function": "settle", "module": "settle", "digest": "sha256:9a02d7aa" });
        let report = json!({ "name": "trades", "version": 2, "state": "running", "functions": [module],
            "report": { "app": "trades", "state": "running", "lag": 2, "trouble": ["no broker answers"],
                "functions": { "settle": did }, "partitions": [partition] } });
        insta::assert_snapshot!(show(&report), @r"
        trades v2 DEGRADED  lag 2
          no broker answers
          settle 9a02d7  in 5  out 4  retries 0  dead letters 1
            last failure: trap: panicked at src/lib.rs:21  user_trades/3@88121
          user_trades/3  at 10 of 12  settle: again in 2s
        ");
        let paused = json!({ "topic": "in", "partition": 0, "position": 10, "end": 12,
            "waiting": "paused: watch: state: value is not JSON" });
        let restoring = json!({ "topic": "in", "partition": 1, "position": 7, "end": 7,
            "waiting": "restoring total: 1000 of 5000 records" });
        let report = json!({ "name": "a", "version": 1, "state": "running", "functions": [],
            "report": { "lag": 2, "functions": {}, "partitions": [paused, restoring] } });
        insta::assert_snapshot!(show(&report), @r"
        a v1 DEGRADED  lag 2
          in/0  at 10 of 12  paused: watch: state: value is not JSON
          in/1  at 7 of 7  restoring total: 1000 of 5000 records
          paused tasks go on with other code, or try again: tidemill resume a
        ");
        let waiting = json!({ "name": "a", "version": 1, "state": "waiting", "reason": "no broker answers", "functions": [] });
        insta::assert_snapshot!(show(&waiting), @r"
        a v1 WAITING
          no broker answers
        ");
    }
}
