//! One synthetic view, and what followed from it.

use std::collections::{BTreeMap, BTreeSet};

use event::Event;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Stages of a run. The last one is no event: that all that followed is marked as synthetic.
pub(crate) const STAGES: [&str; 9] = [
    "baseline_location",
    "baseline_brand",
    "segment_event",
    "membership_event",
    "segment_offer_location",
    "segment_offer_brand",
    "combined_offer",
    "selection",
    "marked_synthetic",
];
/// What follows for somebody whom nobody knows.
const ANONYMOUS: [&str; 5] =
    ["baseline_location", "baseline_brand", "segment_event", "membership_event", "selection"];

/// A run under way.
#[derive(Debug)]
pub struct Run {
    probe: &'static str,
    since: Timestamp,
    /// When each stage came to pass for the first time.
    reached: BTreeMap<&'static str, SignedDuration>,
    /// What was wrong, by stage.
    wrong: BTreeMap<&'static str, String>,
    /// Id and offers of the first selections, each different one.
    selections: BTreeSet<(String, String)>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The probe's name.
    pub probe: &'static str,
    /// When it began.
    pub since: Timestamp,
    /// Stages that came to pass, after so many seconds.
    pub reached: Vec<(&'static str, f64)>,
    /// Stages that did not, or wrongly, and what is wrong. The run is passed if there is none.
    pub failed: Vec<(&'static str, String)>,
}

impl Run {
    pub(super) fn new(probe: &'static str, since: Timestamp) -> Self {
        let (reached, wrong, selections) = Default::default();
        Self { probe, since, reached, wrong, selections }
    }

    /// An event of its conversation, copies included.
    pub fn heard(&mut self, event: &Event) {
        if !event.synthetic {
            let what =
                format!("{} {} is not marked as synthetic", event.event_type, event.event_id);
            self.wrong.insert("marked_synthetic", what);
        }
        if event.event_type == "OffersSelected" {
            let offers = event.payload.get("offers").map(Value::to_string);
            self.selections.insert((event.event_id.to_string(), offers.unwrap_or_default()));
        }
        match self.stage(event) {
            Some(Ok(stage)) => {
                let took = event.timestamp.duration_since(self.since);
                self.reached.entry(stage).or_insert(took);
            }
            Some(Err((stage, what))) => {
                self.wrong.insert(stage, what);
            }
            None => {}
        }
    }

    /// Whether all has come that was expected, rightly or not.
    pub fn is_complete(&self) -> bool {
        let came =
            |stage: &&str| self.reached.contains_key(*stage) || self.wrong.contains_key(*stage);
        self.expected().iter().all(came)
    }

    /// How it went, up to now.
    pub fn verdict(&self, within: SignedDuration) -> Verdict {
        let mut wrong = self.wrong.clone();
        for stage in self.expected() {
            if !self.reached.contains_key(stage) {
                wrong.entry(stage).or_insert_with(|| "it did not come".to_owned());
            }
        }
        if let Some(took) = self.reached.get("selection").filter(|took| **took > within) {
            let (took, within) = (took.as_millis(), within.as_millis());
            wrong.insert("selection", format!("it came after {took} ms, not within {within} ms"));
        }
        if self.selections.len() > 1 {
            let ids: Vec<_> = self.selections.iter().map(|(id, _)| id.as_str()).collect();
            wrong.insert("selection", format!("there are several: {}", ids.join(", ")));
        }
        let reached = self.reached.iter().filter(|(stage, _)| !wrong.contains_key(*stage));
        Verdict {
            probe: self.probe,
            since: self.since,
            reached: reached.map(|(stage, took)| (*stage, took.as_secs_f64().max(0.0))).collect(),
            failed: wrong.into_iter().collect(),
        }
    }

    fn expected(&self) -> &'static [&'static str] {
        if self.probe == "anonymous" { &ANONYMOUS } else { &STAGES[..8] }
    }

    /// The stage that an event is, or what is wrong with it; none if it is no stage.
    fn stage(&self, event: &Event) -> Option<Result<&'static str, (&'static str, String)>> {
        let word = |name: &str| event.payload.get(name).and_then(Value::as_str).unwrap_or("");
        let known = self.probe != "anonymous";
        let is = |stage, name: &str, expected: &str| {
            let found = word(name);
            let wrong = || (stage, format!("{name} is {found:?}, not {expected:?}"));
            if found == expected { Ok(stage) } else { Err(wrong()) }
        };
        match event.event_type.as_str() {
            "CustomerSegmented" => {
                Some(is("segment_event", "segment", if known { "RoadWarrior" } else { "None" }))
            }
            "MembershipResolved" => {
                Some(is("membership_event", "tier", if known { "Platinum" } else { "None" }))
            }
            "OfferProposed" => offer(event, word("basis")).map(Ok),
            "OffersSelected" => Some(self.selection(event, known)),
            _ => None,
        }
    }

    fn selection(
        &self,
        event: &Event,
        known: bool,
    ) -> Result<&'static str, (&'static str, String)> {
        let offers = event.payload.get("offers").and_then(Value::as_array);
        let first = offers.and_then(|offers| offers.first()?.get("basis")?.as_str()).unwrap_or("");
        let expected = if known { "segment+tier" } else { "baseline" };
        if first == expected {
            return Ok("selection");
        }
        Err(("selection", format!("its best offer rests on {first:?}, not on {expected:?}")))
    }
}

/// The stage that an offer is, by who makes it and on what it rests. Another version is as good.
fn offer(event: &Event, basis: &str) -> Option<&'static str> {
    let service = event.producer.as_ref().map_or("", |producer| &producer.service);
    let service = service.split('-').next().unwrap_or_default();
    match (service, basis) {
        ("location", "baseline") => Some("baseline_location"),
        ("brand", "baseline") => Some("baseline_brand"),
        ("location", "segment") => Some("segment_offer_location"),
        ("brand", "segment") => Some("segment_offer_brand"),
        ("location", "segment+tier") => Some("combined_offer"),
        _ => None,
    }
}
