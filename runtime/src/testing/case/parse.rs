//! From text to cases. Every error names its line and what would be right.

use std::{io, path::Path};

use super::{
    line::{self, Problem, ReadFile},
    model::{Case, Expectation, Expected, File, Given, Input, Named, Part, Step, Stimulus},
    time::Time,
    value::Value,
};

/// A case file that does not follow the grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct Error {
    /// The file's name.
    pub file: String,
    /// The line's number; the first is 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub problem: String,
}

/// Reads a case file. `files` reads what `file:` values name.
///
/// # Errors
/// At the first line that does not follow the grammar.
pub fn parse(
    file: &str,
    text: &str,
    files: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<File, Error> {
    let mut parser = Parser { files, cases: Vec::new(), headers_none: false };
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        parser.line(number, line).map_err(|problem| Error {
            file: file.to_owned(),
            line: number,
            problem,
        })?;
    }
    Ok(File { cases: parser.cases })
}

/// Reads `TOPIC [TIME] KEY VALUE`, what stands behind `in`.
///
/// # Errors
/// Where it does not follow the grammar.
pub fn parse_input(
    text: &str,
    files: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Input, String> {
    input(text.trim_start_matches([' ', '\t']), files)
}

const WORDS: &str = "a line begins with case, given, in, at, restart, out, dead, late, retry, pause, state, table, timer, + or !";

struct Parser<'a> {
    files: ReadFile<'a>,
    cases: Vec<Case>,
    /// The last `out` said with a bare `+` that it has no headers.
    headers_none: bool,
}

