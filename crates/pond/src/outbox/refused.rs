//! Entries that can never be published: out of the way, and kept for a person.

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use jiff::Timestamp;
use tracing::error;

use super::Outbox;
use super::entry::Entry;
use crate::item::{self, Item, PK};
use crate::{Error, outbox::sweep::PAGE_MAX};

const REASON: &str = "reason";
/// Longest reason that is kept, in characters.
const REASON_MAX: usize = 1000;

/// An entry that was moved aside.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// When its change was committed.
    pub at: Timestamp,
    /// Its events as they were written, each as JSON.
    pub events: Vec<String>,
    /// Why they cannot be published.
    pub reason: String,
}

impl Outbox {
    /// Entries that can never be published, the oldest of them, at most 25. They are kept until a person deletes them:
    /// their state has changed, and nobody has heard of it.
    ///
    /// # Errors
    /// [`Error::Aws`], [`Error::Unreadable`].
    pub async fn refused(&self) -> Result<Vec<Refused>, Error> {
        let pk = self.refused_pk();
        let query = self.pond.client.query().table_name(&*self.pond.table).limit(PAGE_MAX);
        let query = query.key_condition_expression("pk = :pk").consistent_read(true);
        let page = query.expression_attribute_values(":pk", item::text(&pk)).send().await;
        let page = page.map_err(|e| Error::aws(&self.pond.table, "reading refused entries", e))?;
        let read = |item: &Item| {
            let reason = item::text_of(item, REASON).ok_or(REASON)?.to_owned();
            let Entry { at, events, .. } = Entry::from_item(item)?;
            Ok(Refused { at, events, reason })
        };
        let all = page.items().iter().map(read).collect::<Result<_, _>>();
        all.map_err(|attribute: &str| self.pond.unreadable(&pk, attribute))
    }

    /// Moves an entry aside, as it was written. Somebody else may have been faster.
    pub(super) async fn move_aside(&self, entry: &Item, reason: &str) -> Result<(), Error> {
        let action = "moving an entry aside";
        let text = |name: &str| item::text_of(entry, name).unwrap_or_default();
        let (pk, sk) = (text(PK), text(item::SK));
        error!(outbox = &*self.name, entry = sk, reason, "an event can never be published");
        let reason: String = reason.chars().take(REASON_MAX).collect();
        let mut aside = entry.clone();
        aside.insert(PK.to_owned(), item::text(self.refused_pk()));
        aside.insert(REASON.to_owned(), item::text(reason));
        let put = Put::builder().table_name(&*self.pond.table).set_item(Some(aside)).build();
        let delete = Delete::builder().table_name(&*self.pond.table);
        let delete = delete.set_key(Some(item::key(pk, sk)));
        let delete = delete.condition_expression("attribute_exists(pk)").build();
        let put = put.map_err(|error| self.failed(action, error))?;
        let delete = delete.map_err(|error| self.failed(action, error))?;
        let call = self.pond.client.transact_write_items();
        let call = call.transact_items(TransactWriteItem::builder().put(put).build());
        let call = call.transact_items(TransactWriteItem::builder().delete(delete).build());
        let Err(error) = call.send().await else { return Ok(()) };
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled))
                if cancelled
                    .cancellation_reasons()
                    .get(1)
                    .is_some_and(|gone| gone.code() == Some("ConditionalCheckFailed")) =>
            {
                Ok(())
            }
            _ => Err(Error::aws(&self.pond.table, action, error)),
        }
    }

    fn refused_pk(&self) -> String {
        format!("OUTBOX-REFUSED#{}", self.name)
    }
}
