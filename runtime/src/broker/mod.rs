//! The seams to a log: what Tidemill needs of Kafka, and nothing of how a client library spells it.
//!
//! [`kafka`] implements them over rdkafka (its only user), [`memory`] is the embedded log; one conformance suite
//! runs against both. An [`Inbox`] is one member of a consumer group, an [`Outbox`] one producer, a [`Follower`]
//! reads partitions outside any group, [`Admin`] knows topics. Each is owned by one thread.
//!
//! Nothing here calls back: what happens in a group is an [`Event`] that [`Inbox::poll`] returns and the worker
//! answers, so a revocation is handled between two batches like everything else.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::record::{Headers, Offset, Partition, Position, Records, Timestamp, TopicPartition};

pub use crate::manifest::{OnMissingOffset, Start};

#[doc(hidden)]
pub mod conformance;
pub mod kafka;
pub mod memory;

/// Makes the parts that an app works with. Cheap to clone as an `Arc`; shared by all threads of an app.
pub trait Broker: Send + Sync {
    /// What to call it in messages: `kafka at localhost:9092` or `the embedded log`.
    fn name(&self) -> &str;

    /// Joins a consumer group. Returns before the group has assigned anything.
    ///
    /// # Errors
    /// Where the client cannot be made, for instance on a property it does not know.
    fn inbox(&self, settings: InboxSettings) -> Result<Box<dyn Inbox>, Error>;

    /// Makes a producer. With a transactional id it fences older producers of that id and aborts what they left.
    ///
    /// # Errors
    /// Where the client cannot be made, or the transactional id cannot be initialised in time.
    fn outbox(&self, settings: OutboxSettings) -> Result<Box<dyn Outbox>, Error>;

    /// Makes a reader outside any group.
    ///
    /// # Errors
    /// Where the client cannot be made.
    fn follower(&self, settings: FollowerSettings) -> Result<Box<dyn Follower>, Error>;

    /// Makes an administrator.
    ///
    /// # Errors
    /// Where the client cannot be made.
    fn admin(&self) -> Result<Box<dyn Admin>, Error>;
}

/// How an [`Inbox`] joins its group.
#[derive(Debug, Clone)]
pub struct InboxSettings {
    /// The consumer group.
    pub group: String,
    /// The topics to subscribe to. Partitions with equal numbers stay together (`range`).
    pub topics: Vec<String>,
    /// Where a partition starts that has no committed position.
    pub start: Start,
    /// What happens where the committed position is no longer in the log.
    pub on_missing_offset: OnMissingOffset,
    /// Records a batch at most.
    pub batch_records: usize,
    /// Bytes of keys, values and headers a batch at most; a single larger record makes a batch of its own.
    pub batch_bytes: usize,
    /// Told apart in logs: app and worker.
    pub client_id: String,
}

/// Which records a reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// All, those of open and aborted transactions too.
    ReadUncommitted,
    /// Those of no or of committed transactions, up to the last stable offset.
    ReadCommitted,
}

/// How a [`Follower`] reads.
#[derive(Debug, Clone)]
pub struct FollowerSettings {
    /// Which records it sees.
    pub isolation: Isolation,
    /// Records a batch at most.
    pub batch_records: usize,
    /// Bytes of keys, values and headers a batch at most; a single larger record makes a batch of its own.
    pub batch_bytes: usize,
    /// Told apart in logs: app and worker.
    pub client_id: String,
}

impl FollowerSettings {
    /// Small batches, for reading in slices between other work.
    pub fn new(isolation: Isolation) -> Self {
        let client_id = "tidemill-follower".to_owned();
        FollowerSettings { isolation, batch_records: 1000, batch_bytes: 1 << 20, client_id }
    }
}

/// How an [`Outbox`] is made.
#[derive(Debug, Clone)]
pub struct OutboxSettings {
    /// Set for exactly-once.
    pub transactional_id: Option<String>,
    /// After this the broker aborts an open transaction.
    pub transaction_timeout: Duration,
    /// Told apart in logs: app and worker.
    pub client_id: String,
}

