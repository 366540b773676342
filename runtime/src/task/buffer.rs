//! What a task has read and not yet worked through, and which records come next.
//!
//! One input: in the order of arrival. Several: of the records at the heads, the one with the smallest timestamp, as
//! soon as every input has a record or is known to be at its end. A record stays here until its effects are made, so
//! that a failure can take it again.

use std::{collections::VecDeque, rc::Rc};

use crate::{
    operator,
    record::{Position, Record, Records, Timestamp},
    topology::EventTime,
};

use super::{
    source::From,
    time::{self, Latest},
};

/// Records of one input that came in one piece, with their event times.
#[derive(Debug)]
struct Block {
    records: Rc<Records>,
    /// Empty where event time is the record's timestamp.
    times: Vec<Result<Timestamp, String>>,
    next: usize,
}

/// One input partition.
#[derive(Debug)]
struct Queue {
    blocks: VecDeque<Block>,
    records: usize,
    bytes: usize,
    /// Where the input ends, as long as nothing was read behind it.
    end: Option<Position>,
    time: EventTime,
    /// Behind the last record whose effects are made.
    position: Position,
    moved: bool,
}

/// The inputs of a task.
#[derive(Debug)]
pub(super) struct Buffer {
    queues: Vec<Queue>,
}

/// A record of a chunk.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Where it comes from.
    pub(super) from: From,
    /// Index into the chunk's blocks.
    pub(super) block: usize,
    /// Index into the block.
    pub(super) index: usize,
    /// Event time, or why there is none, or why there is one and the record is not handled.
    pub(super) time: Result<Timestamp, String>,
}

/// The records that are next, in order.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) blocks: Vec<Rc<Records>>,
    pub(super) rows: Vec<Row>,
    /// By row, where the rows are results of a node: which.
    pub(super) dues: Vec<operator::Due>,
}

impl Chunk {
    /// The record of a row, its timestamp replaced by its event time.
    #[inline]
    pub(super) fn record(&self, row: usize) -> Record<'_> {
        let row = &self.rows[row];
        let record = self.blocks[row.block].get(row.index);
        Record { timestamp: *row.time.as_ref().unwrap_or(&record.timestamp), ..record }
    }
}

impl Buffer {
    /// Inputs that begin at these positions.
    pub(super) fn new(inputs: impl Iterator<Item = (EventTime, Position)>) -> Self {
        let queue = |(time, position)| Queue {
            blocks: VecDeque::new(),
            records: 0,
            bytes: 0,
            end: None,
            time,
            position,
            moved: false,
        };
        Buffer { queues: inputs.map(queue).collect() }
    }

    /// Takes in what was read behind everything there is.
    pub(super) fn push(&mut self, input: usize, records: Records) {
        let queue = &mut self.queues[input];
        let times = match &queue.time {
            EventTime::Record => Vec::new(),
            time => records.iter().map(|record| time::of(time, &record)).collect(),
        };
        queue.end = None;
        queue.records += records.len();
        queue.bytes += records.bytes();
        queue.blocks.push_back(Block { records: Rc::new(records), times, next: 0 });
    }

    /// The input was read to its end.
    pub(super) fn end(&mut self, input: usize, position: Position) {
        let queue = &mut self.queues[input];
        queue.end = Some(position);
        queue.settle();
    }

    /// Bytes waiting in an input.
    pub(super) fn bytes(&self, input: usize) -> usize {
        self.queues[input].bytes
    }

    /// Records waiting in all inputs.
    pub(super) fn records(&self) -> usize {
        self.queues.iter().map(|queue| queue.records).sum()
    }

    /// Whether all inputs are worked through to where they end.
    pub(super) fn at_end(&self) -> bool {
        self.queues.iter().all(|queue| queue.records == 0 && queue.end.is_some())
    }

    /// Where each input stands: behind the last record whose effects are made.
    pub(super) fn positions(&self) -> impl Iterator<Item = Position> {
        self.queues.iter().map(|queue| queue.position)
    }

