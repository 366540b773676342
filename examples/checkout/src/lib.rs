//! Says of each order whether it was paid within ten minutes, and of each payment whether there is an order for it.

use serde::{Deserialize, Serialize};
use tidemill_sdk::prelude::*;

/// Keyed by `id`.
#[derive(Deserialize, Serialize)]
struct Order {
    id: String,
}

#[derive(Deserialize, Serialize)]
struct Payment {
    order_id: String,
    cents: i64,
}

#[derive(Serialize)]
struct Paid {
    id: String,
    cents: i64,
}

#[rustfmt::skip]
#[function]
fn reconcile(pair: Full<Json<Order>, Json<Payment>>, paid: Output<Json<Paid>>,
             overdue: Output<Json<Order>>, orphans: Output<Json<Payment>>) -> Result<(), Failure> {
    match pair {                                     // an enum: no impossible (None, None)
        Full::Both(order, pay) => paid.send(&Paid { id: order.id.clone(), cents: pay.cents }),
        Full::Left(order) => overdue.send(&order),
        Full::Right(pay) => orphans.send(&pay),
    }
}
tidemill_sdk::export!(reconcile);

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{Input, driver};

    const ORDER: Option<&str> = Some(r#"{"id":"o-1"}"#);
    const PAYMENT: Option<&str> = Some(r#"{"order_id":"o-1","cents":500}"#);

    #[test]
    fn each_kind_of_row_goes_its_way() {
        let rows = [
            (ORDER, PAYMENT, "paid", r#"{"id":"o-1","cents":500}"#),
            (ORDER, None, "overdue", r#"{"id":"o-1"}"#),
            (None, PAYMENT, "orphans", r#"{"order_id":"o-1","cents":500}"#),
        ];
        for (order, payment, output, expected) in rows {
            let effects = driver::<reconcile>().send(Input::joined(order, payment).key("o-1"));
            assert_eq!(effects.sent.len(), 1);
            let sent = effects.only(output);
            assert_eq!((sent.key_text(), sent.text()), ("o-1", expected));
        }
    }
}
