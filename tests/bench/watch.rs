//! Watching a topic grow, and letting it go.

use std::time::Duration;

use rdkafka::{
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
};

use crate::broker;

const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// Sees how many records a topic has, markers included.
pub struct Watcher {
    consumer: BaseConsumer,
    topic: String,
    partitions: i32,
}

impl Watcher {
    /// Of a topic that exists.
    pub fn new(topic: &str, partitions: i32) -> Self {
        let consumer = broker::client().create().expect("a consumer");
        Watcher { consumer, topic: topic.to_owned(), partitions }
    }

    /// The sum of its ends.
    pub fn records(&self) -> i64 {
        let end = |partition| {
            self.consumer
                .fetch_watermarks(&self.topic, partition, REQUEST_LIMIT)
                .expect("an answer")
                .1
        };
        (0..self.partitions).map(end).sum()
    }
}

/// Deletes a topic: the next one needs its room.
pub fn delete(topic: &str) {
    let admin: AdminClient<DefaultClientContext> =
        broker::client().create().expect("an admin client");
    let options = AdminOptions::new().operation_timeout(Some(REQUEST_LIMIT));
    let deleted =
        broker::runtime().block_on(admin.delete_topics(&[topic], &options)).expect("an answer");
    for topic in deleted {
        topic.expect("the broker deletes the topic");
    }
}
