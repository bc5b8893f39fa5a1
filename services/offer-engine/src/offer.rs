//! An offer, as far as the engine cares.

use jiff::Timestamp;
use need::Candidate;
use river::{Event, Failure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest text of an offer, in characters: ids become keys of DynamoDB, and a selection has to fit into a message.
const TEXT_MAX: usize = 200;
/// Most offers that one may supersede.
const SUPERSEDES_MAX: usize = 20;

/// A solution of a need: a proposed offer, and who proposed it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Offer {
    pub(crate) offer_id: String,
    /// The service that made it.
    pub(crate) offerer: String,
    /// What it is for.
    pub(crate) slot: String,
    /// What it is based on, for people.
    pub(crate) basis: String,
    /// Number of facts that it rests on: the more, the better it fits this customer.
    pub(crate) specificity: usize,
    pub(crate) title: String,
    /// As its offerer writes it: amount and currency.
    pub(crate) price: Value,
    /// Expected margin, in minor units.
    pub(crate) value: i64,
    /// How likely it is taken, from 0 to 1.
    pub(crate) likelihood: f64,
    /// It stands for ever where this is not given.
    #[serde(default, with = "time")]
    pub(crate) expires_at: Option<Timestamp>,
    /// Offers of the same offerer that it replaces.
    pub(crate) supersedes: Vec<String>,
}

/// The payload of `OfferProposed`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Proposal {
    offer_id: String,
    slot: String,
    #[serde(default)]
    basis: String,
    #[serde(default)]
    facts: Vec<String>,
    title: String,
    price: Price,
    value: i64,
    likelihood: f64,
    #[serde(default, with = "time")]
    expires_at: Option<Timestamp>,
    #[serde(default)]
    supersedes: Vec<String>,
}

/// Amounts are passed on as they are written.
#[derive(Debug, Serialize, Deserialize)]
struct Price {
    amount: Value,
    currency: String,
}

impl Offer {
    /// The offer that an `OfferProposed` proposes.
    ///
    /// # Errors
    /// A final failure that says what is wrong with it.
    pub(crate) fn of(event: &Event) -> Result<Self, Failure> {
        let proposal: Proposal = river::payload(event)?;
        let offerer = event.producer.as_ref().map_or(&event.event_domain, |by| &by.service);
        let offer = Self {
            offer_id: proposal.offer_id,
            offerer: offerer.clone(),
            slot: proposal.slot,
            basis: proposal.basis,
            specificity: proposal.facts.len(),
            title: proposal.title,
            price: serde_json::to_value(proposal.price)?,
            value: proposal.value,
            likelihood: proposal.likelihood,
            expires_at: proposal.expires_at,
            supersedes: proposal.supersedes,
        };
        match offer.fault() {
            None => Ok(offer),
            Some(fault) => Err(Failure::poison(format!("offer {}: {fault}", offer.offer_id))),
        }
    }

    fn fault(&self) -> Option<String> {
        let texts = [
            ("offerId", &self.offer_id),
            ("slot", &self.slot),
            ("basis", &self.basis),
            ("title", &self.title),
            ("offerer", &self.offerer),
        ];
        let long = |text: &str| text.chars().count() > TEXT_MAX;
        if let Some((name, _)) = texts.iter().find(|(_, text)| long(text)) {
            return Some(format!("{name} is longer than {TEXT_MAX} characters"));
        }
        if self.price.to_string().len() > TEXT_MAX {
            return Some(format!("price is longer than {TEXT_MAX} characters"));
        }
        if self.offer_id.is_empty() || self.slot.is_empty() {
            return Some("offerId or slot is empty".to_owned());
        }
        if !(0.0..=1.0).contains(&self.likelihood) {
            return Some(format!("likelihood {} is not from 0 to 1", self.likelihood));
        }
        if self.supersedes.len() > SUPERSEDES_MAX {
            return Some(format!("it supersedes more than {SUPERSEDES_MAX} offers"));
        }
        None
    }
}

impl Candidate for Offer {
    fn id(&self) -> &str {
        &self.offer_id
    }

    fn source(&self) -> &str {
        &self.offerer
    }

    fn specificity(&self) -> usize {
        self.specificity
    }

    /// Expected margin.
    #[expect(clippy::cast_precision_loss, reason = "a margin is far below 2^53 cents")]
    fn score(&self) -> f64 {
        self.value as f64 * self.likelihood
    }

    fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    fn supersedes(&self) -> &[String] {
        &self.supersedes
    }
}

/// A time that may be left out, RFC 3339.
mod time {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(
        at: &Option<Timestamp>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => out.collect_str(at),
            None => out.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        let at = text.parse();
        at.map(Some).map_err(|_| de::Error::custom(format!("{text:?} is not an RFC 3339 time")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn offer(change: impl FnOnce(&mut Value)) -> Result<Offer, Failure> {
        let mut payload = json!({
            "offerId": "o1", "slot": "rental", "basis": "segment", "facts": ["v", "s"],
            "title": "Double points", "price": {"amount": "45.00", "currency": "USD"},
            "value": 1200, "likelihood": 0.22, "expiresAt": "2026-11-23T00:30:00.000Z",
        });
        change(&mut payload);
        Offer::of(&Event::root("OfferProposed", "brand", payload, Timestamp::UNIX_EPOCH))
    }

    #[test]
    fn an_offer_is_read_with_its_offerer_and_what_it_rests_on() {
        let offer = offer(|_| {}).unwrap();
        assert_eq!((&*offer.offerer, offer.specificity), ("brand", 2));
        assert_eq!(offer.price, json!({"amount": "45.00", "currency": "USD"}));
        assert!(offer.expires_at.is_some());
    }

    #[test]
    fn an_offer_that_cannot_be_ranked_or_kept_is_refused() {
        let wrong: [(&str, Value); 6] = [
            ("likelihood", json!(1.5)),
            ("value", json!("much")),
            ("offerId", json!("")),
            ("slot", json!("x".repeat(201))),
            ("expiresAt", json!("soon")),
            ("price", json!(45)),
        ];
        for (field, value) in wrong {
            assert!(offer(|payload| payload[field] = value).is_err(), "{field}");
        }
    }

    #[test]
    fn every_conformance_vector_is_taken_or_refused_as_it_says() {
        let vectors = include_str!("../../../crates/event/schema/vectors/offers.json");
        let vectors: Value = serde_json::from_str(vectors).unwrap();
        for vector in vectors["vectors"].as_array().unwrap() {
            let taken = offer(|payload| *payload = vector["payload"].clone()).is_ok();
            assert_eq!(taken, vector["accepted"] == true, "{}", vector["name"]);
        }
    }
}
