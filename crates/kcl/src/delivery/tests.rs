use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::account::SPAN_MAX;
use super::testing::{
    Asked, Call, PATIENCE, Scripted, World, at, number, numbers, record, records, settings, settle,
};
use super::*;
use crate::metrics::Fate;
use crate::processor::{Batch, Scope};
use crate::settings::{Attempts, Lanes};

/// Accepts a record when it is told to, which is once for each.
struct Gated {
    gates: Mutex<BTreeMap<u64, oneshot::Receiver<Result<(), Failure>>>>,
    /// Calls that were begun and neither answered nor dropped.
    open: Arc<AtomicUsize>,
}

type Gate = oneshot::Sender<Result<(), Failure>>;

impl Gated {
    fn new(numbers: impl IntoIterator<Item = u64>) -> (Arc<Self>, BTreeMap<u64, Gate>) {
        let (mut gates, mut senders) = (BTreeMap::new(), BTreeMap::new());
        for number in numbers {
            let (sender, receiver) = oneshot::channel();
            gates.insert(number, receiver);
            senders.insert(number, sender);
        }
        (Arc::new(Self { gates: Mutex::new(gates), open: Arc::default() }), senders)
    }
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Processor for Gated {
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        self.open.fetch_add(1, Relaxed);
        let _open = Open(self.open.clone());
        for number in numbers(&batch.records) {
            let gate = self.gates.lock().unwrap().remove(&number);
            if let Some(gate) = gate {
                gate.await.unwrap()?;
            }
        }
        Ok(())
    }
}

/// Never answers.
struct Stuck;

impl Processor for Stuck {
    async fn process(&self, _: &Batch) -> Result<(), Failure> {
        std::future::pending().await
    }
}

fn one_by_one(lanes: Lanes) -> Settings {
    Settings { batch_records_max: 1, ..settings(lanes) }
}

fn with_attempts(attempts: Attempts) -> Settings {
    Settings { attempts, ..settings(Lanes::One) }
}

/// Every order of the numbers below `many`.
fn permutations(many: u64) -> Vec<Vec<u64>> {
    let Some(last) = many.checked_sub(1) else { return vec![Vec::new()] };
    let insert = |order: Vec<u64>| {
        (0..=order.len()).map(move |place| {
            let mut order = order.clone();
            order.insert(place, last);
            order
        })
    };
    permutations(last).into_iter().flat_map(insert).collect()
}

