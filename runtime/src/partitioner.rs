//! Which partition a key belongs to: as Java producers and librdkafka's `murmur2_random` decide.
//!
//! Pure. Everything that must agree on it (the embedded log, the checks of keyed edges) asks here; the conformance
//! suite compares it with what librdkafka does.

use crate::record::Partition;

/// The partition of a key in a topic of `partitions` partitions. An empty key is a key.
///
/// # Panics
/// Where `partitions` is 0: a topic has at least one.
pub fn partition_of(key: &[u8], partitions: u32) -> Partition {
    assert!(partitions > 0, "a topic has at least one partition");
    // Kafka's toPositive: clears the sign bit rather than taking the absolute value.
    Partition((murmur2::murmur2(key, murmur2::KAFKA_SEED) & 0x7fff_ffff) % partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hashes that Kafka's own `UtilsTest.testMurmur2` expects.
    #[test]
    fn hashes_as_java() {
        let cases: [(&[u8], i32); 7] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
            (b"", 275_646_681),
        ];
        for (key, hash) in cases {
            let positive = u32::try_from(hash & 0x7fff_ffff).expect("the sign bit is cleared");
            assert_eq!(
                partition_of(key, 0x7fff_ffff),
                Partition(positive % 0x7fff_ffff),
                "{key:?}"
            );
        }
    }
}
