//! Windows as they are read: by a task, and from outside, of what is committed. Nothing is read that is older than the
//! retention, though it may still be there.

use std::{ops::ControlFlow, sync::Arc};

use super::{
    Spec,
    core::{Change, millis},
    engine::{Engine, Error, Shape, Window},
    fixed, spans, whole,
};
use crate::{
    record::Timestamp,
    store::{self, Committed, Database, LiveStore, Ordered, Page},
};

/// The windows of a key that begin from `from`, included, to `to`, excluded, by start and end: at most so many, and those
/// that begin with the last. What has no windows has one, from 0 to the last time there is.
///
/// # Errors
/// What the disk says, or why parts of a window cannot be merged.
pub fn read(
    database: &Database,
    store: &LiveStore,
    spec: &Arc<Spec>,
    key: &[u8],
    from: Timestamp,
    to: Timestamp,
    limit: usize,
) -> Result<Vec<Window>, Error> {
    let committed = database.committed(store);
    let engine = as_committed(&committed, store, spec)?;
    engine.read_some(&committed, key, from, to, limit)
}

/// Windows of all keys that begin from `from`, included, to `to`, excluded, behind [`Page::next`] of the page before: by
/// start and key; sliding ones and sessions by end, start and key.
///
/// # Errors
/// What the disk says.
pub fn scan(
    database: &Database,
    store: &LiveStore,
    spec: &Arc<Spec>,
    from: Timestamp,
    to: Timestamp,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Page<(Vec<u8>, Window)>, store::Error> {
    let committed = database.committed(store);
    let engine = as_committed(&committed, store, spec)?;
    engine.scan(&committed, from, to, after, limit)
}

/// An engine that knows the committed time.
fn as_committed(
    committed: &Committed<'_>,
    store: &LiveStore,
    spec: &Arc<Spec>,
) -> Result<Engine, store::Error> {
    let mut engine = Engine::new(0, spec);
    engine.ready(committed)?;
    let progress = committed.progress()?.unwrap_or_default();
    if let Some(node) = progress.nodes.iter().find(|node| node.node == store.spec.name) {
        engine.resume(node);
    }
    Ok(engine)
}

impl Engine {
    /// The windows of a key that begin from `from`, included, to `to`, excluded, by start.
    ///
    /// # Errors
    /// What the disk says, or why parts of a window cannot be merged.
    pub fn read(
        &mut self,
        state: &impl Ordered,
        key: &[u8],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Window>, Error> {
        self.read_some(state, key, from, to, usize::MAX)
    }

    fn read_some(
        &self,
        state: &impl Ordered,
        key: &[u8],
        from: Timestamp,
        to: Timestamp,
        limit: usize,
    ) -> Result<Vec<Window>, Error> {
        let core = &self.core;
        let (from, to, latest) = self.readable(from, to);
        let is_session = matches!(self.shape, Shape::Session(_));
        let mut windows: Vec<Change> = Vec::new();
        let mut each = |span: spans::Span| {
            if (from..=to).contains(&span.start) {
                windows.push(span.change(key));
            }
            if windows.len() < limit || is_session {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        };
        match self.shape {
            Shape::Whole => windows.extend(whole::get(core, state, key)?),
            _ if from > to || limit == 0 => {}
            Shape::Fixed(panes) => {
                let mut window = panes.last(from.saturating_add(panes.advance - 1));
                while window <= to && windows.len() < limit {
                    // Some at a time: there may be none for long.
                    let last = window.saturating_add(64 * panes.advance).min(panes.last(to));
                    windows.extend(panes.look(core, state, key, window, last)?);
                    window = last.saturating_add(panes.advance);
                }
            }
            Shape::Sliding(sliding) => {
                let ends = (from + sliding.difference, to + sliding.difference);
                sliding.spans().walk(core, state, key, ends, false, &mut each)?;
            }
            Shape::Session(session) => {
                session.spans().walk(core, state, key, (from, latest), false, &mut each)?;
            }
        }
        // A closed session stays where it was, though later records may make another one around it.
        windows.sort_by_key(|window| (window.start, window.end));
        let tied = |window: &&Change| {
            Some(window.start) == windows.get(limit.wrapping_sub(1)).map(|it| it.start)
        };
        let ties = windows.iter().skip(limit).take_while(tied).count();
        windows.truncate(limit.saturating_add(ties));
        Ok(windows.into_iter().filter_map(Change::into_window).collect())
    }

    fn scan(
        &self,
        state: &impl Ordered,
        from: Timestamp,
        to: Timestamp,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Page<(Vec<u8>, Window)>, store::Error> {
        let core = &self.core;
        let (from, to, latest) = self.readable(from, to);
        let found = match self.shape {
            Shape::Whole => whole::scan(core, state, after, limit)?,
            Shape::Fixed(panes) => {
                let begin = match after.and_then(fixed::split_cursor) {
                    Some((window, key)) => (window, Some(key)),
                    None => (panes.last(from.saturating_add(panes.advance - 1)), None),
                };
                panes.results(core, state, begin, to, limit)?
            }
            Shape::Sliding(_) | Shape::Session(_) => {
                let spans = match self.shape {
                    Shape::Sliding(sliding) => sliding.spans(),
                    _ => super::session::Session { gap: self.gap() }.spans(),
                };
                let begin = spans::cursor(Timestamp(i64::MIN), Timestamp(from), &[]);
                let until = latest.saturating_add(self.gap()).saturating_add(2);
                spans.results(core, state, Some(after.unwrap_or(&begin)), until, limit)?
            }
        };
        let next = (found.len() == limit).then(|| found.last().map(|last| self.cursor(last)));
        let within =
            |start: Timestamp| self.shape == Shape::Whole || (from..=to).contains(&start.millis());
        let entries =
            found.into_iter().filter(|change| within(change.start)).filter_map(|change| {
                let key = change.key.clone();
                Some((key, change.into_window()?))
            });
        Ok(Page { entries: entries.collect(), next: next.flatten() })
    }

    /// Behind a result, in the order of [`scan`](Engine::scan).
    fn cursor(&self, change: &Change) -> Vec<u8> {
        match self.shape {
            Shape::Whole => change.key.clone(),
            Shape::Fixed(_) => fixed::cursor(change.start, &change.key),
            Shape::Sliding(_) | Shape::Session(_) => {
                spans::cursor(change.start, change.end, &change.key)
            }
        }
    }

    /// How far windows reach behind their latest record.
    fn gap(&self) -> i64 {
        match self.shape {
            Shape::Sliding(sliding) => sliding.difference,
            Shape::Session(session) => session.gap,
            Shape::Whole | Shape::Fixed(_) => 0,
        }
    }

    /// Of what is asked for, the first and the last start that may be read, and the latest time.
    fn readable(&self, from: Timestamp, to: Timestamp) -> (i64, i64, i64) {
        let latest = self.core.time.get().map_or(0, |time| time.millis());
        let retained = latest.saturating_sub(millis(self.core.spec.retention));
        let from = from.millis().max(retained).max(0);
        (from, to.millis().saturating_sub(1).min(latest.saturating_add(1)), latest)
    }
}
