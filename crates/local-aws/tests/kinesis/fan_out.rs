//! Enhanced fan-out: consumers, and records that are pushed.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::types::{
    ShardIteratorType, StartingPosition, SubscribeToShardEvent, SubscribeToShardEventStream,
};
use local_aws::{KinesisSettings, LocalAws};

use crate::world::World;

async fn consumer(world: &World) -> String {
    let summary = world.kinesis.describe_stream_summary().stream_name(&world.stream);
    let summary = summary.send().await.unwrap().stream_description_summary.unwrap();
    let register = world.kinesis.register_stream_consumer().stream_arn(summary.stream_arn);
    let consumer = register.consumer_name("reader").send().await.unwrap().consumer.unwrap();
    assert_eq!(consumer.consumer_status.as_str(), "CREATING");
    consumer.consumer_arn
}

async fn subscribe(
    world: &World,
    consumer: &str,
    shard: &str,
    position: StartingPosition,
) -> SubscribeToShardOutput {
    let subscribe = world.kinesis.subscribe_to_shard().consumer_arn(consumer).shard_id(shard);
    subscribe.starting_position(position).send().await.unwrap()
}

fn oldest() -> StartingPosition {
    StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon).build().unwrap()
}

fn after(sequence: &str) -> StartingPosition {
    let kind = ShardIteratorType::AfterSequenceNumber;
    StartingPosition::builder().r#type(kind).sequence_number(sequence).build().unwrap()
}

/// The next event, or `None` at the end of the subscription.
async fn next(subscription: &mut SubscribeToShardOutput) -> Option<SubscribeToShardEvent> {
    match subscription.event_stream.recv().await.unwrap()? {
        SubscribeToShardEventStream::SubscribeToShardEvent(event) => Some(event),
        other => panic!("{other:?}"),
    }
}

/// The texts of the next event that has any.
async fn next_texts(subscription: &mut SubscribeToShardOutput) -> (Vec<String>, String) {
    loop {
        let event = next(subscription).await.expect("the subscription goes on");
        if !event.records.is_empty() {
            let text = |record: &aws_sdk_kinesis::types::Record| {
                String::from_utf8(record.data().as_ref().to_vec()).unwrap()
            };
            return (event.records.iter().map(text).collect(), event.continuation_sequence_number);
        }
    }
}

#[tokio::test]
async fn records_are_pushed_as_they_come_and_the_continuation_resumes() {
    let Some(world) = World::embedded(1, |builder| builder).await else { return };
    let shard = world.shards().await.remove(0).shard_id;
    let (first, second) = (consumer(&world).await, shard.clone());
    world.put("k", "one").await;
    let mut subscription = subscribe(&world, &first, &second, oldest()).await;
    assert_eq!(next_texts(&mut subscription).await.0, ["one"]);
    let pushed = tokio::spawn(async move { next_texts(&mut subscription).await });
    world.put("k", "two").await;
    let (texts, continuation) = pushed.await.unwrap();
    assert_eq!(texts, ["two"]);
    world.put("k", "three").await;
    let kind = ShardIteratorType::AfterSequenceNumber;
    let iterator = world.iterator(&shard, kind, Some(&continuation)).await;
    assert_eq!(crate::world::texts(&world.read(&iterator).await), ["three"]);
}

#[tokio::test]
async fn the_end_of_a_shard_is_pushed_with_its_children() {
    let Some(world) = World::embedded(1, |builder| builder).await else { return };
    let shard = world.shards().await.remove(0).shard_id;
    let consumer = consumer(&world).await;
    world.put("k", "one").await;
    let mut subscription = subscribe(&world, &consumer, &shard, oldest()).await;
    assert_eq!(next_texts(&mut subscription).await.0, ["one"]);
    world.split(&shard, 1 << 127).await;
    let end = loop {
        let event = next(&mut subscription).await.expect("an event that tells the end");
        if !event.child_shards().is_empty() {
            break event;
        }
    };
    assert_eq!(end.child_shards().len(), 2);
    assert!(next(&mut subscription).await.is_none());
}

