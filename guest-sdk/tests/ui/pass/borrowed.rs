#![allow(unused)]

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tidemill_sdk::prelude::*;

#[derive(Deserialize)]
struct Login<'a> {
    #[serde(borrow)]
    user: Cow<'a, str>,
}

#[derive(Serialize)]
struct Alert<'a> {
    user: &'a str,
    tags: &'a [String],
}

#[function]
fn alert(login: Json<Login<'_>>, key: Key<Text>, alerts: Output<Json<Alert<'_>>, Key<Text>>) -> Result<(), Failure> {
    let tags = vec![key.to_uppercase()];
    alerts.send(&login.user, &Alert { user: &login.user, tags: &tags })?;
    let short = login.user.len().to_string();
    alerts.send(&short, &Alert { user: &key, tags: &[] })
}
tidemill_sdk::export!(alert);

fn main() {}
