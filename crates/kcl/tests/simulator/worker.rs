//! A worker as a user writes one: everything here that touches the library under test.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryPartition;
use aws_smithy_async::time::TimeSource as _;
use aws_types::SdkConfig;
use kcl::{
    Attempts, Batch, Consumer, Failure, InitialPosition, Lanes, Mode, Processor, Progress, Record,
    Settings,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::history::{Done, Numbered, Place, What};
use crate::life::Life;
use crate::scenario::Knobs;
use crate::table::LEASES;
use crate::weather::Weather;
use crate::world::Hour;

/// Name of the stream.
pub(crate) const STREAM: &str = "events";
/// How long a lease must stand still before another worker may take it.
pub(crate) const FAILOVER: Duration = Duration::from_secs(3);
/// How long an orchestrator waits before it starts a process anew that could not begin.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// What a process is started with.
#[derive(Clone)]
pub(crate) struct Start {
    pub(crate) life: Arc<Life>,
    pub(crate) weather: Weather,
    pub(crate) knobs: Knobs,
    pub(crate) config: SdkConfig,
    pub(crate) hour: Hour,
}

fn settings(worker: String, knobs: &Knobs) -> Settings {
    Settings {
        mode: if knobs.taking { Mode::Compat2x } else { Mode::Native },
        initial_position: if knobs.latest {
            InitialPosition::Latest
        } else {
            InitialPosition::TrimHorizon
        },
        lanes: if knobs.lanes > 0 { Lanes::ByKey(knobs.lanes) } else { Lanes::One },
        // With lanes, several batches of a page are in work at once.
        batch_records_max: if knobs.lanes > 0 { 4 } else { 1_000 },
        attempts: Attempts {
            most: knobs.gives_up.then_some(3),
            bisect: knobs.gives_up,
            ..Attempts::default()
        },
        failover: FAILOVER,
        drain: Duration::from_secs(5),
        renewal_thread: false,
        // Fewer reads, so that more seeds fit the time: the order of things is what is looked for, not speed.
        read_interval: Duration::from_millis(400) * knobs.slowness,
        idle_interval: Duration::from_millis(900) * knobs.slowness,
        checkpoint_interval: Duration::from_secs(1) * knobs.slowness,
        ..Settings::new(STREAM, LEASES, worker)
    }
}

/// The whole life of a process: `main`, as a container runs it.
pub(crate) async fn main(start: Start, stop: CancellationToken) {
    let Start { life, config, .. } = &start;
    // The SDK's stock of retries is one for all clients of the operating system's process.
    let stock = || RetryPartition::custom("simulated").build();
    // Nobody checks the signatures, that would take a sixth of the time.
    let kinesis = aws_sdk_kinesis::config::Builder::from(config).allow_no_auth();
    let kinesis = aws_sdk_kinesis::Client::from_conf(kinesis.retry_partition(stock()).build());
    let dynamodb = aws_sdk_dynamodb::config::Builder::from(config).allow_no_auth();
    let dynamodb = aws_sdk_dynamodb::Client::from_conf(dynamodb.retry_partition(stock()).build());
    while !stop.is_cancelled() {
        let settings = settings(life.who.name(), &start.knobs);
        let handler = Handler(start.clone());
        match Consumer::build(kinesis.clone(), dynamodb.clone(), settings, handler).await {
            Ok(consumer) => {
                let hour = start.hour.clone();
                let run = consumer.with_clock(move || hour.now()).run(stop).await;
                if let Err(error) = run {
                    life.record(What::RunFailed(life.who, error.to_string()));
                }
                return;
            }
            Err(error) => {
                life.record(What::BuildFailed(life.who, error.to_string()));
                sleep(RESTART_PAUSE).await;
            }
        }
    }
}

struct Handler(Start);

/// A call of the processor that is under way; tells when the library drops it.
struct Call<'a> {
    life: &'a Life,
    number: u64,
    shard: &'a str,
    over: bool,
}

impl Call<'_> {
    fn end(&mut self, done: Done) {
        self.over = true;
        let (who, call, shard) = (self.life.who, self.number, self.shard.to_owned());
        self.life.record(What::Done { who, call, shard, done });
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.over && !self.life.is_dead() {
            self.end(Done::Dropped);
        }
    }
}

