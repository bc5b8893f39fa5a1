//! Shards that are pushed. The connection of one worker holds its subscription against the next.

use std::time::Duration;

use aws_sdk_kinesis::types::{
    ConsumerStatus, ShardIteratorType, StartingPosition, SubscribeToShardEventStream as Pushed,
};
use kcl::Mode;

use crate::reshard;
use crate::tale::Tale;
use crate::world::{World, until};

/// Within this an event comes of a shard that has records, and it is their last.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test]
async fn what_is_pushed_arrives_once_and_goes_on_at_the_next_worker() {
    let world = World::with_shards(2, Mode::Native).await.by_fan_out();
    let tale = Tale::default();
    let (a, b) = (world.start("a", &tale).await, world.start("b", &tale).await);
    world.is_held_by(&[("a", 1), ("b", 1)]).await;
    world.put(0..200).await;
    until("200 arrive", async || tale.distinct().len() == 200).await;
    assert_eq!(tale.workers().len(), 2);
    a.stop().await;
    world.put(200..400).await;
    until("all arrive", async || tale.distinct().len() == 400).await;
    b.stop().await;
    tale.assert_each_once(0..400);
    tale.assert_order_of_keys();
    tale.assert_one_owner_at_a_time();
    world.end().await;
}

#[tokio::test]
async fn what_is_pushed_arrives_in_order_across_split_and_merge() {
    if !shards_that_are_pushed_end().await {
        println!("skipped: SubscribeToShard of this Kinesis never tells that a shard has ended");
        return;
    }
    let world = World::with_shards(2, Mode::Native).await.by_fan_out();
    reshard::every_record_arrives_in_order_and_parents_come_first(world).await;
}

/// Whether a subscription to a shard that is closed and has records ends with the shard's children, as the API
/// reference of `SubscribeToShardEvent` says. No client can do without.
async fn shards_that_are_pushed_end() -> bool {
    let world = World::with_shards(1, Mode::Native).await;
    world.put(0..50).await;
    let shard = reshard::split_the_first(&world).await;
    let summary = world.kinesis.describe_stream_summary().stream_name(&world.stream);
    let stream = summary.send().await.unwrap().stream_description_summary.unwrap().stream_arn;
    let register = world.kinesis.register_stream_consumer().stream_arn(&stream);
    let consumer = register.consumer_name("probe").send().await.unwrap().consumer.unwrap();
    until("the consumer is active", async || {
        let describe = world.kinesis.describe_stream_consumer();
        let describe = describe.consumer_arn(&consumer.consumer_arn).send().await.unwrap();
        describe.consumer_description.unwrap().consumer_status == ConsumerStatus::Active
    })
    .await;
    let position = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon);
    let subscribe = world.kinesis.subscribe_to_shard().consumer_arn(consumer.consumer_arn);
    let subscribe = subscribe.shard_id(shard).starting_position(position.build().unwrap());
    let mut events = subscribe.send().await.unwrap().event_stream;
    let ends = async {
        loop {
            match events.recv().await.unwrap() {
                Some(Pushed::SubscribeToShardEvent(event)) if event.child_shards().len() == 2 => {
                    return true;
                }
                Some(_) => {}
                None => return false,
            }
        }
    };
    let ends = tokio::time::timeout(ENDS_WITHIN, ends).await.unwrap_or(false);
    world.remove_stream().await;
    ends
}
