//! What happens to hosts and brokers, and when: by a seed.
//!
//! Every few seconds something strikes: a host is killed, or frozen until its group has given it up, or told to stop;
//! or one broker is killed. Each comes back after a while, some hosts with an empty disk. One broker at a time is away,
//! so that two replicas are always there.

use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use super::fleet::{Member, State};
use super::seeded::Seeded;
use crate::cluster::{Cluster, NODES};

const TICK: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy)]
enum Act {
    Strike,
    Start { host: usize, wiped: bool },
    Thaw { host: usize },
    Revive { node: usize },
}

/// See the module.
pub struct Chaos<'a> {
    cluster: &'a Cluster,
    fleet: &'a mut [Member],
    seeded: Seeded,
    /// Whether hosts are frozen too.
    freezes: bool,
    due: Vec<(Instant, Act)>,
    broker_away: bool,
    reviving: Option<Child>,
    started: Instant,
    kills: usize,
}

impl<'a> Chaos<'a> {
    /// Of hosts that run.
    pub fn new(cluster: &'a Cluster, fleet: &'a mut [Member], seeded: Seeded) -> Self {
        let started = Instant::now();
        Self {
            cluster,
            fleet,
            seeded,
            freezes: true,
            due: vec![(started, Act::Strike)],
            broker_away: false,
            reviving: None,
            started,
            kills: 0,
        }
    }

    /// A host that only seems dead may do harm under at-least-once: it is not frozen.
    pub fn without_freezing(mut self) -> Self {
        self.freezes = false;
        self
    }

    /// Until so many were killed, and for so long at least; then everything comes back. Says how many were killed.
    pub fn run(mut self, kills: usize, minimum: Duration) -> usize {
        while self.kills < kills || self.started.elapsed() < minimum {
            self.tick();
        }
        self.due.retain(|(_, act)| !matches!(act, Act::Strike));
        while !self.is_calm() {
            self.tick();
        }
        self.kills
    }

    fn is_calm(&self) -> bool {
        let up = self.fleet.iter().all(|member| matches!(member.state, State::Up(_)));
        up && self.due.is_empty() && self.reviving.is_none()
    }

    fn tick(&mut self) {
        let now = Instant::now();
        let (ripe, due) = std::mem::take(&mut self.due).into_iter().partition(|(at, _)| *at <= now);
        self.due = due;
        let ripe: Vec<(Instant, Act)> = ripe;
        for (_, act) in ripe {
            self.perform(act);
        }
        for host in 0..self.fleet.len() {
            let down = |member: &Member| matches!(member.state, State::Down);
            let was_down = down(&self.fleet[host]);
            self.fleet[host].look();
            if !was_down && down(&self.fleet[host]) {
                self.later(0, 2000, Act::Start { host, wiped: false });
            }
        }
        if let Some(reviving) = &mut self.reviving
            && let Some(status) = reviving.try_wait().expect("asking after a child")
        {
            assert!(status.success(), "a broker does not come back");
            (self.reviving, self.broker_away) = (None, false);
            self.say("a broker is back");
        }
        thread::sleep(TICK);
    }

    fn later(&mut self, from_ms: u64, to_ms: u64, act: Act) {
        self.due.push((Instant::now() + self.seeded.millis(from_ms, to_ms), act));
    }

    fn say(&self, what: &str) {
        println!("{:8.2} s: {what}", self.started.elapsed().as_secs_f64());
    }

    fn perform(&mut self, act: Act) {
        match act {
            Act::Strike => {
                self.strike();
                self.later(200, 4500, Act::Strike);
            }
            Act::Start { host, wiped } => {
                if wiped {
                    self.fleet[host].wipe();
                }
                self.say(&format!(
                    "{} starts{}",
                    self.fleet[host].name,
                    if wiped { " with an empty disk" } else { "" }
                ));
                self.fleet[host].start();
            }
            Act::Thaw { host } => {
                if matches!(self.fleet[host].state, State::Frozen(_)) {
                    self.say(&format!("{} goes on", self.fleet[host].name));
                    self.fleet[host].thaw();
                }
            }
            Act::Revive { node } => self.reviving = Some(self.cluster.restart(node)),
        }
    }

    fn strike(&mut self) {
        let what = self.seeded.below(100);
        let (host, wiped) = (self.victim(), self.seeded.below(8) == 0);
        match (what, host) {
            (..20, _) if !self.broker_away => self.kill_broker(),
            (_, None) => {}
            (20..32, Some(host)) if self.freezes => {
                self.say(&format!("{} freezes", self.fleet[host].name));
                self.fleet[host].freeze();
                self.later(2000, 9000, Act::Thaw { host });
            }
            (32..42, Some(host)) => {
                self.say(&format!("{} is told to stop", self.fleet[host].name));
                self.fleet[host].terminate();
            }
            (_, Some(host)) => {
                self.say(&format!("{} is killed", self.fleet[host].name));
                self.fleet[host].kill();
                self.kills += 1;
                self.later(0, 3000, Act::Start { host, wiped });
            }
        }
    }

    fn kill_broker(&mut self) {
        let node = 1 + usize::try_from(self.seeded.below(NODES as u64)).expect("small");
        self.say(&format!("broker {node} is killed"));
        self.cluster.kill(node);
        self.kills += 1;
        self.broker_away = true;
        self.later(1000, 6000, Act::Revive { node });
    }

    /// One that runs.
    fn victim(&mut self) -> Option<usize> {
        let up = |member: &Member| matches!(member.state, State::Up(_));
        let running: Vec<usize> =
            (0..self.fleet.len()).filter(|host| up(&self.fleet[*host])).collect();
        let chosen = self.seeded.below(running.len().max(1) as u64);
        running.get(usize::try_from(chosen).expect("small")).copied()
    }
}
