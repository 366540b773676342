//! Case files: transcripts of records in and effects out that are replayed on a task and compared.
//!
//! [`parse`] reads the text, [`run`] replays it, `diff` compares, `print` writes effects as the file
//! would and [`accept`] puts them in place of the old ones. Nothing here knows how a task works: it is driven
//! through [`run::Drive`]. What is printed reads back as the same case.
//!
//! ```text
//! file     = { case }            case = "case" title { given } { step }
//! given    = "given" ( "state" STORE KEY [ENTRY] VALUE | "table" TABLE KEY VALUE | "config" FUNCTION.KEY VALUE
//!                    | "partitions" N | "date" YYYY-MM-DD )                                  # defaults 1, 2026-01-01
//! stimulus = "in" TOPIC[/PARTITION] [TIME] KEY VALUE | "at" TIME | "restart"
//! effect   = "out" TOPIC[/PARTITION] [TIME] KEY VALUE | "dead" FUNCTION KEY VALUE | "retry" FUNCTION N | "pause" FUNCTION
//!          | "state" STORE KEY [ENTRY|WINDOW] VALUE | "table" TABLE KEY VALUE | "timer" FUNCTION.TIMER KEY TIME|null
//! header   = "+" NAME ["=" VALUE]       # under in and out; none written = none, in out: same as the stimulus; "+" alone = none
//! reason   = "!" text                   # under dead, retry and pause, or behind the last two; none written = any
//! ENTRY    = "[" KEY "]"                # of a map: which entry
//! WINDOW   = "[" TIME "," TIME ")"      # of an aggregate: which window; "]" behind it where the end is in it
//! TIME     = 10:00:00[.250] | 2026-01-02T10:00:00Z | +5m (after the last stimulus) | 1767261600000
//! KEY      = one token;  VALUE = the rest of the line, both verbatim, except
//!            null | hex:00ff | base64:… | file:big.bin | "text with JSON escapes" | json:"a JSON string"
//!            | like {…} (out only: these fields at least)
//! ```
//! `state`, `table` and `timer` are checked where they are written; all other effects must be written, in order.
//! `restart` kills the process, wipes its disk and restores it from the changelogs.
//! A line that begins with `#` is a comment. An expected value that begins with `{` or `[` is compared as JSON, any
//! other byte for byte. A key that would read as a TIME is written in quotes.

mod accept;
mod diff;
mod line;
mod model;
mod parse;
mod print;
mod run;
mod task;
mod time;
mod value;

pub use accept::accept;
pub use diff::{Change, Difference};
pub use model::{Case, Expected, File, Given, Input, Named, Part, Step, Stimulus};
pub use parse::{Error, parse, parse_input};
pub use run::{At, Drive, Outcome, Problem, Ran, run};
pub use task::start;
pub use time::Time;
pub use value::{Value, Want};

#[cfg(test)]
mod tests;
