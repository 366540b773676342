//! `tidemill list`: the apps and functions of a host.

use std::io::{self, Write as _};

use serde_json::Value;

use super::remote::{self, short};

/// List the apps and functions of a host
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tidemill list\n  tidemill list --host http://tidemill.example:8080 --json"
)]
pub(super) struct Args {
    #[command(flatten)]
    host: remote::Args,
    /// Print facts as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let client = self.host.client()?;
        let (apps, functions) = super::runtime()?.block_on(async {
            let apps: Value = client.get("/apps").await?;
            let functions: Value = client.get("/functions").await?;
            anyhow::Ok((apps["apps"].clone(), functions["functions"].clone()))
        })?;
        let text = if self.json {
            format!("{}\n", serde_json::json!({ "apps": apps, "functions": functions }))
        } else {
            table(&apps, &functions)
        };
        io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }
}

/// A line each, as `status` begins.
fn table(apps: &Value, functions: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let each = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut lines = String::new();
    for app in each(apps) {
        let functions = each(&app["functions"]);
        let functions = functions
            .iter()
            .map(|it| format!("{} {}", text(&it["function"]), short(&text(&it["digest"]))));
        let functions: Vec<String> = functions.collect();
        let state = super::status::state(&app);
        lines += &format!(
            "app       {} v{}  {state}  {}\n",
            text(&app["name"]),
            app["version"],
            functions.join(", ")
        );
    }
    for function in each(functions) {
        let holds: Vec<String> =
            each(&function["functions"]).iter().map(|it| text(&it["name"])).collect();
        lines += &format!(
            "function  {}@{}  {}  holds {}\n",
            text(&function["name"]),
            function["version"],
            short(&text(&function["digest"])),
            holds.join(", ")
        );
    }
    if lines.is_empty() {
        "nothing yet: `tidemill deploy` uploads an app\n".to_owned()
    } else {
        lines
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_each() {
        let digest = "sha256:4f1c02aa";
        let module = json!({ "function": "settle", "module": "settle", "digest": digest });
        let apps =
            json!([{ "name": "trades", "version": 2, "state": "waiting", "functions": [module] }]);
        let holds = json!([{ "name": "settle" }, { "name": "enrich" }]);
        let functions =
            json!([{ "name": "stock", "version": 3, "digest": digest, "functions": holds }]);
        let expected = "app       trades v2  WAITING  settle 4f1c02\nfunction  stock@3  4f1c02  holds settle, enrich\n";
        assert_eq!(table(&apps, &functions), expected);
        assert_eq!(
            table(&json!([]), &json!([])),
            "nothing yet: `tidemill deploy` uploads an app\n"
        );
    }
}
