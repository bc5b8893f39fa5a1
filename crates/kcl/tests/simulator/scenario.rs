//! What goes wrong in a run, drawn from its seed.

use crate::history::{Death, Standstill};

/// How often what goes wrong. Odds are in a thousand, counts are for a whole run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Knobs {
    pub(crate) name: &'static str,
    /// Whether leases move by being taken from workers that live, as in KCL 2.x: then records come twice.
    pub(crate) taking: bool,
    /// Whether reading begins at the tip: what was put before a lease was made need not come.
    pub(crate) latest: bool,
    /// Batches of a shard at once, by key; in order of the shard if 0.
    pub(crate) lanes: u16,
    /// Whether some records are put as aggregates of the KPL.
    pub(crate) aggregates: bool,
    /// Whether records that fail too often go to the dead-letter queue.
    pub(crate) gives_up: bool,
    /// Which requests processes crash at, one after the other.
    pub(crate) sweep: Option<Sweep>,
    /// How many times as long it lasts as the others, at a slower pace.
    pub(crate) slowness: u32,
    /// Splits and merges.
    pub(crate) reshards: u32,
    /// Workers that are told to stop, and replaced.
    pub(crate) leaves: u32,
    /// Processes killed between two of their steps.
    pub(crate) kills: u32,
    /// Processes that crash before a request arrives or before its reply does.
    pub(crate) crashes: u32,
    pub(crate) stops: u32,
    pub(crate) suspends: u32,
    /// Workers cut off from a service, or from both.
    pub(crate) cuts: u32,
    /// Times at which nobody reaches DynamoDB.
    pub(crate) outages: u32,
    /// Whether the workers' clocks run fast or slow, by up to 3 %.
    pub(crate) drift: bool,
    /// Times at which a worker's time of day jumps. If any, it is wrong from its start.
    pub(crate) hours: u32,
    pub(crate) slow_network: u32,
    pub(crate) throttled: u32,
    pub(crate) failed: u32,
    /// Reads that find their iterator expired.
    pub(crate) expired: u32,
    pub(crate) lost_requests: u32,
    pub(crate) lost_replies: u32,
    /// Odds that a call of the processor takes seconds, fails, panics.
    pub(crate) slow_calls: u32,
    pub(crate) failing_calls: u32,
    pub(crate) panicking_calls: u32,
}

/// The first process crashes at request `from`, the next one at the request after that, and so on: so that no
/// request is left out, over all seeds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sweep {
    pub(crate) from: u64,
    pub(crate) moment: Death,
}

impl Knobs {
    /// Whether no worker ever loses a lease that it did not give away.
    pub(crate) fn is_gentle(&self) -> bool {
        if self.taking {
            return false;
        }
        if self.sweep.is_some() {
            return false;
        }
        let Self { kills, crashes, stops, suspends, cuts, outages, .. } = self;
        let requests = self.slow_network + self.throttled + self.failed + self.expired;
        let calls = self.slow_calls + self.failing_calls + self.panicking_calls;
        let lost = self.lost_requests + self.lost_replies;
        kills + crashes + stops + suspends + cuts + outages + requests + calls + lost == 0
    }
}

const NOTHING: Knobs = Knobs {
    name: "nothing",
    taking: false,
    latest: false,
    lanes: 0,
    aggregates: false,
    gives_up: false,
    sweep: None,
    slowness: 1,
    reshards: 0,
    leaves: 0,
    kills: 0,
    crashes: 0,
    stops: 0,
    suspends: 0,
    cuts: 0,
    outages: 0,
    drift: false,
    hours: 0,
    slow_network: 0,
    throttled: 0,
    failed: 0,
    expired: 0,
    lost_requests: 0,
    lost_replies: 0,
    slow_calls: 0,
    failing_calls: 0,
    panicking_calls: 0,
};

/// The scenarios: seed `n` runs number `n` modulo their count.
pub(crate) const SCENARIOS: [Knobs; 18] = [
    Knobs { name: "steady", ..NOTHING },
    Knobs { name: "resharding", reshards: 5, ..NOTHING },
    Knobs { name: "rolling restart", leaves: 8, reshards: 6, ..NOTHING },
    Knobs { name: "kill -9", kills: 4, reshards: 1, ..NOTHING },
    Knobs { name: "crash at a request", crashes: 6, reshards: 2, leaves: 1, ..NOTHING },
    Knobs { name: "SIGSTOP", stops: 6, reshards: 1, ..NOTHING },
    Knobs { name: "suspended machines", suspends: 6, reshards: 1, ..NOTHING },
    Knobs { name: "drifting clocks", drift: true, stops: 1, kills: 1, reshards: 1, ..NOTHING },
    Knobs { name: "partitions", cuts: 6, reshards: 1, ..NOTHING },
    Knobs { name: "DynamoDB outages", outages: 3, reshards: 1, leaves: 1, ..NOTHING },
    Knobs {
        name: "lossy network",
        lost_replies: 40,
        lost_requests: 30,
        slow_network: 20,
        reshards: 2,
        leaves: 1,
        ..NOTHING
    },
    Knobs {
        name: "throttling",
        throttled: 150,
        failed: 30,
        expired: 50,
        reshards: 2,
        leaves: 1,
        ..NOTHING
    },
    Knobs {
        name: "bad processors",
        slow_calls: 60,
        failing_calls: 120,
        panicking_calls: 20,
        reshards: 2,
        leaves: 2,
        ..NOTHING
    },
    Knobs {
        name: "taking, as in KCL 2.x",
        taking: true,
        leaves: 2,
        kills: 1,
        suspends: 3,
        stops: 1,
        reshards: 2,
        ..NOTHING
    },
    Knobs { name: "LATEST", latest: true, hours: 6, kills: 2, crashes: 2, reshards: 2, ..NOTHING },
    Knobs {
        name: "crash at every request",
        sweep: Some(Sweep { from: 0, moment: Death::BeforeReply }),
        reshards: 2,
        ..NOTHING
    },
    // Longer than the time between two audits, so that leases of finished shards are deleted.
    Knobs {
        name: "garbage",
        slowness: 6,
        reshards: 12,
        leaves: 2,
        kills: 1,
        crashes: 2,
        ..NOTHING
    },
    Knobs {
        name: "everything",
        reshards: 3,
        leaves: 2,
        kills: 1,
        crashes: 2,
        stops: 2,
        suspends: 1,
        cuts: 2,
        outages: 1,
        hours: 2,
        drift: true,
        slow_network: 5,
        throttled: 20,
        failed: 10,
        expired: 10,
        lost_requests: 10,
        lost_replies: 10,
        slow_calls: 20,
        failing_calls: 30,
        panicking_calls: 10,
        ..NOTHING
    },
];

