//! Which events were handled.

use event::EventId;

use crate::table::LONGER_THAN_ANY_MESSAGE;
use crate::{Error, Pond, item};

const SEEN: &str = "SEEN";

/// Remembers the events that were handled from one river, so that a copy can be dropped.
///
/// It says "seen" only of events that were handled to the end: [`Inbox::record`] comes after the effects. Two
/// processes that get a copy each at the same time may both handle it; effects have to bear that.
#[derive(Clone, Debug)]
pub struct Inbox {
    pond: Pond,
    river: String,
}

impl Inbox {
    /// The inbox for events of `river`.
    #[must_use]
    pub fn new(pond: &Pond, river: impl Into<String>) -> Self {
        Self { pond: pond.clone(), river: river.into() }
    }

    /// Whether the event was handled, and that is not so long ago that it was to be forgotten.
    ///
    /// # Errors
    /// [`Error::Aws`].
    pub async fn seen(&self, event: &EventId) -> Result<bool, Error> {
        let item = self.pond.get(&self.pk(event), SEEN).await?;
        // DynamoDB deletes what has expired within days; until then it must not count, or how long an event is
        // remembered would be chance.
        Ok(item.is_some_and(|item| !item::has_expired(&item, self.pond.now())))
    }

    /// Says that the event was handled, and everything it came to is durable.
    ///
    /// # Errors
    /// [`Error::Aws`].
    pub async fn record(&self, event: &EventId) -> Result<(), Error> {
        let put = self.pond.client.put_item().table_name(&*self.pond.table);
        let put = put
            .set_item(Some(item::key(&self.pk(event), SEEN)))
            .item(item::TTL, self.pond.expiry(LONGER_THAN_ANY_MESSAGE));
        let put = put.send().await;
        put.map(drop).map_err(|error| Error::aws(&self.pond.table, "recording an event", error))
    }

    /// River names hold no `#`, so no two pairs of river and id share a key.
    fn pk(&self, event: &EventId) -> String {
        format!("INBOX#{}#{event}", self.river)
    }
}
