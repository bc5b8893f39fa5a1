//! Makes the tables where they are missing, as a template would: an operator may have made them already.

use std::time::Duration;

use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, SseSpecification, SseType, TableStatus,
};
use event::route::RIVER;
use tokio::time::sleep;
use tracing::info;

use super::experiments::EXPERIMENT;
use super::{BY_TOPIC, SUBSCRIBER, TOPIC, Tables};
use crate::error::Error;

/// Looks at a table that is being made, one a second: DynamoDB takes some ten seconds.
const LOOKS_MAX: u32 = 60;
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

impl Tables {
    /// Makes what is missing and waits until it can be used.
    pub(crate) async fn ensure(&self, kms_key: Option<&str>) -> Result<(), Error> {
        self.ensure_one(&self.topics, kms_key, &|create| {
            create.attribute_definitions(string(TOPIC)).key_schema(key(TOPIC, KeyType::Hash))
        })
        .await?;
        self.ensure_one(&self.experiments, kms_key, &|create| {
            create
                .attribute_definitions(string(EXPERIMENT))
                .key_schema(key(EXPERIMENT, KeyType::Hash))
        })
        .await?;
        self.ensure_one(&self.rivers, kms_key, &|create| {
            create.attribute_definitions(string(RIVER)).key_schema(key(RIVER, KeyType::Hash))
        })
        .await?;
        self.ensure_one(&self.subscriptions, kms_key, &|create| {
            create
                .attribute_definitions(string(SUBSCRIBER))
                .attribute_definitions(string(TOPIC))
                .key_schema(key(SUBSCRIBER, KeyType::Hash))
                .key_schema(key(TOPIC, KeyType::Range))
                .global_secondary_indexes(by_topic())
        })
        .await
    }

    async fn ensure_one(
        &self,
        table: &str,
        kms_key: Option<&str>,
        schema: &(dyn Fn(CreateTableFluentBuilder) -> CreateTableFluentBuilder + Sync),
    ) -> Result<(), Error> {
        for look in 0..LOOKS_MAX {
            match self.state(table).await? {
                Some(TableStatus::Active | TableStatus::Updating) => return Ok(()),
                None if look == 0 => {
                    let create = self.dynamodb.create_table().table_name(table);
                    let create = create.billing_mode(BillingMode::PayPerRequest);
                    let create = create.set_sse_specification(kms_key.map(encryption));
                    create_unless_taken(schema(create), table).await?;
                }
                _ => sleep(LOOK_INTERVAL).await,
            }
        }
        let why = format!("not active after {LOOKS_MAX} s").into();
        Err(Error::Unavailable { call: "waiting for table", target: table.to_owned(), source: why })
    }

    async fn state(&self, table: &str) -> Result<Option<TableStatus>, Error> {
        let error = match self.dynamodb.describe_table().table_name(table).send().await {
            Ok(described) => return Ok(described.table.and_then(|table| table.table_status)),
            Err(error) => error,
        };
        let known = error.as_service_error();
        if known.is_some_and(DescribeTableError::is_resource_not_found_exception) {
            return Ok(None);
        }
        Err(Error::of_call("DynamoDB DescribeTable", table, error))
    }
}

async fn create_unless_taken(create: CreateTableFluentBuilder, table: &str) -> Result<(), Error> {
    let Err(error) = create.send().await else {
        info!(table, "made a table");
        return Ok(());
    };
    // Another control plane was faster.
    let known = error.as_service_error();
    if known.is_some_and(CreateTableError::is_resource_in_use_exception) {
        return Ok(());
    }
    Err(Error::of_call("DynamoDB CreateTable", table, error))
}

fn string(name: &str) -> AttributeDefinition {
    let definition = AttributeDefinition::builder().attribute_name(name);
    definition.attribute_type(ScalarAttributeType::S).build().expect("a name and a type")
}

fn key(name: &str, kind: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(kind)
        .build()
        .expect("a name and a type")
}

fn by_topic() -> GlobalSecondaryIndex {
    GlobalSecondaryIndex::builder()
        .index_name(BY_TOPIC)
        .key_schema(key(TOPIC, KeyType::Hash))
        .key_schema(key(SUBSCRIBER, KeyType::Range))
        .projection(Projection::builder().projection_type(ProjectionType::All).build())
        .build()
        .expect("a name and a key")
}

fn encryption(kms_key: &str) -> SseSpecification {
    let encryption = SseSpecification::builder().enabled(true).sse_type(SseType::Kms);
    encryption.kms_master_key_id(kms_key).build()
}
