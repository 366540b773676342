//! Tells of carts that were filled and left, where they are worth it. The host fills them: see the manifest.

use serde::{Deserialize, Serialize};
use tidemill_sdk::prelude::*;

#[rustfmt::skip]
#[derive(Deserialize, Serialize)] struct Cart { items: Vec<String>, cents: i64 }
#[rustfmt::skip]
#[function]
fn abandoned(cart: Windowed<Json<Cart>>, worth: Config<i64>, carts: Output<Json<Cart>>) -> Result<(), Failure> {
    if cart.value.cents >= *worth { carts.send(&cart.value)?; }
    Ok(())
}
tidemill_sdk::export!(abandoned);

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_sdk::testing::{Effects, Input, driver};

    fn left_with(cents: i64) -> Effects {
        let cart = format!(r#"{{"items":["tea"],"cents":{cents}}}"#);
        let result = Input::new(cart).key("ann").window(1_767_261_600_000, 1_767_262_800_000);
        driver::<abandoned>().config("worth", 1000).send(result)
    }

    #[test]
    fn a_cart_that_is_worth_it_is_told_of_with_its_session() {
        let effects = left_with(1000);
        let cart = effects.only("carts");
        assert_eq!((cart.key_text(), cart.text()), ("ann", r#"{"items":["tea"],"cents":1000}"#));
        assert_eq!(cart.header("tidemill.window.end"), Some("1767262800000"));
    }

    #[test]
    fn others_are_not() {
        assert_eq!(left_with(999).sent, []);
    }
}