    /// The next records, at most so many and so many bytes, but at least one where there is one to take.
    pub(super) fn pick(&self, records_max: usize, bytes_max: usize, latest: &Latest) -> Chunk {
        let mut chunk = Chunk::default();
        let mut heads: Vec<Head> = self.queues.iter().map(Head::new).collect();
        let mut bytes = 0;
        while chunk.rows.len() < records_max {
            let Some(input) = self.next(&heads) else { break };
            let head = &mut heads[input];
            let block = &self.queues[input].blocks[head.block];
            let record = block.records.get(head.index);
            bytes += size(&record);
            if bytes > bytes_max && !chunk.rows.is_empty() {
                break;
            }
            if head.chunk_block.is_none() {
                head.chunk_block = Some(chunk.blocks.len());
                chunk.blocks.push(Rc::clone(&block.records));
            }
            let time = latest.check(block.time(head.index, record.timestamp));
            chunk.rows.push(Row {
                from: From::Input(input),
                block: head.chunk_block.unwrap_or(0),
                index: head.index,
                time,
            });
            head.step(&self.queues[input]);
        }
        chunk
    }

    /// The record at the head of one input, and no other.
    pub(super) fn pick_head(&self, input: usize, latest: &Latest) -> Chunk {
        let queue = &self.queues[input];
        let Some(block) = queue.blocks.front() else { return Chunk::default() };
        let time = block.time(block.next, block.records.get(block.next).timestamp);
        let time = latest.check(time);
        Chunk {
            blocks: vec![Rc::clone(&block.records)],
            rows: vec![Row { from: From::Input(input), block: 0, index: block.next, time }],
            dues: Vec::new(),
        }
    }

    /// The input whose head is next; `None` where one has to be waited for.
    fn next(&self, heads: &[Head]) -> Option<usize> {
        if let [head] = heads {
            return head.at(&self.queues[0]).map(|_| 0);
        }
        let mut best: Option<(Timestamp, usize)> = None;
        for (input, (head, queue)) in heads.iter().zip(&self.queues).enumerate() {
            match head.at(queue) {
                Some(timestamp) if best.is_none_or(|(first, _)| timestamp < first) => {
                    best = Some((timestamp, input))
                }
                Some(_) => {}
                None if queue.end.is_some() => {}
                None => return None,
            }
        }
        best.map(|(_, input)| input)
    }

    /// The first so many rows of a chunk are done with.
    pub(super) fn done(&mut self, rows: &[Row]) {
        for row in rows {
            if let From::Input(input) = row.from {
                self.queues[input].advance();
            }
        }
        for queue in &mut self.queues {
            queue.settle();
        }
    }

    /// Positions that moved since this was last asked.
    pub(super) fn take_moved(&mut self) -> Vec<(usize, Position)> {
        let queues = self.queues.iter_mut().enumerate();
        queues
            .filter_map(|(input, queue)| {
                std::mem::take(&mut queue.moved).then_some((input, queue.position))
            })
            .collect()
    }
}

impl Queue {
    fn advance(&mut self) {
        let Some(block) = self.blocks.front_mut() else { return };
        let record = block.records.get(block.next);
        self.position = record.offset.next();
        self.moved = true;
        self.records -= 1;
        self.bytes -= size(&record);
        block.next += 1;
        if block.next == block.records.len() {
            self.blocks.pop_front();
        }
    }

    /// With nothing left before it, the end is the position: control markers take offsets too.
    fn settle(&mut self) {
        if let Some(end) = self.end
            && self.records == 0
            && end > self.position
        {
            self.position = end;
            self.moved = true;
        }
    }
}

impl Block {
    fn time(&self, index: usize, timestamp: Timestamp) -> Result<Timestamp, String> {
        match self.times.get(index) {
            Some(time) => time.clone(),
            None => time::checked(timestamp),
        }
    }
}

/// A walk over a queue that takes nothing out.
struct Head {
    block: usize,
    index: usize,
    chunk_block: Option<usize>,
}

