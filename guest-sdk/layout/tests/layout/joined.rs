//! Joined rows: both sides in one value.

use proptest::{collection::vec, option, prelude::*};
use tidemill_layout::{Joined, joined};

fn side() -> impl Strategy<Value = Option<Vec<u8>>> {
    option::of(vec(any::<u8>(), 0..40))
}

proptest! {
    #[test]
    fn both_sides_read_back_equal(left in side(), right in side()) {
        let (left, right) = (left.as_deref(), right.as_deref());
        prop_assume!(left.is_some() || right.is_some());
        let mut bytes = Vec::new();
        joined::encode(left, right, &mut bytes);
        prop_assert_eq!(Joined::parse(&bytes), Ok(Joined { left, right }));
    }

    #[test]
    fn bytes_that_are_taken_are_those_that_would_be_written(bytes in vec(prop_oneof![0..4_u8, any::<u8>()], 0..20)) {
        if let Ok(row) = Joined::parse(&bytes) {
            let mut again = Vec::new();
            joined::encode(row.left, row.right, &mut again);
            prop_assert_eq!(again, bytes);
        }
    }
}

#[test]
fn what_is_no_joined_row_is_refused() {
    let refused = |bytes: &[u8]| Joined::parse(bytes).unwrap_err().to_string();
    assert_eq!(refused(&[]), "bytes end too early at byte 0");
    assert_eq!(refused(&[0, 0, 0, 0, 0]), "unknown sides of a joined row at byte 0");
    assert_eq!(refused(&[4, 0, 0, 0, 0]), "unknown sides of a joined row at byte 0");
    assert_eq!(refused(&[3, 2, 0, 0, 0, 7]), "bytes end too early at byte 5");
    assert_eq!(refused(&[1, 0, 0, 0, 0, 7]), "bytes of a side that is not there at byte 0");
    assert_eq!(refused(&[2, 1, 0, 0, 0, 7]), "bytes of a side that is not there at byte 0");
}
