//! What is known in a conversation: facts that only grow, and what has followed from them.
//!
//! One item per conversation: an attribute for each fact, and the set of events that were emitted because of
//! them. Writers do not wait for each other: each fact is replaced only by a newer one, in an order that all of
//! them agree on.
//!
//! A fact is written first, and what is known is read with it: of those who write two facts, the second sees both. What
//! follows is published before it is noted, and noted before the message goes. `protocol` goes through every order of
//! steps, crashes and copies, and shows that each other order loses something.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use event::{Draft, Event, EventId};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::item::{self, Item};
use crate::{Error, Pond};

const FACTS: &str = "FACTS";
/// Attributes that hold a fact start with this.
const PREFIX: &str = "fact:";
const EMITTED: &str = "emitted";
/// How long a conversation may take: a view is of no interest the day after.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// The facts of all conversations.
#[derive(Clone, Debug)]
pub struct Facts {
    pond: Pond,
    service: String,
}

/// Something that an event says.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// What it is about, such as `segment`.
    pub name: String,
    /// What is the case.
    pub value: Value,
    /// The event that says it.
    pub event: EventId,
    /// How far that is from its root.
    pub hops: u32,
    /// Of two facts with one name, the greater replaces the other: by schema version, then time, then id.
    order: String,
}

/// All that is known in one conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    facts: BTreeMap<String, Fact>,
    emitted: BTreeSet<EventId>,
}

impl Fact {
    /// The fact `name` with this `value`, because `event` says so.
    #[must_use]
    pub fn of(event: &Event, name: impl Into<String>, value: Value) -> Self {
        let version = event.schema_version.unwrap_or(1);
        // A fixed width and an unsigned number, so that text sorts as time does.
        let micros = i128::from(event.timestamp.as_microsecond()) - i128::from(i64::MIN);
        let order = format!("{version:010} {micros:020} {}", event.event_id);
        let (hops, event) = (event.hops, event.event_id.clone());
        Self { name: name.into(), value, event, hops, order }
    }

    /// When the event says that it happened; the beginning of time if the fact was written by somebody else and says
    /// nothing of it.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        let micros = self.order.split(' ').nth(1).and_then(|micros| micros.parse::<i128>().ok());
        let micros = micros.and_then(|micros| i64::try_from(micros + i128::from(i64::MIN)).ok());
        micros.and_then(|at| Timestamp::from_microsecond(at).ok()).unwrap_or(Timestamp::MIN)
    }
}

impl Known {
    /// A fact by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Fact> {
        self.facts.get(name)
    }

    /// The value of a fact, where it is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.value.as_str()
    }

    /// Whether this event was emitted before, and is surely on the rapids.
    #[must_use]
    pub fn has_emitted(&self, event: &EventId) -> bool {
        self.emitted.contains(event)
    }

    /// Learns a fact, unless a newer one of its name is known, or a copy of the event that says it: a copy may have been
    /// made at another time, and what follows from a fact must not change with that. This is what DynamoDB does with
    /// the stored ones.
    pub fn learn(&mut self, fact: Fact) {
        let known = self.facts.get(&fact.name);
        if known.is_none_or(|known| known.event != fact.event && known.order < fact.order) {
            self.facts.insert(fact.name.clone(), fact);
        }
    }

    /// Of all that follows from what is known, what `service` has not surely said yet.
    fn unsaid(&self, mut drafts: Vec<Draft>, service: &str, cause: &Event) -> Vec<Draft> {
        drafts.retain(|draft| !self.has_emitted(&draft.id(service, cause)));
        drafts
    }

    /// Notes an event that is on the rapids.
    pub fn emit(&mut self, event: EventId) {
        self.emitted.insert(event);
    }
}

impl Facts {
    /// The facts in `pond`, from which `service` draws conclusions: its name is part of the ids of its events.
    #[must_use]
    pub fn new(pond: &Pond, service: impl Into<String>) -> Self {
        Self { pond: pond.clone(), service: service.into() }
    }

    /// Learns what `cause` says, and returns what follows and was not emitted before. `conclude` names all that
    /// follows from what is known, emitted or not.
    ///
    /// When the answers are on the rapids, note them with [`Facts::emitted`].
    ///
    /// # Errors
    /// [`Error::Aws`], [`Error::Unreadable`].
    pub async fn learn(
        &self,
        cause: &Event,
        fact: &Fact,
        conclude: impl FnOnce(&Known) -> Vec<Draft>,
    ) -> Result<Vec<Draft>, Error> {
        let known = self.record(cause.correlation(), fact).await?;
        let drafts = conclude(&known);
        Ok(known.unsaid(drafts, &self.service, cause))
    }

