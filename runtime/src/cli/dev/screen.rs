//! Standard output: one thread writes it, so that workers never wait for a terminal.

use std::{
    io::{self, Write as _},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
};

use anyhow::Context as _;

/// Events that wait to be written.
const EVENTS_MAX: usize = 1024;

/// Something to show, both ways.
pub(super) struct Event {
    pub(super) text: String,
    pub(super) json: serde_json::Value,
}

/// A handle to the thread that writes.
#[derive(Clone)]
pub(super) struct Screen {
    json: bool,
    lines: Arc<Mutex<Option<SyncSender<String>>>>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Screen {
    pub(super) fn start(json: bool) -> anyhow::Result<Screen> {
        let (lines, receiver) = sync_channel(EVENTS_MAX);
        let thread = thread::Builder::new().name("screen".into()).spawn(move || write(&receiver));
        let thread = thread.context("cannot start a thread")?;
        Ok(Screen {
            json,
            lines: Arc::new(Mutex::new(Some(lines))),
            thread: Arc::new(Mutex::new(Some(thread))),
        })
    }

    /// Shows it, waiting for room.
    pub(super) fn send(&self, event: Event) {
        let line = if self.json { event.json.to_string() } else { event.text };
        self.send_line(line);
    }

    pub(super) fn send_line(&self, line: String) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(lines) = lines {
            // Where the thread is gone, nobody reads any more.
            let _ = lines.send(line);
        }
    }

    /// Shows it if there is room; whether there was.
    pub(super) fn try_send_line(&self, line: String) -> bool {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(lines) = &*lines else { return true };
        !matches!(lines.try_send(line), Err(TrySendError::Full(_)))
    }

    /// Writes what waits, and ends.
    pub(super) fn finish(&self) {
        drop(self.lines.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes the view panicked");
        }
    }
}

fn write(lines: &Receiver<String>) {
    let mut out = io::BufWriter::new(io::stdout());
    while let Ok(line) = lines.recv() {
        let mut next = Some(line);
        while let Some(line) = next {
            if writeln!(out, "{line}").is_err() {
                return;
            }
            next = lines.try_recv().ok();
        }
        if out.flush().is_err() {
            return;
        }
    }
}
