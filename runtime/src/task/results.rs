//! Results of nodes as rows of a turn of their own.
//!
//! Most results come out in the walk, because of the row that brought them about. As rows they come out where no row
//! did, or where they are to fail by themselves:
//!
//! | which | when |
//! |---|---|
//! | closed by the clock | every input is at its end for a node's `idle`: its time follows the clock, that much behind |
//! | of a closing that failed | a row moved a node's time on, and something failed on what came out because of that: the results come out one by one, then the row is tried again |
//! | thinned changes | before an epoch is sealed |
//! | paced changes | their pause is over |
//!
//! A failure of such a row is the result's own. Of a chunk all rows are of one node, the first in the order of nodes that
//! has any, so that what it feeds finds them.

use std::{rc::Rc, time::Duration};

use crate::{
    aggregate::Emit,
    operator::{self, Ask},
    record::{Headers, Offset, Record, Records, Timestamp},
    store,
    topology::{Pair, SubTopology, Work},
};

use super::{
    Task,
    buffer::{Chunk, Row},
    effects::Effects,
    process::Stop,
    source::{From, Source},
    visit::Closing,
};

/// What a task knows of its nodes that send results by themselves.
#[derive(Debug, Default)]
pub(super) struct Results {
    senders: Vec<Sender>,
    /// Since when every input is at its end, by the wall clock.
    ended: Option<Timestamp>,
    /// Up to here nodes follow the clock at once.
    hurried: Option<Timestamp>,
    /// Whether they follow it no further.
    by_hand: bool,
    /// Whether `next` of the senders is to be asked for again.
    is_stale: bool,
    /// Closings to be done before the row that brought them about is tried again: the last one first.
    closings: Vec<Pending>,
    /// A row behind whose closing nothing was found: its failure is its own.
    barren: Option<Source>,
}

/// A node that sends results by itself.
#[derive(Debug)]
struct Sender {
    node: usize,
    /// How far behind the clock its time follows it.
    idle: Option<Duration>,
    /// Whether its changes wait for the end of an epoch.
    is_thinned: bool,
    /// Whether its changes wait for the clock.
    is_paced: bool,
    /// When the first result is closed, in its own time.
    next_close: Option<Timestamp>,
    /// When the first change is over its pause.
    next_pause: Option<Timestamp>,
}

/// A closing that failed, and the row that brought it about.
#[derive(Debug)]
struct Pending {
    closing: Closing,
    source: Source,
    /// Whether a result was found.
    has_fired: bool,
}

impl Results {
    pub(super) fn new(part: &SubTopology) -> Self {
        let sender = |(node, at): (usize, &crate::topology::Node)| {
            let (idle, emit) = match &at.work {
                Work::Aggregate(aggregate) => {
                    let spec = part.aggregates.get(&aggregate.store)?;
                    (spec.idle, Some(spec.emit))
                }
                Work::Join(join) => match join.pair {
                    Pair::StreamStream { idle, .. } => (idle, None),
                    _ => return None,
                },
                _ => return None,
            };
            Some(Sender {
                node,
                idle,
                is_thinned: emit == Some(Emit::Changes { every_update: false }),
                is_paced: matches!(emit, Some(Emit::Every(_))),
                next_close: None,
                next_pause: None,
            })
        };
        let senders = part.nodes.iter().enumerate().filter_map(sender).collect();
        Results { senders, is_stale: true, ..Results::default() }
    }

    /// Up to where nodes were hurried.
    pub(super) fn hurried(&self) -> Option<Timestamp> {
        self.hurried
    }

    /// More is there to read.
    pub(super) fn interrupt(&mut self) {
        self.ended = None;
    }

    /// Up to which time of its own a node follows the clock.
    fn follows_to(&self, sender: &Sender, now: Timestamp) -> Option<Timestamp> {
        let (ended, idle) = (self.ended?, millis(sender.idle?));
        let is_over = !self.by_hand && now.millis() >= ended.millis().saturating_add(idle);
        let idle = is_over.then(|| Timestamp(now.millis().saturating_sub(idle)));
        idle.max(self.hurried)
    }

    /// Whether a result is due by the clock.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.senders.iter().any(|sender| {
            sender.next_pause.is_some_and(|pause| pause <= now)
                || sender
                    .next_close
                    .is_some_and(|close| Some(close) <= self.follows_to(sender, now))
        })
    }

    /// When the first result is due by the clock, if nothing is read.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let due = self.senders.iter().flat_map(|sender| {
            let ended = self.ended.filter(|_| !self.by_hand);
            let close = ended.zip(sender.idle).zip(sender.next_close);
            let close = close.map(|((ended, idle), close)| {
                Timestamp(ended.max(close).millis().saturating_add(millis(idle)))
            });
            [close, sender.next_pause].into_iter().flatten()
        });
        due.min()
    }
}

impl Task {
    /// Nodes follow the clock only where they are hurried.
    pub fn follow_by_hand(&mut self) {
        self.results.by_hand = true;
    }

    /// Nodes follow the clock up to then at once, where they follow it at all: as if every input had been at its end for
    /// long enough.
    pub fn hurry(&mut self, until: Timestamp) {
        self.results.hurried = self.results.hurried.max(Some(until));
    }

    /// Whether there are changes that wait for the end of an epoch, perhaps.
    pub(super) fn is_thinned(&self) -> bool {
        self.results.senders.iter().any(|sender| sender.is_thinned)
    }

