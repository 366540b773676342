//! The thread that follows an app's broadcast tables.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel},
    thread::JoinHandle,
    time::Duration,
};

use super::tables::{TableParts, Tables};
use crate::worker::{self, Board, WorkerStatus};

/// The longest sleep of a step.
const WAIT: Duration = Duration::from_millis(100);
/// How long to wait before it is tried again: for one, after another one of the same app, which is about to end.
const AGAIN: Duration = Duration::from_millis(500);

/// The thread's handle. Dropped, it ends without being waited for.
pub(super) struct TableFollower {
    stop: SyncSender<()>,
    handle: JoinHandle<()>,
}

impl TableFollower {
    /// Starts the thread, where the app has broadcast tables. What hinders it is on the board, under a number
    /// behind those of the workers.
    pub(super) fn start(
        parts: TableParts,
        board: &Board,
        number: usize,
    ) -> std::io::Result<Option<TableFollower>> {
        if !parts.topology.parts.iter().any(|part| part.stores.iter().any(|store| store.broadcast))
        {
            return Ok(None);
        }
        let (stop, stopped) = sync_channel(1);
        let name = format!("{}-tables", parts.topology.app);
        let thread = Thread { parts, board: board.clone(), number, stopped };
        let handle = std::thread::Builder::new().name(name).spawn(move || thread.run())?;
        Ok(Some(TableFollower { stop, handle }))
    }

    /// Ends it, and waits for that.
    pub(super) fn stop(self) {
        // It is gone already where this fails.
        let _ = self.stop.send(());
        if self.handle.join().is_err() {
            tracing::error!("the thread that follows tables panicked");
        }
    }
}

struct Thread {
    parts: TableParts,
    board: Board,
    /// As what it is on the board.
    number: usize,
    stopped: Receiver<()>,
}

impl Thread {
    fn run(self) {
        loop {
            match self.live() {
                Ok(()) => return,
                Err(None) => {}
                Err(Some(error)) => self.troubled(Some(error.to_string())),
            }
            match self.stopped.recv_timeout(AGAIN) {
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Until it is told to stop. An error of `None`: the tables cannot be had yet.
    fn live(&self) -> Result<(), Option<worker::Error>> {
        let mut tables = Tables::open(self.parts.clone())?.ok_or(None)?;
        self.troubled(None);
        loop {
            match self.stopped.try_recv() {
                Ok(()) | Err(TryRecvError::Disconnected) => return Ok(()),
                Err(TryRecvError::Empty) => tables.step(WAIT).map(drop)?,
            }
        }
    }

    fn troubled(&self, trouble: Option<String>) {
        if let Some(trouble) = &trouble {
            let app = &*self.parts.topology.app;
            tracing::warn!(app, "broadcast tables are not followed: {trouble}");
        }
        let status = WorkerStatus { trouble, ..WorkerStatus::default() };
        self.board.worker(self.number, status);
    }
}
