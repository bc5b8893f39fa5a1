use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::*;
use crate::limit::Fared;

fn turns(least: usize, most: usize) -> Turns {
    Turns::new(Limiter::new(least, most), IntGauge::new("limit", "limit").unwrap())
}

fn pressed() -> Observation {
    let started = Instant::now();
    let ended = started + Duration::from_millis(1);
    Observation { started, ended, fared: Fared::Pressed, kind: 0, demand: false }
}

#[test]
fn no_more_have_a_turn_at_once_than_the_limit_says() {
    let turns = turns(1, 2);
    let first = turns.turn(None).now_or_never().unwrap();
    let _second = turns.turn(None).now_or_never().unwrap();
    let mut third = Box::pin(turns.turn(None));
    assert!(third.as_mut().now_or_never().is_none());
    drop(first);
    assert!(third.as_mut().now_or_never().is_some());
}

#[test]
fn a_turn_that_nobody_waits_for_any_more_goes_to_the_next() {
    let turns = turns(1, 1);
    let first = turns.turn(None).now_or_never().unwrap();
    let mut given_up = Box::pin(turns.turn(None));
    let mut given_late = Box::pin(turns.turn(None));
    let mut last = Box::pin(turns.turn(None));
    for waiting in [&mut given_up, &mut given_late, &mut last] {
        assert!(waiting.as_mut().now_or_never().is_none());
    }
    drop(given_up);
    drop(first);
    // It has the turn by now, and does not look.
    drop(given_late);
    assert!(last.as_mut().now_or_never().is_some());
}

#[test]
fn pressure_lowers_how_many_work_and_how_many_are_received() {
    let turns = turns(1, 4);
    let seats: Vec<_> = (0..4).map(|_| turns.seat()).collect();
    let working: Vec<_> = (0..4).map(|_| turns.turn(None).now_or_never().unwrap()).collect();
    assert!(turns.room().now_or_never().is_some());
    turns.observe(pressed());
    assert_eq!(turns.0.limit.get(), 2);
    assert!(turns.room().now_or_never().is_none());
    let mut next = Box::pin(turns.turn(None));
    assert!(next.as_mut().now_or_never().is_none());
    let mut working = working.into_iter();
    drop((working.next(), working.next()));
    assert!(next.as_mut().now_or_never().is_none(), "two still work");
    drop(working.next());
    assert!(next.as_mut().now_or_never().is_some());
    drop(seats);
    assert!(turns.room().now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_receive_that_waits_for_room_is_woken() {
    let turns = turns(1, 1);
    let seats = [turns.seat(), turns.seat()];
    let waiting = tokio::spawn({
        let turns = turns.clone();
        async move { turns.room().await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(seats);
    waiting.await.unwrap();
}
