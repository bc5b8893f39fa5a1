//! The lease table: dull reads and conditional writes.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ReturnValuesOnConditionCheckFailure, ScalarAttributeType, TableStatus,
};
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::error::{Cause, Error};
use crate::lease::transition::Transition;
use crate::lease::{Item, LEASE_KEY, Lease};

/// DynamoDB makes a table in seconds; longer than this and somebody should look.
const TABLE_ACTIVE_MAX: Duration = Duration::from_secs(120);
const TABLE_ACTIVE_POLL: Duration = Duration::from_millis(200);

/// What became of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It happened: the lease is this now.
    Applied(Lease),
    /// Somebody was faster: the row is this now, or gone.
    Conflict(Option<Lease>),
}

/// The rows of the leases of one application.
#[derive(Clone, Debug)]
pub(crate) struct LeaseTable {
    dynamodb: Client,
    name: String,
}

impl LeaseTable {
    pub(crate) fn new(dynamodb: Client, name: String) -> Self {
        Self { dynamodb, name }
    }

    /// Makes the table if it is not there, and waits until it can be used.
    pub(crate) async fn ensure(&self) -> Result<(), Error> {
        let since = Instant::now();
        loop {
            match self.status().await? {
                Some(TableStatus::Active | TableStatus::Updating) => return Ok(()),
                Some(_) => {}
                None => self.create().await?,
            }
            if since.elapsed() > TABLE_ACTIVE_MAX {
                let seconds = TABLE_ACTIVE_MAX.as_secs();
                return Err(Error::LeaseTableNotActive { table: self.name.clone(), seconds });
            }
            sleep(TABLE_ACTIVE_POLL).await;
        }
    }

    async fn status(&self) -> Result<Option<TableStatus>, Error> {
        match self.dynamodb.describe_table().table_name(&self.name).send().await {
            Ok(reply) => Ok(reply.table.and_then(|table| table.table_status)),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.is_resource_not_found_exception()) =>
            {
                Ok(None)
            }
            Err(error) => Err(self.failed("DescribeTable", error)),
        }
    }

    async fn create(&self) -> Result<(), Error> {
        let attribute = AttributeDefinition::builder()
            .attribute_name(LEASE_KEY)
            .attribute_type(ScalarAttributeType::S)
            .build();
        let key =
            KeySchemaElement::builder().attribute_name(LEASE_KEY).key_type(KeyType::Hash).build();
        let (attribute, key) = attribute
            .and_then(|attribute| Ok((attribute, key?)))
            .map_err(|error| self.failed("CreateTable", error))?;
        let reply = self
            .dynamodb
            .create_table()
            .table_name(&self.name)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute)
            .key_schema(key)
            .send()
            .await;
        match reply {
            // Another worker made it at the same moment: as good as ours.
            Err(error)
                if matches!(
                    error.as_service_error(),
                    Some(CreateTableError::ResourceInUseException(_))
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(self.failed("CreateTable", error)),
            Ok(_) => Ok(()),
        }
    }

    /// Every lease of the table. A row that cannot be read is told and left alone.
    pub(crate) async fn scan(&self) -> Result<Vec<Lease>, Error> {
        let scan = self.dynamodb.scan().table_name(&self.name).consistent_read(true);
        let mut items = scan.into_paginator().items().send();
        let mut leases = Vec::new();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| self.failed("Scan", error))?;
            leases.extend(self.decode(&item));
        }
        leases.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(leases)
    }

    /// Makes a transition, if the lease still is as it was seen.
    pub(crate) async fn apply(
        &self,
        transition: &Transition,
        seen: &Lease,
    ) -> Result<Outcome, Error> {
        let write = transition.write(seen);
        let reply = self
            .dynamodb
            .update_item()
            .table_name(&self.name)
            .key(LEASE_KEY, AttributeValue::S(write.key))
            .condition_expression(write.condition)
            .update_expression(write.update)
            .set_expression_attribute_values(Some(write.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match reply {
            Ok(_) => Ok(Outcome::Applied(transition.apply(seen))),
            Err(error) => match refused(&error) {
                Some(row) => {
                    let current = self.current(row, &seen.key).await?;
                    Ok(judge(transition, seen, current))
                }
                None => Err(self.failed(transition.name(), error)),
            },
        }
    }

    /// The row that refused a write: from the refusal, or read where that does not carry it.
    async fn current(&self, row: Option<&Item>, key: &str) -> Result<Option<Lease>, Error> {
        if let Some(row) = row {
            return Ok(self.decode(row));
        }
        let key = AttributeValue::S(key.to_owned());
        let get = self.dynamodb.get_item().table_name(&self.name).key(LEASE_KEY, key);
        let reply = get.consistent_read(true).send().await;
        let reply = reply.map_err(|error| self.failed("GetItem", error))?;
        Ok(reply.item().and_then(|row| self.decode(row)))
    }

    fn decode(&self, row: &Item) -> Option<Lease> {
        Lease::decode(row).unwrap_or_else(|error| {
            warn!(table = self.name, error = %error, "left a lease alone that cannot be read");
            None
        })
    }

    fn failed(&self, operation: &'static str, source: impl Into<Cause>) -> Error {
        Error::LeaseTable { operation, table: self.name.clone(), source: source.into() }
    }
}

/// Whether an earlier attempt of the same write got through, its reply lost, and the SDK tried again.
fn judge(transition: &Transition, seen: &Lease, current: Option<Lease>) -> Outcome {
    match current {
        Some(current) if transition.has_happened(seen, &current) => Outcome::Applied(current),
        current => Outcome::Conflict(current),
    }
}

/// `Some` when the condition failed, with the row where the service sent it.
fn refused(error: &SdkError<UpdateItemError>) -> Option<Option<&Item>> {
    match error.as_service_error()? {
        UpdateItemError::ConditionalCheckFailedException(refusal) => Some(refusal.item()),
        other if other.code() == Some("ConditionalCheckFailedException") => Some(None),
        _ => None,
    }
}
