//! What is said of a choice: the payload of `OffersSelected` and `OffersAmended`.

use jiff::Timestamp;
use need::{Choice, Frozen, Policy, Reason, Rejected, Selected, WindowId};
use river::{Draft, Event};
use serde_json::{Value, json};

use crate::offer::Offer;

/// The first selection for a slot.
pub(crate) const SELECTED: &str = "OffersSelected";
/// Another one in its place, because of offers that came later.
pub(crate) const AMENDED: &str = "OffersAmended";
/// Rejected offers that are listed; the rest is only counted. A selection has to fit into 256 KiB, which SNS
/// carries, with room for those who add to it.
const REJECTED_LISTED_MAX: usize = 200;

/// The event for a frozen window: a function of what was collected, of the policy, and of the time at which the offers
/// have to stand.
pub(crate) fn draft(id: &WindowId, frozen: &Frozen<Offer>, policy: Policy, at: Timestamp) -> Draft {
    let choice = policy.choose(frozen.solutions.clone(), at);
    said(id, frozen, policy, &choice)
}

/// Another selection in the place of `current`, if other offers are in it, or the same ones in another order.
pub(crate) fn amendment(
    id: &WindowId,
    frozen: &Frozen<Offer>,
    policy: Policy,
    at: Timestamp,
    current: &Event,
) -> Option<Draft> {
    let choice = policy.choose(frozen.solutions.clone(), at);
    let chosen = choice.selected.iter().map(|selected| Some(&*selected.solution.offer_id));
    let current = current.payload["offers"].as_array().into_iter().flatten();
    let stands = chosen.eq(current.map(|offer| offer["offerId"].as_str()));
    (!stands).then(|| said(id, frozen, policy, &choice))
}

fn said(id: &WindowId, frozen: &Frozen<Offer>, policy: Policy, choice: &Choice<Offer>) -> Draft {
    let payload = payload(id, frozen, policy, choice);
    let (event_type, rule) = match frozen.revision {
        1 => (SELECTED, "selection"),
        _ => (AMENDED, "amendment"),
    };
    let distinct = format!("{}/{}", id.name, frozen.revision);
    Draft::new(event_type, rule, payload).distinct(distinct)
}

fn payload(id: &WindowId, frozen: &Frozen<Offer>, policy: Policy, choice: &Choice<Offer>) -> Value {
    let Choice { selected, rejected } = choice;
    let late = frozen.solutions.iter().filter(|offer| offer.late);
    let listed = rejected.iter().take(REJECTED_LISTED_MAX).map(rejection);
    json!({
        "windowId": format!("{}/{}", id.correlation, id.name),
        "slot": id.name,
        "revision": frozen.revision,
        "result": if selected.is_empty() { "none" } else { "some" },
        "offers": selected.iter().zip(1..).map(|(s, rank)| selection(s, rank, rejected)).collect::<Vec<_>>(),
        "rejected": listed.collect::<Vec<_>>(),
        "window": {
            "openedAt": format!("{:.3}", frozen.opening.opened_at),
            "closedAt": format!("{:.3}", frozen.closed_at),
            "reason": frozen.reason.as_str(),
        },
        "policy": {"name": policy.name(), "version": policy.version()},
        "counts": {
            "received": frozen.solutions.len(),
            "late": late.count(),
            "selected": selected.len(),
            "rejected": rejected.len(),
        },
    })
}

fn selection(selected: &Selected<Offer>, rank: u32, rejected: &[Rejected<Offer>]) -> Value {
    let Selected { solution: offer, score } = selected;
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
fn why(selected: &Selected<Offer>, rejected: &[Rejected<Offer>]) -> String {
    let Selected { solution: offer, score } = selected;
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

fn rejection(rejected: &Rejected<Offer>) -> Value {
    let Rejected { solution: offer, reason } = rejected;
    let (reason, by) = match reason {
        Reason::Expired => ("expired", None),
        Reason::Duplicate => ("duplicate", None),
        Reason::Superseded { by } => ("superseded", Some(by)),
        Reason::Capped => ("capped", None),
        Reason::Outranked => ("outranked", None),
        Reason::Overtaken => ("overtaken", None),
        Reason::Alone => ("alone", None),
    };
    let mut value = json!({
        "offerId": offer.offer_id, "offerer": offer.offerer, "basis": offer.basis, "reason": reason,
    });
    if let Some(by) = by {
        value["by"] = json!(by);
    }
    value
}
