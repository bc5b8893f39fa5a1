use futures_util::StreamExt as _;
use http_body_util::{BodyStream, StreamBody};

use super::*;
use crate::settings::Retrieval;

const CONSUMER: &str = "app";

async fn subscriber(world: &World) -> Arc<str> {
    register::register(&world.kinesis, STREAM, CONSUMER, &*world.counts).await.unwrap()
}

async fn pushed(world: &World, start: Start) -> Source {
    world.open(&world.kinesis, start, Some(subscriber(world).await))
}

/// After so many frames the connection is reset.
fn reset_after(frames: usize) -> Bend {
    Box::new(move |body| {
        let reset = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "reset by peer");
        let cut = BodyStream::new(body).take(frames);
        let cut = cut.chain(futures_util::stream::once(async move { Err(reset.into()) }));
        SdkBody::from_body_1_x(StreamBody::new(cut))
    })
}

/// After so many frames nothing comes any more, and nobody says so.
fn silent_after(frames: usize) -> Bend {
    Box::new(move |body| {
        let cut = BodyStream::new(body).take(frames).chain(futures_util::stream::pending());
        SdkBody::from_body_1_x(StreamBody::new(cut))
    })
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_ends_in_time_is_followed_by_the_next_without_loss_or_repetition() {
    let settings =
        KinesisSettings { subscription_lifetime: Duration::from_secs(20), ..Default::default() };
    let world = World::with(settings, 64 << 20).await;
    let mut source = pushed(&world, Start::TrimHorizon).await;
    let putting = async {
        for number in 0..100 {
            world.put(number..number + 1, 1).await;
            sleep(Duration::from_secs(1)).await;
        }
    };
    let ((), came) = tokio::join!(putting, read(&mut source, 100));
    assert_eq!(came, all(0..100));
    assert_eq!(world.calls("SubscribeToShard"), 5);
    assert!(
        world
            .counts
            .called
            .lock()
            .unwrap()
            .iter()
            .all(|(.., ok)| *ok || world.calls("RegisterStreamConsumer") == 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_within_an_event_is_followed_after_the_last_record_returned() {
    let world = World::new().await;
    let arn = subscriber(&world).await;
    let bodies = vec![reset_after(1), reset_after(2), silent_after(2), reset_after(4)];
    let kinesis = world.disturbed("SubscribeToShard", bodies);
    let mut source = world.open(&kinesis, Start::TrimHorizon, Some(arn));
    let putting = async {
        for number in 0..60 {
            world.put(number..number + 1, 10).await;
            sleep(Duration::from_secs(1)).await;
        }
    };
    let ((), came) = tokio::join!(putting, read(&mut source, 60));
    assert_eq!(came, all(0..60));
    assert_eq!(world.calls("SubscribeToShard"), 5);
    let subscribed = world.counts.calls(Api::SubscribeToShard);
    let apart = subscribed.windows(2).all(|two| two[1] - two[0] >= Duration::from_secs(5));
    assert!(apart, "never twice within five seconds: {subscribed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_connection_is_left_after_half_a_minute_of_silence() {
    let world = World::new().await;
    let arn = subscriber(&world).await;
    let kinesis = world.disturbed("SubscribeToShard", vec![silent_after(1)]);
    let mut source = world.open(&kinesis, Start::TrimHorizon, Some(arn));
    let began = Instant::now();
    // The caller that gives up and asks again does not make it longer.
    let mut error = None;
    while error.is_none() {
        if let Ok(page) = timeout(Duration::from_secs(1), source.next()).await {
            error = page.err();
        }
    }
    assert!(began.elapsed() <= Duration::from_secs(31), "{:?}", began.elapsed());
    world.put(0..5, 1).await;
    assert_eq!(read(&mut source, 5).await, all(0..5));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_of_the_worker_before_is_waited_for() {
    let world = World::new().await;
    world.put(0..5, 1).await;
    let mut before = pushed(&world, Start::TrimHorizon).await;
    assert_eq!(read(&mut before, 5).await, all(0..5));
    let began = Instant::now();
    let mut source = pushed(&world, Start::TrimHorizon).await;
    let refused = next(&mut source).await.unwrap_err();
    assert!(matches!(refused, Error::Kinesis { operation: "SubscribeToShard", .. }), "{refused}");
    assert_eq!(read(&mut source, 5).await, all(0..5));
    assert!(began.elapsed() < Duration::from_secs(11), "{:?}", began.elapsed());
    assert_eq!(world.calls("SubscribeToShard"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_stays_creating_is_an_error_or_leads_to_polling_if_so_told() {
    let updating = Duration::from_secs(600);
    let world = World::with(KinesisSettings { updating, ..Default::default() }, 1 << 20).await;
    let settings = |fall_back| Settings {
        retrieval: Retrieval::FanOut { consumer: CONSUMER.into(), fall_back },
        ..(*world.settings).clone()
    };
    let began = Instant::now();
    let strict = consumer_arn(&world.kinesis, &settings(false), &*world.counts).await;
    let error = strict.unwrap_err();
    assert!(matches!(error, Error::ConsumerNotActive { state: "CREATING", .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(63));
    let lenient = consumer_arn(&world.kinesis, &settings(true), &*world.counts).await;
    assert_eq!(lenient.unwrap(), None);
    sleep(updating).await;
    let arn = consumer_arn(&world.kinesis, &settings(false), &*world.counts).await;
    assert!(arn.unwrap().is_some(), "it is found, not registered again");
    assert_eq!(world.calls("RegisterStreamConsumer"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_all_its_consumers_is_told_with_what_to_do_or_polled_if_so_told() {
    let world = World::new().await;
    for number in 0..20 {
        let name = format!("other-{number}");
        register::register(&world.kinesis, STREAM, &name, &*world.counts).await.unwrap();
    }
    let refused = register::register(&world.kinesis, STREAM, CONSUMER, &*world.counts).await;
    let error = refused.unwrap_err().to_string();
    assert!(
        error.contains("all the consumers it may have") && error.contains("deregister"),
        "{error}"
    );
    let retrieval = Retrieval::FanOut { consumer: CONSUMER.into(), fall_back: true };
    let lenient = Settings { retrieval, ..(*world.settings).clone() };
    let began = Instant::now();
    let arn = consumer_arn(&world.kinesis, &lenient, &*world.counts).await.unwrap();
    assert_eq!(arn, None, "polled, as the settings say");
    assert!(began.elapsed() < Duration::from_secs(63), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_consumer_of_a_missing_stream_is_told_by_the_streams_name() {
    let world = World::new().await;
    let refused = register::register(&world.kinesis, "nowhere", CONSUMER, &*world.counts).await;
    assert!(matches!(refused, Err(Error::StreamNotFound { stream }) if stream == "nowhere"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_stops_the_flow_and_memory_stays_within_one_event_of_the_budget() {
    let world = World::with(KinesisSettings::default(), 1 << 20).await;
    let mut source = pushed(&world, Start::TrimHorizon).await;
    let mut came = Vec::new();
    for round in 0..5 {
        world.put(round * 4..round * 4 + 4, 200_000).await;
        // Until the event of this round came, empty ones aside.
        let page = loop {
            let page = next(&mut source).await.unwrap();
            if !page.records.is_empty() {
                break page;
            }
        };
        came.extend(numbers(&page));
        let slow = timeout(Duration::from_secs(600), async {
            loop {
                let more = source.next().await;
                assert!(
                    more.is_ok_and(|page| page.records.is_empty()),
                    "there is no room for more"
                );
            }
        });
        world.put(100 + round * 4..100 + round * 4 + 4, 200_000).await;
        assert!(slow.await.is_err());
        assert!(world.budget.in_flight() <= world.budget.most());
        drop(page);
        came.extend(read(&mut source, 4).await);
    }
    let put =
        (0..5).flat_map(|round| (round * 4..round * 4 + 4).chain(100 + round * 4..104 + round * 4));
    assert_eq!(came, put.collect::<Vec<u32>>());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_shard_comes_with_its_children_and_again_after_a_restart() {
    let world = World::new().await;
    world.put(0..5, 1).await;
    world.split().await;
    let mut source = pushed(&world, Start::TrimHorizon).await;
    let page = next(&mut source).await.unwrap();
    assert_eq!(numbers(&page), all(0..5));
    assert_eq!(page.end.as_ref().map(Vec::len), Some(2));
    // Who crashed before it was written down asks once more.
    for start in [Start::At(last(&page)), Start::After(last(&page))] {
        sleep(Duration::from_secs(5)).await;
        let again = next(&mut pushed(&world, start).await).await.unwrap();
        assert_eq!(again.end, page.end);
    }
    assert_eq!(world.calls("ListShards"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_given_up_while_it_waits_for_room_is_not_lost() {
    let world = World::with(KinesisSettings::default(), 1_000).await;
    world.put(0..5, 100).await;
    let mut source = pushed(&world, Start::TrimHorizon).await;
    let held = world.budget.reserve(1_000).await;
    for _ in 0..10 {
        assert!(timeout(Duration::from_secs(1), source.next()).await.is_err());
    }
    drop(held);
    assert_eq!(numbers(&next(&mut source).await.unwrap()), all(0..5));
    assert_eq!(world.calls("SubscribeToShard"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_stream_ends_a_subscription_with_an_error() {
    let world = World::new().await;
    let mut source = pushed(&world, Start::TrimHorizon).await;
    world.put(0..5, 1).await;
    assert_eq!(read(&mut source, 5).await, all(0..5));
    let delete = world.kinesis.delete_stream().stream_name(STREAM);
    delete.enforce_consumer_deletion(true).send().await.unwrap();
    for _ in 0..3 {
        let error = next(&mut source).await.unwrap_err();
        assert!(matches!(error, Error::StreamNotFound { .. }), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_refused_leads_a_subscription_to_the_oldest_record() {
    let world = World::new().await;
    world.put(0..5, 1).await;
    let gone = SequenceNumber::parse("4").unwrap();
    let mut source = pushed(&world, Start::At(gone)).await;
    assert_eq!(read(&mut source, 5).await, all(0..5));
}

#[tokio::test(start_paused = true)]
async fn throttled_subscriptions_are_counted_and_tried_again() {
    let world = World::new().await;
    world.put(0..5, 1).await;
    let fault = Fault::on(Service::Kinesis, "SubscribeToShard").times(4);
    world.aws.faults().add(fault.error(400, "LimitExceededException", "too many"));
    let mut source = pushed(&world, Start::TrimHorizon).await;
    assert_eq!(numbers(&next(&mut source).await.unwrap()), all(0..5));
    assert_eq!((world.counts.throttled(), world.calls("SubscribeToShard")), (4, 5));
}
