//! What the brand offers, and to whom. Facts: `view` is the brand looked at, `segment` is the customer's.

use pond::Requires::{Is, Known};
use pond::Rule;

/// Stands for the brand in a title.
pub(crate) const BRAND: &str = "{brand}";

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
            title: "Weekend rate from {brand}",
            amount: "35.00",
            value: 800,
            likelihood: 0.10,
        },
    },
    Rule {
        id: "segment=RoadWarrior",
        requires: &[Known("view"), Is("segment", "RoadWarrior")],
        then: Offer {
            basis: "segment",
            title: "Double points from {brand} for road warriors",
            amount: "45.00",
            value: 1_200,
            likelihood: 0.22,
        },
    },
];
