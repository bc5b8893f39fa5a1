//! What requests cost, by the prices that the control plane is configured with. Pure.
//!
//! A request holds up to ten events of together 64 KB; how full it is depends on how fast events come. So a cost is a
//! range: from full batches to single events.

use control_plane::Prices;
use serde::Serialize;

/// Entries of a full batch, of SNS and of SQS.
const BATCH_MAX: f64 = 10.0;

/// Dollars per million events, for full batches and for single events.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Range {
    full: f64,
    single: f64,
}

/// What events cost on their way, in dollars per million events.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Costs {
    /// Publishing to the SNS topic: every event once, however many rivers get it; SNS delivers to SQS for nothing.
    pub(super) publish: Range,
    /// Writing to one river directly, of the events that it gets.
    pub(super) direct: Range,
    /// Receiving and deleting, of the events that one river gets.
    pub(super) consume: Range,
    /// Rivers by SNS and rivers that are written to directly.
    pub(super) by_sns: usize,
    pub(super) directly: usize,
}

impl Range {
    /// Of so many requests for each batch.
    fn of(price: f64, requests: f64) -> Self {
        Self { full: price * requests / BATCH_MAX, single: price * requests }
    }

    /// For people.
    pub(super) fn text(self) -> String {
        format!("${:.2} to ${:.2}", self.full, self.single)
    }
}

impl Costs {
    /// Of a stage with so many rivers.
    pub(super) fn of(prices: Prices, by_sns: usize, directly: usize) -> Self {
        Self {
            publish: Range::of(prices.sns, 1.0),
            direct: Range::of(prices.sqs, 1.0),
            consume: Range::of(prices.sqs, 2.0),
            by_sns,
            directly,
        }
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines =
            vec!["costs per million events, from batches of ten to single events:".to_owned()];
        let whom = match self.by_sns {
            0 => "which no river needs: `sns = false` of the rapids-reader saves it".to_owned(),
            n => format!("for {} by sns", plural(n, "river")),
        };
        lines.push(format!("  {}  published once, {whom}", self.publish.text()));
        if self.directly > 0 {
            let rivers = plural(self.directly, "river");
            lines.push(format!("  {}  written directly, for each of {rivers}", self.direct.text()));
        }
        lines.push(format!("  {}  received and deleted, for each river", self.consume.text()));
        lines
    }
}

/// A number with its noun.
pub(crate) fn plural(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sns_is_paid_once_and_queues_for_each_river() {
        let prices = Prices { sns: 0.50, sqs: 0.40 };
        let costs = Costs::of(prices, 2, 1);
        assert_eq!(
            costs.lines()[1..],
            [
                "  $0.05 to $0.50  published once, for 2 rivers by sns",
                "  $0.04 to $0.40  written directly, for each of 1 river",
                "  $0.08 to $0.80  received and deleted, for each river",
            ]
        );
    }

    #[test]
    fn publishing_for_nobody_is_told() {
        let costs = Costs::of(Prices { sns: 0.50, sqs: 0.40 }, 0, 3);
        assert!(costs.lines()[1].contains("`sns = false`"));
    }
}
