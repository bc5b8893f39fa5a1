//! What the brand offers, and to whom. Facts: `view` is the brand looked at, `segment` is the customer's.

use offer::Terms;
use pond::Requires::{Is, Known};
use pond::Rule;

pub(crate) const RULES: &[Rule<Terms>] = &[
    Rule {
        id: "baseline",
        requires: &[Known("view")],
        then: Terms {
            basis: "baseline",
            title: "Weekend rate from {}",
            amount: "35.00",
            value: 800,
            likelihood: 0.10,
        },
    },
    Rule {
        id: "segment=RoadWarrior",
        requires: &[Known("view"), Is("segment", "RoadWarrior")],
        then: Terms {
            basis: "segment",
            title: "Double points from {} for road warriors",
            amount: "45.00",
            value: 1_200,
            likelihood: 0.22,
        },
    },
];
