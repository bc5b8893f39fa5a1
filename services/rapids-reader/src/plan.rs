//! Which way each record of a batch goes.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use quarantine::Reason;

use crate::cargo::Cargo;
use crate::outlet::Outlet as _;
use crate::owed::{Owed, Page};
use crate::publish::Publisher;
use crate::routes::Index;
use crate::send::Queue;
use crate::target::Target;

/// What is to be done with a batch, by indexes of its records. A record in none of the lists is done with.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) sns: Vec<usize>,
    pub(crate) rivers: Vec<(Arc<Target>, Vec<usize>)>,
    pub(crate) unfit: Vec<Unfit>,
}

/// A record for the quarantine.
#[derive(Clone, Debug)]
pub(crate) struct Unfit {
    pub(crate) index: usize,
    pub(crate) reason: Reason,
    /// Which ways are done with once it lies there.
    pub(crate) instead_of: Owed,
}

impl Plan {
    /// Decides. A record that comes again goes where `owed` says, one that is new to SNS, if `sns`, and to each river that
    /// the routes of `index` name.
    ///
    /// What is too large for SNS goes to the rivers that are fed directly, if SQS takes it, and into the quarantine as
    /// well: nobody knows which rivers behind SNS miss it.
    pub(crate) fn of(
        cargo: &Cargo<'_>,
        index: &Index,
        now: Timestamp,
        sns: bool,
        owed: &Page,
    ) -> Self {
        let mut plan = Self::default();
        // By identity: a river whose queue has moved may be owed something at the old place.
        let mut places = HashMap::new();
        for (at, header) in cargo.headers() {
            let header = match header {
                Ok(header) => header,
                Err(error) => {
                    let reason = Reason { kind: error.kind(), text: error.to_string() };
                    plan.unfit.push(Unfit { index: at, reason, instead_of: Owed::default() });
                    continue;
                }
            };
            let new = || Owed { sns, rivers: index.route(header, now), quarantined: false };
            let to = owed.get(&cargo.record(at).position).cloned().unwrap_or_else(new);
            let rivers = plan.add(at, cargo.size(at), to);
            for target in rivers {
                let place = *places.entry(Arc::as_ptr(&target)).or_insert(plan.rivers.len());
                if place == plan.rivers.len() {
                    plan.rivers.push((target, Vec::new()));
                }
                plan.rivers[place].1.push(at);
            }
        }
        plan
    }

    /// Tells apart what a record is too large for. Gives the rivers that take it.
    fn add(&mut self, index: usize, size: usize, to: Owed) -> Vec<Arc<Target>> {
        let fits_sns = size <= Publisher::BYTES_MAX;
        if to.sns && fits_sns {
            self.sns.push(index);
        }
        let sns = to.sns && !fits_sns;
        let (fit, unfit) = if size <= Queue::BYTES_MAX {
            (to.rivers, Vec::new())
        } else {
            (Vec::new(), to.rivers)
        };
        if sns || !unfit.is_empty() {
            let too_large = Owed { sns, rivers: unfit, quarantined: false };
            let reason = Reason { kind: "too_large", text: told(size, &too_large) };
            self.unfit.push(Unfit { index, reason, instead_of: too_large });
        }
        fit
    }
}

fn told(size: usize, too_large: &Owed) -> String {
    let sns = too_large.sns.then(|| format!("; SNS takes {}", Publisher::BYTES_MAX));
    let rivers: Vec<_> = too_large.rivers.iter().map(|target| target.name.as_str()).collect();
    let sqs = (!rivers.is_empty())
        .then(|| format!("; SQS takes {}, for {}", Queue::BYTES_MAX, rivers.join(", ")));
    [Some(format!("{size} bytes with its attributes")), sns, sqs].into_iter().flatten().collect()
}
