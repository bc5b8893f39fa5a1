//! DynamoDB: the parts of <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/> that leases and ponds
//! stand on.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement,
    KeyType, Projection, ProjectionType, Put, ReturnValue, ReturnValuesOnConditionCheckFailure,
    ScalarAttributeType, TimeToLiveSpecification, TransactWriteItem,
};

use crate::world::{World, name};

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn key(name: &str, kind: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap()
}

fn string_attribute(name: &str) -> AttributeDefinition {
    let attribute = AttributeDefinition::builder().attribute_name(name);
    attribute.attribute_type(ScalarAttributeType::S).build().unwrap()
}

/// A table of leases with an index by owner.
async fn table(dynamodb: &Client) -> String {
    let table = name("leases", false);
    let projection = Projection::builder().projection_type(ProjectionType::All).build();
    let by_owner = GlobalSecondaryIndex::builder()
        .index_name("by-owner")
        .key_schema(key("leaseOwner", KeyType::Hash))
        .projection(projection)
        .build()
        .unwrap();
    dynamodb
        .create_table()
        .table_name(&table)
        .attribute_definitions(string_attribute("leaseKey"))
        .attribute_definitions(string_attribute("leaseOwner"))
        .key_schema(key("leaseKey", KeyType::Hash))
        .global_secondary_indexes(by_owner)
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await
        .unwrap();
    table
}

async fn put(dynamodb: &Client, table: &str, lease: &str, owner: &str) {
    let put = dynamodb.put_item().table_name(table).item("leaseKey", text(lease));
    let put = put.item("leaseOwner", text(owner)).item("leaseCounter", number(1));
    put.send().await.unwrap();
}

#[tokio::test]
async fn a_condition_that_fails_brings_the_item_that_is_there() {
    let dynamodb = World::new().dynamodb();
    let table = table(&dynamodb).await;
    put(&dynamodb, &table, "shard-0", "a").await;
    let update = dynamodb.update_item().table_name(&table).key("leaseKey", text("shard-0"));
    let update = update
        .update_expression("SET leaseOwner = :me")
        .condition_expression("leaseCounter = :seen")
        .expression_attribute_values(":me", text("b"))
        .expression_attribute_values(":seen", number(7))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    let error = update.send().await.unwrap_err().into_service_error();
    let aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(
        failed,
    ) = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(failed.item.unwrap()["leaseOwner"], text("a"));
}

#[tokio::test]
async fn an_update_returns_what_was_asked_for() {
    let dynamodb = World::new().dynamodb();
    let table = table(&dynamodb).await;
    put(&dynamodb, &table, "shard-0", "a").await;
    let update = dynamodb.update_item().table_name(&table).key("leaseKey", text("shard-0"));
    let update = update
        .update_expression("SET leaseCounter = leaseCounter + :one REMOVE leaseOwner")
        .expression_attribute_values(":one", number(1))
        .return_values(ReturnValue::AllNew);
    let item = update.send().await.unwrap().attributes.unwrap();
    assert_eq!(item["leaseCounter"], number(2));
    assert!(!item.contains_key("leaseOwner"));
}

#[tokio::test]
async fn an_index_finds_items_by_its_key() {
    let dynamodb = World::new().dynamodb();
    let table = table(&dynamodb).await;
    for (lease, owner) in [("shard-0", "a"), ("shard-1", "b"), ("shard-2", "a")] {
        put(&dynamodb, &table, lease, owner).await;
    }
    let query = dynamodb.query().table_name(&table).index_name("by-owner");
    let query = query
        .key_condition_expression("leaseOwner = :owner")
        .expression_attribute_values(":owner", text("a"));
    assert_eq!(query.send().await.unwrap().count, 2);
}

#[tokio::test]
async fn a_transaction_is_done_as_a_whole_or_says_which_part_failed() {
    let dynamodb = World::new().dynamodb();
    let table = table(&dynamodb).await;
    put(&dynamodb, &table, "taken", "a").await;
    let insert = |lease: &str| {
        let put = Put::builder().table_name(&table).item("leaseKey", text(lease));
        let put = put.condition_expression("attribute_not_exists(leaseKey)").build().unwrap();
        TransactWriteItem::builder().put(put).build()
    };
    let both = dynamodb.transact_write_items();
    let both = both.transact_items(insert("free")).transact_items(insert("taken"));
    let error = both.send().await.unwrap_err().into_service_error();
    let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(cancelled) = error
    else {
        panic!("{error:?}");
    };
    let reasons = cancelled.cancellation_reasons.unwrap();
    let codes: Vec<_> = reasons.iter().map(|reason| reason.code.as_deref().unwrap()).collect();
    assert_eq!(codes, ["None", "ConditionalCheckFailed"]);
    let free = dynamodb.get_item().table_name(&table).key("leaseKey", text("free"));
    assert_eq!(free.send().await.unwrap().item, None);
}

#[tokio::test]
async fn a_scan_in_pages_sees_every_item_once() {
    let dynamodb = World::new().dynamodb();
    let table = table(&dynamodb).await;
    for number in 0..5 {
        put(&dynamodb, &table, &format!("shard-{number}"), "a").await;
    }
    let mut pages = dynamodb.scan().table_name(&table).limit(2).into_paginator().send();
    let mut seen = Vec::new();
    while let Some(page) = pages.next().await {
        seen.extend(page.unwrap().items.unwrap_or_default());
    }
    assert_eq!(seen.len(), 5);
}

#[tokio::test]
async fn time_to_live_can_be_switched_on() {
    let dynamodb = World::new().dynamodb();
    let table = table(&dynamodb).await;
    let on = TimeToLiveSpecification::builder().attribute_name("expiresAt").enabled(true);
    let update = dynamodb.update_time_to_live().table_name(&table);
    update.time_to_live_specification(on.build().unwrap()).send().await.unwrap();
    let told = dynamodb.describe_time_to_live().table_name(&table).send().await.unwrap();
    let told = told.time_to_live_description.unwrap();
    assert_eq!(told.attribute_name.as_deref(), Some("expiresAt"));
}

#[tokio::test]
async fn errors_keep_their_names() {
    let dynamodb = World::new().dynamodb();
    let missing = dynamodb.describe_table().table_name(name("t", false)).send().await.unwrap_err();
    assert!(missing.into_service_error().is_resource_not_found_exception());

    let table = table(&dynamodb).await;
    let put = dynamodb.put_item().table_name(&table).item("other", text("x"));
    assert_eq!(put.send().await.unwrap_err().code(), Some("ValidationException"));
    let backups = dynamodb.describe_continuous_backups().table_name(&table).send().await;
    assert_eq!(backups.unwrap_err().code(), Some("UnknownOperationException"));
}

#[tokio::test(start_paused = true)]
async fn tables_work_while_time_stands_still() {
    let aws = local_aws::LocalAws::new();
    let dynamodb = Client::new(&aws.sdk_config());
    let table = table(&dynamodb).await;
    put(&dynamodb, &table, "shard-0", "a").await;
    assert_eq!(dynamodb.scan().table_name(&table).send().await.unwrap().count, 1);
}
