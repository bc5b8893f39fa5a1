//! A run: a stream, its producer, a fleet of workers, and what befalls them, step by step in virtual time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_kinesis::types::Shard;
use aws_smithy_runtime_api::client::auth::AuthSchemeId;
use aws_types::SdkConfig;
use local_aws::{Clock, LocalAws};
use tokio::runtime::{Builder, Runtime};

use crate::history::{Death, History, Mark, Recorder, Row, What, Who};
use crate::invariants::Owed;
use crate::life::Life;
use crate::process::Process;
use crate::producer::{Parcel, Producer};
use crate::scenario::{self, Action, Knobs};
use crate::table::Table;
use crate::weather::Weather;
use crate::wire::Wire;
use crate::worker::{self, STREAM, Start};

/// The world's time at the start of every run: 2026-11-23, in milliseconds since 1970.
pub(crate) const START_MS: u64 = 1_795_392_000_000;
/// For how long records are put and things go wrong.
const TROUBLE_S: u64 = 30;
/// Within this after the last fault everything must be processed and owned.
const SETTLE_MS: u64 = 30_000;
/// For so long at least the calm lasts: requests that were on their way then may arrive for some time, and a lease
/// may be lost for want of them.
const CALM_MS: u64 = 4_000;
/// Within this after SIGTERM a worker must have exited.
const EXIT_MS: u64 = 20_000;
/// Longest step. Workers are no further apart than this.
const QUANTUM_MS: u64 = 40;
const WORKERS: usize = 3;

pub(crate) struct World {
    knobs: Knobs,
    dice: fastrand::Rng,
    now_ms: u64,
    clock: Clock,
    recorder: Recorder,
    aws: LocalAws,
    weather: Weather,
    table: Table,
    runtime: Runtime,
    kinesis: aws_sdk_kinesis::Client,
    fleet: Vec<Process>,
    /// How often each worker has lived.
    lives: Vec<u16>,
    shards: BTreeSet<String>,
    producer: Producer,
    next_put_ms: u64,
    plan: Vec<(u64, Action)>,
    /// How much of the history was looked at for what is still to be processed, and what that is.
    read: usize,
    owed: Owed,
    pending: BTreeSet<u64>,
    /// How many processes were born.
    births: u64,
}

/// The world's time as the SDK asks for it, or the time of day of a process, that may be wrong.
#[derive(Clone)]
pub(crate) struct Hour(Clock, Option<Arc<Life>>);

impl std::fmt::Debug for Hour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hour")
    }
}

impl aws_smithy_async::time::TimeSource for Hour {
    fn now(&self) -> SystemTime {
        let ahead_ms = self.1.as_ref().map_or(0, |life| life.ahead_ms());
        UNIX_EPOCH + Duration::from_millis(self.0.now_ms().saturating_add_signed(ahead_ms))
    }
}

/// Runs a seed to its end.
pub(crate) fn run(seed: u64) -> History {
    World::new(seed).run()
}

impl World {
    fn new(seed: u64) -> Self {
        let knobs = scenario::of_seed(seed);
        let mut dice = fastrand::Rng::with_seed(seed);
        fastrand::seed(seed);
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let clock = Clock::held(START_MS);
        let aws = LocalAws::builder().clock(clock.clone()).build();
        let config = aws.sdk_config().into_builder().time_source(Hour(clock.clone(), None)).build();
        let mut plan = scenario::plan(&knobs, TROUBLE_S * u64::from(knobs.slowness), &mut dice);
        plan.reverse();
        Self {
            weather: Weather::new(knobs),
            kinesis: aws_sdk_kinesis::Client::new(&config),
            knobs,
            dice,
            now_ms: 0,
            clock,
            recorder: Recorder::default(),
            aws,
            table: Table::default(),
            runtime,
            fleet: Vec::new(),
            lives: Vec::new(),
            shards: BTreeSet::new(),
            producer: Producer::default(),
            next_put_ms: 0,
            plan,
            read: 0,
            owed: Owed::default(),
            pending: BTreeSet::new(),
            births: 0,
        }
    }

