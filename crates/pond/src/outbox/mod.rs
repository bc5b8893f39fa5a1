//! Events that have to follow a change of state, when there is no message that comes again if they do not.
//!
//! Whoever handles an event needs no outbox: the event is kept until its answers are on the rapids. An HTTP handler, a
//! background job or a timer has nothing of the kind. It writes what changes and the events in one transaction, as an
//! *entry*, publishes the events, and deletes the entry. Whatever dies in between, the entry is there exactly if the
//! change is, and a sweeper in any process of the service publishes what was left behind.
//!
//! The ids of the events are in the entry, so a copy, by a second sweeper or after a crash between publishing and
//! deleting, is the same event. Events of one conversation may overtake each other.
//!
//! ```
//! use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
//! use event::Event;
//! use pond::{Committed, Outbox, Pond, Sweep, Unpublished};
//! use tokio_util::sync::CancellationToken;
//!
//! # struct Rapids;
//! # #[derive(Debug, thiserror::Error)]
//! # enum NotPublished { #[error("busy")] NotAccepted, #[error("too large")] Refused }
//! # impl Rapids { async fn publish(&self, _: &[Event]) -> Result<(), NotPublished> { Ok(()) } }
//! struct Bookings { pond: Pond, outbox: Outbox, rapids: Rapids }
//!
//! impl Bookings {
//!     /// From an HTTP handler: the booking and its event, or neither.
//!     async fn book(&self, id: &str, booked: Event) -> Result<(), pond::CommitError> {
//!         let key = |text: String| AttributeValue::S(text);
//!         let put = Put::builder()
//!             .table_name(self.pond.table())
//!             .item("pk", key(format!("BOOKING#{id}")))
//!             .item("sk", key("BOOKING".into()))
//!             .condition_expression("attribute_not_exists(pk)");
//!         # let put = put.build().expect("a table and an item");
//!         let change = vec![TransactWriteItem::builder().put(put).build()];
//!         let publish = async |events: Vec<Event>| self.publish(&events).await;
//!         match self.outbox.commit(change, &[booked], publish).await? {
//!             Committed::Published => {}
//!             // It is durable, and will be published by the sweeper.
//!             Committed::Left(why) => tracing::warn!(%why, "an event goes later"),
//!         }
//!         Ok(())
//!     }
//!
//!     /// In `Handler::background`.
//!     async fn background(&self, stop: CancellationToken) {
//!         let publish = async |events: Vec<Event>| self.publish(&events).await;
//!         self.outbox.sweep(Sweep::default(), stop, publish).await;
//!     }
//!
//!     async fn publish(&self, events: &[Event]) -> Result<(), Unpublished> {
//!         self.rapids.publish(events).await.map_err(|error| match error {
//!             NotPublished::NotAccepted => Unpublished::later(error),
//!             NotPublished::Refused => Unpublished::never(error),
//!         })
//!     }
//! }
//! ```

mod entry;
mod refused;
mod sweep;
#[cfg(test)]
mod tests;

use std::error;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, Put, TransactWriteItem};
use event::Event;
use tokio::time::sleep;
use tracing::warn;

use self::entry::{ENTRY_MAX, Entry};
pub use self::refused::Refused;
pub use self::sweep::{Sweep, Swept};
use crate::{Error, Pond, item};

/// Most items of one transaction
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>).
const ITEMS_MAX: usize = 100;
/// Attempts at a transaction while others write the same items.
const ATTEMPTS_MAX: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// Events that are to be published, durable together with the change of state that they tell of. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbox {
    pond: Pond,
    name: Arc<str>,
}

/// The change and its events are durable.
#[derive(Debug)]
pub enum Committed {
    /// And the events are on the rapids.
    Published,
    /// The events are left to the sweeper, and why.
    Left(Unpublished),
}

/// Events are not on the rapids, or not all of them.
#[derive(Debug, thiserror::Error)]
pub enum Unpublished {
    /// It may work later.
    #[error("{0}")]
    Later(Box<dyn error::Error + Send + Sync>),
    /// It can never work: the events themselves are refused.
    #[error("{0}")]
    Never(Box<dyn error::Error + Send + Sync>),
}

/// Neither the change nor the events are durable; after [`CommitError::Pond`] it is not known whether both are.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// A transaction has at most 100 items, one of which is the entry.
    #[error(
        "{items} items and the entry for their events are more than {ITEMS_MAX}: change less at once"
    )]
    TooMany {
        /// Items of the change.
        items: usize,
    },
    /// The events do not fit into one item, 400 KB with its names.
    #[error(
        "{events} events need {bytes} bytes, more than {ENTRY_MAX}: commit fewer at once, or smaller ones"
    )]
    TooLarge {
        /// How many.
        events: usize,
        /// What they need.
        bytes: usize,
    },
    /// A condition of the change was not met, or DynamoDB had something else against it.
    #[error("the change was refused: {}", told(reasons))]
    Cancelled {
        /// A reason for each item of the change, in their order; the code is `None` where there is none.
        reasons: Vec<CancellationReason>,
    },
    /// DynamoDB did not do it, or did not say so. If it did, the sweeper publishes the events. Before another
    /// attempt, read whether the change is there; a change with a condition finds out by itself.
    #[error(transparent)]
    Pond(#[from] Error),
}

