//! Lines of standard input, as they come, and in gulps where they come quickly.

use std::{
    io::{self, Read, Write as _},
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use super::Message;

/// Bytes read at a time.
const READ_BYTES: usize = 256 << 10;
/// Gulps that wait while others are being sent: what is not read stays in the pipe.
const GULPS_MAX: usize = 8;
/// Records handed over at a time.
const MESSAGES_MAX: usize = 10_000;
/// The longest line.
const LINE_BYTES_MAX: usize = 64 << 20;

/// How a line becomes a record.
pub(super) struct Split {
    /// The key of all, where there is no separator.
    pub(super) key: Option<Vec<u8>>,
    /// What stands between key and value.
    pub(super) separator: Option<Vec<u8>>,
}

impl Split {
    fn message(&self, number: u64, line: &[u8]) -> anyhow::Result<Message> {
        let Some(separator) = &self.separator else {
            return Ok(Message { key: self.key.clone(), value: Some(line.to_vec()) });
        };
        let at = line.windows(separator.len()).position(|window| window == separator);
        let Some(at) = at else {
            bail!(
                "line {number} has no `{}`: --key-separator stands between key and value",
                String::from_utf8_lossy(separator).escape_debug()
            );
        };
        Ok(Message {
            key: Some(line[..at].to_vec()),
            value: Some(line[at + separator.len()..].to_vec()),
        })
    }
}

/// `\t`, `\n`, `\0` and `\\` as people write them in shells; any other backslash is one.
pub(super) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let escaped = if *byte == b'\\' { after.first() } else { None };
        let meant = escaped.and_then(|escaped| match escaped {
            b't' => Some(b'\t'),
            b'n' => Some(b'\n'),
            b'0' => Some(0),
            b'\\' => Some(b'\\'),
            _ => None,
        });
        bytes.push(meant.unwrap_or(*byte));
        rest = if meant.is_some() { &after[1..] } else { after };
    }
    bytes
}

/// Hands over what is read until the end, and answers how many records that were. What came before an error in a
/// line is handed over.
pub(super) fn pump(
    input: impl Read + Send + 'static,
    split: Split,
    mut take: impl FnMut(Vec<Message>) -> anyhow::Result<()>,
) -> anyhow::Result<u64> {
    let (gulps, receiver) = sync_channel::<io::Result<Vec<u8>>>(GULPS_MAX);
    // Where the receiver is gone, so is the command: the thread ends with its next gulp or with the process.
    let reader = thread::Builder::new().name("stdin".into()).spawn(move || {
        read(input, |gulp| gulps.send(gulp).is_ok());
    });
    reader.context("cannot start a thread")?;
    let mut count = 0;
    let mut lines = Lines { split, number: 0, rest: Vec::new(), messages: Vec::new() };
    while let Ok(gulp) = receiver.recv() {
        let wrong = lines.gather(gulp, &receiver);
        for messages in lines.take() {
            count += messages.len() as u64;
            take(messages)?;
        }
        wrong?;
    }
    let wrong = lines.last();
    for messages in lines.take() {
        count += messages.len() as u64;
        take(messages)?;
    }
    wrong?;
    Ok(count)
}

fn read(mut input: impl Read, mut send: impl FnMut(io::Result<Vec<u8>>) -> bool) {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => {
                if !send(Ok(buffer[..length].to_vec())) {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                send(Err(error));
                return;
            }
        }
    }
}

struct Lines {
    split: Split,
    number: u64,
    rest: Vec<u8>,
    messages: Vec<Message>,
}

impl Lines {
    /// Takes a gulp and those that have come meanwhile.
    fn gather(
        &mut self,
        first: io::Result<Vec<u8>>,
        more: &Receiver<io::Result<Vec<u8>>>,
    ) -> anyhow::Result<()> {
        let mut next = Some(first);
        while let Some(gulp) = next {
            self.gulp(&gulp.context("cannot read standard input")?)?;
            next = if self.messages.len() < MESSAGES_MAX { more.try_recv().ok() } else { None };
        }
        Ok(())
    }

