//! `trades`: makes up stock trades, and the users who make them, one line each, for `tidemill produce` to read.
//!
//! A line is the user, a tab, and the trade or the user as JSON. The same seed gives the same lines. It never talks to a
//! broker.

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

/// Makes up stock trades, or the users who make them, a line each: the user, a tab, JSON.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:\n  trades users | tidemill produce users --key-separator '\\t' -\n  trades stocktrade \
                  --count 1000 | tidemill produce stocktrade --key-separator '\\t' -"
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
    /// Records a second, or `max`
    #[arg(long, default_value = "max", value_name = "R|max")]
    rate: Rate,
}

/// What is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Topic {
    /// Trades as they are made
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
    let trades = Trades::new(arguments.seed).map(|trade| (trade.userid.clone(), trade));
    match arguments.topic {
        Topic::Stocktrade => {
            let bare = trades.map(|(user, trade)| (user, trade.without_region()));
            write_lines(arguments, u64::MAX, bare, output)
        }
        Topic::UserTrades => write_lines(arguments, u64::MAX, trades, output),
        Topic::Users => {
            let users = Users::new(arguments.seed).map(|user| (user.userid.clone(), user));
            write_lines(arguments, USERS, users, output)
        }
    }
}

fn write_lines(
    arguments: &Arguments,
    count: u64,
    records: impl Iterator<Item = (String, impl Serialize)>,
    output: &mut impl Write,
) -> io::Result<()> {
    let start = Instant::now();
    let count = arguments.count.unwrap_or(count);
    for (index, (user, record)) in (0..count).zip(records) {
        let early = arguments.rate.due(index).saturating_sub(start.elapsed());
        if !early.is_zero() {
            // A reader at the other end sees each record when it is due, not when a buffer is full.
            output.flush()?;
            thread::sleep(early);
        }
        write!(output, "{user}\t")?;
        serde_json::to_writer(&mut *output, &record)?;
        output.write_all(b"\n")?;
    }
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(topic: Topic, seed: u64, count: Option<u64>) -> String {
        let mut output = Vec::new();
        let arguments = Arguments { topic, seed, count, rate: Rate::Max };
        write_records(&arguments, &mut output).unwrap();
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

    #[test]
    fn a_line_is_the_user_a_tab_and_the_record() {
        for topic in [Topic::Stocktrade, Topic::UserTrades, Topic::Users] {
            for line in records(topic, 1, Some(50)).lines() {
                let (user, record) = line.split_once('\t').unwrap();
                let record: serde_json::Value = serde_json::from_str(record).unwrap();
                assert_eq!(record["userid"], user);
                assert_eq!(record.get("regionid").is_none(), topic == Topic::Stocktrade);
            }
        }
    }

    #[test]
    fn a_seed_makes_the_same_trades_with_and_without_a_region() {
        let (bare, whole) = (records(Topic::Stocktrade, 7, Some(50)), lines(7, 50));
        let trade = |line: &str| -> serde_json::Value {
            serde_json::from_str(line.split_once('\t').unwrap().1).unwrap()
        };
        for (bare, whole) in bare.lines().zip(whole.lines()) {
            let mut whole = trade(whole);
            whole.as_object_mut().unwrap().remove("regionid");
            assert_eq!(trade(bare), whole);
        }
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