impl Unpublished {
    /// Not now, and why.
    pub fn later(why: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        Self::Later(why.into())
    }

    /// Not ever, and why.
    pub fn never(why: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        Self::Never(why.into())
    }
}

impl Outbox {
    /// The outbox of this name in `pond`. All processes of a service share it.
    #[must_use]
    pub fn new(pond: &Pond, name: impl Into<Arc<str>>) -> Self {
        Self { pond: pond.clone(), name: name.into() }
    }

    /// Does a `change` of state, in tables of any name, and makes its events durable with it; then publishes them. When
    /// this is dropped or fails half-way, both are durable, or neither.
    ///
    /// The change has at most 99 items, and 4 MB with the events. One that may be tried again needs a condition.
    ///
    /// # Errors
    /// [`CommitError`]. That the events could not be published is none.
    pub async fn commit<P, F>(
        &self,
        change: Vec<TransactWriteItem>,
        events: &[Event],
        publish: P,
    ) -> Result<Committed, CommitError>
    where
        P: Fn(Vec<Event>) -> F,
        F: Future<Output = Result<(), Unpublished>>,
    {
        let entry = Entry::new(&self.name, self.pond.now(), events);
        if change.len() >= ITEMS_MAX {
            return Err(CommitError::TooMany { items: change.len() });
        }
        let bytes = entry.size();
        if bytes > ENTRY_MAX {
            return Err(CommitError::TooLarge { events: events.len(), bytes });
        }
        self.write(change, &entry).await?;
        if let Err(why) = publish(events.to_vec()).await {
            return Ok(Committed::Left(why));
        }
        if let Err(error) = self.delete(&entry.pk, &entry.sk).await {
            warn!(outbox = &*self.name, %error, "left an entry that is published: it will be once more");
        }
        Ok(Committed::Published)
    }

    async fn write(
        &self,
        change: Vec<TransactWriteItem>,
        entry: &Entry,
    ) -> Result<(), CommitError> {
        let action = "committing a change with its events";
        let put = Put::builder().table_name(&*self.pond.table).set_item(Some(entry.to_item()));
        let put = put.condition_expression("attribute_not_exists(pk)").build();
        let put = put.map_err(|error| self.failed(action, error))?;
        let mut items = change;
        items.push(TransactWriteItem::builder().put(put).build());
        for attempt in 0..ATTEMPTS_MAX {
            let call = self.pond.client.transact_write_items();
            let Err(error) = call.set_transact_items(Some(items.clone())).send().await else {
                return Ok(());
            };
            match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    match meaning(cancelled.cancellation_reasons()) {
                        Meaning::Done => return Ok(()),
                        Meaning::Again => {}
                        Meaning::Refused(reasons) => {
                            return Err(CommitError::Cancelled { reasons });
                        }
                    }
                }
                Some(TransactWriteItemsError::TransactionInProgressException(_)) => {}
                _ => return Err(Error::aws(&self.pond.table, action, error).into()),
            }
            sleep(PAUSE.mul_f64(fastrand::f64() * f64::from(attempt + 1))).await;
        }
        let (table, item) = (self.pond.table.to_string(), entry.pk.clone());
        Err(Error::Contended { table, item }.into())
    }

    async fn delete(&self, pk: &str, sk: &str) -> Result<(), Error> {
        let delete = self.pond.client.delete_item().table_name(&*self.pond.table);
        let deleted = delete.set_key(Some(item::key(pk, sk))).send().await;
        deleted.map(drop).map_err(|e| Error::aws(&self.pond.table, "deleting an entry", e))
    }

    fn failed(
        &self,
        action: &'static str,
        error: impl error::Error + Send + Sync + 'static,
    ) -> Error {
        Error::Aws { table: self.pond.table.to_string(), action, source: error.into() }
    }
}

/// What a cancelled transaction comes to.
#[derive(Debug, PartialEq)]
enum Meaning {
    /// The entry is there: its key is no other's, so an earlier attempt of ours was done, whose reply was lost.
    Done,
    /// Others were in the way.
    Again,
    Refused(Vec<CancellationReason>),
}

/// The last reason is of the entry, the others are of the change.
fn meaning(reasons: &[CancellationReason]) -> Meaning {
    const BUSY: [&str; 3] =
        ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    let Some((entry, change)) = reasons.split_last() else { return Meaning::Refused(Vec::new()) };
    if entry.code() == Some("ConditionalCheckFailed") {
        return Meaning::Done;
    }
    let codes = reasons.iter().filter_map(CancellationReason::code).filter(|code| *code != "None");
    let mut codes = codes.peekable();
    if codes.peek().is_some() && codes.all(|code| BUSY.contains(&code)) {
        return Meaning::Again;
    }
    Meaning::Refused(change.to_vec())
}

fn told(reasons: &[CancellationReason]) -> String {
    let reasons = reasons.iter().enumerate().filter_map(|(index, reason)| {
        let code = reason.code().filter(|code| *code != "None")?;
        Some(format!("item {index}: {code} {}", reason.message().unwrap_or_default()))
    });
    reasons.collect::<Vec<_>>().join("; ")
}
