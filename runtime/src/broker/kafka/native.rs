//! Handles of librdkafka's that rdkafka does not wrap: queues, events, topics, and a client's fatal error.
//!
//! All of them are freed on drop and must be dropped before their client; whoever holds one declares it above the
//! client. librdkafka is thread-safe, so they may move between threads; nothing here is shared.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    ptr::{self, NonNull},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rdkafka::{config::RDKafkaLogLevel, error::RDKafkaErrorCode as Code, types::RDKafka};
use rdkafka_sys as sys;

use super::context::Context;
use crate::record::Position;

/// Milliseconds as librdkafka takes them, rounded up, so that a short wait does not become a busy loop.
pub(super) fn millis(duration: Duration) -> c_int {
    c_int::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(c_int::MAX)
}

/// The error after which a client is of no more use, if it has one.
pub(super) fn fatal_error(client: *mut RDKafka) -> Option<(Code, String)> {
    let mut text = [0 as c_char; 512];
    #[expect(unsafe_code, reason = "the buffer outlives the call, which ends it with a zero")]
    let (code, text) = unsafe {
        let code = sys::rd_kafka_fatal_error(client, text.as_mut_ptr(), text.len());
        (code, CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned())
    };
    (code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| (code.into(), text))
}

/// Tells a thread that waits for several queues that one of them has something.
#[derive(Debug, Default)]
pub(super) struct Wake {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Wake {
    pub fn wake(&self) {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut *woken, true) {
            self.changed.notify_one();
        }
    }

    /// To be called before looking at the queues: what comes from then on wakes.
    pub fn reset(&self) {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }

    pub fn wait(&self, wait: Duration) {
        let woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_timeout_while(woken, wait, |woken| !*woken));
    }
}

/// Whether a queue has something since it was last emptied.
#[derive(Debug)]
pub(super) struct Ready {
    wake: Arc<Wake>,
    ready: AtomicBool,
}

impl Ready {
    /// Ready at first: the queue may have been filled before it was watched.
    pub fn new(wake: Arc<Wake>) -> Arc<Self> {
        Arc::new(Ready { wake, ready: AtomicBool::new(true) })
    }

    pub fn take(&self) -> bool {
        self.ready.swap(false, Ordering::AcqRel)
    }

    pub fn set(&self) {
        self.ready.store(true, Ordering::Release);
    }
}

/// A queue of a client.
#[derive(Debug)]
pub(super) struct Queue {
    queue: NonNull<sys::rd_kafka_queue_t>,
    /// Borrowed by librdkafka while the queue is watched.
    ready: Option<Arc<Ready>>,
}

#[expect(unsafe_code, reason = "librdkafka's queues are locked inside")]
unsafe impl Send for Queue {}

impl Queue {
    /// The queue of a client's own events.
    pub fn main(client: *mut RDKafka) -> Self {
        #[expect(unsafe_code, reason = "every client has one; the reference is ours to drop")]
        let queue = unsafe { sys::rd_kafka_queue_get_main(client) };
        Queue::own(queue).expect("every client has a main queue")
    }

    /// The queue of a consumer's events and of records that no other queue takes.
    pub fn consumer(client: *mut RDKafka) -> Option<Self> {
        #[expect(unsafe_code, reason = "the reference is ours to drop")]
        let queue = unsafe { sys::rd_kafka_queue_get_consumer(client) };
        Queue::own(queue)
    }

    /// A new queue, for answers.
    pub fn answers(client: *mut RDKafka) -> Self {
        #[expect(unsafe_code, reason = "the queue is ours to drop")]
        let queue = unsafe { sys::rd_kafka_queue_new(client) };
        Queue::own(queue).expect("librdkafka stops the process where there is no memory")
    }

    /// The queue of one partition, split off from the consumer's: its records come here only. Does not fail for
    /// a partition that does not exist.
    pub fn partition(
        client: *mut RDKafka,
        topic: &str,
        partition: i32,
        ready: Arc<Ready>,
    ) -> Option<Self> {
        let topic = CString::new(topic).ok()?;
        #[expect(unsafe_code, reason = "the name outlives the call; the reference is ours to drop")]
        let queue = unsafe { sys::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition) };
        let mut queue = Queue::own(queue)?;
        #[expect(
            unsafe_code,
            reason = "`ready` is kept in the queue until the callback is taken back"
        )]
        unsafe {
            sys::rd_kafka_queue_forward(queue.ptr(), ptr::null_mut());
            let opaque = Arc::as_ptr(&ready).cast_mut().cast::<c_void>();
            sys::rd_kafka_queue_cb_event_enable(queue.ptr(), Some(on_ready), opaque);
        }
        queue.ready = Some(ready);
        Some(queue)
    }

    fn own(queue: *mut sys::rd_kafka_queue_t) -> Option<Self> {
        Some(Queue { queue: NonNull::new(queue)?, ready: None })
    }

    pub fn ptr(&self) -> *mut sys::rd_kafka_queue_t {
        self.queue.as_ptr()
    }

    pub fn len(&self) -> usize {
        #[expect(unsafe_code, reason = "the queue lives")]
        unsafe {
            sys::rd_kafka_queue_length(self.ptr())
        }
    }

    /// The next event. Not for queues with records.
    pub fn poll(&self, wait: Duration) -> Option<Event> {
        #[expect(unsafe_code, reason = "the queue lives; the event is ours to drop")]
        let event = unsafe { sys::rd_kafka_queue_poll(self.ptr(), millis(wait)) };
        NonNull::new(event).map(Event)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        #[expect(
            unsafe_code,
            reason = "the callback is taken back under the queue's lock, so none runs after it"
        )]
        unsafe {
            if self.ready.is_some() {
                sys::rd_kafka_queue_cb_event_enable(self.ptr(), None, ptr::null_mut());
            }
            sys::rd_kafka_queue_destroy(self.ptr());
        }
    }
}

