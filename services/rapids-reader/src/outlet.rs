//! Where events go in requests of ten: tried again entry by entry until each is accepted or refused.

use std::collections::BTreeSet;
use std::time::Duration;

use event::Header;
use futures_util::{StreamExt as _, stream};
use tokio::time::sleep;

use crate::cargo::Cargo;
use crate::metrics::{Metrics, Mode};
use crate::pack;

/// Attempts before what is left is given back, to be handed over again: some seconds of trying.
pub(crate) const ATTEMPTS_MAX: u32 = 6;
const RETRY_LEAST: Duration = Duration::from_millis(50);

/// The SNS topic, or the queue of a river.
pub(crate) trait Outlet: Sync {
    /// By which way it leads, for counting.
    const MODE: Mode;
    /// Bytes of a message, and of a request: bodies and attributes.
    const BYTES_MAX: usize;

    /// Sends at most ten events, each with the number by which the answer names it.
    fn request(
        &self,
        events: &[(usize, &Header<'_>)],
    ) -> impl Future<Output = Result<Answer, Rejection>> + Send;

    fn metrics(&self) -> &Metrics;
}

/// What a service said of the entries of a request.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) accepted: BTreeSet<usize>,
    pub(crate) failed: Vec<Failed>,
}

/// An entry that was not accepted.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) index: usize,
    /// Whether it is the entry's own fault, so that sending it again cannot help.
    pub(crate) sender_fault: bool,
    /// Code and message.
    pub(crate) reason: String,
}

/// A request that was not taken at all.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub(crate) reason: String,
    /// Whether for what was in it, so that sending it again cannot help. A missing queue or permission is not the
    /// events' fault.
    pub(crate) for_content: bool,
}

/// An event that will never be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) index: usize,
    /// The service's code and message.
    pub(crate) reason: String,
}

/// What a delivery, or the part of it that is left, came to. What is in neither list was accepted.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    /// Neither accepted nor refused.
    pub(crate) left: Vec<usize>,
    pub(crate) refused: Vec<Refused>,
    pub(crate) last_error: String,
}

/// How hard is tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Requests under way at once.
    pub(crate) requests: usize,
    /// Times that a request is sent.
    pub(crate) attempts: u32,
}

/// Delivers the events of `cargo` at `indexes`: those of one key one request after the other, others at the same time. Within
/// a request an event may be accepted and one before it not: to send them one by one would cost ten times as much.
pub(crate) async fn deliver<O: Outlet>(
    outlet: &O,
    cargo: &Cargo<'_>,
    indexes: &[usize],
    effort: Effort,
) -> Attempt {
    let keys: Vec<_> = indexes.iter().map(|&index| cargo.key(index)).collect();
    let groups = pack::groups(&keys, effort.requests).into_iter();
    let groups = groups.map(|group| group.into_iter().map(|at| indexes[at]).collect::<Vec<_>>());
    let groups = groups.map(async |group| in_order(outlet, cargo, &group, effort.attempts).await);
    let mut groups = stream::iter(groups).buffer_unordered(effort.requests);
    let mut all = Attempt::default();
    while let Some(group) = groups.next().await {
        all.add(group);
    }
    let delivered = indexes.len() - all.left.len() - all.refused.len();
    outlet.metrics().delivered(O::MODE, delivered);
    all
}

/// One request after the other. Once a request leaves something, what follows waits with it: it may be of the same
/// key.
async fn in_order<O: Outlet>(
    outlet: &O,
    cargo: &Cargo<'_>,
    group: &[usize],
    attempts: u32,
) -> Attempt {
    let events: Vec<_> = group.iter().filter_map(|&at| Some((at, cargo.header(at)?))).collect();
    let sizes: Vec<_> = events.iter().map(|&(index, _)| cargo.size(index)).collect();
    let mut all = Attempt::default();
    for run in pack::runs(&sizes, O::BYTES_MAX) {
        if all.left.is_empty() {
            all.add(persist(outlet, &events[run], attempts).await);
        } else {
            all.left.extend(events[run].iter().map(|&(index, _)| index));
        }
    }
    all
}

/// Sends one request, and again what of it was not accepted at first.
async fn persist<O: Outlet>(outlet: &O, events: &[(usize, &Header<'_>)], attempts: u32) -> Attempt {
    let mut result = request(outlet, events).await;
    for attempt in 1..attempts {
        if result.left.is_empty() {
            break;
        }
        outlet.metrics().retried(O::MODE, result.left.len());
        let ceiling = RETRY_LEAST * 2u32.pow(attempt - 1);
        sleep(ceiling.mul_f64(0.5 + fastrand::f64())).await;
        let left = std::mem::take(&mut result.left);
        let events: Vec<_> =
            events.iter().filter(|(index, _)| left.contains(index)).copied().collect();
        result.add(request(outlet, &events).await);
    }
    result
}

/// A request that is refused as a whole for its content is sent again entry by entry, so that the bad one stands alone.
async fn request<O: Outlet>(outlet: &O, events: &[(usize, &Header<'_>)]) -> Attempt {
    match outlet.request(events).await {
        Ok(answer) => told_apart(events, answer),
        Err(Rejection { reason, for_content: false }) => Attempt {
            left: events.iter().map(|&(index, _)| index).collect(),
            last_error: reason,
            ..Attempt::default()
        },
        Err(Rejection { reason, .. }) => {
            if let [(index, _)] = *events {
                return Attempt { refused: vec![Refused { index, reason }], ..Attempt::default() };
            }
            let mut all = Attempt::default();
            for event in events {
                all.add(Box::pin(request(outlet, std::slice::from_ref(event))).await);
            }
            all
        }
    }
}

/// Accepted is only what the answer lists as successful: an entry that it does not mention is sent again.
fn told_apart(sent: &[(usize, &Header<'_>)], answer: Answer) -> Attempt {
    let mut attempt = Attempt::default();
    let mut failed = answer.failed;
    for &(index, _) in sent.iter().filter(|(index, _)| !answer.accepted.contains(index)) {
        let at = failed.iter().position(|failed| failed.index == index);
        match at.map(|at| failed.swap_remove(at)) {
            Some(Failed { sender_fault: true, reason, .. }) => {
                attempt.refused.push(Refused { index, reason });
            }
            failed => {
                attempt.left.push(index);
                attempt.last_error =
                    failed.map_or_else(|| "not in the answer".to_owned(), |failed| failed.reason);
            }
        }
    }
    attempt
}

impl Attempt {
    fn add(&mut self, other: Self) {
        self.left.extend(other.left);
        self.refused.extend(other.refused);
        if !other.last_error.is_empty() {
            self.last_error = other.last_error;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_answer_lists_as_successful_is_accepted() {
        let failed =
            |index, sender_fault| Failed { index, sender_fault, reason: "Code".to_owned() };
        let answer =
            Answer { accepted: [0].into(), failed: vec![failed(1, true), failed(2, false)] };
        let header = Header::parse(br#"{"eventType":"A"}"#).unwrap();
        let sent: Vec<_> = (0..4).map(|index| (index, &header)).collect();
        let attempt = told_apart(&sent, answer);
        assert_eq!(attempt.refused, [Refused { index: 1, reason: "Code".to_owned() }]);
        assert_eq!(attempt.left, [2, 3], "an entry that is not mentioned is sent again");
    }
}