/// What an [`Inbox`] has to say.
#[derive(Debug)]
pub enum Event {
    /// Records of one open partition, in offset order; never empty.
    Records {
        /// Whose.
        partition: TopicPartition,
        /// Which.
        records: Records,
    },
    /// An open partition was read to its end. `position` may be behind the last record + 1: control markers take
    /// offsets. Said again each time the end is reached anew.
    End {
        /// Whose.
        partition: TopicPartition,
        /// The end.
        position: Position,
    },
    /// The group gave these partitions; answer with [`Inbox::open`].
    Assigned(Vec<TopicPartition>),
    /// The group takes these partitions away: finish and commit, then answer with [`Inbox::release`]. The group
    /// waits for the answer (within the poll interval).
    Revoked(Vec<TopicPartition>),
    /// These partitions already belong to somebody else: commit nothing of them; answer with [`Inbox::release`].
    Lost(Vec<TopicPartition>),
}

/// One member of a consumer group.
pub trait Inbox: Send {
    /// The next event, or `None` when nothing came in `wait`. Serves the client: call it at least every few seconds.
    /// Partitions take turns.
    ///
    /// # Errors
    /// A temporary one ([`Error::Retriable`]) may be logged and forgotten: the client goes on by itself.
    fn poll(&mut self, wait: Duration) -> Result<Option<Event>, Error>;

    /// Starts to read partitions: at the position given, else at the committed one (read with stable-offset
    /// semantics), else where the settings say. Returns where each begins. Answers [`Event::Assigned`].
    ///
    /// # Errors
    /// [`Error::MissingOffset`] by the settings; the partitions are then not open.
    fn open(
        &mut self,
        partitions: &[(TopicPartition, Option<Position>)],
    ) -> Result<Vec<(TopicPartition, Position)>, Error>;

    /// Stops to read partitions and gives them back to the group. Answers [`Event::Revoked`] and [`Event::Lost`].
    ///
    /// # Errors
    /// Where the client refuses.
    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), Error>;

    /// Leaves a partition's records where they are until [`resume`](Self::resume): back-pressure. What is prefetched
    /// stays.
    fn hold(&mut self, partition: &TopicPartition);

    /// Reads the partition again.
    fn resume(&mut self, partition: &TopicPartition);

    /// Goes on at another position of an open partition. No record from before the call comes after it.
    ///
    /// # Errors
    /// Where the partition is not open.
    fn seek(&mut self, partition: &TopicPartition, position: Position) -> Result<(), Error>;

    /// Commits positions of open partitions to the group and waits for the answer.
    ///
    /// # Errors
    /// [`Error::Fenced`] where the member is no longer in the group or of an old generation.
    fn commit(&mut self, positions: &[(TopicPartition, Position)]) -> Result<(), Error>;

    /// What a transaction says of the group to be fenced with it; `None` while the member has no generation.
    fn membership(&self) -> Option<Membership>;

    /// The ends of open partitions as far as the client knows them: behind the last readable record.
    fn ends(&self) -> Vec<(TopicPartition, Position)>;

    /// Leaves the group at once. Commits nothing.
    fn close(self: Box<Self>);
}

/// A member of a group at one generation: opaque, made by an [`Inbox`], used by an [`Outbox`] of the same broker.
#[derive(Debug, Clone)]
pub struct Membership(pub(crate) Arc<dyn std::any::Any + Send + Sync>);

/// A topic as an [`Outbox`] knows it: see [`Outbox::topic`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TopicId(pub usize);

/// A record to produce.
#[derive(Debug, Clone, Copy)]
pub struct Produce<'a> {
    /// Where to.
    pub topic: TopicId,
    /// `None`: by the key with murmur2 as Java producers do; null keys go to a random partition that changes from
    /// time to time.
    pub partition: Option<Partition>,
    /// `None` is null.
    pub key: Option<&'a [u8]>,
    /// `None` is null.
    pub value: Option<&'a [u8]>,
    /// In order, names may repeat.
    pub headers: Headers<'a>,
    /// The record's timestamp.
    pub timestamp: Timestamp,
}

