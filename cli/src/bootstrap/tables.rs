//! The tables of the control plane, with the keys of the original.

use std::time::Duration;

use anyhow::{Context as _, bail};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TableStatus,
};
use event::names::Stage;
use tokio::time::{Instant, sleep};

/// Longest wait for a table; AWS takes some 10 seconds.
const ACTIVE_MAX: Duration = Duration::from_secs(60);
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Makes the tables where they are missing and waits until they can be used. Their names.
pub(super) async fn ensure(dynamodb: &Client, stage: &Stage) -> anyhow::Result<[String; 2]> {
    let names = [stage.subscriptions_table(), stage.topics_table()];
    let [subscriptions, topics] = &names;
    let create = dynamodb
        .create_table()
        .attribute_definitions(text("Subscriber")?)
        .attribute_definitions(text("Topic")?)
        .key_schema(key("Subscriber", KeyType::Hash)?)
        .key_schema(key("Topic", KeyType::Range)?)
        .global_secondary_indexes(by_topic()?);
    make(create, subscriptions).await?;
    let create = dynamodb
        .create_table()
        .attribute_definitions(text("Topic")?)
        .key_schema(key("Topic", KeyType::Hash)?);
    make(create, topics).await?;
    for table in &names {
        until_active(dynamodb, table).await?;
    }
    Ok(names)
}

async fn make(create: CreateTableFluentBuilder, table: &str) -> anyhow::Result<()> {
    let create = create.table_name(table).billing_mode(BillingMode::PayPerRequest);
    match create.send().await {
        Ok(_) => Ok(()),
        Err(error)
            if error.as_service_error().is_some_and(|it| it.is_resource_in_use_exception()) =>
        {
            Ok(())
        }
        Err(error) => Err(anyhow::Error::new(error).context(format!("creating table {table}"))),
    }
}

async fn until_active(dynamodb: &Client, table: &str) -> anyhow::Result<()> {
    let give_up = Instant::now() + ACTIVE_MAX;
    loop {
        let described = dynamodb.describe_table().table_name(table).send().await;
        let described = described.with_context(|| format!("describing table {table}"))?;
        match described.table.and_then(|table| table.table_status) {
            Some(TableStatus::Active | TableStatus::Updating) => return Ok(()),
            status if Instant::now() >= give_up => {
                let status = status.as_ref().map_or("unknown", TableStatus::as_str);
                let seconds = ACTIVE_MAX.as_secs();
                bail!(
                    "table {table} is {status}, not ACTIVE, after {seconds} s: look at it in the console"
                )
            }
            _ => sleep(LOOK_INTERVAL).await,
        }
    }
}

fn text(name: &str) -> anyhow::Result<AttributeDefinition> {
    let definition = AttributeDefinition::builder().attribute_name(name);
    Ok(definition.attribute_type(ScalarAttributeType::S).build()?)
}

fn key(name: &str, kind: KeyType) -> anyhow::Result<KeySchemaElement> {
    Ok(KeySchemaElement::builder().attribute_name(name).key_type(kind).build()?)
}

/// Who is subscribed to a topic.
fn by_topic() -> anyhow::Result<GlobalSecondaryIndex> {
    let index = GlobalSecondaryIndex::builder()
        .index_name("SubsForTopic")
        .key_schema(key("Topic", KeyType::Hash)?)
        .key_schema(key("Subscriber", KeyType::Range)?)
        .projection(Projection::builder().projection_type(ProjectionType::All).build());
    Ok(index.build()?)
}