    fn gulp(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if part.last() == Some(&b'\n') && self.rest.is_empty() {
                self.line(part)?;
                continue;
            }
            self.rest.extend_from_slice(part);
            if part.last() == Some(&b'\n') {
                self.last()?;
            } else if self.rest.len() > LINE_BYTES_MAX {
                bail!("line {} is longer than 64 MiB", self.number + 1);
            }
        }
        Ok(())
    }

    fn last(&mut self) -> anyhow::Result<()> {
        let line = std::mem::take(&mut self.rest);
        self.line(&line)
    }

    fn line(&mut self, line: &[u8]) -> anyhow::Result<()> {
        self.number += 1;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            self.messages.push(self.split.message(self.number, line)?);
        }
        Ok(())
    }

    fn take(&mut self) -> Vec<Vec<Message>> {
        let mut rest = std::mem::take(&mut self.messages);
        let mut parts = Vec::new();
        while rest.len() > MESSAGES_MAX {
            let tail = rest.split_off(MESSAGES_MAX);
            parts.push(std::mem::replace(&mut rest, tail));
        }
        if !rest.is_empty() {
            parts.push(rest);
        }
        parts
    }
}

/// How far it is, once a second, on a terminal.
pub(super) struct Progress {
    shown: bool,
    on: bool,
    count: u64,
    begun: Instant,
    next: Instant,
}

impl Progress {
    pub(super) fn new(on: bool) -> Self {
        let now = Instant::now();
        Progress { shown: false, on, count: 0, begun: now, next: now + Duration::from_secs(1) }
    }

    pub(super) fn add(&mut self, count: u64) {
        self.count += count;
        let now = Instant::now();
        if self.on && now >= self.next {
            let rate = self.count as f64 / (now - self.begun).as_secs_f64();
            // Progress that cannot be shown is no reason to stop.
            let _ = write!(io::stderr(), "\r{} records, {rate:.0} a second ", self.count);
            self.shown = true;
            self.next = now + Duration::from_secs(1);
        }
    }

    pub(super) fn end(&mut self) {
        if self.shown {
            let _ = writeln!(io::stderr());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pumped(input: Vec<u8>, separator: Option<&str>) -> (Vec<Message>, anyhow::Result<u64>) {
        let mut all = Vec::new();
        let split = Split { key: None, separator: separator.map(unescape) };
        let count = pump(io::Cursor::new(input), split, |messages| {
            all.extend(messages);
            Ok(())
        });
        (all, count)
    }

    fn message(key: Option<&str>, value: &str) -> Message {
        Message { key: key.map(|key| key.into()), value: Some(value.into()) }
    }

    #[test]
    fn a_line_is_a_record() {
        let (messages, count) = pumped(b"a\r\n\nb b\nc".to_vec(), None);
        assert_eq!(messages, [message(None, "a"), message(None, "b b"), message(None, "c")]);
        assert_eq!(count.unwrap(), 3);
    }

    #[test]
    fn a_separator_stands_between_key_and_value() {
        let (messages, count) = pumped(b"k\tv\tw\n\t\nnothing\nk\tx\n".to_vec(), Some("\\t"));
        assert_eq!(messages, [message(Some("k"), "v\tw"), message(Some(""), "")]);
        let error = count.unwrap_err().to_string();
        assert_eq!(error, "line 3 has no `\\t`: --key-separator stands between key and value");
        assert_eq!(unescape(r"\\t\t::"), b"\\t\t::");
    }

    proptest! {
        #[test]
        fn gulps_do_not_matter(lines in proptest::collection::vec("[a-z]{1,9}", 0..50), size in 1..20_usize) {
            struct Slow(io::Cursor<Vec<u8>>, usize);
            impl Read for Slow {
                fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                    let size = self.1.min(buffer.len());
                    self.0.read(&mut buffer[..size])
                }
            }
            let text = lines.join("\n").into_bytes();
            let mut all = Vec::new();
            let split = Split { key: None, separator: None };
            let count = pump(Slow(io::Cursor::new(text), size), split, |messages| {
                all.extend(messages.into_iter().map(|message| String::from_utf8(message.value.unwrap()).unwrap()));
                Ok(())
            });
            prop_assert_eq!(count.unwrap(), lines.len() as u64);
            prop_assert_eq!(all, lines);
        }
    }
}