    fn run(mut self) -> History {
        let Knobs { name, taking, latest, .. } = self.knobs;
        self.recorder.record(What::Scenario { name, taking, latest });
        let shards = self.dice.i32(1..=4);
        let create = self.kinesis.create_stream().stream_name(STREAM).shard_count(shards);
        self.runtime.block_on(create.send()).expect("a stream");
        self.tell_shards();
        for _ in 0..WORKERS {
            let at_ms = self.dice.u64(0..3_000);
            self.schedule(at_ms, Action::Join(None));
        }
        let Knobs { slowness, .. } = self.knobs;
        while self.now_ms < TROUBLE_S * u64::from(slowness) * 1_000 {
            self.act();
            self.produce();
            self.round();
        }
        self.settle();
        self.wind_up();
        self.recorder.take()
    }

    /// One step of everybody, in an order of its own.
    fn round(&mut self) {
        let quantum_ms = self.dice.u64(1..=QUANTUM_MS) * u64::from(self.knobs.slowness);
        self.dice.shuffle(&mut self.fleet);
        for process in &mut self.fleet {
            process.step(self.now_ms, quantum_ms);
        }
        self.now_ms += quantum_ms;
        self.clock.advance(Duration::from_millis(quantum_ms));
        self.recorder.step(self.now_ms, None);
        self.bury();
    }

    /// Takes away the processes that came to their end, and has others take their places.
    fn bury(&mut self) {
        let (gone, living): (Vec<_>, Vec<_>) = std::mem::take(&mut self.fleet)
            .into_iter()
            .partition(|process| process.life.is_dead() || process.has_returned());
        self.fleet = living;
        for process in gone {
            process.life.die(Death::Exited); // Unless it died otherwise.
            if !self.weather.is_calm() {
                self.replace(process.who());
            }
        }
    }

    /// A worker comes back after a while, more often than not under its old name.
    fn replace(&mut self, who: Who) {
        let name = (self.dice.u8(0..3) > 0).then_some(who.worker);
        let most = if self.knobs.sweep.is_some() { 600 } else { 8_000 };
        let at_ms = self.now_ms + self.dice.u64(200..most);
        self.schedule(at_ms, Action::Join(name));
    }

    fn schedule(&mut self, at_ms: u64, action: Action) {
        let at = self.plan.partition_point(|(planned, _)| *planned > at_ms);
        self.plan.insert(at, (at_ms, action));
    }

    /// Does what is due.
    fn act(&mut self) {
        while let Some((_, action)) = self.plan.pop_if(|(at_ms, _)| *at_ms <= self.now_ms) {
            match action {
                Action::Join(worker) => self.join(worker),
                Action::Reshard(which) => self.reshard(which),
                Action::Outage { ms } => {
                    self.weather.cut(None, "DynamoDB", self.now_ms + ms);
                    self.recorder.record(What::Cut(None, "DynamoDB", ms));
                }
                Action::Kill(worker) => {
                    if let Some(at) = self.pick(worker) {
                        let process = self.fleet.remove(at);
                        let who = process.who();
                        process.kill();
                        self.replace(who);
                    }
                }
                Action::Leave(worker) => self.with(worker, |process| process.tell_to_stop()),
                Action::Crash { worker, after, moment } => {
                    self.with(worker, |process| process.life.crash_after(after, moment));
                }
                Action::Stand { worker, how, ms } => {
                    self.with(worker, |process| process.stand(how, ms));
                }
                Action::Hour { worker, ahead_ms } => {
                    self.with(worker, |process| process.life.set_hour(ahead_ms));
                }
                Action::Cut { worker, service, ms } => {
                    let (weather, recorder, now_ms) =
                        (self.weather.clone(), self.recorder.clone(), self.now_ms);
                    self.with(worker, |process| {
                        weather.cut(Some(process.who()), service, now_ms + ms);
                        recorder.record(What::Cut(Some(process.who()), service, ms));
                    });
                }
            }
        }
    }

    fn pick(&self, worker: u32) -> Option<usize> {
        (worker as usize).checked_rem(self.fleet.len())
    }

    fn with(&mut self, worker: u32, act: impl FnOnce(&mut Process)) {
        if let Some(at) = self.pick(worker) {
            act(&mut self.fleet[at]);
        }
    }

