//! What is said of a choice: the payload of `OffersSelected`.

use pond::{Frozen, WindowId};
use river::Draft;
use serde_json::{Value, json};

use crate::offer::Offer;
use crate::policy::{self, Choice, Limits, Reason, Rejected, Selected};

/// The first selection of a window. Amendments will count on from here.
const REVISION: u32 = 1;
/// Rejected offers that are listed; the rest is only counted. A selection has to fit into 256 KiB, which SNS
/// carries, with room for those who add to it.
const REJECTED_LISTED_MAX: usize = 200;

/// The event for a frozen window: a function of what was collected, and of the policy.
pub(crate) fn draft(id: &WindowId, frozen: &Frozen<Offer>, limits: Limits) -> Draft {
    let choice = policy::choose(frozen.solutions.clone(), frozen.closed_at, limits);
    let payload = payload(id, frozen, &choice);
    let distinct = format!("{}/{REVISION}", id.name);
    Draft::new("OffersSelected", "selection", payload).distinct(distinct)
}

fn payload(id: &WindowId, frozen: &Frozen<Offer>, choice: &Choice) -> Value {
    let Choice { selected, rejected } = choice;
    let listed = rejected.iter().take(REJECTED_LISTED_MAX).map(rejection);
    json!({
        "windowId": format!("{}/{}", id.correlation, id.name),
        "slot": id.name,
        "revision": REVISION,
        "result": if selected.is_empty() { "none" } else { "some" },
        "offers": selected.iter().zip(1..).map(|(s, rank)| selection(s, rank, rejected)).collect::<Vec<_>>(),
        "rejected": listed.collect::<Vec<_>>(),
        "window": {
            "openedAt": format!("{:.3}", frozen.opening.opened_at),
            "closedAt": format!("{:.3}", frozen.closed_at),
            "reason": "deadline",
        },
        "policy": {"name": policy::NAME, "version": policy::VERSION},
        "counts": {
            "received": frozen.solutions.len(),
            "selected": selected.len(),
            "rejected": rejected.len(),
        },
    })
}

fn selection(selected: &Selected, rank: u32, rejected: &[Rejected]) -> Value {
    let Selected { offer, score } = selected;
    json!({
        "rank": rank,
        "offerId": offer.offer_id,
        "offerer": offer.offerer,
        "basis": offer.basis,
        "title": offer.title,
        "price": offer.price,
        "score": score,
        "expiresAt": offer.expires_at.map(|at| format!("{at:.3}")),
        "why": why(selected, rejected),
    })
}

/// For people: `2000 × 0.35 = 700; rests on 3 facts; better than 2 others of location`.
fn why(selected: &Selected, rejected: &[Rejected]) -> String {
    let Selected { offer, score } = selected;
    let score = (score * 100.0).round() / 100.0;
    let mut why = format!("{} × {} = {score}", offer.value, offer.likelihood);
    let plural = if offer.specificity == 1 { "" } else { "s" };
    why.push_str(&format!("; rests on {} fact{plural}", offer.specificity));
    let replaced = rejected.iter().filter(
        |rejected| matches!(&rejected.reason, Reason::Superseded { by } if *by == offer.offer_id),
    );
    match replaced.count() {
        0 => {}
        1 => why.push_str(&format!("; supersedes another of {}", offer.offerer)),
        others => why.push_str(&format!("; supersedes {others} others of {}", offer.offerer)),
    }
    why
}

fn rejection(rejected: &Rejected) -> Value {
    let Rejected { offer, reason } = rejected;
    let (reason, by) = match reason {
        Reason::Expired => ("expired", None),
        Reason::Duplicate => ("duplicate", None),
        Reason::Superseded { by } => ("superseded", Some(by)),
        Reason::Capped => ("capped", None),
        Reason::Outranked => ("outranked", None),
    };
    let mut value = json!({
        "offerId": offer.offer_id, "offerer": offer.offerer, "basis": offer.basis, "reason": reason,
    });
    if let Some(by) = by {
        value["by"] = json!(by);
    }
    value
}