#[tokio::test]
async fn a_second_subscription_within_five_seconds_is_refused_and_a_later_one_takes_over() {
    let Some((world, clock)) = World::held(1).await else { return };
    let shard = world.shards().await.remove(0).shard_id;
    let consumer = consumer(&world).await;
    let (_, sequence) = world.put("k", "one").await;
    let mut first = subscribe(&world, &consumer, &shard, oldest()).await;
    assert_eq!(next_texts(&mut first).await.0, ["one"]);
    clock.advance(Duration::from_millis(4_999));
    let second = world.kinesis.subscribe_to_shard().consumer_arn(&consumer).shard_id(&shard);
    let error = second.starting_position(oldest()).send().await.unwrap_err().into_service_error();
    assert!(error.is_resource_in_use_exception(), "{error:?}");
    clock.advance(Duration::from_millis(1));
    let mut second = subscribe(&world, &consumer, &shard, after(&sequence)).await;
    world.put("k", "two").await;
    assert_eq!(next_texts(&mut second).await.0, ["two"]);
    while next(&mut first).await.is_some() {}
}

#[tokio::test]
async fn a_subscription_ends_after_its_lifetime() {
    let lifetime = Duration::from_millis(50);
    let settings =
        KinesisSettings { subscription_lifetime: lifetime, ..KinesisSettings::default() };
    let Some(world) = World::embedded(1, |builder| builder.kinesis(settings)).await else { return };
    let shard = world.shards().await.remove(0).shard_id;
    let consumer = consumer(&world).await;
    let mut subscription = subscribe(&world, &consumer, &shard, oldest()).await;
    while next(&mut subscription).await.is_some() {}
}