    /// A worker starts, unless one of its name lives.
    fn join(&mut self, worker: Option<u8>) {
        let worker = worker.unwrap_or_else(|| u8::try_from(self.lives.len()).unwrap_or(u8::MAX));
        let at = usize::from(worker);
        if self.fleet.iter().any(|process| process.who().worker == worker) {
            return;
        }
        if at >= self.lives.len() {
            self.lives.resize(at + 1, 0);
        }
        self.lives[at] += 1;
        let who = Who { worker, life: self.lives[at] };
        let drift = if self.knobs.drift { self.dice.i64(-30..=30) } else { 0 };
        let (weather, table, aws, knobs) =
            (self.weather.clone(), self.table.clone(), self.aws.clone(), self.knobs);
        let clock = self.clock.clone();
        let seed = self.dice.u64(..);
        let ahead_ms = match (self.knobs.hours, self.births) {
            (0, _) => 0,
            // Who makes the leases: a place in the future is one that loses records.
            (_, 0) => scenario::HOUR_MS,
            _ => scenario::wrong_hour(&mut self.dice),
        };
        let process = Process::start(who, &self.recorder, seed, drift, move |life, stop| {
            let hour = Hour(clock, Some(life.clone()));
            if ahead_ms != 0 {
                life.set_hour(ahead_ms);
            }
            let wire = Wire { life: life.clone(), weather: weather.clone(), table };
            let config = config(&aws, wire, &hour);
            worker::main(Start { life, weather, knobs, config, hour }, stop)
        });
        if self.knobs.crashes > 0 && !self.weather.is_calm() && self.dice.bool() {
            // In the midst of its beginnings.
            process.life.crash_after(self.dice.u64(0..25), Death::any(&mut self.dice));
        }
        if let (Some(sweep), false) = (self.knobs.sweep, self.weather.is_calm()) {
            process.life.crash_after(sweep.from + self.births, sweep.moment);
        }
        self.births += 1;
        self.fleet.push(process);
    }

    fn produce(&mut self) {
        if self.now_ms < self.next_put_ms {
            return;
        }
        self.next_put_ms = self.now_ms + self.dice.u64(50..900) * u64::from(self.knobs.slowness);
        let parcels = self.producer.parcels(self.knobs.aggregates, &mut self.dice);
        let put = self.kinesis.put_records().stream_name(STREAM);
        let put = put.set_records(Some(parcels.iter().map(Parcel::entry).collect()));
        let reply = self.runtime.block_on(put.send()).expect("records are put");
        assert_eq!(reply.failed_record_count, Some(0));
        for (parcel, reply) in parcels.into_iter().zip(reply.records) {
            for put in self.producer.arrived(parcel, reply) {
                self.recorder.record(put);
            }
        }
    }

    /// Splits or merges an open shard.
    fn reshard(&mut self, which: u32) {
        let mut open = self.open_shards();
        open.sort_by_key(start);
        let at = which as usize % open.len();
        let shard = &open[at];
        let (id, (start, end)) = (&shard.shard_id, (start(shard), end(shard)));
        let merges = open.len() > 5 || (open.len() > 1 && which.is_multiple_of(2));
        if merges {
            let neighbour = &open[if at + 1 < open.len() { at + 1 } else { at - 1 }];
            let merge = self.kinesis.merge_shards().stream_name(STREAM).shard_to_merge(id);
            let merge = merge.adjacent_shard_to_merge(&neighbour.shard_id);
            self.runtime.block_on(merge.send()).expect("a merge");
        } else {
            let half = start + (end - start) / 2 + 1;
            let split = self.kinesis.split_shard().stream_name(STREAM).shard_to_split(id);
            let split = split.new_starting_hash_key(half.to_string());
            self.runtime.block_on(split.send()).expect("a split");
        }
        self.producer.resharded();
        self.tell_shards();
    }

    fn list(&self) -> Vec<Shard> {
        let list = self.kinesis.list_shards().stream_name(STREAM).send();
        self.runtime.block_on(list).expect("a list").shards.unwrap_or_default()
    }

    fn open_shards(&self) -> Vec<Shard> {
        let is_open = |shard: &Shard| {
            let range = shard.sequence_number_range.as_ref();
            range.is_some_and(|range| range.ending_sequence_number.is_none())
        };
        self.list().into_iter().filter(is_open).collect()
    }

