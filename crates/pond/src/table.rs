//! The table of a service's ponds.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
    TimeToLiveSpecification,
};
use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;
use tracing::info;

use crate::Error;
use crate::item::{self, Item, PK, SK, TTL};

/// Longest wait for a new table; DynamoDB takes some ten seconds.
const ACTIVE_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long state is kept that tells a copy from an original: longer than SQS can keep a message, 14 days, so
/// that even one put back from a dead-letter queue is recognised.
pub(crate) const LONGER_THAN_ANY_MESSAGE: SignedDuration = SignedDuration::from_hours(15 * 24);

/// The table of one service, with everything durable that it has. Cheap to clone.
#[derive(Clone)]
pub struct Pond {
    pub(crate) client: Client,
    pub(crate) table: Arc<str>,
    time: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Pond {
    /// Opens the table, and makes it if it is missing: on-demand, keys `pk` and `sk`, expiring by `ttl`.
    ///
    /// `time` tells the wall-clock time; items expire by it.
    ///
    /// # Errors
    /// [`Error::Aws`], [`Error::NotActive`].
    pub async fn open(
        client: Client,
        table: impl Into<Arc<str>>,
        time: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let pond = Self { client, table: table.into(), time: Arc::new(time) };
        if pond.status().await?.is_none() {
            pond.create().await?;
        }
        pond.wait_until_active().await?;
        pond.expire().await?;
        Ok(pond)
    }

    /// Name of the table, for items of the service's own.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.time)()
    }

    /// The value of the `ttl` attribute of an item to be kept this long.
    pub(crate) fn expiry(&self, kept: SignedDuration) -> aws_sdk_dynamodb::types::AttributeValue {
        item::seconds(self.now().saturating_add(kept).unwrap_or(Timestamp::MAX))
    }

    pub(crate) fn unreadable(&self, item: &str, attribute: impl Into<String>) -> Error {
        let (table, item) = (self.table.to_string(), item.to_owned());
        Error::Unreadable { table, item, attribute: attribute.into() }
    }

    /// One item, as of all writes that were answered before.
    pub(crate) async fn get(&self, pk: &str, sk: &str) -> Result<Option<Item>, Error> {
        let get = self.client.get_item().table_name(&*self.table).consistent_read(true);
        let got = get.set_key(Some(item::key(pk, sk))).send().await;
        Ok(got.map_err(|error| Error::aws(&self.table, "reading an item", error))?.item)
    }

    async fn status(&self) -> Result<Option<TableStatus>, Error> {
        match self.client.describe_table().table_name(&*self.table).send().await {
            Ok(reply) => Ok(reply.table.and_then(|table| table.table_status)),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.is_resource_not_found_exception()) =>
            {
                Ok(None)
            }
            Err(error) => Err(Error::aws(&self.table, "looking for the table", error)),
        }
    }

    async fn create(&self) -> Result<(), Error> {
        let create = self.client.create_table().table_name(&*self.table);
        let create = create.billing_mode(BillingMode::PayPerRequest);
        let create = with_key(with_key(create, PK, KeyType::Hash), SK, KeyType::Range);
        match create.send().await {
            Ok(_) => info!(table = &*self.table, "made a table"),
            // Another process of the service was faster.
            Err(error)
                if error.as_service_error().is_some_and(|e| e.is_resource_in_use_exception()) => {}
            Err(error) => return Err(Error::aws(&self.table, "making the table", error)),
        }
        Ok(())
    }

    async fn wait_until_active(&self) -> Result<(), Error> {
        let mut waited = Duration::ZERO;
        while self.status().await? != Some(TableStatus::Active) {
            if waited >= ACTIVE_WITHIN {
                let (table, waited_s) = (self.table.to_string(), waited.as_secs());
                return Err(Error::NotActive { table, waited_s });
            }
            sleep(LOOK_EVERY).await;
            waited += LOOK_EVERY;
        }
        Ok(())
    }

    async fn expire(&self) -> Result<(), Error> {
        let by = TimeToLiveSpecification::builder().enabled(true).attribute_name(TTL).build();
        let by = by.map_err(|error| Error::Aws {
            table: self.table.to_string(),
            action: "turning on expiry",
            source: error.into(),
        })?;
        let update = self.client.update_time_to_live().table_name(&*self.table);
        match update.time_to_live_specification(by).send().await {
            Ok(_) => Ok(()),
            // It is on already: DynamoDB has no other way to say so than to call the request invalid.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.code() == Some("ValidationException")) =>
            {
                Ok(())
            }
            Err(error) => Err(Error::aws(&self.table, "turning on expiry", error)),
        }
    }
}

fn with_key(
    create: CreateTableFluentBuilder,
    name: &str,
    kind: KeyType,
) -> CreateTableFluentBuilder {
    let attribute = AttributeDefinition::builder().attribute_name(name);
    let attribute = attribute.attribute_type(ScalarAttributeType::S).build();
    let element = KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    // Both builders want a name and a type, and have them.
    match (attribute, element) {
        (Ok(attribute), Ok(element)) => create.attribute_definitions(attribute).key_schema(element),
        _ => create,
    }
}

impl fmt::Debug for Pond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pond").field("table", &self.table).finish_non_exhaustive()
    }
}