#[tokio::test(start_paused = true)]
async fn an_idle_subscription_is_told_every_five_seconds_where_it_stands() {
    let Some(world) = World::embedded(1, |builder| builder).await else { return };
    let shard = world.shards().await.remove(0).shard_id;
    let consumer = consumer(&world).await;
    let (_, sequence) = world.put("k", "one").await;
    let began = tokio::time::Instant::now();
    let mut subscription = subscribe(&world, &consumer, &shard, after(&sequence)).await;
    for _ in 0..3 {
        let idle = next(&mut subscription).await.expect("the subscription goes on");
        assert!(idle.records.is_empty());
        assert_eq!(idle.millis_behind_latest, 0);
        // The numbers carry the second they were made in: only their place counts.
        let kind = ShardIteratorType::AfterSequenceNumber;
        world.iterator(&shard, kind, Some(&idle.continuation_sequence_number)).await;
    }
    assert_eq!(began.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_record_wakes_an_idle_subscription_at_once() {
    let Some(world) = World::embedded(1, |builder| builder).await else { return };
    let shard = world.shards().await.remove(0).shard_id;
    let consumer = consumer(&world).await;
    let mut subscription = subscribe(&world, &consumer, &shard, oldest()).await;
    let began = tokio::time::Instant::now();
    let put = async {
        tokio::task::yield_now().await;
        world.put("k", "one").await;
    };
    let ((texts, _), ()) = tokio::join!(next_texts(&mut subscription), put);
    assert_eq!(texts, ["one"]);
    assert_eq!(began.elapsed(), Duration::ZERO, "paused time passes only while all wait for it");
}

#[tokio::test]
async fn a_backlog_comes_in_events_of_bounded_size_and_whole() {
    let Some(world) = World::embedded(1, |builder| builder).await else { return };
    let shard = world.shards().await.remove(0).shard_id;
    let consumer = consumer(&world).await;
    let data = "x".repeat(900 << 10);
    for _ in 0..5 {
        world.put("k", &data).await;
    }
    let mut subscription = subscribe(&world, &consumer, &shard, oldest()).await;
    let mut counts = Vec::new();
    while counts.iter().sum::<usize>() < 5 {
        counts.push(next_texts(&mut subscription).await.0.len());
    }
    assert_eq!(counts, [2, 2, 1], "2 MiB an event");
}

#[tokio::test]
async fn a_subscription_to_a_stream_that_is_deleted_ends_with_the_reason() {
    let Some(world) = World::embedded(1, |builder| builder).await else { return };
    let shard = world.shards().await.remove(0).shard_id;
    let consumer = consumer(&world).await;
    let mut subscription = subscribe(&world, &consumer, &shard, oldest()).await;
    let delete = || world.kinesis.delete_stream().stream_name(&world.stream);
    let refused = delete().send().await.unwrap_err().into_service_error();
    assert!(refused.is_resource_in_use_exception(), "it has a consumer: {refused:?}");
    delete().enforce_consumer_deletion(true).send().await.unwrap();
    let gone = subscription.event_stream.recv().await.unwrap_err().into_service_error();
    assert!(gone.is_resource_not_found_exception(), "{gone:?}");
}

#[tokio::test]
async fn a_consumer_is_creating_for_as_long_as_set_and_takes_no_subscription_before() {
    let updating = Duration::from_secs(3);
    let settings = KinesisSettings { updating, ..KinesisSettings::default() };
    let clock = local_aws::Clock::held(crate::world::NOW_MS);
    let builder = LocalAws::builder().kinesis(settings).clock(clock.clone());
    let kinesis = Client::new(&builder.build().sdk_config());
    kinesis.create_stream().stream_name("s").shard_count(1).send().await.unwrap();
    clock.advance(updating);
    let summary = kinesis.describe_stream_summary().stream_name("s").send().await.unwrap();
    let arn = summary.stream_description_summary.unwrap().stream_arn;
    let register = |name: String| {
        kinesis.register_stream_consumer().stream_arn(&arn).consumer_name(name).send()
    };
    let consumer = register("c0".into()).await.unwrap().consumer.unwrap().consumer_arn;
    for number in 1..5 {
        register(format!("c{number}")).await.unwrap();
    }
    let sixth = register("c5".into()).await.unwrap_err().into_service_error();
    assert!(sixth.is_limit_exceeded_exception(), "five may be CREATING: {sixth:?}");
    let subscribe = || {
        let subscribe = kinesis.subscribe_to_shard().consumer_arn(&consumer);
        subscribe.shard_id("shardId-000000000000").starting_position(oldest()).send()
    };
    let early = subscribe().await.unwrap_err().into_service_error();
    assert!(early.is_resource_in_use_exception(), "{early:?}");
    clock.advance(updating);
    subscribe().await.unwrap();
    let page = kinesis.list_stream_consumers().stream_arn(&arn).max_results(3);
    let page = page.send().await.unwrap();
    let rest = kinesis.list_stream_consumers().stream_arn(&arn);
    let rest = rest.set_next_token(page.next_token.clone()).send().await.unwrap();
    assert_eq!((page.consumers().len(), rest.consumers().len()), (3, 2));
}

#[tokio::test]
async fn a_consumer_can_be_found_listed_and_removed() {
    let Some(world) = World::embedded(1, |builder| builder).await else { return };
    let arn = consumer(&world).await;
    let find = || world.kinesis.describe_stream_consumer().consumer_arn(&arn).send();
    let found = find().await.unwrap().consumer_description.unwrap();
    assert_eq!(
        (found.consumer_name.as_str(), found.consumer_status.as_str()),
        ("reader", "ACTIVE")
    );
    let listed = world.kinesis.list_stream_consumers().stream_arn(&found.stream_arn);
    assert_eq!(listed.send().await.unwrap().consumers().len(), 1);
    let twice = world.kinesis.register_stream_consumer().stream_arn(&found.stream_arn);
    let twice = twice.consumer_name("reader").send().await.unwrap_err().into_service_error();
    assert!(twice.is_resource_in_use_exception(), "{twice:?}");
    world.kinesis.deregister_stream_consumer().consumer_arn(&arn).send().await.unwrap();
    let gone = find().await.unwrap_err().into_service_error();
    assert!(gone.is_resource_not_found_exception(), "{gone:?}");
}
