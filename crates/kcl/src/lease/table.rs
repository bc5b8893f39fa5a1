//! The lease table: dull reads and conditional writes.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, ConsumedCapacity, KeySchemaElement, KeyType,
    ReturnConsumedCapacity, ReturnValue, ReturnValuesOnConditionCheckFailure, ScalarAttributeType,
    TableStatus,
};
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::error::{Cause, Error, is_throttle};
use crate::lease::transition::{Transition, Write};
use crate::lease::{Item, LEASE_KEY, Lease};
use crate::metrics::{Access, Api, Metrics};

/// DynamoDB makes a table in seconds; longer than this and somebody should look.
const TABLE_ACTIVE_MAX: Duration = Duration::from_secs(120);
const TABLE_ACTIVE_POLL: Duration = Duration::from_millis(200);

/// What became of a conditional write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// It happened: the lease is this now.
    Applied(Lease),
    /// Somebody was faster: the row is this now, or gone.
    Conflict(Option<Lease>),
}

/// The rows of the leases of one application.
#[derive(Clone)]
pub(crate) struct LeaseTable {
    dynamodb: Client,
    name: Arc<str>,
    metrics: Arc<dyn Metrics>,
}

impl LeaseTable {
    pub(crate) fn new(dynamodb: Client, name: &str, metrics: Arc<dyn Metrics>) -> Self {
        Self { dynamodb, name: name.into(), metrics }
    }

    /// The same table through another client.
    pub(crate) fn through(&self, dynamodb: Client) -> Self {
        Self { dynamodb, ..self.clone() }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.dynamodb
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
                let (table, seconds) = (self.name.to_string(), TABLE_ACTIVE_MAX.as_secs());
                return Err(Error::LeaseTableNotActive { table, seconds });
            }
            sleep(TABLE_ACTIVE_POLL).await;
        }
    }

    async fn status(&self) -> Result<Option<TableStatus>, Error> {
        match self.dynamodb.describe_table().table_name(&*self.name).send().await {
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
            .table_name(&*self.name)
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

    /// Every lease of the table, in order of the keys. A row that cannot be read is told and left alone.
    ///
    /// Read eventually consistent, at half the price: every write that follows is conditional.
    pub(crate) async fn scan(&self) -> Result<Vec<Lease>, Error> {
        let mut leases = Vec::new();
        let mut next = None;
        loop {
            let scan = self.dynamodb.scan().table_name(&*self.name);
            let scan = scan.return_consumed_capacity(ReturnConsumedCapacity::Total);
            let page = self.call(Api::DynamoDbScan, scan.set_exclusive_start_key(next).send());
            let page = page.await.map_err(|error| self.failed("Scan", error))?;
            self.capacity(Access::Read, page.consumed_capacity());
            leases.extend(page.items().iter().filter_map(|row| self.decode(row)));
            next = page.last_evaluated_key;
            if next.is_none() {
                leases.sort_by(|a, b| a.key.cmp(&b.key));
                return Ok(leases);
            }
        }
    }

    /// One lease, as it is now.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Lease>, Error> {
        let get = self.dynamodb.get_item().table_name(&*self.name).consistent_read(true);
        let get = get.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let get = get.key(LEASE_KEY, AttributeValue::S(key.to_owned()));
        let reply = self.call(Api::DynamoDbGet, get.send()).await;
        let reply = reply.map_err(|error| self.failed("GetItem", error))?;
        self.capacity(Access::Read, reply.consumed_capacity());
        Ok(reply.item().and_then(|row| self.decode(row)))
    }

    /// Makes a transition, if the lease still is as it was seen.
    pub(crate) async fn apply(
        &self,
        transition: &Transition,
        seen: &Lease,
    ) -> Result<Outcome, Error> {
        let write = transition.write(seen);
        let written = if transition == &Transition::Delete {
            self.delete(write).await
        } else {
            self.update(write).await
        };
        match written {
            // What came back tells more than what was meant: a hand-over that was asked for meanwhile.
            Ok(row) => {
                let lease = row.as_ref().and_then(|row| self.decode(row));
                Ok(Outcome::Applied(lease.unwrap_or_else(|| transition.apply(seen))))
            }
            Err(Refusal::Condition(row)) => {
                let current = match row {
                    Some(row) => self.decode(&row),
                    None => self.get(&seen.key).await?,
                };
                Ok(judge(transition, seen, current))
            }
            Err(Refusal::Other(source)) => Err(self.failed(transition.name(), source)),
        }
    }

    async fn update(&self, write: Write) -> Result<Option<Item>, Refusal> {
        let update = self
            .dynamodb
            .update_item()
            .table_name(&*self.name)
            .key(LEASE_KEY, AttributeValue::S(write.key))
            .condition_expression(write.condition)
            .update_expression(write.update)
            .set_expression_attribute_values(Some(write.values).filter(|values| !values.is_empty()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let reply = self.call(Api::DynamoDbUpdate, update.send()).await.map_err(|error| {
            use aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException as Refused;
            match error.as_service_error() {
                Some(Refused(refused)) => Refusal::Condition(refused.item().cloned()),
                _ => Refusal::from(error),
            }
        })?;
        self.capacity(Access::Write, reply.consumed_capacity());
        Ok(reply.attributes)
    }

    async fn delete(&self, write: Write) -> Result<Option<Item>, Refusal> {
        let delete = self
            .dynamodb
            .delete_item()
            .table_name(&*self.name)
            .key(LEASE_KEY, AttributeValue::S(write.key))
            .condition_expression(write.condition)
            .set_expression_attribute_values(Some(write.values))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let reply = self.call(Api::DynamoDbDelete, delete.send()).await?;
        self.capacity(Access::Write, reply.consumed_capacity());
        Ok(None)
    }

    /// Counts a call, and whether it was refused because there were too many.
    async fn call<T, E: ProvideErrorMetadata>(
        &self,
        api: Api,
        call: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> Result<T, SdkError<E>> {
        let since = Instant::now();
        let reply = call.await;
        self.metrics.called(api, since.elapsed(), reply.is_ok());
        if reply.as_ref().err().is_some_and(is_throttle) {
            self.metrics.throttled(api);
        }
        reply
    }

    fn capacity(&self, access: Access, used: Option<&ConsumedCapacity>) {
        if let Some(units) = used.and_then(ConsumedCapacity::capacity_units) {
            self.metrics.capacity(access, units);
        }
    }

    fn decode(&self, row: &Item) -> Option<Lease> {
        Lease::decode(row).unwrap_or_else(|error| {
            warn!(table = &*self.name, error = %error, "left a lease alone that cannot be read");
            None
        })
    }

    fn failed(&self, operation: &'static str, source: impl Into<Cause>) -> Error {
        Error::LeaseTable { operation, table: self.name.to_string(), source: source.into() }
    }
}

/// Why a write did not happen.
enum Refusal {
    /// The condition did not hold; with the row where the service sent it.
    Condition(Option<Item>),
    Other(Cause),
}

impl<E> From<SdkError<E>> for Refusal
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        if error.code() == Some("ConditionalCheckFailedException") {
            return Self::Condition(None);
        }
        Self::Other(error.into())
    }
}

/// Whether an earlier attempt of the same write got through, its reply lost, and the SDK tried again.
fn judge(transition: &Transition, seen: &Lease, current: Option<Lease>) -> Outcome {
    match current {
        Some(current) if transition.has_happened(seen, &current) => Outcome::Applied(current),
        None if transition == &Transition::Delete => Outcome::Applied(seen.clone()),
        current => Outcome::Conflict(current),
    }
}

#[cfg(test)]
mod tests;