impl Parser<'_> {
    fn line(&mut self, number: usize, raw: &str) -> Result<(), Problem> {
        let mut line = raw.trim_start_matches([' ', '\t']);
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if let Some(header) = line.strip_prefix('+') {
            return self.header(number, header.trim_start_matches([' ', '\t']));
        }
        if let Some(reason) = line.strip_prefix('!') {
            return self.reason(number, reason);
        }
        let word = line::word(&mut line).unwrap_or_default();
        match word {
            "case" => self.case(number, line),
            "given" => self.given(line),
            "in" => {
                let input = input(line, self.files)?;
                self.step(number, Stimulus::In(input))
            }
            "at" => {
                let time = time(&mut line)?;
                line::end(line)?;
                self.step(number, Stimulus::At(time))
            }
            "restart" => {
                line::end(line)?;
                self.step(number, Stimulus::Restart)
            }
            "out" | "dead" | "late" | "retry" | "pause" | "state" | "table" | "timer" => {
                self.effect(number, word, line)
            }
            _ => Err(format!("`{word}` is no word of a case: {WORDS}")),
        }
    }

    fn case(&mut self, number: usize, title: &str) -> Result<(), Problem> {
        let title = title.trim();
        if title.is_empty() {
            return Err("the title is missing: say in a few words what the case shows".into());
        }
        self.cases.push(Case {
            title: title.to_owned(),
            line: number,
            given: Vec::new(),
            steps: Vec::new(),
        });
        Ok(())
    }

    fn current(&mut self) -> Result<&mut Case, Problem> {
        self.cases
            .last_mut()
            .ok_or_else(|| "a case begins with `case TITLE`: there is none above".into())
    }

    fn given(&mut self, mut line: &str) -> Result<(), Problem> {
        let given = match line::word(&mut line).unwrap_or_default() {
            "config" => config(line)?,
            "partitions" => {
                let number = line::expect(&mut line, "the number of partitions")?;
                line::end(line)?;
                match number.parse() {
                    Ok(number @ 1..=1000) => Given::Partitions(number),
                    _ => {
                        return Err(format!(
                            "`{number}` partitions: write a number from 1 to 1000"
                        ));
                    }
                }
            }
            "date" => {
                let date = line::expect(&mut line, "the date")?;
                line::end(line)?;
                Given::Date(
                    date.parse().map_err(|_| format!("`{date}` is no date: write YYYY-MM-DD"))?,
                )
            }
            "state" => {
                let (store, key, part) = state(&mut line, self.files)?;
                let entry = match part {
                    None => None,
                    Some(Part::Entry(entry)) => Some(entry),
                    Some(Part::Window { .. }) => {
                        return Err("what a window has come to is not given but follows from records: write in".into());
                    }
                };
                let value = line::value(&mut line, self.files)?;
                if value.bytes().is_none() {
                    return Err(
                        "`null`: what is not given is not there, so leave the line out".into()
                    );
                }
                Given::State { store, key, entry, value }
            }
            "table" => {
                let table = line::expect(&mut line, "the table")?.to_owned();
                let key = key(&mut line, self.files)?;
                Given::Table { table, key, value: line::value(&mut line, self.files)? }
            }
            word => {
                return Err(format!(
                    "`given {word}`: write given state, given table, given config, given partitions or given date"
                ));
            }
        };
        let case = self.current()?;
        if !case.steps.is_empty() {
            return Err("`given` comes before the first in, at or restart of its case".into());
        }
        case.given.push(given);
        Ok(())
    }

    fn step(&mut self, number: usize, stimulus: Stimulus) -> Result<(), Problem> {
        let step = Step { line: number, effects_line: number + 1, stimulus, effects: Vec::new() };
        self.current()?.steps.push(step);
        Ok(())
    }

    fn effect(&mut self, number: usize, word: &str, line: &str) -> Result<(), Problem> {
        let expected = effect(word, line, self.files)?;
        self.headers_none = false;
        let step = self.current()?.steps.last_mut();
        let step = step
            .ok_or_else(|| format!("`{word}` comes below the in, at or restart that causes it"))?;
        step.effects.push(Expectation { lines: number..number + 1, expected });
        Ok(())
    }

    fn header(&mut self, number: usize, line: &str) -> Result<(), Problem> {
        let header = if line.is_empty() { None } else { Some(header(line, self.files)?) };
        let none_before = self.headers_none;
        let step = self
            .current()?
            .steps
            .last_mut()
            .ok_or("a header comes below the in or out that has it")?;
        if let Some(effect) = step.effects.last_mut() {
            let Expected::Out { headers, .. } = &mut effect.expected else {
                return Err("a header comes below an in or out".into());
            };
            effect.lines.end = number + 1;
            match header {
                _ if none_before => return Err("a bare `+` says that there is no header".into()),
                Some(header) => headers.get_or_insert_default().push(header),
                None if headers.is_some() => return Err("the header's name is missing".into()),
                None => {
                    *headers = Some(Vec::new());
                    self.headers_none = true;
                }
            }
            return Ok(());
        }
        let Stimulus::In(input) = &mut step.stimulus else {
            return Err("a header comes below an in or out".into());
        };
        input.headers.push(header.ok_or("the header's name is missing")?);
        step.effects_line = number + 1;
        Ok(())
    }

    fn reason(&mut self, number: usize, line: &str) -> Result<(), Problem> {
        let text = line::text(line)?;
        let effect = self.current()?.steps.last_mut().and_then(|step| step.effects.last_mut());
        match effect {
            Some(Expectation {
                lines,
                expected:
                    Expected::Dead { reason, .. }
                    | Expected::Retry { reason, .. }
                    | Expected::Pause { reason, .. },
            }) if reason.is_none() => {
                *reason = Some(text);
                lines.end = number + 1;
                Ok(())
            }
            _ => Err("a reason (!) comes once, below the dead, retry or pause that has it".into()),
        }
    }
}

/// `STORE KEY [ENTRY or WINDOW]`.
fn state(line: &mut &str, files: ReadFile<'_>) -> Result<(String, Value, Option<Part>), Problem> {
    let store = line::expect(line, "the store")?.to_owned();
    Ok((store, key(line, files)?, line::part(line, files)?))
}

/// A key that is not null.
fn key(line: &mut &str, files: ReadFile<'_>) -> Result<Value, Problem> {
    match line::key(line, files)? {
        Value::Null => Err("nothing is kept under the key null".into()),
        key => Ok(key),
    }
}

fn time(line: &mut &str) -> Result<Time, Problem> {
    let word = line::expect(line, "the time")?;
    Time::parse(word).ok_or_else(|| {
        format!("`{word}` is no time: write 10:00:00, 2026-01-02T10:00:00Z, +5m or 13 digits of milliseconds")
    })
}