/// What became of a produced record.
#[derive(Debug)]
pub struct Delivery {
    /// As given to [`Outbox::produce`].
    pub token: usize,
    /// Where it went; the offset is absent where the broker answered a retried duplicate.
    pub result: Result<(Partition, Option<Offset>), Error>,
}

/// One producer. Idempotent, all in-sync replicas acknowledge.
pub trait Outbox: Send {
    /// Knows a topic from now on, so that producing needs no look-up by name. Never creates one.
    ///
    /// # Errors
    /// [`Error::Refused`] where the topic does not exist, [`Error::Unreachable`] where no broker answers in time.
    fn topic(&mut self, name: &str) -> Result<TopicId, Error>;

    /// Hands a record to the producer, which copies it. `token` comes back with its [`Delivery`].
    ///
    /// # Errors
    /// [`Error::Full`] where the producer's buffer is full: poll and try again. [`Error::TooLarge`] where the record
    /// exceeds what the producer may send.
    fn produce(&mut self, record: &Produce<'_>, token: usize) -> Result<(), Error>;

    /// Serves the client and hands over what was delivered, waiting up to `wait` for the first where something is
    /// in flight.
    ///
    /// # Errors
    /// [`Error::Fenced`] and [`Error::Fatal`] where the producer is of no more use.
    fn poll(&mut self, wait: Duration, delivered: &mut dyn FnMut(Delivery)) -> Result<(), Error>;

    /// Asks the producer to send what it gathers now rather than when its linger time is over.
    fn hurry(&mut self);

    /// How many records have no delivery yet.
    fn in_flight(&self) -> usize;

    /// Begins a transaction.
    ///
    /// # Errors
    /// Typed by what must follow: see [`Error`]. So are those of the next three.
    fn begin(&mut self) -> Result<(), Error>;

    /// Adds positions of the group to the open transaction. On [`Error::Unknown`] call it again with the same
    /// arguments until it is known, and nothing else of the transaction meanwhile; so with the next two. None of them
    /// waits longer than some milliseconds.
    ///
    /// # Errors
    /// As [`begin`](Self::begin). A member that is in the group no more, or of an old generation, is
    /// [`Error::Abortable`]: the producer itself goes on.
    fn send_positions(
        &mut self,
        positions: &[(TopicPartition, Position)],
        membership: &Membership,
    ) -> Result<(), Error>;

    /// Commits the open transaction, once all its records are acknowledged.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    fn commit(&mut self) -> Result<(), Error>;

    /// Aborts the open transaction; its records in flight are dropped.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    fn abort(&mut self) -> Result<(), Error>;

    /// Drops every record that has no delivery yet: from now on none of them is sent, tried again or heard of. One that
    /// is with a broker already may still be taken by it. Of a producer without transactions: the others abort.
    ///
    /// # Errors
    /// Where the producer cannot go on.
    fn forget(&mut self) -> Result<(), Error>;
}

/// Reads partitions outside any group, from positions it is told.
pub trait Follower: Send {
    /// Reads exactly these partitions from now on. One that is read already and stands at the position given goes on
    /// undisturbed; every other begins there. No record of a partition from before the call comes after it where it
    /// left, or begins elsewhere.
    ///
    /// # Errors
    /// Where a topic or partition does not exist: then all is as before.
    fn assign(&mut self, partitions: &[(TopicPartition, Position)]) -> Result<(), Error>;

