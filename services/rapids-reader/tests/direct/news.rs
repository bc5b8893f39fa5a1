//! How the reader learns of new routes, and what holds from then on.

use std::time::Duration;

use local_aws::{Fault, LocalAws, Service};
use rapids_reader::Config;
use tokio::time::sleep;

use crate::common::World;
use crate::rig::{Reader, config, event, in_order, nudge, until, world};

#[tokio::test(start_paused = true)]
async fn the_very_next_event_behind_a_nudge_is_routed() {
    let world = world().await;
    let queue = world.make_queue("views-dev").await;
    let reader = Reader::start(&world, config()).await;
    world.put_texts(&[&event("ViewPage", 1)]).await;
    world.take(&world.river, |taken| taken.len() == 1).await;
    world.route("views", &queue, r#"{"topic":"ViewPage"}"#).await;
    world.routes_version(2).await;
    // Known by the rapids alone: nobody looks by himself.
    world.put_texts(&[&event("ViewPage", 2)]).await;
    world.take(&world.river, |taken| taken.len() == 1).await;
    world.put_texts(&[&nudge(2), &event("ViewPage", 3)]).await;
    let messages = world.take(&queue, |taken| !taken.is_empty()).await;
    assert_eq!(in_order(&messages), [3]);
    let carried = world.take(&world.river, |taken| taken.len() >= 2).await;
    assert_eq!(in_order(&carried), [0, 3], "the nudge is an event like any other");
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_nudge_waits_for_dynamodb_and_one_that_tells_of_nothing_waits_for_nobody() {
    let world = world().await;
    let queue = world.make_queue("views-dev").await;
    let reader = Reader::start(&world, config()).await;
    world.put_texts(&[&event("ViewPage", 1)]).await;
    world.take(&world.river, |taken| taken.len() == 1).await;
    world.route("views", &queue, r#"{"topic":"ViewPage"}"#).await;
    world.routes_version(2).await;
    let get = Fault::on(Service::DynamoDb, "GetItem").matching("Rivers-dev");
    world.aws.faults().add(get.always().throttle());
    world.put_texts(&[&nudge(2), &event("ViewPage", 2), &event("ViewPage", 3)]).await;
    sleep(Duration::from_secs(30)).await;
    assert!(world.receive(&world.river).await.is_empty(), "nothing is carried by old routes");
    world.aws.faults().clear();
    let scan = Fault::on(Service::DynamoDb, "Scan").matching("Rivers-dev");
    world.aws.faults().add(scan.times(5).throttle());
    let messages = world.take(&queue, |taken| taken.len() >= 2).await;
    assert_eq!(in_order(&messages), [2, 3]);
    let carried = world.take(&world.river, |taken| taken.len() >= 3).await;
    assert_eq!(in_order(&carried), [0, 2, 3]);
    // Of a table that was lost, or of nobody knows what: the shard goes on.
    world
        .put_texts(&[&nudge(1_000), r#"{"eventType":"system.RoutesChanged","eventId":"1"}"#])
        .await;
    world.take(&world.river, |taken| taken.len() == 2).await;
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_takes_over_a_shard_knows_what_was_told_to_the_one_before() {
    let world = world().await;
    let queue = world.make_queue("views-dev").await;
    let first = Reader::start(&world, config()).await;
    world.put_texts(&[&event("ViewPage", 1)]).await;
    world.take(&world.river, |taken| taken.len() == 1).await;
    // Looks up its routes now, and gets the shard later.
    let second = Reader::start(&world, config()).await;
    world.route("views", &queue, r#"{"topic":"ViewPage"}"#).await;
    world.routes_version(2).await;
    world.put_texts(&[&nudge(2)]).await;
    world.take(&world.river, |taken| taken.len() == 1).await;
    assert_eq!(first.metric("rapids_reader_routes_version "), 2.0);
    first.stop().await;
    assert_eq!(second.metric("rapids_reader_routes_version "), 1.0);
    world.put_texts(&[&event("ViewPage", 2)]).await;
    assert_eq!(in_order(&world.take(&world.river, |taken| !taken.is_empty()).await), [2]);
    assert_eq!(in_order(&world.take(&queue, |taken| !taken.is_empty()).await), [2]);
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn routes_are_found_by_looking_every_so_often_too() {
    let world = World::new(LocalAws::new(), 1).await;
    let queue = world.make_queue("views-dev").await;
    let every = Duration::from_secs(5);
    let reader = Reader::start(&world, Config { routes_every: every, ..config() }).await;
    world.put_texts(&[&event("ViewPage", 1)]).await;
    world.take(&world.river, |taken| taken.len() == 1).await; // A stage without the table.
    world.table("Rivers-dev", "River").await;
    world.route("views", &queue, r#"{"topic":"ViewPage"}"#).await;
    world.routes_version(1).await;
    until("the routes are found", async || reader.metric("rapids_reader_routes ") > 0.0).await;
    world.put_texts(&[&event("ViewPage", 2)]).await;
    assert_eq!(in_order(&world.take(&queue, |taken| !taken.is_empty()).await), [2]);
    reader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_river_is_owed_it_gets_though_it_is_not_fed_directly_any_more() {
    let world = world().await;
    let queue = world.make_queue("views-dev").await;
    world.route("views", &queue, r#"{"topic":"*"}"#).await;
    let outage = Fault::on(Service::Sqs, "SendMessageBatch").always();
    world.aws.faults().add(outage.error(500, "InternalFailure", "scripted"));
    let every = Duration::from_secs(1);
    let reader = Reader::start(&world, Config { routes_every: every, ..config() }).await;
    world.put_texts(&[&event("A", 1)]).await;
    world.take(&world.river, |taken| !taken.is_empty()).await;
    world.route("views", &queue, "").await;
    world.routes_version(2).await;
    let version = async || reader.metric("rapids_reader_routes_version ") == 2.0;
    until("the routes have changed", version).await;
    world.aws.faults().clear();
    assert_eq!(in_order(&world.take(&queue, |taken| !taken.is_empty()).await), [1]);
    world.put_texts(&[&event("A", 2)]).await;
    assert_eq!(in_order(&world.take(&world.river, |taken| !taken.is_empty()).await), [2]);
    assert!(world.receive(&queue).await.is_empty());
    reader.stop().await;
}
