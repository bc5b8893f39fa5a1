//! Rules over facts, as data.

use crate::Known;

/// Something that follows when certain facts are known.
///
/// Rules are monotone: more facts never make one unmet. So what has followed, in the end, depends on the facts
/// alone, and not on the order in which they became known.
#[derive(Clone, Copy, Debug)]
pub struct Rule<T: 'static> {
    /// Its name, which is part of the ids of what follows from it.
    pub id: &'static str,
    /// The facts that must be known, all of them.
    pub requires: &'static [Requires],
    /// What follows.
    pub then: T,
}

/// What must be known of one fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requires {
    /// The fact of this name, whatever it is.
    Known(&'static str),
    /// The fact of this name, with this text as its value.
    Is(&'static str, &'static str),
}

impl Requires {
    /// Name of the fact.
    #[must_use]
    pub fn fact(&self) -> &'static str {
        match self {
            Self::Known(name) | Self::Is(name, _) => name,
        }
    }

    fn is_met(&self, known: &Known) -> bool {
        match self {
            Self::Known(name) => known.get(name).is_some(),
            Self::Is(name, value) => known.text(name) == Some(value),
        }
    }
}

/// The rules whose requirements are met, in their order.
pub fn due<'a, T>(rules: &'a [Rule<T>], known: &Known) -> impl Iterator<Item = &'a Rule<T>> {
    rules.iter().filter(|rule| rule.requires.iter().all(|needed| needed.is_met(known)))
}