impl Processor for Handler {
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        self.process_with(batch, &Progress::untracked()).await
    }

    async fn dead_letter(&self, batch: &Batch, _failure: &Failure) -> Result<(), Failure> {
        let Start { life, weather, .. } = &self.0;
        life.alive().await;
        sleep(Duration::from_millis(life.dice(|dice| dice.u64(0..20)))).await;
        life.alive().await;
        if life.dice(|dice| dice.u8(0..3)) == 0 && !weather.is_calm() {
            return Err(Failure::retry("simulated"));
        }
        let records = batch.records.iter().map(numbered).collect();
        life.record(What::Took { who: life.who, shard: batch.shard.id.to_string(), records });
        Ok(())
    }

    async fn process_with(&self, batch: &Batch, progress: &Progress) -> Result<(), Failure> {
        let Start { life, weather, knobs, .. } = &self.0;
        life.alive().await;
        let records: Vec<_> = batch.records.iter().map(numbered).collect();
        let (who, number, shard) = (life.who, life.next_call(), batch.shard.id.to_string());
        let (fence, local_ms) = (batch.shard.fence, life.local_ms());
        life.record(What::Begun {
            who,
            call: number,
            shard,
            fence,
            records: records.clone(),
            local_ms,
        });
        let mut call = Call { life, number, shard: &batch.shard.id, over: false };
        let mood = life.dice(|dice| Mood::draw(knobs, weather.is_calm(), dice));
        sleep(mood.takes).await;
        life.alive().await;
        match mood.verdict {
            Verdict::Accept => {
                call.end(Done::Accepted(records));
                Ok(())
            }
            Verdict::Fail => {
                call.end(Done::Failed);
                Err(Failure::retry("simulated"))
            }
            Verdict::Stop => {
                call.end(Done::Failed);
                Err(Failure::fatal("simulated"))
            }
            Verdict::FailFrom(share) => {
                let bad = failing(&records, share);
                let of = |bad: &bool, record: &Record| bad.then_some(record.position);
                let failed = bad.iter().zip(&batch.records).filter_map(|(b, r)| of(b, r)).collect();
                let good = bad.iter().zip(records).filter(|(bad, _)| !**bad).map(|(_, r)| r);
                call.end(Done::Accepted(good.collect()));
                Err(Failure::partial(failed, "simulated"))
            }
            Verdict::OneByOne(share) => {
                for (at, record) in records.iter().enumerate() {
                    if at as f64 >= share * records.len() as f64 {
                        call.end(Done::Failed);
                        return Err(Failure::retry("simulated"));
                    }
                    if !progress.accept(at) {
                        call.end(Done::Failed);
                        return Err(Failure::retry("too late"));
                    }
                    let (shard, records) = (batch.shard.id.to_string(), vec![record.clone()]);
                    life.record(What::Took { who, shard, records });
                    sleep(Duration::from_millis(life.dice(|dice| dice.u64(0..3)))).await;
                    life.alive().await;
                }
                call.end(Done::Accepted(Vec::new()));
                Ok(())
            }
            Verdict::Panic => {
                call.end(Done::Panicked);
                // No hook, no backtrace: the test's output stays readable.
                std::panic::resume_unwind(Box::new("simulated"))
            }
        }
    }
}

/// What a call of the processor comes to.
struct Mood {
    takes: Duration,
    verdict: Verdict,
}

enum Verdict {
    Accept,
    Fail,
    /// A record fails, at this share of the batch, and all that follow it with its key.
    FailFrom(f64),
    /// The consumer is to stop.
    Stop,
    /// This share of the batch is accepted record by record, then it fails.
    OneByOne(f64),
    Panic,
}

impl Mood {
    fn draw(knobs: &Knobs, calm: bool, dice: &mut fastrand::Rng) -> Self {
        let mut falls = |odds| dice.u32(0..1000) < odds && !calm;
        let (slow, fails, panics) =
            (falls(knobs.slow_calls), falls(knobs.failing_calls), falls(knobs.panicking_calls));
        let verdict = match (fails, panics) {
            (_, true) => Verdict::Panic,
            (true, _) if dice.u8(0..12) == 0 => Verdict::Stop,
            (true, _) if dice.u8(0..3) == 0 => Verdict::OneByOne(dice.f64()),
            (true, _) if dice.bool() => Verdict::Fail,
            (true, _) => Verdict::FailFrom(dice.f64()),
            _ => Verdict::Accept,
        };
        let most = if slow { 6_000 } else { 20 };
        Self { takes: Duration::from_millis(dice.u64(0..most)), verdict }
    }
}

/// Which records of a batch fail. What follows a failing record of a key fails with it, so that the key's order
/// is kept by the processor.
fn failing(records: &[Numbered], share: f64) -> Vec<bool> {
    let count = records.len();
    let first = (0..count).find(|&at| at as f64 >= share * count as f64 - 1.0).unwrap_or_default();
    let key = records.get(first).map(|record| record.key);
    records.iter().enumerate().map(|(at, r)| at >= first && Some(r.key) == key).collect()
}

/// The payload of record `number` of `key`.
pub(crate) fn payload(number: u64, key: u16) -> Vec<u8> {
    format!("{number} {key}").into_bytes()
}

fn numbered(record: &Record) -> Numbered {
    let text = std::str::from_utf8(&record.data).expect("a payload of the simulator");
    let (number, key) = text.split_once(' ').expect("a number and a key");
    let position = record.position;
    Numbered {
        number: number.parse().expect("a number"),
        key: key.parse().expect("a key"),
        place: Place::new(&position.sequence.to_string(), position.sub_sequence),
    }
}
