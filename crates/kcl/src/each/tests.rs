use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::dead_letters::with_dead_letters;
use crate::delivery::Drained;
use crate::delivery::testing::{
    PATIENCE, World, at, number, numbers, record, records, settings, settle,
};
use crate::metrics::Fate;
use crate::settings::{Attempts, Lanes, Settings};

type Log = Arc<Mutex<Vec<u64>>>;

/// Ten milliseconds for a record; what is in `bad` fails the first time.
fn slow(log: &Log, bad: &'static [u64]) -> Each<impl Fn(Record, ShardContext) -> Slow + use<>> {
    let log = log.clone();
    each(move |record, _| Box::pin(call(log.clone(), bad, number(&record))) as Slow)
}

type Slow = std::pin::Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

async fn call(log: Log, bad: &'static [u64], number: u64) -> Result<(), Failure> {
    sleep(Duration::from_millis(10)).await;
    let mut log = log.lock().unwrap();
    let is_first = !log.contains(&number);
    log.push(number);
    if is_first && bad.contains(&number) { Err(Failure::retry(number.to_string())) } else { Ok(()) }
}

fn keyed(keys: &[&str]) -> Vec<Record> {
    keys.iter().zip(0..).map(|(key, number)| record(number, key, 10)).collect()
}

async fn run(processor: impl Processor, page: Vec<Record>) -> (World, Duration) {
    let begun = Instant::now();
    let world = World::with(&Arc::new(processor), settings(Lanes::One), page);
    assert_eq!(timeout(PATIENCE, world.delivery.drained()).await, Ok(Drained::All));
    (world, begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn records_come_one_after_the_other_and_a_failure_holds_up_those_behind_it() {
    let log = Log::default();
    run(slow(&log, &[1]), keyed(&["a", "b", "c"])).await;
    assert_eq!(*log.lock().unwrap(), [0, 1, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn keys_run_side_by_side_and_keep_their_order() {
    let log = Log::default();
    let (world, _) = run(slow(&log, &[0]).concurrency(3), keyed(&["a", "b", "a", "", ""])).await;
    let mut log = log.lock().unwrap();
    assert_eq!(log.iter().filter(|&&number| number == 1 || number > 2).count(), 3, "{log:?}");
    log.retain(|number| [0, 2].contains(number));
    assert_eq!(*log, [0, 0, 2], "2 was not touched before 0 was accepted");
    assert_eq!(world.count(Fate::Retried), (1, 2, 20));
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_than_asked_for_run_at_once() {
    for (calls, unordered, millis) in [(1, true, 80), (4, true, 20), (4, false, 40)] {
        let processor = slow(&Log::default(), &[]).concurrency(calls);
        let processor = if unordered { processor.unordered() } else { processor };
        // Two keys: in order, never more than two calls.
        let (_, took) = run(processor, keyed(&["a", "b", "a", "b", "a", "b", "a", "b"])).await;
        // Tokio's timer ticks in milliseconds.
        assert_eq!(took.as_millis() / 10 * 10, millis, "{calls} {unordered}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_watermark_moves_with_each_record() {
    let log = Log::default();
    let world = World::with(&Arc::new(slow(&log, &[])), settings(Lanes::One), records(0..3));
    for number in 0..3 {
        let from = world.place();
        assert_eq!(world.delivery.moved(from).await.position, at(number));
    }
    assert_eq!(world.delivery.drained().await, Drained::All);
    settle().await;
    assert_eq!(world.count(Fate::Acknowledged), (1, 3, 30));
}

#[tokio::test(start_paused = true)]
async fn a_poison_record_goes_to_the_dead_letter_queue_without_those_behind_it() {
    let (calls, dead) = (Log::default(), Log::default());
    let log = calls.clone();
    let processor = each(move |record, _| {
        log.lock().unwrap().push(number(&record));
        std::future::ready(match number(&record) {
            1 => Err(Failure::retry("poison")),
            _ => Ok(()),
        })
    });
    let queue = dead.clone();
    let processor = with_dead_letters(processor, move |batch, failure| {
        assert_eq!(failure.reason, "poison");
        queue.lock().unwrap().extend(numbers(&batch.records));
        std::future::ready(Ok(()))
    });
    let attempts = Attempts { most: Some(2), bisect: true, ..Attempts::default() };
    let settings = Settings { attempts, ..settings(Lanes::One) };
    let world = World::with(&Arc::new(processor), settings, records(0..5));
    assert_eq!(timeout(PATIENCE, world.delivery.drained()).await, Ok(Drained::All));
    assert_eq!((&*dead.lock().unwrap(), world.place()), (&vec![1], Some(at(4))));
    assert!(calls.lock().unwrap().iter().filter(|&&number| number != 1).eq(&[0, 2, 3, 4]));
}

#[tokio::test(start_paused = true)]
async fn without_a_dead_letter_queue_nothing_is_given_up() {
    let processor = each(|_, _| std::future::ready(Err(Failure::retry("poison"))));
    let attempts = Attempts { most: Some(1), ..Attempts::default() };
    let settings = Settings { attempts, ..settings(Lanes::One) };
    let world = World::with(&Arc::new(processor), settings, records(0..3));
    sleep(Duration::from_secs(60)).await;
    assert_eq!((world.place(), world.count(Fate::DeadLettered)), (None, (0, 0, 0)));
    world.delivery.stop_retrying();
    assert_eq!(world.delivery.drained().await, Drained::Part);
}

#[tokio::test(start_paused = true)]
async fn a_fatal_failure_is_that_of_the_batch() {
    let processor = each(|record, _| {
        std::future::ready(match number(&record) {
            1 => Err(Failure::fatal("enough")),
            _ => Ok(()),
        })
    });
    let world = World::with(&Arc::new(processor), settings(Lanes::One), records(0..3));
    assert_eq!(timeout(PATIENCE, world.delivery.drained()).await, Ok(Drained::Failed));
    assert_eq!(world.place(), Some(at(0)));
    assert_eq!(world.delivery.stopped_by().unwrap().reason, "enough");
}
