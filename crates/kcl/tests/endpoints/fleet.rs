//! Workers that share the shards of a stream, in both modes that need no leader.

use kcl::Mode;

use crate::tale::Tale;
use crate::world::{SHORT, World, until};

async fn two_workers_read_every_record_once_in_the_order_of_its_key(mode: Mode) {
    let world = World::with_shards(4, mode).await;
    let tale = Tale::default();
    let (a, b) = (world.start("a", &tale).await, world.start("b", &tale).await);
    world.is_held_by(&[("a", 2), ("b", 2)]).await;
    until("both read two shards", async || {
        a.status.borrow().held == 2 && b.status.borrow().held == 2
    })
    .await;
    world.put(0..1_000).await;
    until("all arrive", async || tale.distinct().len() == 1_000).await;
    assert_eq!(tale.workers().len(), 2);
    a.stop().await;
    b.stop().await;
    tale.assert_each_once(0..1_000);
    tale.assert_order_of_keys();
    tale.assert_one_owner_at_a_time();
    world.end().await;
}

async fn the_leases_of_a_worker_that_stops_go_to_the_other(mode: Mode) {
    let world = World::with_shards(4, mode).await;
    let tale = Tale::default();
    let a = world.start("a", &tale).await;
    world.is_held_by(&[("a", 4)]).await;
    world.put(0..200).await;
    until("all arrive at a", async || tale.deliveries().len() == 200).await;
    let b = world.start("b", &tale).await;
    world.is_held_by(&[("a", 2), ("b", 2)]).await;
    a.stop().await;
    world.put(200..400).await;
    world.is_held_by(&[("b", 4)]).await;
    until("all arrive", async || tale.distinct().len() == 400).await;
    b.stop().await;
    tale.assert_order_of_keys();
    tale.assert_one_owner_at_a_time();
    if mode == Mode::Native {
        tale.assert_each_once(0..400);
    }
    world.end().await;
}

async fn a_crashed_worker_is_replaced_and_nothing_is_lost(mode: Mode) {
    let world = World::with_shards(4, mode).await.failing_over(SHORT);
    let tale = Tale::default();
    let (a, b) = (world.start("a", &tale).await, world.start("b", &tale).await);
    world.is_held_by(&[("a", 2), ("b", 2)]).await;
    world.put(0..200).await;
    until("some arrive at a", async || tale.workers().contains("a")).await;
    a.crash();
    world.put(200..400).await;
    world.is_held_by(&[("b", 4)]).await;
    until("all arrive", async || tale.distinct().len() == 400).await;
    b.stop().await;
    tale.assert_order_of_keys();
    tale.assert_one_owner_at_a_time();
    world.end().await;
}

async fn workers_that_start_at_once_on_an_empty_table_get_each_lease_but_once(mode: Mode) {
    let world = World::with_shards(4, mode).await;
    let tale = Tale::default();
    let (a, b) = tokio::join!(world.start("a", &tale), world.start("b", &tale));
    world.is_held_by(&[("a", 2), ("b", 2)]).await;
    until("both read two shards", async || {
        a.status.borrow().held == 2 && b.status.borrow().held == 2
    })
    .await;
    assert_eq!(world.leases().await.len(), 4);
    tale.assert_one_owner_at_a_time();
    world.put(0..200).await;
    until("all arrive", async || tale.distinct().len() == 200).await;
    a.stop().await;
    b.stop().await;
    tale.assert_each_once(0..200);
    world.end().await;
}

macro_rules! in_mode {
    ($name:ident: $mode:expr; $($test:ident)*) => {
        mod $name {
            $(#[tokio::test]
            async fn $test() {
                super::$test($mode).await;
            })*
        }
    };
}

macro_rules! in_both_modes {
    ($($test:ident)*) => {
        in_mode!(native: kcl::Mode::Native; $($test)*);
        in_mode!(compat2x: kcl::Mode::Compat2x; $($test)*);
    };
}

in_both_modes! {
    two_workers_read_every_record_once_in_the_order_of_its_key
    the_leases_of_a_worker_that_stops_go_to_the_other
    a_crashed_worker_is_replaced_and_nothing_is_lost
    workers_that_start_at_once_on_an_empty_table_get_each_lease_but_once
}
