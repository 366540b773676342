//! Signatures that look odd and are right.

use serde::Deserialize;
use tidemill_sdk::prelude::{Failure as Oops, *};
use tidemill_sdk::testing::{Input, driver};
use tidemill_sdk::{Entry, Param, Role, Setup};

type Outcome = Result<(), Oops>;
type Many<T> = Json<Vec<T>>;
type Out = tidemill_sdk::Output<Text>;

/// A parameter of one's own.
struct Tenant(String);

impl<'e> Param<'e> for Tenant {
    const ROLE: Role = Role::Beside;
    type Prepared = String;

    fn prepare(setup: &mut Setup<'_>, name: &str) -> Result<String, String> {
        Ok(setup.config(name).and_then(|value| value.as_str()).unwrap_or("-").to_owned())
    }

    fn extract(prepared: &String, entry: &Entry<'e>) -> Result<Self, Oops> {
        let key: Key<Text> = Param::extract(&(), entry)?;
        Ok(Tenant(key.split(&**prepared).next().unwrap_or_default().to_owned()))
    }
}

#[derive(Deserialize)]
struct Limits {
    low: usize,
}

#[function]
fn odd(
    Json(numbers): Many<f64>,
    #[allow(unused_mut, reason = "a lint on a parameter stays there")] mut tenant: Tenant,
    limits: Config<Limits>,
    #[name("elsewhere")] out: Out,
) -> Outcome {
    if numbers.len() < limits.low {
        Err(reject("few"))?;
    }
    out.send(&format!("{} {numbers:?}", tenant.0))
}

#[test]
fn aliases_paths_and_patterns() {
    let mut driver =
        driver::<odd>().config("limits", serde_json::json!({ "low": 1 })).config("tenant", "/");
    assert_eq!(
        driver.send(Input::new("[1,2]").key("acme/7")).only("elsewhere").text(),
        "acme [1.0, 2.0]"
    );
    assert_eq!(driver.send(Input::new("[]").key("acme/7")).failure(), "reject: few");
    assert_eq!(driver.send(Input::new("[1]")).failure(), "reject: record has no key");
}

/// The function is still a function.
#[function]
fn double(Json(n): Json<i64>) {
    assert!(n < 100);
}

#[test]
fn a_function_can_be_called() {
    double(Json(3));
}

mod inner {
    use tidemill_sdk::prelude::*;

    #[function]
    pub fn first(value: Bytes, out: Output<Bytes>) -> Result<(), Failure> {
        out.send(&value)
    }

    #[function]
    pub fn second(_value: Option<Json<i64>>, out: Output<Bytes>) -> Result<(), Failure> {
        out.delete()
    }
}
tidemill_sdk::export!(inner::first, inner::second,);

#[test]
fn functions_in_modules() {
    assert_eq!(driver::<inner::first>().send(Input::new("a")).only("out").text(), "a");
    assert_eq!(driver::<inner::second>().send(Input::null()).only("out").value, None);
}
