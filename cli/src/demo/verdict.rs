//! Whether the scenario came out right. A pure function of what was seen.

use std::time::Duration;

use anyhow::bail;
use event::Event;

use super::scenario::{
    CUSTOMER_SEGMENTED, MEMBERSHIP_RESOLVED, OFFER_PROPOSED, OFFERS_SELECTED, VIEW_PAGE, basis,
};
use super::story::{Story, text};
use crate::tree::emitter;

/// What is not right about a story.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// What has not happened; it may still.
    missing: Vec<String>,
    /// What must not have happened.
    wrong: Vec<String>,
}

/// The offers that the scenario is about: by whom, and on which basis.
const OFFERS: [(&str, &str); 5] = [
    ("location", basis::BASELINE),
    ("brand", basis::BASELINE),
    ("location", basis::SEGMENT),
    ("brand", basis::SEGMENT),
    ("location", basis::COMBINED),
];

impl Verdict {
    /// Judges a story.
    pub(super) fn on(story: &Story) -> Self {
        let mut verdict = Self { missing: Vec::new(), wrong: Vec::new() };
        verdict.facts(story);
        verdict.offers(story);
        verdict.selection(story);
        verdict
    }

    /// Whether waiting cannot change it any more.
    pub(super) fn is_final(&self) -> bool {
        self.missing.is_empty() || !self.wrong.is_empty()
    }

    /// Everything that is not right, as an error.
    pub(super) fn into_result(self, elapsed: Duration) -> anyhow::Result<()> {
        let missing = self.missing.into_iter().map(|what| format!("missing: {what}"));
        let problems: Vec<_> = self.wrong.into_iter().chain(missing).collect();
        if problems.is_empty() {
            return Ok(());
        }
        let seconds = elapsed.as_secs_f64();
        bail!(
            "the scenario did not come out right in {seconds:.1} s: {}; `rapids demo -v` shows why",
            problems.join("; ")
        )
    }

    fn need(&mut self, there: bool, what: impl Into<String>) {
        if !there {
            self.missing.push(what.into());
        }
    }

    fn facts(&mut self, story: &Story) {
        self.need(story.of_type(VIEW_PAGE).next().is_some(), "ViewPage on the rapids");
        let says = |event_type, service, field, value| {
            let mut told = story.of_type(event_type).filter(|event| emitter(event) == service);
            told.any(|event| text(&event.payload, field) == value)
        };
        let warrior = says(CUSTOMER_SEGMENTED, "segmentation", "segment", "RoadWarrior");
        self.need(warrior, "segmentation saying that Sally is a Road Warrior");
        let platinum = says(MEMBERSHIP_RESOLVED, "membership", "tier", "Platinum");
        self.need(platinum, "membership saying that Sally is Platinum");
    }

    fn offers(&mut self, story: &Story) {
        for (service, basis) in OFFERS {
            let found = story.of_type(OFFER_PROPOSED).any(|offer| is_offer(offer, service, basis));
            self.need(found, format!("an offer of {service} on basis {basis}"));
        }
        let others = story
            .of_type(OFFER_PROPOSED)
            .filter(|offer| !OFFERS.iter().any(|(service, basis)| is_offer(offer, service, basis)));
        for offer in others {
            let (by, basis) = (emitter(offer), text(&offer.payload, "basis"));
            self.wrong
                .push(format!("an offer of {by} on basis {basis:?}, which nobody should make"));
        }
        let ids: Vec<_> = story.of_type(OFFER_PROPOSED).map(offer_id).collect();
        for (index, id) in ids.iter().enumerate() {
            if ids[..index].contains(id) {
                self.wrong.push(format!("offer {id} was made by two events of different ids"));
            }
        }
    }

    fn selection(&mut self, story: &Story) {
        let on_rapids: Vec<_> = story.of_type(OFFERS_SELECTED).collect();
        self.need(!on_rapids.is_empty(), "OffersSelected on the rapids");
        self.need(!story.selections().is_empty(), "OffersSelected in river offers");
        if on_rapids.len() > 1 {
            self.wrong.push(format!("{} selections, one is right", on_rapids.len()));
        }
        let strange = |selection: &&Event| emitter(selection) != "offer-engine";
        if let Some(selection) = on_rapids.iter().copied().find(strange) {
            self.wrong.push(format!("a selection by {}", emitter(selection)));
        }
        if story.selections().is_empty() {
            return;
        }
        let Some(first) = story.offers().first() else {
            self.wrong.push("a selection without offers".to_owned());
            return;
        };
        let chosen = text(first, "offerId");
        let combined = story
            .of_type(OFFER_PROPOSED)
            .any(|offer| offer_id(offer) == chosen && is_offer(offer, "location", basis::COMBINED));
        // The river can be faster than the tail: a proposal that was not seen yet says nothing.
        let seen = story.of_type(OFFER_PROPOSED).any(|offer| offer_id(offer) == chosen);
        if seen && !combined {
            self.wrong
                .push(format!("offer {chosen:?} is ranked first, not location's combined one"));
        }
        self.need(seen, format!("the proposal of the offer that is ranked first, {chosen:?}"));
    }
}

fn is_offer(offer: &Event, service: &str, basis: &str) -> bool {
    emitter(offer) == service && text(&offer.payload, "basis") == basis
}

fn offer_id(offer: &Event) -> &str {
    text(&offer.payload, "offerId")
}

#[cfg(test)]
mod tests;
