//! How a choice is made: pure functions of the solutions, versioned, so that every choice can be explained.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pond::Solution;
use serde::Serialize;

/// A solution that policies can choose.
pub trait Candidate {
    /// The same for copies of it.
    fn id(&self) -> &str;
    /// Who has brought it.
    fn source(&self) -> &str;
    /// How well it fits whoever has the need: of one source, only the best fitting ones are ranked.
    fn specificity(&self) -> usize;
    /// How good it is; the greater, the better.
    fn score(&self) -> f64;
    /// From when on it does not stand any more.
    fn expires_at(&self) -> Option<Timestamp>;
    /// Solutions of the same source that it replaces.
    fn supersedes(&self) -> &[String];
}

/// Which of the solutions are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The best by score; of each source only what fits best, and not too many.
    Ranked {
        /// Most that are chosen.
        top: usize,
        /// Most of one source that are chosen.
        per_source: usize,
    },
    /// The one with the best score.
    Best,
    /// The one that came first. Nothing else is waited for.
    First,
    /// Those that came first, when so many have come, and none before. No more are waited for.
    Quorum(usize),
    /// All that stand, the best first.
    All,
}

/// What was chosen, best first (first come first for [`Policy::First`] and [`Policy::Quorum`]), and what was not, in
/// the order of ids.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice<C> {
    /// Chosen.
    pub selected: Vec<Selected<C>>,
    /// Not chosen.
    pub rejected: Vec<Rejected<C>>,
}

/// Chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected<C> {
    /// What.
    pub solution: C,
    /// Its score.
    pub score: f64,
}

/// Not chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected<C> {
    /// What.
    pub solution: C,
    /// Why.
    pub reason: Reason,
}

/// Why a solution was not chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// It did not stand any more.
    Expired,
    /// The same solution was there already.
    Duplicate,
    /// Its source has a better one.
    Superseded {
        /// That one.
        by: String,
    },
    /// Its source has enough in the choice.
    Capped,
    /// Others are better.
    Outranked,
    /// Others were faster.
    Overtaken,
    /// Too few have come.
    Alone,
}

impl Policy {
    /// The name that choices are explained with.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ranked { .. } => "ranked",
            Self::Best => "best",
            Self::First => "first",
            Self::Quorum(_) => "quorum",
            Self::All => "all",
        }
    }

    /// A change that could choose otherwise is a new version.
    #[must_use]
    pub fn version(self) -> u32 {
        match self {
            // 2: what replaces another does so whatever their ids and facts are.
            Self::Ranked { .. } => 2,
            Self::Best | Self::First | Self::Quorum(_) | Self::All => 1,
        }
    }

    /// Chooses among what stands at `at`. The order of the solutions changes nothing.
    #[must_use]
    pub fn choose<C: Candidate>(self, solutions: Vec<Solution<C>>, at: Timestamp) -> Choice<C> {
        let mut choice = Choice { selected: Vec::new(), rejected: Vec::new() };
        let standing = choice.drop_copies(choice_order(solutions));
        let standing = choice.drop_expired(standing, at);
        match self {
            Self::Ranked { top, per_source } => choice.rank(standing, top, per_source),
            Self::Best => choice.rank(standing, 1, usize::MAX),
            Self::First => choice.take_first(standing, 1),
            Self::Quorum(most) => choice.take_first(standing, most),
            Self::All => {
                choice.selected = standing.into_iter().map(|it| selected(it.value)).collect();
                choice.selected.sort_by(better_first);
            }
        }
        choice.rejected.sort_by(|a, b| a.solution.id().cmp(b.solution.id()));
        choice
    }

    /// Whether there is anything that [`Policy::is_complete`] waits for.
    #[must_use]
    pub fn completes(self) -> bool {
        matches!(self, Self::First | Self::Quorum(_))
    }

    /// Whether enough has come, so that nothing more need be waited for.
    #[must_use]
    pub fn is_complete<C: Candidate>(self, solutions: &[Solution<C>]) -> bool {
        let ids: BTreeSet<_> = solutions.iter().map(|solution| solution.value.id()).collect();
        match self {
            Self::First => !ids.is_empty(),
            Self::Quorum(most) => ids.len() >= most,
            Self::Ranked { .. } | Self::Best | Self::All => false,
        }
    }
}

impl<C: Candidate> Choice<C> {
    fn reject(&mut self, solution: C, reason: Reason) {
        self.rejected.push(Rejected { solution, reason });
    }

    fn drop_copies(&mut self, solutions: Vec<Solution<C>>) -> Vec<Solution<C>> {
        let mut ids = BTreeSet::new();
        let (first, copies): (Vec<_>, Vec<_>) =
            solutions.into_iter().partition(|it| ids.insert(it.value.id().to_owned()));
        copies.into_iter().for_each(|copy| self.reject(copy.value, Reason::Duplicate));
        first
    }