    fn tell_shards(&mut self) {
        for shard in self.list() {
            if self.shards.insert(shard.shard_id.clone()) {
                let parents = [shard.parent_shard_id, shard.adjacent_parent_shard_id];
                let parents = parents.into_iter().flatten().collect();
                self.recorder.record(What::Shard { id: shard.shard_id, parents });
            }
        }
    }

    /// No more faults: everything must come right within [`SETTLE_MS`].
    fn settle(&mut self) {
        self.weather.calm_down();
        self.plan.clear();
        for process in &mut self.fleet {
            process.wake();
            process.life.live_on();
        }
        self.recorder.record(What::Calm);
        while self.fleet.iter().filter(|process| !process.is_told()).count() < 2 {
            self.join(None);
        }
        let (from_ms, until_ms) = (self.now_ms + CALM_MS, self.now_ms + SETTLE_MS);
        let open = self.open_shards().into_iter().map(|shard| shard.shard_id).collect();
        let mut settled = false;
        while !settled || self.now_ms < from_ms {
            match self.is_settled(&open) {
                Ok(()) if !settled => {
                    self.recorder.record(What::Settled);
                    settled = true;
                }
                Err(what) if !settled && self.now_ms >= until_ms => {
                    self.recorder.record(What::Unsettled(what));
                    return;
                }
                _ => {}
            }
            self.round();
        }
    }

    fn is_settled(&mut self, open: &BTreeSet<String>) -> Result<(), String> {
        self.follow();
        if let Some(number) = self.pending.first() {
            return Err(format!(
                "{} records are not processed, the first is {number}",
                self.pending.len()
            ));
        }
        let rows = self.table.rows();
        for shard in &self.shards {
            let row = rows.get(shard);
            let ended = row.is_none_or(|row| row.mark == Mark::End);
            if open.contains(shard) && !row.is_some_and(|row| self.lives(row)) {
                return Err(format!("{shard} has no owner that lives: {row:?}"));
            }
            if !open.contains(shard) && !ended {
                return Err(format!("{shard} is closed and not ended: {row:?}"));
            }
        }
        Ok(())
    }

    fn lives(&self, row: &Row) -> bool {
        let owner = row.owner.as_deref();
        self.fleet.iter().any(|process| owner == Some(&process.who().name()))
    }

    /// Keeps track of what was put and not yet accepted.
    fn follow(&mut self) {
        let news = self.recorder.since(self.read);
        self.read += news.len();
        for entry in news {
            self.owed.follow(&entry);
            if let Some(record) = self.owed.put(&entry) {
                self.pending.insert(record.number);
            }
            for record in entry.accepted() {
                self.pending.remove(&record.number);
            }
        }
    }

    /// SIGTERM for everyone.
    fn wind_up(&mut self) {
        for process in &self.fleet {
            process.tell_to_stop();
        }
        let until_ms = self.now_ms + EXIT_MS;
        while !self.fleet.is_empty() && self.now_ms < until_ms {
            self.round();
        }
        for process in &self.fleet {
            let stuck = format!("{} did not exit within {EXIT_MS} ms", process.who());
            self.recorder.record(What::Unsettled(stuck));
        }
        // Of a shard that is processed to its end, nobody needs the lease.
        let is_kept = |row: &Row| row.owner.is_some() && row.mark != Mark::End;
        let rows = self.table.rows().into_iter();
        let owned = rows.filter(|(_, row)| is_kept(row)).map(|(shard, _)| shard).collect();
        self.recorder.record(What::Over { owned });
    }
}

fn config(aws: &LocalAws, wire: Wire, hour: &Hour) -> SdkConfig {
    let client = wire.http_client(aws.http_client());
    let config = aws.sdk_config().into_builder().http_client(client);
    let unsigned = [AuthSchemeId::from("no_auth")];
    config.time_source(hour.clone()).auth_scheme_preference(unsigned).build()
}

fn start(shard: &Shard) -> u128 {
    hash_key(shard, |range| range.starting_hash_key())
}

fn end(shard: &Shard) -> u128 {
    hash_key(shard, |range| range.ending_hash_key())
}

fn hash_key(shard: &Shard, side: fn(&aws_sdk_kinesis::types::HashKeyRange) -> &str) -> u128 {
    let key = shard.hash_key_range.as_ref().and_then(|range| side(range).parse().ok());
    key.expect("a hash key")
}
