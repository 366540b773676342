//! What runs beside the totals in the same hosts: a count in windows whose results come out as the windows close, and a
//! left join of two streams, whose unmatched rows come out likewise.
//!
//! Time goes on by the events alone, so what comes out is known from the topics, whatever was killed when. The join reads
//! two topics, whose order between them is nobody's to say: its window is far longer than they are ever apart.

use super::amounts::PARTITIONS;
use super::fleet::Member;
use super::totals::Totals;
use super::{check, counts, pairs};
use crate::broker::Kafka;
use crate::host;

/// The windows of the count.
pub const SIZE_MS: i64 = 1000;
pub const GRACE_MS: i64 = 1000;
/// An answer belongs to a question that was asked at most so long before it, or shortly after.
pub const AFTER_MS: i64 = 20_000;
pub const BEFORE_MS: i64 = 1000;

/// Their topics.
#[derive(Clone)]
pub struct Windowed {
    app: String,
}

impl Windowed {
    /// Adds them to an app.
    pub fn beside(totals: &mut Totals) -> Self {
        let windowed = Self { app: totals.app.clone() };
        totals.sections = windowed.sections();
        windowed
    }

    pub fn readings(&self) -> String {
        format!("{}.readings", self.app)
    }

    pub fn late(&self) -> String {
        format!("{}.late", self.app)
    }

    pub fn counts(&self) -> String {
        format!("{}.counts", self.app)
    }

    pub fn asked(&self) -> String {
        format!("{}.asked", self.app)
    }

    pub fn answered(&self) -> String {
        format!("{}.answered", self.app)
    }

    pub fn pairs(&self) -> String {
        format!("{}.pairs", self.app)
    }

    pub fn create_topics(&self, kafka: &Kafka) {
        let inputs = [self.readings(), self.asked(), self.answered()];
        let outputs = [self.late(), self.counts(), self.pairs()];
        for topic in inputs.iter().chain(&outputs) {
            kafka.create_topic(topic, PARTITIONS, &[]);
        }
    }

    fn sections(&self) -> String {
        let component = host::guest("guest-pairing");
        let (readings, late, counts) = (self.readings(), self.late(), self.counts());
        let (asked, answered, pairs) = (self.asked(), self.answered(), self.pairs());
        format!(
            r#"
[topics."{readings}"]
late = "{late}"

[stores.counted]
from = "{readings}"
window = {{ tumbling = "{SIZE_MS}ms" }}
grace = "{GRACE_MS}ms"
compute = {{ n = "count()", sum = "sum(v)" }}
emit = "final"
idle = "off"
output = "{counts}"

[joins.settled]
left = "{asked}"
right = "{answered}"
kind = "left"
within = {{ before = "{BEFORE_MS}ms", after = "{AFTER_MS}ms" }}
idle = "off"

[functions.pair]
module = "{}"
inputs = ["settled"]
outputs = {{ pairs = "{pairs}" }}
"#,
            component.display()
        )
    }

    /// Waits until all inputs are committed, looking after the hosts meanwhile.
    pub fn settle(&self, kafka: &Kafka, totals: &Totals, fleet: &mut [Member]) {
        for input in [self.readings(), self.asked(), self.answered()] {
            check::settle_input(kafka, totals, &input, fleet);
        }
    }

    /// Each result once and in order, each late reading once, each pair and each unmatched question once.
    pub fn check(&self, kafka: &Kafka) {
        counts::check(kafka, self);
        pairs::check(kafka, self);
    }
}
