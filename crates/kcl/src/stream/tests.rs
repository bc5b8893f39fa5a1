use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::*;
use crate::delivery::Drained;
use crate::delivery::testing::{PATIENCE, World, at, number, records, settings, settle};
use crate::metrics::Fate;
use crate::settings::{Lanes, Settings};

fn start(capacity: usize, settings: Settings, many: u64) -> (World, Deliveries) {
    let (processor, deliveries) = stream(capacity);
    (World::with(&Arc::new(processor), settings, records(0..many)), deliveries)
}

async fn take(deliveries: &mut Deliveries, many: usize) -> Vec<Option<RecordDelivery>> {
    let mut taken = Vec::new();
    for _ in 0..many {
        taken.push(Some(timeout(PATIENCE, deliveries.next()).await.unwrap().unwrap()));
    }
    taken
}

#[tokio::test(start_paused = true)]
async fn the_watermark_follows_single_acknowledgements_in_any_order() {
    let (world, mut deliveries) = start(10, settings(Lanes::One), 4);
    let mut taken = take(&mut deliveries, 4).await;
    for (index, watermark) in [(2, None), (0, Some(0)), (1, Some(2)), (3, Some(3))] {
        assert!(taken[index].take().unwrap().ack());
        assert_eq!(world.place(), watermark.map(at));
    }
    assert_eq!(world.delivery.drained().await, Drained::All);
    settle().await;
    assert_eq!(world.count(Fate::Acknowledged), (1, 4, 40));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_or_dropped_comes_again_and_nothing_else() {
    let (world, mut deliveries) = start(10, settings(Lanes::One), 4);
    let mut taken = take(&mut deliveries, 4).await;
    taken[1].take().unwrap().nack("not now");
    drop(taken[3].take());
    assert!(taken[0].take().unwrap().ack() && taken[2].take().unwrap().ack());
    let again = take(&mut deliveries, 2).await;
    for (delivery, expected) in again.into_iter().flatten().zip([1, 3]) {
        assert_eq!((number(delivery.record()), delivery.attempt()), (expected, 1));
        assert_eq!(&*delivery.shard().id, "shard");
        assert!(delivery.ack());
    }
    assert_eq!(world.delivery.drained().await, Drained::All);
}

#[tokio::test(start_paused = true)]
async fn many_are_in_flight_at_once_and_no_more_than_asked_for() {
    let settings = Settings { batch_records_max: 10, ..settings(Lanes::Unordered(5)) };
    let (world, mut deliveries) = start(7, settings, 100);
    let held = take(&mut deliveries, 50).await;
    assert!(timeout(PATIENCE, deliveries.next()).await.is_err());
    assert_eq!(world.place(), None);
    for delivery in held.into_iter().flatten() {
        delivery.ack();
    }
    let rest = take(&mut deliveries, 50).await;
    rest.into_iter().flatten().for_each(|delivery| _ = delivery.ack());
    assert_eq!(world.delivery.drained().await, Drained::All);
}

#[tokio::test(start_paused = true)]
async fn a_full_stream_holds_back_the_consumer() {
    let (world, mut deliveries) = start(3, settings(Lanes::One), 100);
    settle().await;
    assert_eq!(deliveries.0.len(), 3);
    let first = take(&mut deliveries, 1).await;
    settle().await;
    assert_eq!((deliveries.0.len(), world.place()), (3, None));
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_after_the_lease_was_lost_is_ignored_and_counted() {
    let (world, mut deliveries) = start(10, settings(Lanes::One), 3);
    let mut taken = take(&mut deliveries, 2).await;
    let counts = world.counts.clone();
    assert!(taken[0].take().unwrap().ack());
    drop(world);
    settle().await;
    assert!(!taken[1].take().unwrap().ack());
    assert_eq!(counts.of(Fate::Late), (1, 1, 10));
    // The one that nobody took yet is not shown any more.
    assert!(timeout(PATIENCE, deliveries.next()).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_stream_stops_the_consumer() {
    let (world, mut deliveries) = start(2, settings(Lanes::One), 5);
    let mut taken = take(&mut deliveries, 1).await;
    drop(deliveries);
    assert!(taken[0].take().unwrap().ack());
    assert_eq!(timeout(PATIENCE, world.delivery.drained()).await, Ok(Drained::Failed));
    assert_eq!(world.place(), Some(at(0)));
}

#[tokio::test(start_paused = true)]
async fn told_to_stop_what_is_in_flight_may_still_be_acknowledged() {
    let (world, mut deliveries) = start(10, settings(Lanes::One), 2);
    let taken = take(&mut deliveries, 2).await;
    world.delivery.stop_retrying();
    sleep(Duration::from_secs(1)).await;
    taken.into_iter().flatten().for_each(|delivery| assert!(delivery.ack()));
    assert_eq!(timeout(PATIENCE, world.delivery.drained()).await, Ok(Drained::All));
}
