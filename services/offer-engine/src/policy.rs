//! How offers are chosen: a pure function of the offers, versioned, so that every selection can be explained.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::offer::Offer;

/// Name and version of the policy. A change that could choose otherwise is a new version.
pub(crate) const NAME: &str = "ranked";
pub(crate) const VERSION: u32 = 1;

/// How many are chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) top: usize,
    pub(crate) per_offerer: usize,
}

/// What was chosen, best first, and what was not, in the order of ids.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Choice {
    pub(crate) selected: Vec<Selected>,
    pub(crate) rejected: Vec<Rejected>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Selected {
    pub(crate) offer: Offer,
    pub(crate) score: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rejected {
    pub(crate) offer: Offer,
    pub(crate) reason: Reason,
}

/// Why an offer was not chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reason {
    /// It did not stand any more when the window closed.
    Expired,
    /// The same offer was there already.
    Duplicate,
    /// Its offerer has a better one for this customer.
    Superseded {
        /// That one.
        by: String,
    },
    /// Its offerer has enough in the selection.
    Capped,
    /// Others are better.
    Outranked,
}

/// Policy `ranked/1`: of each offerer only what fits the customer best, then by expected margin.
pub(crate) fn choose(offers: Vec<Offer>, closed_at: Timestamp, limits: Limits) -> Choice {
    let mut choice = Choice::default();
    let standing = choice.drop_expired(offers, closed_at);
    let mut standing = choice.drop_superseded(standing);
    standing.sort_by(better_first);
    let mut chosen_of = BTreeMap::<String, usize>::new();
    for Selected { offer, score } in standing {
        let chosen = chosen_of.entry(offer.offerer.clone()).or_default();
        if *chosen == limits.per_offerer {
            choice.reject(offer, Reason::Capped);
        } else if choice.selected.len() == limits.top {
            choice.reject(offer, Reason::Outranked);
        } else {
            *chosen += 1;
            choice.selected.push(Selected { offer, score });
        }
    }
    choice.rejected.sort_by(|a, b| a.offer.offer_id.cmp(&b.offer.offer_id));
    choice
}

impl Choice {
    fn reject(&mut self, offer: Offer, reason: Reason) {
        self.rejected.push(Rejected { offer, reason });
    }

    fn drop_expired(&mut self, offers: Vec<Offer>, closed_at: Timestamp) -> Vec<Offer> {
        let (standing, expired): (Vec<_>, Vec<_>) = offers
            .into_iter()
            .partition(|offer| offer.expires_at.is_none_or(|expires| closed_at < expires));
        expired.into_iter().for_each(|offer| self.reject(offer, Reason::Expired));
        standing
    }

    /// Leaves of each offerer what it offers with the greatest specificity, and what it has not itself replaced.
    /// Most specific first, so that of two offers that replace each other one is left.
    fn drop_superseded(&mut self, mut offers: Vec<Offer>) -> Vec<Selected> {
        let precedence =
            |offer: &Offer| (std::cmp::Reverse(offer.specificity), offer.offer_id.clone());
        offers.sort_by_key(precedence);
        let mut kept: Vec<Selected> = Vec::new();
        for offer in offers {
            let earlier = kept.iter().find_map(|kept| displaces(&kept.offer, &offer));
            match earlier {
                Some(reason) => self.reject(offer, reason),
                None => kept.push(Selected { score: score(&offer), offer }),
            }
        }
        kept
    }
}

/// Why `offer` has no place beside `kept`, which has precedence; none if it has.
fn displaces(kept: &Offer, offer: &Offer) -> Option<Reason> {
    if kept.offer_id == offer.offer_id {
        return Some(Reason::Duplicate);
    }
    // An offerer may take back what it said, and not what others did.
    let same_source = kept.offerer == offer.offerer && kept.slot == offer.slot;
    let replaced = kept.supersedes.contains(&offer.offer_id);
    let superseded = same_source && (replaced || kept.specificity > offer.specificity);
    superseded.then(|| Reason::Superseded { by: kept.offer_id.clone() })
}

/// Expected margin.
#[expect(clippy::cast_precision_loss, reason = "a margin is far below 2^53 cents")]
fn score(offer: &Offer) -> f64 {
    offer.value as f64 * offer.likelihood
}

/// A total order: by score, then the better fitting, then the one that stands longer, then by id.
fn better_first(a: &Selected, b: &Selected) -> Ordering {
    let stands = |offer: &Offer| offer.expires_at.unwrap_or(Timestamp::MAX);
    b.score
        .total_cmp(&a.score)
        .then_with(|| b.offer.specificity.cmp(&a.offer.specificity))
        .then_with(|| stands(&b.offer).cmp(&stands(&a.offer)))
        .then_with(|| a.offer.offer_id.cmp(&b.offer.offer_id))
}

#[cfg(test)]
mod tests;