impl Head {
    fn new(queue: &Queue) -> Self {
        Head {
            block: 0,
            index: queue.blocks.front().map_or(0, |block| block.next),
            chunk_block: None,
        }
    }

    fn at(&self, queue: &Queue) -> Option<Timestamp> {
        let block = queue.blocks.get(self.block)?;
        let timestamp = block.records.get(self.index).timestamp;
        Some(
            block
                .times
                .get(self.index)
                .and_then(|time| time.as_ref().ok())
                .copied()
                .unwrap_or(timestamp),
        )
    }

    fn step(&mut self, queue: &Queue) {
        self.index += 1;
        if self.index == queue.blocks[self.block].records.len() {
            *self = Head { block: self.block + 1, index: 0, chunk_block: None };
        }
    }
}

fn size(record: &Record<'_>) -> usize {
    record.key.map_or(0, <[u8]>::len)
        + record.value.map_or(0, <[u8]>::len)
        + record.headers.bytes().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Headers, Offset};

    fn records(first: i64, timestamps: &[i64]) -> Records {
        let mut records = Records::new();
        for (offset, timestamp) in (first..).zip(timestamps) {
            records.push(&Record {
                offset: Offset(offset),
                timestamp: Timestamp(*timestamp),
                key: None,
                value: Some(b"0123456789"),
                headers: Headers::EMPTY,
            });
        }
        records
    }

    fn buffer(inputs: usize) -> Buffer {
        Buffer::new((0..inputs).map(|_| (EventTime::Record, Position::START)))
    }

    fn picked(chunk: &Chunk) -> Vec<(usize, i64)> {
        (0..chunk.rows.len())
            .map(|row| match chunk.rows[row].from {
                From::Input(input) => (input, chunk.record(row).offset.0),
                other => panic!("{other:?} in a buffer"),
            })
            .collect()
    }

    const LATEST: Latest =
        Latest { now: Timestamp(0), ahead_max: std::time::Duration::from_secs(1) };

    #[test]
    fn one_input_keeps_the_order_of_arrival_and_the_limits() {
        let mut buffer = buffer(1);
        buffer.push(0, records(0, &[5, 3]));
        buffer.push(0, records(2, &[4]));
        assert_eq!(picked(&buffer.pick(10, 1000, &LATEST)), [(0, 0), (0, 1), (0, 2)]);
        assert_eq!(picked(&buffer.pick(2, 1000, &LATEST)).len(), 2);
        assert_eq!(picked(&buffer.pick(10, 25, &LATEST)).len(), 2);
        assert_eq!(
            picked(&buffer.pick(10, 1, &LATEST)).len(),
            1,
            "a record larger than the limit goes alone"
        );
    }

    #[test]
    fn several_inputs_are_merged_by_time_and_an_empty_one_is_waited_for() {
        let mut buffer = buffer(2);
        buffer.push(0, records(0, &[1, 4]));
        assert!(picked(&buffer.pick(10, 1000, &LATEST)).is_empty());
        buffer.push(1, records(0, &[2, 3, 5]));
        assert_eq!(
            picked(&buffer.pick(10, 1000, &LATEST)),
            [(0, 0), (1, 0), (1, 1), (0, 1)],
            "then input 0 is waited for"
        );
        buffer.end(0, Position(2));
        assert_eq!(picked(&buffer.pick(10, 1000, &LATEST)).len(), 5);
    }

    #[test]
    fn positions_follow_what_is_done_and_reach_the_end_behind_markers() {
        let mut buffer = buffer(1);
        buffer.push(0, records(0, &[1, 2]));
        buffer.end(0, Position(3));
        let chunk = buffer.pick(10, 1000, &LATEST);
        buffer.done(&chunk.rows[..1]);
        assert_eq!(buffer.take_moved(), [(0, Position(1))]);
        buffer.done(&chunk.rows[1..]);
        assert_eq!(buffer.take_moved(), [(0, Position(3))]);
        assert!(buffer.at_end());
        assert_eq!(buffer.take_moved(), []);
    }
}
