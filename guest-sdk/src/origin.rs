//! Where a record was read.

use crate::{
    Entry, Failure, Param, Role, Setup,
    bytes::{Buffer, Span},
};
use std::{fmt, rc::Rc};

/// Where the record was read: its topic, partition and offset, which name it for good.
#[derive(Clone)]
pub struct Origin {
    buffer: Buffer,
    topic: Span,
    partition: u32,
    offset: i64,
}

impl Origin {
    /// The topic's name.
    pub fn topic(&self) -> &str {
        std::str::from_utf8(self.topic.within(&self.buffer))
            .expect("topics are checked with their batch")
    }

    /// The partition's number.
    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// The offset in that partition.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// A number that is the same whenever and wherever this record is handled, and spread evenly over records: for
    /// choices that look random and can be repeated, as `hash() % 100 < 30`.
    ///
    /// 64-bit FNV-1a over the topic's bytes, the partition (4 bytes) and the offset (8 bytes), both little-endian, then
    /// the finaliser of MurmurHash3 (`fmix64`), so that neighbouring offsets differ in every bit. It never changes.
    pub fn hash(&self) -> u64 {
        hash(self.topic.within(&self.buffer), self.partition, self.offset)
    }
}

fn hash(topic: &[u8], partition: u32, offset: i64) -> u64 {
    let (partition, offset) = (partition.to_le_bytes(), offset.to_le_bytes());
    let bytes = topic.iter().chain(&partition).chain(&offset);
    let fnv = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Origin {
    /// `topic/partition@offset`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.topic(), self.partition, self.offset)
    }
}

impl<'e> Param<'e> for Origin {
    const ROLE: Role = Role::Beside;
    type Prepared = ();

    fn prepare(_setup: &mut Setup<'_>, _name: &str) -> Result<(), String> {
        Ok(())
    }

    #[inline]
    fn extract((): &(), entry: &Entry<'e>) -> Result<Self, Failure> {
        let buffer = entry.buffer();
        Ok(Origin {
            topic: Span::of(entry.topic().as_bytes(), buffer),
            partition: entry.partition(),
            offset: entry.offset(),
            buffer: Rc::clone(buffer),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values from a separate implementation in another language.
    #[test]
    fn the_hash_never_changes() {
        assert_eq!(hash(b"", 0, 0), 0x1239_8e96_d395_9659);
        assert_eq!(hash(b"user_trades", 3, 88_121), 0x2aa7_1875_c2bd_5cb0);
    }

    #[test]
    fn the_hash_is_even() {
        let below = |limit| {
            (0..6)
                .flat_map(|partition| {
                    (0..10_000).map(move |offset| hash(b"user_trades", partition, offset))
                })
                .filter(|hash| hash % 100 < limit)
                .count()
        };
        assert!((17_600..18_400).contains(&below(30)), "{}", below(30));
        assert!((29_500..30_500).contains(&below(50)), "{}", below(50));
    }
}
