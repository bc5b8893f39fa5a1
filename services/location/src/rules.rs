//! What location offers, and to whom. Facts: `view` is the city looked at, `segment` and `tier` are the customer's.

use pond::Requires::{Is, Known};
use pond::Rule;

/// Stands for the place in a title.
pub(crate) const PLACE: &str = "{place}";

/// What an offer says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    /// What it is based on, for people.
    pub(crate) basis: &'static str,
    pub(crate) title: &'static str,
    /// A day's price, as a decimal number.
    pub(crate) amount: &'static str,
    /// Expected margin, in cents.
    pub(crate) value: i64,
    /// How likely it is taken, from 0 to 1.
    pub(crate) likelihood: f64,
}

pub(crate) const RULES: &[Rule<Offer>] = &[
    Rule {
        id: "baseline",
        requires: &[Known("view")],
        then: Offer {
            basis: "baseline",
            title: "Compact car at {place}",
            amount: "39.00",
            value: 900,
            likelihood: 0.10,
        },
    },
    Rule {
        id: "segment=RoadWarrior",
        requires: &[Known("view"), Is("segment", "RoadWarrior")],
        then: Offer {
            basis: "segment",
            title: "Unlimited miles from {place} for road warriors",
            amount: "49.00",
            value: 1_400,
            likelihood: 0.20,
        },
    },
    Rule {
        id: "segment=RoadWarrior,tier=Platinum",
        requires: &[Known("view"), Is("segment", "RoadWarrior"), Is("tier", "Platinum")],
        then: Offer {
            basis: "segment+tier",
            title: "Full-size upgrade at {place} for platinum road warriors, keys at the curb",
            amount: "59.00",
            value: 2_000,
            likelihood: 0.35,
        },
    },
];
