//! Aliases, paths, patterns, raw names, a parameter of one's own, any error by `?`, and no prelude.
#![allow(unused)]

use tidemill_sdk::{Config, Entry, Failure, Json, Output, Param, Record, Role, Setup, Text};

type Many<T> = Json<Vec<T>>;
type Answer = Result<(), Failure>;

struct Tenant(String);

impl<'e> Param<'e> for Tenant {
    const ROLE: Role = Role::Beside;
    type Prepared = ();

    fn prepare(_: &mut Setup<'_>, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn extract((): &(), entry: &Entry<'e>) -> Result<Self, Failure> {
        Ok(Tenant(entry.topic().to_owned()))
    }
}

fn parse(text: &str) -> Result<i64, impl std::error::Error + use<>> {
    text.parse::<i64>()
}

#[tidemill_sdk::function]
fn odd(
    Json(numbers): Many<i64>,
    tenant: Tenant,
    r#type: Option<Config<String>>,
    #[name("elsewhere")] _out: tidemill_sdk::Output<Text>,
) -> Answer {
    let _: i64 = numbers.iter().sum::<i64>() + parse(&tenant.0)?;
    let _ = r#type.as_deref().map(String::len);
    Ok(())
}

mod inner {
    #[tidemill_sdk::function]
    pub(crate) fn nothing(_record: super::Record, _out: super::Output<i64>) {}
}

tidemill_sdk::export!(odd, inner::nothing);

fn main() {}