    /// What is known of results is as of before the last turn.
    pub(super) fn look_at_results(&mut self, now: Timestamp) -> Result<(), store::Error> {
        if !self.buffer.at_end() {
            self.results.ended = None;
        } else if self.results.ended.is_none() {
            self.results.ended = Some(now);
            self.results.is_stale = true;
        }
        if !std::mem::take(&mut self.results.is_stale) {
            return Ok(());
        }
        let at_end = self.results.ended.is_some();
        for sender in &mut self.results.senders {
            let Some(host) = self.operators[sender.node].host_mut() else { continue };
            if sender.is_paced {
                sender.next_pause = host.next_pause(&mut self.scope)?;
            }
            if sender.idle.is_some() && at_end {
                sender.next_close = host.next_close(&mut self.scope)?;
            }
        }
        Ok(())
    }

    /// Whether a row failed on what came of results that are not its doing: they are tried without it then, before it.
    pub(super) fn set_aside(&mut self, stop: &Stop, effects: &Effects) -> bool {
        let Some(closing) = stop.closing else { return false };
        let source = effects.chunk.source(stop.row);
        if self.results.barren == Some(source) {
            return false;
        }
        self.results.closings.push(Pending { closing, source, has_fired: false });
        true
    }

    /// Something was done.
    pub(super) fn results_moved(&mut self) {
        self.results.is_stale = true;
    }

    /// Results of closings that failed, to be done before anything else.
    pub(super) fn set_aside_results(&mut self) -> Result<Chunk, store::Error> {
        while let Some(pending) = self.results.closings.last_mut() {
            let Closing { node, time } = pending.closing;
            let (source, has_fired) = (pending.source, pending.has_fired);
            pending.has_fired = true;
            let chunk = self.results_of(node, Ask::Closed(time))?;
            if !chunk.rows.is_empty() {
                return Ok(chunk);
            }
            self.results.closings.pop();
            if !has_fired {
                self.results.barren = Some(source);
            }
        }
        Ok(Chunk::default())
    }

    /// Changes that wait for the end of an epoch.
    pub(super) fn changed_results(&mut self) -> Result<Chunk, store::Error> {
        let thinned = self.results.senders.iter().filter(|sender| sender.is_thinned);
        for node in thinned.map(|sender| sender.node).collect::<Vec<_>>() {
            let chunk = self.results_of(node, Ask::Changed)?;
            if !chunk.rows.is_empty() {
                return Ok(chunk);
            }
        }
        Ok(Chunk::default())
    }

    /// Changes whose pause is over.
    pub(super) fn paced_results(&mut self, now: Timestamp) -> Result<Chunk, store::Error> {
        for index in 0..self.results.senders.len() {
            let sender = &self.results.senders[index];
            if sender.next_pause.is_none_or(|pause| pause > now) {
                continue;
            }
            let chunk = self.results_of(sender.node, Ask::Paused(now))?;
            if !chunk.rows.is_empty() {
                return Ok(chunk);
            }
            self.results.senders[index].next_pause = None;
        }
        Ok(Chunk::default())
    }

    /// Results that the clock closes.
    pub(super) fn closed_results(&mut self, now: Timestamp) -> Result<Chunk, store::Error> {
        for index in 0..self.results.senders.len() {
            let sender = &self.results.senders[index];
            let until = self.results.follows_to(sender, now);
            let Some(until) =
                until.filter(|_| sender.next_close.is_some_and(|it| Some(it) <= until))
            else {
                continue;
            };
            let chunk = self.results_of(sender.node, Ask::Closed(until))?;
            if !chunk.rows.is_empty() {
                return Ok(chunk);
            }
            // As far as was known there was one.
            self.results.senders[index].next_close = None;
        }
        Ok(Chunk::default())
    }

    fn results_of(&mut self, node: usize, ask: Ask) -> Result<Chunk, store::Error> {
        let limit = self.limit;
        let Some(host) = self.operators[node].host_mut() else { return Ok(Chunk::default()) };
        let dues = host.due(ask, &mut self.scope, limit)?;
        Ok(self.results_as_rows(node, dues))
    }

    /// Results of a node as the rows of this turn. They do not move stream time.
    pub(super) fn results_as_rows(&mut self, node: usize, dues: Vec<operator::Due>) -> Chunk {
        self.times.clear();
        if dues.is_empty() {
            return Chunk::default();
        }
        self.times.resize(dues.len(), self.stream_time);
        let now = self.stream_time;
        let mut at = now.unwrap_or_default();
        self.scope.begin(dues.iter().map(|due| {
            at = at.max(due.at);
            now.unwrap_or(at)
        }));
        chunk(node, dues)
    }

    /// Has nodes write down which changes did not come out.
    pub(super) fn save_changes(&mut self) -> Result<(), store::Error> {
        for sender in self.results.senders.iter().filter(|sender| sender.is_thinned) {
            if let Some(host) = self.operators[sender.node].host_mut() {
                host.save_changes(0, &mut self.scope)?;
            }
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Results as rows: their keys lie in a block as those of records do.
fn chunk(node: usize, dues: Vec<operator::Due>) -> Chunk {
    let mut records = Records::new();
    for due in &dues {
        records.push(&Record {
            offset: Offset(-1),
            timestamp: due.at,
            key: Some(&due.key),
            value: None,
            headers: Headers::EMPTY,
        });
    }
    let rows = dues.iter().enumerate().map(|(index, due)| Row {
        from: From::Result(node),
        block: 0,
        index,
        time: Ok(due.at),
    });
    Chunk { rows: rows.collect(), blocks: vec![Rc::new(records)], dues }
}