/// The scenario of a seed. From round to round over the scenarios it varies: every second one reads aggregates in
/// lanes by key, and of those every second one gives records up that fail too often; in every fourth leases are
/// taken.
pub(crate) fn of_seed(seed: u64) -> Knobs {
    let count = u64::try_from(SCENARIOS.len()).unwrap_or(1);
    let mut knobs = SCENARIOS[usize::try_from(seed % count).unwrap_or_default()];
    let round = seed / count;
    if !round.is_multiple_of(2) {
        knobs.lanes = 4;
        knobs.aggregates = true;
    }
    knobs.gives_up = round % 4 == 1;
    knobs.taking |= round % 4 == 2;
    if let Some(sweep) = &mut knobs.sweep {
        sweep.from = round / 2 * SWEEP % SWEPT;
        sweep.moment =
            if round.is_multiple_of(2) { Death::BeforeReply } else { Death::BeforeRequest };
    }
    knobs
}

/// How much further the requests at which processes crash begin, from one seed to the next but one.
const SWEEP: u64 = 20;
/// More requests than a process makes in a run.
const SWEPT: u64 = 1_000;

/// Something that is done to the world. Workers are meant by number, modulo those that live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A split or a merge of a shard, by number.
    Reshard(u32),
    Leave(u32),
    Kill(u32),
    Crash {
        worker: u32,
        after: u64,
        moment: Death,
    },
    Stand {
        worker: u32,
        how: Standstill,
        ms: u64,
    },
    Cut {
        worker: u32,
        service: &'static str,
        ms: u64,
    },
    Outage {
        ms: u64,
    },
    Hour {
        worker: u32,
        ahead_ms: i64,
    },
    /// A worker starts: under the name of the one of this number, or under a new one.
    Join(Option<u8>),
}

/// When what is done, in order of time.
pub(crate) fn plan(knobs: &Knobs, seconds: u64, dice: &mut fastrand::Rng) -> Vec<(u64, Action)> {
    let mut plan = Vec::new();
    let mut add =
        |count: u32, dice: &mut fastrand::Rng, draw: &dyn Fn(&mut fastrand::Rng) -> Action| {
            for _ in 0..count {
                let at_ms = dice.u64(4_000..seconds * 1_000);
                plan.push((at_ms, draw(dice)));
            }
        };
    add(knobs.reshards, dice, &|dice| Action::Reshard(dice.u32(..)));
    add(knobs.leaves, dice, &|dice| Action::Leave(dice.u32(..)));
    add(knobs.kills, dice, &|dice| Action::Kill(dice.u32(..)));
    add(knobs.crashes, dice, &|dice| Action::Crash {
        worker: dice.u32(..),
        after: dice.u64(0..40),
        moment: Death::any(dice),
    });
    let stand = |how| {
        move |dice: &mut fastrand::Rng| {
            // Mostly around the failover, sometimes far beyond.
            let ms =
                if dice.u8(0..4) == 0 { dice.u64(8_000..20_000) } else { dice.u64(500..5_000) };
            Action::Stand { worker: dice.u32(..), how, ms }
        }
    };
    add(knobs.stops, dice, &stand(Standstill::Stopped));
    add(knobs.suspends, dice, &stand(Standstill::Suspended));
    add(knobs.cuts, dice, &|dice| Action::Cut {
        worker: dice.u32(..),
        service: dice.choice(["", "DynamoDB", "Kinesis"]).unwrap_or_default(),
        ms: dice.u64(500..9_000),
    });
    add(knobs.outages, dice, &|dice| Action::Outage { ms: dice.u64(1_000..9_000) });
    add(knobs.hours, dice, &|dice| Action::Hour {
        worker: dice.u32(..),
        ahead_ms: wrong_hour(dice),
    });
    plan.sort_by_key(|(at_ms, _)| *at_ms);
    plan
}

pub(crate) const HOUR_MS: i64 = 3_600_000;

/// Milliseconds by which a time of day is wrong: an hour, minutes or seconds, either way.
pub(crate) fn wrong_hour(dice: &mut fastrand::Rng) -> i64 {
    let most = dice.choice([HOUR_MS, 240_000, 10_000]).unwrap_or_default();
    dice.i64(-most..=most)
}