#[tokio::test(start_paused = true)]
async fn the_watermark_is_exact_whatever_order_records_are_settled_in() {
    for order in permutations(5) {
        let (processor, mut gates) = Gated::new(0..5);
        let world = World::with(&processor, one_by_one(Lanes::Unordered(5)), records(0..5));
        let mut settled = Vec::new();
        for number in order {
            gates.remove(&number).unwrap().send(Ok(())).unwrap();
            settled.push(number);
            settle().await;
            let contiguous = (0..5).take_while(|number| settled.contains(number)).last();
            assert_eq!(world.place(), contiguous.map(at), "{settled:?}");
        }
        assert_eq!(world.delivery.drained().await, Drained::All);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_what_waits_and_at_most_what_the_settings_say() {
    let processor = Scripted::new(|_, _| Ok(()));
    let settings = Settings { batch_records_max: 3, ..settings(Lanes::One) };
    let world = World::with(&processor, settings, records(0..7));
    assert_eq!(world.delivery.drained().await, Drained::All);
    let batches = [vec![0, 1, 2], vec![3, 4, 5], vec![6]].map(Call::Accepted);
    assert_eq!(processor.calls(), batches);
    assert_eq!(world.count(Fate::Delivered), (3, 7, 70));
    assert_eq!(world.count(Fate::Acknowledged), (3, 7, 70));
    assert_eq!(world.bytes_out(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_does_not_rise_is_refused_whole() {
    let processor = Scripted::new(|_, _| Ok(()));
    let mut world = World::with(&processor, settings(Lanes::One), records([5]));
    for sequences in [vec![5], vec![4, 6], vec![6, 7, 7]] {
        let page = world.page(records(sequences));
        assert!(world.delivery.offer(page).is_err());
    }
    world.offer(records([6]));
    assert_eq!(world.delivery.drained().await, Drained::All);
    assert_eq!((world.place(), world.bytes_out()), (Some(at(6)), 0));
}

#[tokio::test(start_paused = true)]
async fn a_page_without_records_to_deliver_moves_the_watermark() {
    let processor = Scripted::new(|_, _| Ok(()));
    let mut world = World::new(&processor, settings(Lanes::One));
    for (sequences, skipped_to) in [(vec![], 3), (vec![4], 9), (vec![10, 12], 11)] {
        let moved = world.place();
        let page = Offer { skipped_to: Some(at(skipped_to)), ..world.page(records(sequences)) };
        world.delivery.offer(page).unwrap();
        world.delivery.drained().await;
        assert_ne!(world.place(), moved);
    }
    assert_eq!(world.place(), Some(at(12)));
    assert!(processor.calls().iter().all(|call| matches!(call, Call::Accepted(_))));
}

#[tokio::test(start_paused = true)]
async fn only_the_failed_records_come_again_and_the_others_are_acknowledged_before() {
    let processor = Scripted::new(|asked, numbers| match asked {
        Asked::Process(0) => Err(Failure::partial(vec![at(1), at(2)], "no")),
        _ => Err(Failure::retry(format!("{numbers:?}"))),
    });
    let world = World::with(&processor, settings(Lanes::One), records(0..5));
    let mark = timeout(PATIENCE, world.delivery.moved(None)).await.unwrap();
    assert_eq!(mark.position, at(0));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(processor.calls()[1], Call::Refused(vec![1, 2]));
    assert_eq!((world.place(), world.count(Fate::Acknowledged)), (Some(at(0)), (1, 3, 30)));
}

#[tokio::test(start_paused = true)]
async fn halving_finds_the_poison_record_with_the_fewest_calls() {
    for poison in 0..8 {
        let processor = Scripted::new(move |asked, numbers| match asked {
            Asked::Process(_) if numbers.contains(&poison) => Err(Failure::retry("poison")),
            _ => Ok(()),
        });
        let attempts = Attempts { most: Some(1), bisect: true, ..Attempts::default() };
        let world = World::with(&processor, with_attempts(attempts), records(0..8));
        let begun = Instant::now();
        assert_eq!(world.delivery.drained().await, Drained::All);
        assert_eq!(begun.elapsed(), Duration::ZERO, "halves need not rest");
        let calls = processor.calls();
        // The whole, and two halves at each of three levels.
        assert_eq!(calls.iter().filter(|call| !matches!(call, Call::Dead(_))).count(), 7);
        assert!(calls.contains(&Call::Dead(vec![poison])));
        let settled = calls.iter().filter_map(|call| match call {
            Call::Accepted(numbers) | Call::Dead(numbers) => Some(numbers.clone()),
            _ => None,
        });
        assert!(settled.flatten().eq(0..8), "order is kept: {calls:?}");
        assert_eq!(world.count(Fate::DeadLettered), (1, 1, 10));
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_down_for_a_while_costs_no_dead_letters_with_bisect() {
    let down_until = Instant::now() + Duration::from_secs(60);
    let processor = Scripted::new(move |_, _| match Instant::now() < down_until {
        true => Err(Failure::retry("down")),
        false => Ok(()),
    });
    let attempts = Attempts { bisect: true, ..Attempts::default() };
    let world = World::with(&processor, with_attempts(attempts), records(0..1_000));
    assert_eq!(timeout(PATIENCE, world.delivery.drained()).await, Ok(Drained::All));
    // One record knocks while the sink is down; the rest of the batch comes back in a few large pieces.
    let accepted =
        processor.calls().into_iter().filter(|call| matches!(call, Call::Accepted(_))).count();
    assert!(accepted <= 11, "{accepted}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_dead_after_its_attempts_and_the_next_one_comes() {
    let processor = Scripted::new(|asked, numbers| match asked {
        Asked::Process(_) if numbers == [0, 1] => Err(Failure::retry("no")),
        _ => Ok(()),
    });
    let attempts = Attempts { most: Some(3), ..Attempts::default() };
    let settings = Settings { batch_records_max: 2, ..with_attempts(attempts) };
    let world = World::with(&processor, settings, records(0..3));
    assert_eq!(timeout(PATIENCE, world.delivery.drained()).await, Ok(Drained::All));
    let refused = || Call::Refused(vec![0, 1]);
    let dead = Call::Dead(vec![0, 1]);
    assert_eq!(processor.calls(), [refused(), refused(), refused(), dead, Call::Accepted(vec![2])]);
    assert_eq!((world.count(Fate::Retried), world.count(Fate::DeadLettered).1), ((2, 4, 40), 2));
}

#[tokio::test(start_paused = true)]
async fn records_that_grow_too_old_are_dead_and_younger_ones_come_again() {
    let processor = Scripted::new(|asked, _| match asked {
        Asked::Process(_) => Err(Failure::retry("no").after(Duration::from_secs(60))),
        Asked::DeadLetter => Ok(()),
    });
    let attempts = Attempts { age_max: Some(Duration::from_secs(90)), ..Attempts::default() };
    let mut page = records(0..2);
    page[1].arrived_at = page[1].arrived_at.map(|arrived| arrived + Duration::from_secs(60));
    let world = World::with(&processor, with_attempts(attempts), page);
    assert_eq!(timeout(PATIENCE, world.delivery.drained()).await, Ok(Drained::All));
    let both = || Call::Refused(vec![0, 1]);
    let (first, second) = (Call::Dead(vec![0]), Call::Dead(vec![1]));
    let alone = Call::Refused(vec![1]);
    assert_eq!(processor.calls(), [both(), both(), both(), first, alone, second]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_acknowledged_only_once_the_queue_has_it() {
    let (refusals, left) = (5, AtomicUsize::new(5));
    let processor = Scripted::new(move |asked, _| match asked {
        Asked::Process(_) => Err(Failure::retry("no")),
        Asked::DeadLetter if left.load(Relaxed) > 0 => {
            left.fetch_sub(1, Relaxed);
            Err(Failure::retry("the queue is down").after(Duration::from_secs(10)))
        }
        Asked::DeadLetter => Ok(()),
    });
    let attempts = Attempts { most: Some(1), ..Attempts::default() };
    let world = World::with(&processor, with_attempts(attempts), records([1]));
    sleep(Duration::from_secs(45)).await;
    assert_eq!(processor.calls().len(), 1 + refusals);
    assert_eq!((world.place(), world.count(Fate::DeadLettered)), (None, (0, 0, 0)));
    assert_eq!(timeout(PATIENCE, world.delivery.drained()).await, Ok(Drained::All));
    assert_eq!((world.place(), world.count(Fate::DeadLettered)), (Some(at(1)), (1, 1, 10)));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_that_is_tried_again() {
    let reasons = Arc::new(Mutex::new(Vec::new()));
    struct Panics(Arc<Mutex<Vec<String>>>);
    impl Processor for Panics {
        async fn process(&self, batch: &Batch) -> Result<(), Failure> {
            assert!(batch.attempt > 1, "attempt {}", batch.attempt);
            Err(Failure::retry("no"))
        }
        async fn dead_letter(&self, _: &Batch, failure: &Failure) -> Result<(), Failure> {
            self.0.lock().unwrap().push(failure.reason.clone());
            let times = self.0.lock().unwrap().len();
            assert!(times > 1, "the first time");
            Ok(())
        }
    }
    let attempts = Attempts { most: Some(2), ..Attempts::default() };
    let processor = Arc::new(Panics(reasons.clone()));
    let world = World::with(&processor, with_attempts(attempts), records([1]));
    assert_eq!(timeout(PATIENCE, world.delivery.drained()).await, Ok(Drained::All));
    assert_eq!(*reasons.lock().unwrap(), ["the processor panicked: attempt 1"; 2]);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_delivery_drops_every_call_and_gives_the_room_back() {
    let (processor, _gates) = Gated::new(0..9);
    let world = World::with(&processor, one_by_one(Lanes::Unordered(4)), records(0..9));
    settle().await;
    assert_eq!((processor.open.load(Relaxed), world.bytes_out()), (4, 90));
    let out = world.out.clone();
    drop(world);
    settle().await;
    assert_eq!((processor.open.load(Relaxed), out.load(Relaxed)), (0, 0));
}

/// Loses its lease while it works, and accepts nevertheless.
struct TooLate(Mutex<Option<Delivery<testing::Share>>>);

impl Processor for TooLate {
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        self.process_with(batch, &Progress::untracked()).await
    }

    async fn process_with(&self, _: &Batch, progress: &Progress) -> Result<(), Failure> {
        assert!(progress.accept(0));
        drop(self.0.lock().unwrap().take());
        assert!(!progress.accept(1));
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_accepted_after_the_lease_was_lost_is_ignored_and_counted() {
    let processor = Arc::new(TooLate(Mutex::default()));
    let World { mut delivery, out, counts } = World::new(&processor, settings(Lanes::One));
    let account = delivery.account.clone();
    let page = World::page_of(&out, records(0..3));
    delivery.offer(page).unwrap();
    *processor.0.lock().unwrap() = Some(delivery);
    settle().await;
    assert_eq!(account.watermark().map(|mark| mark.position), Some(at(0)));
    // One by itself, one with its batch.
    assert_eq!(counts.of(Fate::Late), (2, 2, 20));
    assert_eq!(counts.of(Fate::Acknowledged), (1, 1, 10));
}

#[tokio::test(start_paused = true)]
async fn told_to_stop_batches_in_work_are_finished_and_no_other_is_begun() {
    let (processor, mut gates) = Gated::new(0..9);
    let world = World::with(&processor, one_by_one(Lanes::Unordered(3)), records(0..9));
    settle().await;
    world.delivery.stop_retrying();
    gates.remove(&0).unwrap().send(Ok(())).unwrap();
    gates.remove(&2).unwrap().send(Err(Failure::retry("no"))).unwrap();
    settle().await;
    assert!(timeout(PATIENCE, world.delivery.drained()).await.is_err(), "1 is in work");
    gates.remove(&1).unwrap().send(Ok(())).unwrap();
    // Accepted while the lease is handed over: it counts.
    assert_eq!(timeout(PATIENCE, world.delivery.drained()).await, Ok(Drained::Part));
    assert_eq!((world.place(), world.count(Fate::Delivered).1), (Some(at(1)), 3));
    assert!(!world.delivery.room().await);
}

#[tokio::test(start_paused = true)]
async fn told_to_stop_a_batch_that_rests_is_given_up_at_once() {
    let processor =
        Scripted::new(|_, _| Err(Failure::retry("no").after(Duration::from_secs(3_600))));
    let world = World::with(&processor, settings(Lanes::One), records([1]));
    settle().await;
    world.delivery.stop_retrying();
    assert_eq!(timeout(PATIENCE, world.delivery.drained()).await, Ok(Drained::Part));
    assert_eq!((world.place(), processor.calls().len()), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_last_batch_that_fails_keeps_the_shard_from_being_drained() {
    let processor = Scripted::new(|_, numbers| match numbers {
        [.., 9] => Err(Failure::retry("no")),
        _ => Ok(()),
    });
    let settings = Settings { batch_records_max: 5, ..settings(Lanes::One) };
    let world = World::with(&processor, settings, records(0..10));
    assert!(timeout(PATIENCE, world.delivery.drained()).await.is_err());
    assert_eq!(world.place(), Some(at(4)));
}

#[tokio::test(start_paused = true)]
async fn a_fatal_failure_stops_all_lanes_and_is_told() {
    let processor = Scripted::new(|_, numbers| match numbers {
        [1] => Err(Failure::fatal("the disk is gone")),
        _ => Ok(()),
    });
    let world = World::with(&processor, one_by_one(Lanes::One), records(0..5));
    assert_eq!(timeout(PATIENCE, world.delivery.drained()).await, Ok(Drained::Failed));
    assert_eq!((world.place(), processor.calls().len()), (Some(at(0)), 2));
    let failure = world.delivery.stopped_by().unwrap();
    assert_eq!((failure.reason.as_str(), &failure.scope), ("the disk is gone", &Scope::Consumer));
    assert_eq!(world.delivery.failed().await, failure);
}

#[tokio::test(start_paused = true)]
async fn one_lane_never_has_two_batches_in_work() {
    let (processor, gates) = Gated::new(0..5);
    let world = World::with(&processor, one_by_one(Lanes::One), records(0..5));
    for (_, gate) in gates {
        settle().await;
        assert_eq!(processor.open.load(Relaxed), 1);
        gate.send(Ok(())).unwrap();
    }
    assert_eq!(world.delivery.drained().await, Drained::All);
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_never_answers_bounds_what_is_taken_in() {
    const PAGE: usize = 300_000;
    for lanes in [Lanes::One, Lanes::ByKey(4), Lanes::Unordered(4)] {
        let settings = Settings { batch_records_max: 10, ..settings(lanes) };
        let mut world = World::new(&Arc::new(Stuck), settings);
        let mut last = 0;
        while timeout(PATIENCE, world.delivery.room()).await == Ok(true) {
            let page = (last..last + 100).map(|n| record(n, &n.to_string(), PAGE / 100));
            world.offer(page.collect());
            last += 100;
            settle().await;
        }
        let in_work = 4 * 10 * PAGE / 100;
        let most = (1 << 20) + PAGE + in_work;
        assert!(world.bytes_out() <= most, "{lanes:?}: {}", world.bytes_out());
        assert!(world.bytes_out() >= 1 << 20, "{lanes:?}: {}", world.bytes_out());
    }
}

#[tokio::test(start_paused = true)]
async fn small_records_are_bounded_by_their_number() {
    let mut world = World::new(&Arc::new(Stuck), settings(Lanes::One));
    let mut last = 0;
    while timeout(PATIENCE, world.delivery.room()).await == Ok(true) {
        world.offer((last..last + 4_000).map(|n| record(n, "", 0)).collect());
        last += 4_000;
        settle().await;
    }
    // One batch of 1,000 in work, 11,000 waiting.
    assert_eq!(last, 12_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn lanes_on_many_threads_settle_everything_once() {
    struct Yields(AtomicUsize);
    impl Processor for Yields {
        async fn process(&self, batch: &Batch) -> Result<(), Failure> {
            tokio::task::yield_now().await;
            if batch.attempt == 0 && number(&batch.records[0]).is_multiple_of(97) {
                return Err(Failure::retry("no").after(Duration::ZERO));
            }
            self.0.fetch_add(batch.records.len(), Relaxed);
            Ok(())
        }
    }
    const RECORDS: u64 = 50_000;
    for lanes in [Lanes::One, Lanes::ByKey(7), Lanes::Unordered(7)] {
        let processor = Arc::new(Yields(AtomicUsize::default()));
        let settings = Settings { batch_records_max: 10, ..settings(lanes) };
        let mut world = World::new(&processor, settings);
        for first in (0..RECORDS).step_by(1_000) {
            assert!(world.delivery.room().await);
            let page = (first..first + 1_000).map(|n| record(n, &(n % 50).to_string(), 10));
            world.offer(page.collect());
        }
        assert_eq!(world.delivery.drained().await, Drained::All);
        assert_eq!(world.place(), Some(at(RECORDS - 1)));
        assert_eq!(processor.0.load(Relaxed) as u64, RECORDS);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_breaks_stops_the_consumer() {
    struct Broken;
    impl Metrics for Broken {
        fn records(&self, _: Fate, _: u64, _: u64) {
            panic!("metrics must not panic");
        }
    }
    let processor = Scripted::new(|_, _| Ok(()));
    let now: Now = Arc::new(|| std::time::SystemTime::UNIX_EPOCH);
    let (shard, settings) = (ShardContext::new("shard", 7), Arc::new(settings(Lanes::ByKey(2))));
    let metrics: Arc<dyn Metrics> = Arc::new(Broken);
    let mut delivery = Delivery::start(&processor, &shard, &settings, &metrics, &now);
    delivery.offer(World::page_of(&Arc::default(), records([1]))).unwrap();
    assert_eq!(timeout(PATIENCE, delivery.drained()).await, Ok(Drained::Failed));
}

/// Fails for ever what has the key `bad`.
fn only_good_keys() -> Arc<impl Processor> {
    struct Good;
    impl Processor for Good {
        async fn process(&self, batch: &Batch) -> Result<(), Failure> {
            let key = |record: &Record| record.partition_key.clone();
            match batch.records.iter().any(|record| key(record) == Some("bad".into())) {
                true => Err(Failure::retry("no")),
                false => Ok(()),
            }
        }
    }
    Arc::new(Good)
}

#[tokio::test(start_paused = true)]
async fn a_record_that_fails_for_ever_blocks_its_lane_alone_until_the_span_is_full() {
    let mut world = World::new(&only_good_keys(), settings(Lanes::ByKey(8)));
    world.offer(vec![record(0, "good", 10), record(1, "bad", 10)]);
    let mut last = 2;
    while timeout(PATIENCE, world.delivery.room()).await == Ok(true) {
        world.offer((last..last + 1_000).map(|n| record(n, "good", 10)).collect());
        last += 1_000;
        settle().await;
    }
    assert_eq!(world.place(), Some(at(0)));
    let most = SPAN_MAX as u64;
    assert!((most..most + 2_000).contains(&last), "{last}");
    // What is settled has given its room back.
    assert!(world.bytes_out() <= 20, "{}", world.bytes_out());
}

#[tokio::test(start_paused = true)]
async fn room_is_given_back_while_a_record_of_the_page_is_in_work() {
    let (processor, mut gates) = Gated::new([0]);
    let page = (0..100).map(|n| record(n, "", 10_000)).collect();
    let world = World::with(&processor, one_by_one(Lanes::Unordered(2)), page);
    settle().await;
    // The neighbours of record 0 up to 64 KiB share its part.
    let part = 7 * (10_000 + size_of::<Record>());
    assert_eq!((world.bytes_out(), world.place()), (part, None));
    gates.remove(&0).unwrap().send(Ok(())).unwrap();
    assert_eq!(world.delivery.drained().await, Drained::All);
    settle().await;
    assert_eq!(world.bytes_out(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_gives_its_room_back_with_its_last_sub_record() {
    let (processor, mut gates) = Gated::new([0]);
    let sub_record = |sub_sequence| {
        let mut record = record(0, "", 10_000);
        record.position.sub_sequence = sub_sequence;
        record
    };
    let page = (0..100).map(sub_record).collect();
    let world = World::with(&processor, one_by_one(Lanes::Unordered(2)), page);
    settle().await;
    assert_eq!((world.bytes_out(), world.place()), (1_000_000, None));
    gates.remove(&0).unwrap().send(Ok(())).unwrap();
    settle().await;
    assert_eq!(world.bytes_out(), 0);
    assert_eq!(world.place(), Some(Position { sub_sequence: 99, ..at(0) }));
}

#[tokio::test(start_paused = true)]
async fn records_without_key_take_turns_among_the_lanes() {
    let (processor, _gates) = Gated::new(0..8);
    let _world = World::with(&processor, one_by_one(Lanes::ByKey(8)), records(0..8));
    settle().await;
    assert_eq!(processor.open.load(Relaxed), 8);
}

/// Takes its time, fails as it likes, and writes down what it accepted, by key.
#[derive(Default)]
struct Moody {
    seed: Mutex<fastrand::Rng>,
    accepted: Mutex<BTreeMap<String, Vec<u64>>>,
}

impl Moody {
    /// Which records of a batch fail: none, all, or one with what of its key comes after it.
    fn mood(&self, batch: &Batch) -> Result<(), Failure> {
        let mut rng = self.seed.lock().unwrap();
        let records = &batch.records;
        let left: Vec<_> = match rng.u8(..4) {
            0 => return Err(Failure::retry("a bad day")),
            1 => {
                let from = rng.usize(..records.len());
                let key = records[from].partition_key.clone();
                records[from..].iter().filter(|record| record.partition_key == key).collect()
            }
            _ => Vec::new(),
        };
        let mut accepted = self.accepted.lock().unwrap();
        for record in records.iter().filter(|record| !left.contains(record)) {
            let key = record.partition_key.clone().unwrap().to_string();
            accepted.entry(key).or_default().push(number(record));
        }
        let left: Vec<_> = left.into_iter().map(|record| record.position).collect();
        if left.is_empty() { Ok(()) } else { Err(Failure::partial(left, "a bad moment")) }
    }
}

impl Processor for Moody {
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        let pause = self.seed.lock().unwrap().u64(..50);
        sleep(Duration::from_millis(pause)).await;
        self.mood(batch)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn keys_keep_their_order_in_eight_lanes_whatever_fails(
        seed: u64,
        keys in prop::collection::vec(prop::collection::vec(0..30_u8, 0..60), 1..8),
        batch_records_max in 1_usize..20,
        bisect: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let seed = Mutex::new(fastrand::Rng::with_seed(seed));
            let processor = Arc::new(Moody { seed, accepted: Mutex::default() });
            let attempts = Attempts { bisect, ..Attempts::default() };
            let settings =
                Settings { batch_records_max, attempts, ..settings(Lanes::ByKey(8)) };
            let mut world = World::new(&processor, settings);
            let mut expected: BTreeMap<String, Vec<u64>> = BTreeMap::new();
            let mut last = 0;
            for page in keys {
                let mut records = Vec::new();
                for key in page {
                    last += 1;
                    records.push(record(last, &key.to_string(), 10));
                    expected.entry(key.to_string()).or_default().push(last);
                }
                world.delivery.room().await;
                world.offer(records);
                sleep(Duration::from_millis(30)).await;
            }
            assert_eq!(timeout(100 * PATIENCE, world.delivery.drained()).await, Ok(Drained::All));
            assert_eq!(*processor.accepted.lock().unwrap(), expected);
            assert_eq!(world.place(), (last > 0).then(|| at(last)));
            assert_eq!(world.count(Fate::Acknowledged).1, last);
            settle().await;
            assert_eq!(world.bytes_out(), 0);
        });
    }
}