    /// Records a fact, and returns all that is known in the conversation now.
    ///
    /// # Errors
    /// [`Error::Aws`], [`Error::Unreadable`].
    pub async fn record(&self, conversation: &EventId, fact: &Fact) -> Result<Known, Error> {
        let pk = pk(conversation);
        let update = self.pond.client.update_item().table_name(&*self.pond.table);
        let update = update
            .set_key(Some(item::key(&pk, FACTS)))
            .update_expression("SET #fact = :fact, #ttl = if_not_exists(#ttl, :ttl)")
            .condition_expression(
                "attribute_not_exists(#fact) OR (#fact.#order < :order AND #fact.#event <> :event)",
            )
            .expression_attribute_names("#event", "event")
            .expression_attribute_values(":event", item::text(fact.event.as_str()))
            .expression_attribute_names("#fact", format!("{PREFIX}{}", fact.name))
            .expression_attribute_names("#order", "order")
            .expression_attribute_names("#ttl", item::TTL)
            .expression_attribute_values(":fact", AttributeValue::M(to_map(fact)))
            .expression_attribute_values(":order", item::text(&fact.order))
            .expression_attribute_values(":ttl", self.pond.expiry(KEPT))
            .return_values(ReturnValue::AllNew);
        let item = match update.send().await {
            Ok(reply) => reply.attributes.unwrap_or_default(),
            Err(error) => match error.as_service_error() {
                // The same fact, or a newer one, is known.
                Some(refusal) if refusal.is_conditional_check_failed_exception() => {
                    match self.pond.get(&pk, FACTS).await? {
                        Some(item) => item,
                        None => {
                            return Err(Error::aws(&self.pond.table, "recording a fact", error));
                        }
                    }
                }
                _ => return Err(Error::aws(&self.pond.table, "recording a fact", error)),
            },
        };
        from_item(&item).map_err(|attribute| self.pond.unreadable(&pk, attribute))
    }

    /// Notes events that are on the rapids, so that they are not emitted again. Nothing is lost when this fails:
    /// they have the same ids the next time.
    ///
    /// # Errors
    /// [`Error::Aws`].
    pub async fn emitted(
        &self,
        conversation: &EventId,
        events: impl IntoIterator<Item = &Event>,
    ) -> Result<(), Error> {
        let ids: Vec<_> = events.into_iter().map(|event| event.event_id.to_string()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let update = self.pond.client.update_item().table_name(&*self.pond.table);
        let update = update
            .set_key(Some(item::key(&pk(conversation), FACTS)))
            .update_expression("SET #ttl = if_not_exists(#ttl, :ttl) ADD #emitted :ids")
            .expression_attribute_names("#emitted", EMITTED)
            .expression_attribute_names("#ttl", item::TTL)
            .expression_attribute_values(":ids", AttributeValue::Ss(ids))
            .expression_attribute_values(":ttl", self.pond.expiry(KEPT));
        let done = update.send().await;
        done.map(drop).map_err(|error| Error::aws(&self.pond.table, "noting emitted events", error))
    }
}

fn pk(conversation: &EventId) -> String {
    format!("FACTS#{conversation}")
}

fn to_map(fact: &Fact) -> Item {
    Item::from([
        ("value".to_owned(), item::text(fact.value.to_string())),
        ("event".to_owned(), item::text(fact.event.as_str())),
        ("hops".to_owned(), item::number(fact.hops)),
        ("order".to_owned(), item::text(&fact.order)),
    ])
}

/// What an item says is known, or the attribute that cannot be read.
fn from_item(item: &Item) -> Result<Known, &str> {
    let mut known = Known::default();
    for (attribute, value) in item {
        if let Some(name) = attribute.strip_prefix(PREFIX) {
            let map = value.as_m().ok().and_then(|map| from_map(name, map));
            known.learn(map.ok_or(attribute.as_str())?);
        }
    }
    if let Some(ids) = item.get(EMITTED) {
        let ids = ids.as_ss().map_err(|_| EMITTED)?;
        known.emitted.extend(ids.iter().map(|id| EventId::from(id.as_str())));
    }
    Ok(known)
}

fn from_map(name: &str, map: &Item) -> Option<Fact> {
    Some(Fact {
        name: name.to_owned(),
        value: serde_json::from_str(item::text_of(map, "value")?).ok()?,
        event: item::text_of(map, "event")?.into(),
        hops: item::number_of(map, "hops")?,
        order: item::text_of(map, "order")?.to_owned(),
    })
}

#[cfg(test)]
mod protocol;
#[cfg(test)]
mod tests;
