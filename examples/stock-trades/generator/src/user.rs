//! A made-up user, and an endless source of them.

use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

/// How many there are: those who make trades.
pub const USERS: u64 = 9;
const GENDERS: [&str; 3] = ["FEMALE", "MALE", "OTHER"];

/// A user, as it stands in the topic.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct User {
    /// Milliseconds since the Unix epoch, in 2017 or 2018.
    pub registertime: i64,
    /// `User_1` to `User_9`.
    pub userid: String,
    /// `Region_1` to `Region_9`.
    pub regionid: String,
    pub gender: &'static str,
}

/// Each user in turn, and then anew with other fields; the seed decides them.
pub struct Users {
    random: Xoshiro256PlusPlus,
    made: u64,
}

impl Users {
    pub fn new(seed: u64) -> Self {
        Self { random: Xoshiro256PlusPlus::seed_from_u64(seed), made: 0 }
    }
}

impl Iterator for Users {
    type Item = User;

    fn next(&mut self) -> Option<User> {
        let number = self.made % USERS + 1;
        self.made += 1;
        Some(User {
            registertime: self.random.random_range(1_487_715_775_521..1_519_273_364_600),
            userid: format!("User_{number}"),
            regionid: format!("Region_{}", self.random.random_range(1..=9)),
            gender: GENDERS.choose(&mut self.random).expect("there are some"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_who_trades_is_there_and_may_move() {
        let users: Vec<_> = Users::new(1).take(18).collect();
        let names: Vec<_> = users.iter().map(|user| user.userid.as_str()).collect();
        assert_eq!(names[..2], ["User_1", "User_2"]);
        assert_eq!(names[..9], names[9..]);
        assert_ne!(users[..9], users[9..]);
    }
}