    fn drop_expired(&mut self, solutions: Vec<Solution<C>>, at: Timestamp) -> Vec<Solution<C>> {
        let (standing, expired): (Vec<_>, Vec<_>) = solutions
            .into_iter()
            .partition(|it| it.value.expires_at().is_none_or(|expires| at < expires));
        expired.into_iter().for_each(|it| self.reject(it.value, Reason::Expired));
        standing
    }

    fn take_first(&mut self, standing: Vec<Solution<C>>, most: usize) {
        let enough = standing.len() >= most;
        for it in standing {
            if !enough {
                self.reject(it.value, Reason::Alone);
            } else if self.selected.len() == most {
                self.reject(it.value, Reason::Overtaken);
            } else {
                self.selected.push(selected(it.value));
            }
        }
    }

    fn rank(&mut self, standing: Vec<Solution<C>>, top: usize, per_source: usize) {
        let mut standing = self.drop_superseded(standing);
        standing.sort_by(better_first);
        let mut chosen_of = BTreeMap::<String, usize>::new();
        for Selected { solution, score } in standing {
            let chosen = chosen_of.entry(solution.source().to_owned()).or_default();
            if *chosen == per_source {
                self.reject(solution, Reason::Capped);
            } else if self.selected.len() == top {
                self.reject(solution, Reason::Outranked);
            } else {
                *chosen += 1;
                self.selected.push(Selected { solution, score });
            }
        }
    }

    /// Leaves of each source what it has not itself replaced, and of that what fits best.
    fn drop_superseded(&mut self, standing: Vec<Solution<C>>) -> Vec<Selected<C>> {
        let mut standing: Vec<C> = standing.into_iter().map(|it| it.value).collect();
        standing.sort_by(|a, b| precedence(a).cmp(&precedence(b)));
        let standing = self.drop_replaced(standing);
        let mut kept: Vec<Selected<C>> = Vec::new();
        for solution in standing {
            let better = |kept: &&Selected<C>| {
                let kept = &kept.solution;
                kept.source() == solution.source() && kept.specificity() > solution.specificity()
            };
            match kept.iter().find(better).map(|kept| kept.solution.id().to_owned()) {
                Some(by) => self.reject(solution, Reason::Superseded { by }),
                None => kept.push(selected(solution)),
            }
        }
        kept
    }

    /// Drops what its own source has replaced, also by way of others. Of solutions that replace each other, the one
    /// with precedence is left.
    fn drop_replaced(&mut self, standing: Vec<C>) -> Vec<C> {
        let reach: Vec<_> = (0..standing.len()).map(|by| replaced_by(&standing, by)).collect();
        let by = |of: usize| {
            let replaces = |&by: &usize| {
                by != of && reach[by].contains(&of) && (by < of || !reach[of].contains(&by))
            };
            (0..standing.len()).find(replaces).map(|by| standing[by].id().to_owned())
        };
        let replaced: Vec<_> = (0..standing.len()).map(by).collect();
        let mut left = Vec::new();
        for (solution, by) in standing.into_iter().zip(replaced) {
            match by {
                Some(by) => self.reject(solution, Reason::Superseded { by }),
                None => left.push(solution),
            }
        }
        left
    }
}

/// All that `by` replaces, and what those replace, and so on. A source may take back what it said, and not what others
/// did.
fn replaced_by<C: Candidate>(solutions: &[C], by: usize) -> BTreeSet<usize> {
    let (mut found, mut open) = (BTreeSet::new(), vec![by]);
    while let Some(by) = open.pop() {
        let by = &solutions[by];
        for id in by.supersedes() {
            let of = |it: &C| it.id() == id && it.source() == by.source();
            if let Some(of) = solutions.iter().position(of)
                && found.insert(of)
            {
                open.push(of);
            }
        }
    }
    found
}

/// By when they came; those of one moment by id.
fn choice_order<C: Candidate>(mut solutions: Vec<Solution<C>>) -> Vec<Solution<C>> {
    solutions.sort_by(|a, b| (a.late, a.at, a.value.id()).cmp(&(b.late, b.at, b.value.id())));
    solutions
}

fn selected<C: Candidate>(solution: C) -> Selected<C> {
    Selected { score: solution.score(), solution }
}

fn precedence<C: Candidate>(solution: &C) -> (Reverse<usize>, &str) {
    (Reverse(solution.specificity()), solution.id())
}

/// A total order: by score, then the better fitting, then the one that stands longer, then by id.
fn better_first<C: Candidate>(a: &Selected<C>, b: &Selected<C>) -> Ordering {
    let stands = |it: &Selected<C>| it.solution.expires_at().unwrap_or(Timestamp::MAX);
    b.score
        .total_cmp(&a.score)
        .then_with(|| b.solution.specificity().cmp(&a.solution.specificity()))
        .then_with(|| stands(b).cmp(&stands(a)))
        .then_with(|| a.solution.id().cmp(b.solution.id()))
}

#[cfg(test)]
mod tests;
