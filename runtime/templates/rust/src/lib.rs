use serde::{Deserialize, Serialize};
use tidemill_sdk::prelude::*;

#[derive(Serialize, Deserialize)]
struct Order { id: String, amount: i64, #[serde(default)] tier: String }
#[function]
fn {{function}}(mut order: Json<Order>, minimum: Config<i64>, big: Output<Json<Order>>) -> Result<(), Failure> {
    if order.amount < *minimum { return Ok(()); }
    order.tier = "gold".into();
    big.send(&order)
}
tidemill_sdk::export!({{function}});
