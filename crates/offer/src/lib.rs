//! Offers that follow from facts by rules: what the services that offer something share.
//!
//! Such a service says which fact an event tells, and has its rules as data. Everything of an offer follows from the
//! facts that its rule requires, its cause and its end included: whoever makes it, and however often, makes the same.

use event::{Draft, Event, EventId};
use jiff::SignedDuration;
use pond::{Fact, Facts, Known, Pond, Rule};
use river::{Context, Failure, Outcome};
use serde_json::json;

/// How long an offer stands, from the last of the events that it rests on.
const STANDS: SignedDuration = SignedDuration::from_mins(30);
/// Stands in a title for what the fact `view` names.
const NAME: &str = "{}";

/// What an offer says.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// What it is based on, for people.
    pub basis: &'static str,
    /// `{}` stands in it for what the fact `view` names.
    pub title: &'static str,
    /// A day's price in US dollars, as a decimal number.
    pub amount: &'static str,
    /// Expected margin, in cents.
    pub value: i64,
    /// How likely it is taken, from 0 to 1.
    pub likelihood: f64,
}

/// The offers of a service.
#[derive(Clone, Debug)]
pub struct Offers {
    facts: Facts,
    service: String,
    terms: &'static [Rule<Terms>],
    otherwise: &'static str,
}

impl Offers {
    /// Offers by these rules, with the facts in the service's pond. A view that names nothing names `otherwise`.
    ///
    /// # Errors
    /// What DynamoDB refuses.
    pub async fn open(
        context: &Context,
        terms: &'static [Rule<Terms>],
        otherwise: &'static str,
    ) -> anyhow::Result<Self> {
        let (dynamodb, service) = (context.kit().dynamodb(), context.service().to_owned());
        let pond = Pond::open(dynamodb, context.pond_table(), context.time()).await?;
        Ok(Self { facts: Facts::new(&pond, &*service), service, terms, otherwise })
    }

    /// Learns what an event says, and answers it with the offers that follow now and were not made before.
    ///
    /// # Errors
    /// Those of the pond, to be tried again.
    pub async fn learn(&self, event: &Event, fact: &Fact) -> Result<Outcome, Failure> {
        let conclude = |known: &Known| {
            proposals(known, event.correlation(), &self.service, self.terms, self.otherwise)
        };
        Ok(Outcome::Answered(self.facts.learn(event, fact, conclude).await?))
    }

    /// The offers are on the rapids: they are not made again.
    ///
    /// # Errors
    /// Those of the pond, to be tried again.
    pub async fn made(&self, cause: &Event, offers: &[Event]) -> Result<(), Failure> {
        Ok(self.facts.emitted(cause.correlation(), offers).await?)
    }
}

/// All offers that follow from what is known in a conversation, made before or not.
#[must_use]
pub fn proposals(
    known: &Known,
    conversation: &EventId,
    service: &str,
    terms: &[Rule<Terms>],
    otherwise: &str,
) -> Vec<Draft> {
    let name = known.text("view").unwrap_or(otherwise);
    let offer = |rule: &Rule<Terms>| {
        let facts = rule.requires.iter().filter_map(|needed| known.get(needed.fact()));
        let last = facts.clone().max_by_key(|fact| fact.at())?;
        let stands_until = last.at().saturating_add(STANDS).unwrap_or(jiff::Timestamp::MAX);
        let terms = &rule.then;
        let payload = json!({
            "offerId": EventId::derived(service, conversation, rule.id, ""),
            "slot": "rental",
            "basis": terms.basis,
            "facts": facts.map(|fact| &fact.event).collect::<Vec<_>>(),
            "title": terms.title.replace(NAME, name),
            "price": {"amount": terms.amount, "currency": "USD"},
            "value": terms.value,
            "likelihood": terms.likelihood,
            "expiresAt": format!("{stands_until:.3}"),
        });
        let draft = Draft::new("OfferProposed", rule.id, payload);
        Some(draft.caused_by(last.event.clone(), last.hops))
    };
    pond::due(terms, known).filter_map(offer).collect()
}