fn config(mut line: &str) -> Result<Given, Problem> {
    let path = line::expect(&mut line, "FUNCTION.KEY")?;
    let Some((function, key)) =
        path.split_once('.').filter(|(function, key)| !function.is_empty() && !key.is_empty())
    else {
        return Err(format!("`{path}`: write FUNCTION.KEY, as hello.minimum"));
    };
    let text = line.trim();
    if text.is_empty() {
        return Err("the value is missing: write JSON or a bare text".into());
    }
    let value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
    Ok(Given::Config { function: function.to_owned(), key: key.to_owned(), value })
}

fn input(mut line: &str, files: ReadFile<'_>) -> Result<Input, Problem> {
    let (topic, partition) = line::topic(&mut line)?;
    let time = line::optional_time(&mut line);
    let key = line::key(&mut line, files)?;
    let value = line::value(&mut line, files)?;
    Ok(Input { topic, partition, time, key, value, headers: Vec::new() })
}

fn header(mut line: &str, files: ReadFile<'_>) -> Result<Named, Problem> {
    let name = line::name(&mut line)?;
    line = line.trim_start_matches([' ', '\t']);
    let value = match line.strip_prefix('=') {
        Some(value) => line::value(&mut value.trim_start_matches([' ', '\t']), files)?,
        None => {
            line::end(line).map_err(|_| format!("`{line}`: write + NAME = VALUE"))?;
            Value::Null
        }
    };
    Ok(Named { name, value })
}

fn effect(word: &str, mut line: &str, files: ReadFile<'_>) -> Result<Expected, Problem> {
    if word == "out" {
        let (topic, partition) = line::topic(&mut line)?;
        let time = line::optional_time(&mut line);
        let key = line::key(&mut line, files)?;
        let value = line::want(&mut line, files, true)?;
        return Ok(Expected::Out { topic, partition, time, key, value, headers: None });
    }
    match word {
        "state" => {
            let (store, key, part) = state(&mut line, files)?;
            let value = line::want(&mut line, files, false)?;
            return Ok(Expected::State { store, key, part, value });
        }
        "table" => {
            let table = line::expect(&mut line, "the table")?.to_owned();
            let key = key(&mut line, files)?;
            return Ok(Expected::Table { table, key, value: line::want(&mut line, files, false)? });
        }
        "timer" => return timer(line, files),
        "late" => {
            let store = line::expect(&mut line, "the store")?.to_owned();
            let key = line::key(&mut line, files)?;
            return Ok(Expected::Late { store, key, value: line::want(&mut line, files, false)? });
        }
        _ => {}
    }
    let function = line::expect(&mut line, "the function")?.to_owned();
    if word == "pause" {
        return Ok(Expected::Pause { function, reason: reason(line)? });
    }
    if word == "dead" {
        let key = line::key(&mut line, files)?;
        let value = line::want(&mut line, files, false)?;
        return Ok(Expected::Dead { function, key, value, reason: None });
    }
    let number = line::expect(&mut line, "the attempt's number")?;
    let attempt = match number.parse() {
        Ok(attempt @ 1..) => attempt,
        _ => return Err(format!("`{number}`: write the attempt's number; the first is 1")),
    };
    Ok(Expected::Retry { function, attempt, reason: reason(line)? })
}

/// The reason behind what has one, on the same line.
fn reason(line: &str) -> Result<Option<String>, Problem> {
    match line.strip_prefix('!') {
        Some(reason) => line::text(reason).map(Some),
        None => line::end(line).map(|()| None),
    }
}

fn timer(mut line: &str, files: ReadFile<'_>) -> Result<Expected, Problem> {
    let path = line::expect(&mut line, "FUNCTION.TIMER")?;
    let Some((function, timer)) =
        path.split_once('.').filter(|(function, timer)| !function.is_empty() && !timer.is_empty())
    else {
        return Err(format!("`{path}`: write FUNCTION.TIMER, as watch.due"));
    };
    let key = key(&mut line, files)?;
    let due = match line.trim_end() {
        "null" => None,
        _ => {
            let due = time(&mut line)?;
            line::end(line)?;
            Some(due)
        }
    };
    Ok(Expected::Timer { function: function.to_owned(), timer: timer.to_owned(), key, due })
}