/// Runs on a thread of librdkafka's, which holds the queue's lock: it must not call back.
#[expect(unsafe_code, reason = "a C callback")]
unsafe extern "C" fn on_ready(_: *mut RDKafka, opaque: *mut c_void) {
    // SAFETY: the queue keeps the `Arc` until it has taken this callback back.
    let ready = unsafe { &*opaque.cast_const().cast::<Ready>() };
    ready.set();
    ready.wake.wake();
}

/// Something that a queue had.
#[derive(Debug)]
pub(super) struct Event(NonNull<sys::rd_kafka_event_t>);

impl Event {
    pub fn ptr(&self) -> *mut sys::rd_kafka_event_t {
        self.0.as_ptr()
    }

    pub fn kind(&self) -> c_int {
        #[expect(unsafe_code, reason = "the event lives")]
        unsafe {
            sys::rd_kafka_event_type(self.ptr())
        }
    }

    pub fn error(&self) -> Result<(), (Code, String)> {
        #[expect(unsafe_code, reason = "the event lives, and its text with it")]
        let (code, text) = unsafe {
            let text = sys::rd_kafka_event_error_string(self.ptr());
            let text = if text.is_null() { c"" } else { CStr::from_ptr(text) };
            (sys::rd_kafka_event_error(self.ptr()), text.to_string_lossy().into_owned())
        };
        match code {
            sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
            code => Err((code.into(), text)),
        }
    }

    /// Logs it, where it is a log line or an error of the client's.
    pub fn say(&self, context: &Context) {
        match self.kind() {
            sys::RD_KAFKA_EVENT_LOG => {
                let (mut kind, mut text, mut level) = (ptr::null(), ptr::null(), 0);
                #[expect(unsafe_code, reason = "both texts live as long as the event")]
                let (kind, text) = unsafe {
                    if sys::rd_kafka_event_log(
                        self.ptr(),
                        &raw mut kind,
                        &raw mut text,
                        &raw mut level,
                    ) != 0
                    {
                        return;
                    }
                    (CStr::from_ptr(kind).to_string_lossy(), CStr::from_ptr(text).to_string_lossy())
                };
                context.say(log_level(level), kind.trim(), text.trim());
            }
            sys::RD_KAFKA_EVENT_ERROR => {
                if let Err((_, text)) = self.error() {
                    context.say(RDKafkaLogLevel::Warning, "ERROR", &text);
                }
            }
            _ => {}
        }
    }

    /// The delivery reports in it.
    pub fn deliveries(&self, mut each: impl FnMut(&sys::rd_kafka_message_t)) {
        loop {
            #[expect(
                unsafe_code,
                reason = "a message lives as long as its event, and only this loop reads it"
            )]
            let message = unsafe { sys::rd_kafka_event_message_next(self.ptr()).as_ref() };
            match message {
                Some(message) => each(message),
                None => return,
            }
        }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "nothing read from the event outlives it")]
        unsafe {
            sys::rd_kafka_event_destroy(self.ptr());
        }
    }
}

fn log_level(level: c_int) -> RDKafkaLogLevel {
    // syslog's numbers
    match level {
        ..=3 => RDKafkaLogLevel::Error,
        4 => RDKafkaLogLevel::Warning,
        5 => RDKafkaLogLevel::Notice,
        6 => RDKafkaLogLevel::Info,
        _ => RDKafkaLogLevel::Debug,
    }
}

/// A topic as a producer knows it.
#[derive(Debug)]
pub(super) struct Topic(NonNull<sys::rd_kafka_topic_t>);

#[expect(unsafe_code, reason = "librdkafka's topics are locked inside")]
unsafe impl Send for Topic {}

impl Topic {
    pub fn new(client: *mut RDKafka, name: &str) -> Option<Self> {
        let name = CString::new(name).ok()?;
        #[expect(unsafe_code, reason = "the name outlives the call; the reference is ours to drop")]
        let topic = unsafe { sys::rd_kafka_topic_new(client, name.as_ptr(), ptr::null_mut()) };
        NonNull::new(topic).map(Topic)
    }

    pub fn ptr(&self) -> *mut sys::rd_kafka_topic_t {
        self.0.as_ptr()
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "the reference is ours")]
        unsafe {
            sys::rd_kafka_topic_destroy(self.ptr());
        }
    }
}

/// The end of a partition as of the last fetch, where there was one.
pub(super) fn cached_end(client: *mut RDKafka, topic: &str, partition: i32) -> Option<Position> {
    let topic = CString::new(topic).ok()?;
    let (mut start, mut end) = (-1, -1);
    #[expect(unsafe_code, reason = "the name and both places outlive the call")]
    let code = unsafe {
        sys::rd_kafka_get_watermark_offsets(
            client,
            topic.as_ptr(),
            partition,
            &raw mut start,
            &raw mut end,
        )
    };
    (code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && end >= 0)
        .then_some(Position(end))
}

/// Makes a producer send what it gathered, and gives it some time for that.
pub(super) fn flush(client: *mut RDKafka, time: Duration) {
    #[expect(unsafe_code, reason = "the client lives; that the time is over is no error here")]
    unsafe {
        sys::rd_kafka_flush(client, millis(time));
    }
}
