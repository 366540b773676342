//! Functions that fail in every way a function can. What a record does is its value.

use tidemill_sdk::{Entry, Param, Role, Setup, prelude::*};

/// How often the record failed before.
struct Attempt(u16);

impl<'e> Param<'e> for Attempt {
    const ROLE: Role = Role::Beside;
    type Prepared = ();

    fn prepare(_: &mut Setup<'_>, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn extract((): &(), entry: &Entry<'e>) -> Result<Self, Failure> {
        Ok(Attempt(entry.attempt()))
    }
}

/// `ok` goes on; anything else fails as it says.
#[function]
fn faulty(
    command: Text,
    attempt: Attempt,
    out: Output<Text>,
    huge: Output<Bytes>,
) -> Result<(), Failure> {
    match &*command {
        "reject" => return Err(reject("no good")),
        "error" => Err(std::io::Error::other("it broke"))?,
        "panic" => panic!("at the disco"),
        "spin" => loop {
            std::hint::black_box(());
        },
        "eat" => {
            let mut eaten = Vec::new();
            loop {
                eaten.push(std::hint::black_box(vec![1u8; 1 << 20]));
            }
        }
        "huge" => return huge.send(&Bytes::from(vec![7; 2 << 20])),
        "retry" if attempt.0 < 2 => return Err(retry("not yet")),
        "late" if attempt.0 < 1 => {
            return Err(retry_after(std::time::Duration::from_secs(60), "in a minute"));
        }
        "log" => {
            for line in 0..1000 {
                tidemill_sdk::log::info!("line {line}");
            }
        }
        _ => {}
    }
    out.send(&command)
}

/// Keeps a memory of its own, as no function should: fails once in every instance.
#[function]
fn moody(record: Text, out: Output<Text>) -> Result<(), Failure> {
    use std::sync::atomic::{AtomicBool, Ordering};
    static DONE: AtomicBool = AtomicBool::new(false);
    if &*record == "once" && !DONE.swap(true, Ordering::Relaxed) {
        panic!("only in an instance that is not fresh");
    }
    out.send(&record)
}

/// Refuses its configuration.
#[function]
fn picky(_record: Text, level: Config<u8>, out: Output<Text>) -> Result<(), Failure> {
    out.send(&Text::from(level.to_string()))
}

/// Two records of each, to be chained: `1` becomes `1a` and `1b`, and `split:x,y` becomes `x` and `y`.
#[function]
fn double(record: Text, out: Output<Text>) -> Result<(), Failure> {
    if let Some((first, second)) =
        record.strip_prefix("split:").and_then(|parts| parts.split_once(','))
    {
        out.send(&Text::from(first))?;
        return out.send(&Text::from(second));
    }
    out.send(&Text::from(format!("{}a", &*record)))?;
    out.send(&Text::from(format!("{}b", &*record)))
}

/// Sends the number that a table has for its key.
#[function]
fn look_up(_record: Text, users: Table<Json<i64>>, out: Output<Text>) -> Result<(), Failure> {
    let found = users.get()?.map(|number| number.to_string());
    out.send(&Text::from(found.unwrap_or_else(|| "none".to_owned())))
}

tidemill_sdk::export!(faulty, moody, picky, double, look_up);
