//! What a component is, in words and as JSON.

use std::{fmt::Write as _, time::Duration};

use serde_json::json;

use super::Built;
use crate::guest::{Attribute, Capability, Description, Role, Shape, Slot};

/// `41 kB`, as file managers show it.
pub fn bytes(count: usize) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{} kB", (count + 500) / 1_000),
        _ => format!("{}.{} MB", count / 1_000_000, count % 1_000_000 / 100_000),
    }
}

/// `2.1 s`.
pub fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

/// Capabilities that the component's imports ask for.
fn capabilities(built: &Built) -> Vec<Capability> {
    let imports = built.component.imports();
    let asks = |capability: &Capability| {
        imports.iter().any(|import| import.starts_with(capability.import()))
    };
    [Capability::Clock, Capability::Random].into_iter().filter(asks).collect()
}

pub(super) fn text(built: &Built) -> String {
    let mut text =
        format!("built {}  {} in {}", built.name, bytes(built.bytes.len()), seconds(built.took));
    if let Some(file) = &built.file {
        let _ = write!(text, "  {}", shortened(file));
    }
    let _ = writeln!(text, "\ndigest    {}", built.component.digest());
    for description in built.component.descriptions() {
        function(&mut text, description);
    }
    let imports = built.component.imports();
    let imports = if imports.is_empty() { "none".to_owned() } else { imports.join(", ") };
    let _ = writeln!(text, "imports   {imports}");
    let capabilities: Vec<_> =
        capabilities(built).iter().map(|capability| format!("\"{capability}\"")).collect();
    let _ = match capabilities.is_empty() {
        true => writeln!(text, "needs     nothing granted"),
        false => writeln!(text, "needs     allow = [{}]", capabilities.join(", ")),
    };
    text
}

fn function(text: &mut String, description: &Description) {
    let _ = writeln!(text, "function  {}", description.name);
    for source in &description.sources {
        let name = source.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        let key =
            if source.key.is_empty() { String::new() } else { format!(", key {}", source.key) };
        let shape = match source.shape {
            Shape::Plain => "",
            Shape::JoinedInner => ", a row of an inner join",
            Shape::JoinedLeft => ", a row of a left join",
            Shape::JoinedRight => ", a row of a right join",
            Shape::JoinedFull => ", a row of a full join",
            Shape::Windowed => ", a window's result",
        };
        let _ = writeln!(text, "  input   {name}{}{key}{shape}", source.value);
    }
    for slot in &description.slots {
        let _ = writeln!(text, "  {:<7} {}", role(slot.role), slot_facts(slot));
    }
}

fn slot_facts(slot: &Slot) -> String {
    let mut facts = slot.name.clone();
    match slot.role {
        Role::Counter => facts.push_str(": counter"),
        Role::Map => {
            let _ = write!(facts, ": map of {} to {}", slot.key, slot.value);
        }
        Role::Aggregate => {
            let column = |column: &Attribute| format!("{} {}", column.name, column.value);
            let columns: Vec<_> = slot.columns.iter().map(column).collect();
            facts.push_str(": aggregate");
            if !columns.is_empty() {
                let _ = write!(facts, ", reads {}", columns.join(", "));
            }
        }
        _ if slot.value.is_empty() => {}
        _ => {
            let _ = write!(facts, ": {}", slot.value);
        }
    }
    if slot.role == Role::Output && slot.rekeys {
        let _ = write!(facts, ", key {}", slot.key);
    }
    if slot.role == Role::Config {
        facts.push_str(if slot.required { ", required" } else { ", optional" });
    }
    facts
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Output => "output",
        Role::Config => "config",
        Role::Timer => "timer",
        Role::Table => "table",
        Role::Value | Role::Map | Role::Counter | Role::Aggregate => "store",
    }
}

/// Relative to the working folder where it is inside.
fn shortened(file: &std::path::Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    file.strip_prefix(here).unwrap_or(file).display().to_string()
}

pub(super) fn json(built: &Built) -> String {
    let component = &built.component;
    let facts = json!({
        "name": built.name,
        "file": built.file,
        "digest": component.digest().to_string(),
        "size": built.bytes.len(),
        "world": component.world(),
        "functions": component.descriptions(),
        "imports": component.imports(),
        "capabilities": capabilities(built),
        "seconds": built.took.as_secs_f64(),
    });
    format!("{facts}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_short() {
        assert_eq!(
            [999, 1_000, 41_499, 2_640_000].map(bytes),
            ["999 B", "1 kB", "41 kB", "2.6 MB"]
        );
        assert_eq!(seconds(Duration::from_millis(2_149)), "2.1 s");
    }
}
