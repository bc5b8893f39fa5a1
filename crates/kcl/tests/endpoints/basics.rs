//! The table, the stream, rows that others have written to.

use aws_sdk_dynamodb::types::{
    AttributeValue, BillingMode, KeyType, ScalarAttributeType, TableStatus,
};
use kcl::{Checkpoint, Consumer, Error, Mode};

use crate::tale::Tale;
use crate::world::{World, until};

#[tokio::test]
async fn the_lease_table_is_made_once_and_has_the_key_of_the_kcl() {
    let world = World::with_shards(1, Mode::Native).await;
    for worker in ["a", "b"] {
        let (kinesis, dynamodb) = (world.kinesis.clone(), world.dynamodb.clone());
        let scribe = Tale::default().scribe(worker);
        Consumer::build(kinesis, dynamodb, world.settings(worker), scribe).await.unwrap();
    }
    let describe = world.dynamodb.describe_table().table_name(&world.table);
    let table = describe.send().await.unwrap().table.unwrap();
    assert_eq!(table.table_status, Some(TableStatus::Active));
    let [key] = table.key_schema() else { panic!("{:?}", table.key_schema) };
    assert_eq!((key.attribute_name(), key.key_type()), ("leaseKey", &KeyType::Hash));
    let [attribute] = table.attribute_definitions() else {
        panic!("{:?}", table.attribute_definitions)
    };
    assert_eq!(attribute.attribute_type(), &ScalarAttributeType::S);
    let billing = table.billing_mode_summary.and_then(|summary| summary.billing_mode);
    assert_eq!(billing, Some(BillingMode::PayPerRequest));
    world.end().await;
}

#[tokio::test]
async fn a_missing_stream_is_told_by_name() {
    let world = World::empty(Mode::Native);
    let (kinesis, dynamodb) = (world.kinesis.clone(), world.dynamodb.clone());
    let scribe = Tale::default().scribe("a");
    let built = Consumer::build(kinesis, dynamodb, world.settings("a"), scribe).await;
    let Err(Error::StreamNotFound { stream }) = built.map(|_| ()) else {
        panic!("a consumer of a missing stream was built");
    };
    assert_eq!(stream, world.stream);
}

#[tokio::test]
async fn an_attribute_that_others_wrote_to_a_lease_survives_all_of_our_writes() {
    let world = World::with_shards(1, Mode::Native).await;
    let tale = Tale::default();
    let a = world.start("a", &tale).await;
    world.is_held_by(&[("a", 1)]).await;
    let shard = AttributeValue::S(world.leases().await[0].key.clone());
    let strange = AttributeValue::S("of a later version".into());
    let update =
        world.dynamodb.update_item().table_name(&world.table).key("leaseKey", shard.clone());
    let update = update.update_expression("SET strange = :strange");
    update.expression_attribute_values(":strange", strange.clone()).send().await.unwrap();
    world.put(0..10).await;
    until("a checkpoint is written", async || {
        matches!(world.leases().await[0].checkpoint, Checkpoint::At(_))
    })
    .await;
    a.stop().await;
    let b = world.start("b", &tale).await;
    world.is_held_by(&[("b", 1)]).await;
    b.stop().await;
    let row = world.dynamodb.get_item().table_name(&world.table).key("leaseKey", shard);
    let row = row.send().await.unwrap().item.unwrap();
    assert_eq!(row.get("strange"), Some(&strange));
    assert!(!row.contains_key("leaseOwner"), "it was released");
    world.end().await;
}
