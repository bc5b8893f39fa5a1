//! Synthetic customers: what should follow from their views, and whether it does.

mod run;

use std::collections::HashMap;

use event::{Event, EventId};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::clock::{Clock, Moment};
use crate::config;
pub(crate) use run::STAGES;
pub use run::{Run, Verdict};

/// The probes, in the order in which they take turns: Sally; somebody whom nobody knows; Sally, whose view is put onto the
/// rapids twice.
pub(crate) const NAMES: [&str; 3] = ["sally", "anonymous", "duplicate"];
/// Domain of their views.
const DOMAIN: &str = "probe";
/// Runs that are waited for, those of ten minutes: of what was long ago, nothing is told when all is well again.
const RUNS_MAX: usize = 30;

/// Somebody who is known: the view, to be put onto the rapids, and what to show the events to that follow. `customer` is a
/// road warrior and a platinum member, by the tables of segmentation and membership.
pub fn sally(customer: &str, now: Timestamp) -> (Event, Run) {
    (view(customer, now), Run::new(NAMES[0], now))
}

fn view(customer: &str, now: Timestamp) -> Event {
    let payload = json!({
        "customerId": customer,
        "page": "/probe",
        "location": {"city": "Probeville"},
    });
    Event { synthetic: true, ..Event::root("ViewPage", DOMAIN, payload, now) }
}

/// Probes that are under way.
#[derive(Debug)]
pub(crate) struct Probes {
    customer: String,
    within: SignedDuration,
    judged_after: SignedDuration,
    turn: usize,
    runs: HashMap<EventId, (Moment, Run)>,
}

impl Probes {
    pub(crate) fn new(config: &config::Probe) -> Self {
        let signed = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        Self {
            customer: config.customer.clone(),
            within: signed(config.within),
            judged_after: signed(config.judged_after),
            turn: 0,
            runs: HashMap::new(),
        }
    }

    /// The next probe's events, to be put onto the rapids.
    pub(crate) fn start(&mut self, now: Moment) -> Vec<Event> {
        if self.runs.len() >= RUNS_MAX {
            let oldest = self.runs.iter().min_by_key(|(_, (began, _))| began.wall);
            if let Some(id) = oldest.map(|(id, _)| id.clone()) {
                self.runs.remove(&id);
            }
        }
        let name = NAMES[self.turn % NAMES.len()];
        self.turn += 1;
        let customer = if name == "anonymous" { "probe-nobody" } else { &*self.customer };
        let view = view(customer, now.wall);
        self.runs.insert(view.event_id.clone(), (now, Run::new(name, now.wall)));
        let copies = if name == "duplicate" { 2 } else { 1 };
        vec![view; copies]
    }

    /// Waits for none any more.
    pub(crate) fn forget(&mut self) {
        self.runs.clear();
    }

    /// An event, copies included.
    pub(crate) fn heard(&mut self, event: &Event) {
        if let Some((_, run)) = self.runs.get_mut(event.correlation()) {
            run.heard(event);
        }
    }

    /// Judges the runs that are due.
    pub(crate) fn judge(&mut self, clock: &Clock) -> Vec<Verdict> {
        let (after, within) = (self.judged_after, self.within);
        let mut verdicts = Vec::new();
        self.runs.retain(|_, (began, run)| {
            let due = clock.is_over(*began, after);
            if due {
                verdicts.push(run.verdict(within));
            }
            !due
        });
        verdicts
    }
}

#[cfg(test)]
mod tests;
