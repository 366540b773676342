//! `trades`: makes up stock trades, one line each, for `tidemill produce` to read.
//!
//! A line is the user, a tab, and the trade as JSON. The same seed gives the same trades. It never talks to a broker.

use std::io::{self, BufWriter, Write};
use std::num::NonZeroU64;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;

use crate::trade::Trades;

mod trade;

/// Makes up stock trades, a line each: the user, a tab, the trade as JSON.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example:\n  trades --count 1000 | tidemill produce user_trades --key-separator '\\t' -"
)]
struct Arguments {
    /// The same seed gives the same trades
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many to make; without it, until the reader goes away
    #[arg(long)]
    count: Option<u64>,
    /// Trades a second, or `max`
    #[arg(long, default_value = "max", value_name = "R|max")]
    rate: Rate,
}

/// How fast trades come.
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
    /// When trade number `index` is due, counted from the first.
    fn due(self, index: u64) -> Duration {
        match self {
            Self::Max => Duration::ZERO,
            Self::PerSecond(rate) => Duration::from_secs_f64(index as f64 / rate.get() as f64),
        }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match write_trades(&arguments, &mut BufWriter::new(io::stdout().lock())) {
        // Whoever reads has had enough, like `head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("writing trades to standard output"),
    }
}

fn write_trades(arguments: &Arguments, output: &mut impl Write) -> io::Result<()> {
    let start = Instant::now();
    let count = arguments.count.unwrap_or(u64::MAX);
    for (index, trade) in (0..count).zip(Trades::new(arguments.seed)) {
        let early = arguments.rate.due(index).saturating_sub(start.elapsed());
        if !early.is_zero() {
            // A reader at the other end sees each trade when it is due, not when a buffer is full.
            output.flush()?;
            thread::sleep(early);
        }
        write!(output, "{}\t", trade.userid)?;
        serde_json::to_writer(&mut *output, &trade)?;
        output.write_all(b"\n")?;
    }
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(seed: u64, count: u64) -> String {
        let mut output = Vec::new();
        let arguments = Arguments { seed, count: Some(count), rate: Rate::Max };
        write_trades(&arguments, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn a_seed_decides_every_line() {
        assert_eq!(lines(7, 100), lines(7, 100));
        assert_ne!(lines(7, 100), lines(8, 100));
        assert!(lines(7, 100).starts_with(&lines(7, 10)));
    }

    #[test]
    fn a_line_is_the_user_a_tab_and_the_trade() {
        for line in lines(1, 50).lines() {
            let (user, trade) = line.split_once('\t').unwrap();
            let trade: serde_json::Value = serde_json::from_str(trade).unwrap();
            assert_eq!(trade["userid"], user);
        }
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
