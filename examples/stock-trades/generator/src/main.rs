//! `trades`: makes up stock trades, and the users who make them, one line each, for `tidemill produce` to read.
//!
//! A line is the user, a tab, and the trade or the user as JSON; trades as they are made have no key, and are a line of JSON.
//! The same seed gives the same lines. It never talks to a broker.

use std::io::{self, BufWriter, Write};
use std::num::NonZeroU64;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use serde::Serialize;

use crate::{
    trade::Trades,
    user::{USERS, Users},
};

mod trade;
mod user;

/// Makes up stock trades, or the users who make them, a line each: the user, a tab, JSON. A trade as it is made has no key: JSON
/// alone.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:\n  trades users | tidemill produce users --key-separator '\\t' -\n  trades stocktrade \
                  --count 1000 | tidemill produce stocktrade -"
)]
struct Arguments {
    /// The topic to make records for
    #[arg(value_enum, default_value_t = Topic::UserTrades)]
    topic: Topic,
    /// The same seed gives the same records
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many to make; without it, each user once, and trades until the reader goes away
    #[arg(long)]
    count: Option<u64>,
    /// One in so many trades as they are made has no user; without it, none
    #[arg(long, value_name = "N")]
    without_user: Option<NonZeroU64>,
    /// Records a second, or `max`
    #[arg(long, default_value = "max", value_name = "R|max")]
    rate: Rate,
}

/// What is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Topic {
    /// Trades as they are made, without a key
    Stocktrade,
    /// The same trades with a region each
    #[value(name = "user_trades")]
    UserTrades,
    /// Users: a name, a region
    Users,
}

/// How fast records come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rate {
    Max,
    PerSecond(NonZeroU64),
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "max" => Ok(Self::Max),
            _ => text
                .parse()
                .map(Self::PerSecond)
                .map_err(|_| "a whole number from 1, or max".to_owned()),
        }
    }
}

impl Rate {
    /// When record number `index` is due, counted from the first.
    fn due(self, index: u64) -> Duration {
        match self {
            Self::Max => Duration::ZERO,
            Self::PerSecond(rate) => Duration::from_secs_f64(index as f64 / rate.get() as f64),
        }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match write_records(&arguments, &mut BufWriter::new(io::stdout().lock())) {
        // Whoever reads has had enough, like `head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("writing to standard output"),
    }
}

fn write_records(arguments: &Arguments, output: &mut impl Write) -> io::Result<()> {
    let trades = Trades::new(arguments.seed);
    match arguments.topic {
        Topic::Stocktrade => {
            let has_user = |number| arguments.without_user.is_none_or(|every| number % every != 0);
            let made =
                (1..).zip(trades).map(|(number, trade)| (None, trade.made_by(has_user(number))));
            write_lines(arguments, u64::MAX, made, output)
        }
        Topic::UserTrades => {
            let keyed = trades.map(|trade| (trade.userid.clone(), trade));
            write_lines(arguments, u64::MAX, keyed, output)
        }
        Topic::Users => {
            let users = Users::new(arguments.seed).map(|user| (Some(user.userid.clone()), user));
            write_lines(arguments, USERS, users, output)
        }
    }
}

fn write_lines(
    arguments: &Arguments,
    count: u64,
    records: impl Iterator<Item = (Option<String>, impl Serialize)>,
    output: &mut impl Write,
) -> io::Result<()> {
    let start = Instant::now();
    let count = arguments.count.unwrap_or(count);
    for (index, (key, record)) in (0..count).zip(records) {
        let early = arguments.rate.due(index).saturating_sub(start.elapsed());
        if !early.is_zero() {
            // A reader at the other end sees each record when it is due, not when a buffer is full.
            output.flush()?;
            thread::sleep(early);
        }
        if let Some(key) = key {
            write!(output, "{key}\t")?;
        }
        serde_json::to_writer(&mut *output, &record)?;
        output.write_all(b"\n")?;
    }
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(topic: Topic, seed: u64, count: Option<u64>) -> String {
        let arguments = Arguments { topic, seed, count, without_user: None, rate: Rate::Max };
        written(&arguments)
    }

    fn written(arguments: &Arguments) -> String {
        let mut output = Vec::new();
        write_records(arguments, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    fn lines(seed: u64, count: u64) -> String {
        records(Topic::UserTrades, seed, Some(count))
    }

    #[test]
    fn a_seed_decides_every_line() {
        assert_eq!(lines(7, 100), lines(7, 100));
        assert_ne!(lines(7, 100), lines(8, 100));
        assert!(lines(7, 100).starts_with(&lines(7, 10)));
    }

    fn json(text: &str) -> serde_json::Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_line_is_the_user_a_tab_and_the_record() {
        for topic in [Topic::UserTrades, Topic::Users] {
            for line in records(topic, 1, Some(50)).lines() {
                let (user, record) = line.split_once('\t').unwrap();
                let record = json(record);
                assert_eq!(record["userid"], user);
                assert!(record["regionid"].is_string());
            }
        }
    }

    #[test]
    fn a_seed_makes_the_same_trades_with_and_without_a_region() {
        let (made, whole) = (records(Topic::Stocktrade, 7, Some(50)), lines(7, 50));
        for (made, whole) in made.lines().zip(whole.lines()) {
            let mut whole = json(whole.split_once('\t').unwrap().1);
            whole.as_object_mut().unwrap().remove("regionid");
            assert_eq!(json(made), whole);
        }
    }

    #[test]
    fn one_in_so_many_has_no_user() {
        let without = written(&Arguments {
            topic: Topic::Stocktrade,
            seed: 1,
            count: Some(100),
            without_user: NonZeroU64::new(25),
            rate: Rate::Max,
        });
        let nobody = |(_, line): &(usize, &str)| json(line).get("userid").is_none();
        let numbers = without.lines().enumerate().filter(nobody).map(|(index, _)| index + 1);
        assert_eq!(numbers.collect::<Vec<_>>(), [25, 50, 75, 100]);
    }

    #[test]
    fn each_user_comes_once_unless_more_are_asked_for() {
        assert_eq!(records(Topic::Users, 1, None).lines().count(), 9);
        assert_eq!(records(Topic::Users, 1, Some(20)).lines().count(), 20);
    }

    #[test]
    fn a_rate_is_a_whole_number_from_one_or_max() {
        assert_eq!("max".parse(), Ok(Rate::Max));
        assert_eq!("250".parse::<Rate>().map(|rate| rate.due(500)), Ok(Duration::from_secs(2)));
        for wrong in ["0", "-1", "2.5", "fast", ""] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong:?} is no rate");
        }
    }
}
