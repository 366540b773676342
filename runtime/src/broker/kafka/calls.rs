//! The calls of a transaction that wait for brokers, made on a thread of their own, so that whoever asks goes on in
//! the meantime.
//!
//! librdkafka would let a call be resumed after a time-out of its own, but not at every moment: one that is cut short
//! in its first phase leaves its outcome to the next call, whichever that is. So calls get all the time they need
//! here, and it is the asking that is resumed. One is under way at most; the thread ends with its `Calls`, or when
//! the call that it is in ends.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use rdkafka::{
    TopicPartitionList,
    consumer::ConsumerGroupMetadata,
    error::KafkaError,
    producer::{BaseProducer, Producer},
};

use super::context::Context;
use crate::broker::{Error, Membership};

/// How long librdkafka waits in one call; it goes on by itself, and the next call learns of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked.
#[derive(Debug)]
pub(super) enum Call {
    SendPositions(TopicPartitionList, Membership),
    Commit,
    Abort,
}

impl Call {
    fn name(&self) -> &'static str {
        match self {
            Call::SendPositions(..) => "sending positions",
            Call::Commit => "a commit",
            Call::Abort => "an abort",
        }
    }

    fn make(self, producer: &BaseProducer<Context>) -> Result<(), KafkaError> {
        match self {
            Call::SendPositions(positions, membership) => {
                let member = membership.0.downcast_ref::<ConsumerGroupMetadata>();
                let member = member.expect("the outbox looked before it asked");
                producer.send_offsets_to_transaction(&positions, member, PATIENCE)
            }
            Call::Commit => producer.commit_transaction(PATIENCE),
            Call::Abort => producer.abort_transaction(PATIENCE),
        }
    }
}

/// How an asking ended.
#[derive(Debug)]
pub(super) enum Asked {
    /// The call's own answer.
    Answered(Result<(), KafkaError>),
    /// None yet: ask the same again.
    UnderWay,
    /// Not now, or never again.
    Refused(Error),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Calls {
    ask: SyncSender<Call>,
    answers: Receiver<Result<(), KafkaError>>,
    under_way: Option<&'static str>,
}

impl Calls {
    pub fn new(producer: &Arc<BaseProducer<Context>>, client_id: &str) -> Result<Self, Error> {
        // One call and one answer at most.
        let (ask, asked) = sync_channel::<Call>(1);
        let (answer, answers) = sync_channel(1);
        let producer = Arc::clone(producer);
        thread::Builder::new()
            .name(format!("{client_id} transaction"))
            .spawn(move || {
                while let Ok(call) = asked.recv() {
                    if answer.send(call.make(&producer)).is_err() {
                        return;
                    }
                }
            })
            .map_err(|error| Error::Fatal(format!("no thread for transactions: {error}")))?;
        Ok(Calls { ask, answers, under_way: None })
    }

    /// Asks, or goes on asking, for `wait`.
    pub fn ask(&mut self, call: Call, wait: Duration) -> Asked {
        let name = call.name();
        match self.under_way {
            Some(under_way) if under_way != name => {
                let words = format!("{under_way} is under way, so there can be no {name}");
                return Asked::Refused(Error::Retriable(words));
            }
            Some(_) => {}
            None => {
                // Where the thread is gone, so is the answer.
                drop(self.ask.try_send(call));
                self.under_way = Some(name);
            }
        }
        match self.answers.recv_timeout(wait) {
            Ok(answer) => {
                self.under_way = None;
                Asked::Answered(answer)
            }
            Err(RecvTimeoutError::Timeout) => Asked::UnderWay,
            Err(RecvTimeoutError::Disconnected) => {
                Asked::Refused(Error::Fatal("the thread of the transaction ended".into()))
            }
        }
    }
}
