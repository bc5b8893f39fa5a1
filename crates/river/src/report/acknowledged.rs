//! Which audited events this process has accounted for.

use std::sync::{Mutex, PoisonError};

use event::{Event, EventId};
use serde_json::json;

use super::About;

/// The event type of accounts.
pub(super) const ACKNOWLEDGED: &str = "system.Acknowledged";
/// Ids in one report: some 20 KB.
const TOGETHER_MAX: usize = 500;
/// Ids between two heartbeats; a process would have to settle ten thousand events a second.
const KEPT_MAX: usize = 20_000;
/// What is not audited: what services say of themselves.
const SYSTEM: &str = "system.";

/// Ids of audited events that were settled, or given back to the queue for another attempt, since the last report.
#[derive(Debug, Default)]
pub(super) struct Acknowledged(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    ids: Vec<EventId>,
    /// For these there was no room: whoever audits cannot tell what became of them.
    untold: u64,
}

impl Acknowledged {
    /// The event has come here, and is settled or lies in the queue again.
    pub(super) fn note(&self, event: &Event) {
        if !event.event_id.is_audited() || event.event_type.starts_with(SYSTEM) {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.ids.len() < KEPT_MAX {
            kept.ids.push(event.event_id.clone());
        } else {
            kept.untold += 1;
        }
    }

    /// A report of accounts could not be told: whoever audits is to know that some are missing.
    pub(super) fn lost(&self, report: &Event) {
        let ids = report.payload["ids"].as_array().map_or(0, Vec::len) as u64;
        let untold = report.payload["untold"].as_u64().unwrap_or_default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).untold += ids + untold;
    }

    /// What is to be told, in as many events as it takes; none if there is nothing.
    pub(super) fn reports(&self, about: &About) -> Vec<Event> {
        let kept = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let report = |ids: &[EventId], untold: u64| {
            let mut payload = about.payload();
            payload["ids"] = json!(ids);
            if untold > 0 {
                payload["untold"] = untold.into();
            }
            about.event(ACKNOWLEDGED, payload)
        };
        let mut chunks: Vec<&[EventId]> = kept.ids.chunks(TOGETHER_MAX).collect();
        if chunks.is_empty() && kept.untold > 0 {
            chunks.push(&[]);
        }
        // The first one says how many are missing.
        let untold = |at| if at == 0 { kept.untold } else { 0 };
        chunks.into_iter().enumerate().map(|(at, ids)| report(ids, untold(at))).collect()
    }
}