    /// The next [`Event::Records`] or [`Event::End`]; no other event comes. Reading what is committed, an end is the
    /// last stable offset: behind it there may be records of transactions that are open.
    ///
    /// # Errors
    /// As [`Inbox::poll`]. [`Error::MissingOffset`] where a position is not in the log: its partition is read no more
    /// until it is assigned elsewhere.
    fn poll(&mut self, wait: Duration) -> Result<Option<Event>, Error>;
}

/// A topic that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Tells it from earlier and later topics of the same name; empty where brokers are too old to say (before 2.8).
    pub id: String,
    /// How many partitions.
    pub partitions: u32,
    /// Replicas of a partition.
    pub replicas: u32,
}

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; `None`: the broker's default (the embedded log: 1).
    pub partitions: Option<u32>,
    /// Replicas of a partition; `None`: the broker's default.
    pub replicas: Option<u32>,
    /// Topic settings by Kafka's names, such as `cleanup.policy`.
    pub settings: BTreeMap<String, String>,
}

/// Which end of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The first record there is.
    Earliest,
    /// The high watermark.
    Latest,
    /// The last stable offset.
    LatestStable,
    /// The first record whose timestamp is not before this; the end where there is none.
    Timestamp(Timestamp),
}

/// Knows topics and offsets. Every call waits for the answer, at most the broker's request time-out.
pub trait Admin: Send {
    /// All topics, internal ones of the broker left out, by name.
    ///
    /// # Errors
    /// [`Error::Unreachable`] where no broker answers in time.
    fn topics(&self) -> Result<Vec<Topic>, Error>;

    /// One topic, or `None` where it does not exist. Never creates one.
    ///
    /// # Errors
    /// As [`topics`](Self::topics).
    fn topic(&self, name: &str) -> Result<Option<Topic>, Error>;

    /// A setting of a topic by Kafka's name, such as `max.message.bytes`.
    ///
    /// # Errors
    /// As [`topics`](Self::topics).
    fn setting(&self, topic: &str, name: &str) -> Result<Option<String>, Error>;

    /// Creates a topic and waits until it can be used. Fine where it exists already.
    ///
    /// # Errors
    /// What the broker refuses, with its words.
    fn create(&self, topic: &NewTopic) -> Result<(), Error>;

    /// Deletes a topic. Fine where it does not exist.
    ///
    /// # Errors
    /// What the broker refuses, with its words.
    fn delete(&self, topic: &str) -> Result<(), Error>;

    /// Positions of partitions.
    ///
    /// # Errors
    /// As [`topics`](Self::topics), and where a partition does not exist.
    fn positions(
        &self,
        partitions: &[TopicPartition],
        bound: Bound,
    ) -> Result<Vec<Position>, Error>;

    /// Positions a group has committed, as its coordinator knows them: a moment after a transaction's commit.
    ///
    /// # Errors
    /// As [`topics`](Self::topics).
    fn committed(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<Position>>, Error>;
}

/// What a broker answers, typed by what must follow.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Try again, or go on: the client recovers by itself.
    #[error("{0}")]
    Retriable(String),
    /// Abort the open transaction, go back to the last commit, go on.
    #[error("{0}")]
    Abortable(String),
    /// A newer owner exists: drop what is not committed, quietly, and leave.
    #[error("a newer owner exists: {0}")]
    Fenced(String),
    /// The outcome is not known: ask again.
    #[error("outcome not known yet: {0}")]
    Unknown(String),
    /// The client is of no more use.
    #[error("{0}")]
    Fatal(String),
    /// The producer's buffer is full: poll, then try again.
    #[error("the producer's buffer is full")]
    Full,
    /// The record is larger than may be sent.
    #[error("the record is too large: {0}")]
    TooLarge(String),
    /// No broker answered in time.
    #[error(
        "no broker answers at {address} ({cause}): is it running, and is `bootstrap.servers` right?"
    )]
    Unreachable {
        /// Where it was tried.
        address: String,
        /// What the client said.
        cause: String,
    },
    /// The committed position is no longer in the log.
    #[error(
        "{partition}: the committed position {position} is older than the earliest record {earliest}: records were \
         deleted before they were read; set `on-missing-offset` to \"earliest\" or \"latest\" to go on"
    )]
    MissingOffset {
        /// Where.
        partition: TopicPartition,
        /// What is committed.
        position: Position,
        /// What is there.
        earliest: Position,
    },
    /// The setting, name or request is refused.
    #[error("{0}")]
    Refused(String),
}
