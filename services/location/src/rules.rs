//! What location offers, and to whom. Facts: `view` is the city looked at, `segment` and `tier` are the customer's.

use offer::Terms;
use pond::Requires::{Is, Known};
use pond::Rule;

pub(crate) const RULES: &[Rule<Terms>] = &[
    Rule {
        id: "baseline",
        requires: &[Known("view")],
        then: Terms {
            basis: "baseline",
            title: "Compact car at {}",
            amount: "39.00",
            value: 900,
            likelihood: 0.10,
        },
    },
    Rule {
        id: "segment=RoadWarrior",
        requires: &[Known("view"), Is("segment", "RoadWarrior")],
        then: Terms {
            basis: "segment",
            title: "Unlimited miles from {} for road warriors",
            amount: "49.00",
            value: 1_400,
            likelihood: 0.20,
        },
    },
    Rule {
        id: "segment=RoadWarrior,tier=Platinum",
        requires: &[Known("view"), Is("segment", "RoadWarrior"), Is("tier", "Platinum")],
        then: Terms {
            basis: "segment+tier",
            title: "Full-size upgrade at {} for platinum road warriors, keys at the curb",
            amount: "59.00",
            value: 2_000,
            likelihood: 0.35,
        },
    },
];
