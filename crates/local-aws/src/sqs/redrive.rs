//! Dead letters go back.
//!
//! A task is done when it is started: there is nothing to wait for.

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Error;
use super::state::State;
use super::store::Stored;

/// A redrive that was done.
#[derive(Clone, Debug)]
pub(super) struct Move {
    source_arn: String,
    destination_arn: Option<String>,
    moved: usize,
    started_ms: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StartMove {
    source_arn: String,
    destination_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListMoves {
    source_arn: String,
    max_results: Option<usize>,
}

impl State {
    /// Moves all that is ready in a dead-letter queue to a destination, or to where each message came from.
    pub(super) fn start_move(&mut self, input: StartMove, now_ms: u64) -> Result<Value, Error> {
        let StartMove { source_arn, destination_arn } = input;
        self.check_move(&source_arn, destination_arn.as_deref(), now_ms)?;
        let source = self.named(&source_arn, now_ms);
        let letters = source.map(|queue| queue.store.drain_ready(usize::MAX)).unwrap_or_default();
        let mut moved = 0;
        for letter in letters {
            let home = destination_arn.clone().or_else(|| letter.source_arn.clone());
            let home = home.and_then(|arn| self.named(&arn, now_ms));
            if let Some(queue) = home {
                // A redriven message is a new one to AWS as well, with a new age.
                queue.adopt(Stored { sent_ms: now_ms, ..letter }, None, now_ms);
                moved += 1;
            } else if let Some(queue) = self.named(&source_arn, now_ms) {
                let from = letter.source_arn.clone();
                queue.adopt(letter, from, now_ms);
            }
        }
        let handle = format!("move-{}", self.moves.len());
        self.moves.push(Move { source_arn, destination_arn, moved, started_ms: now_ms });
        Ok(json!({ "TaskHandle": handle }))
    }

    /// The latest first.
    pub(super) fn list_moves(&self, input: &ListMoves) -> Value {
        let moves = self.moves.iter().rev().filter(|done| done.source_arn == input.source_arn);
        let results: Vec<Value> = moves
            .take(input.max_results.unwrap_or(1))
            .map(|done| {
                json!({
                    "Status": "COMPLETED",
                    "SourceArn": done.source_arn,
                    "DestinationArn": done.destination_arn,
                    "ApproximateNumberOfMessagesMoved": done.moved,
                    "ApproximateNumberOfMessagesToMove": done.moved,
                    "StartedTimestamp": done.started_ms,
                })
            })
            .collect();
        json!({ "Results": results })
    }

    fn check_move(
        &mut self,
        source: &str,
        destination: Option<&str>,
        now_ms: u64,
    ) -> Result<(), Error> {
        for arn in [Some(source), destination].into_iter().flatten() {
            if self.named(arn, now_ms).is_none() {
                let message = format!("The resource that you specified, {arn}, doesn't exist.");
                return Err(Error::ResourceNotFound(message));
            }
        }
        let is_target = self.queues.values().any(|queue| {
            queue.attributes.redrive().is_some_and(|redrive| redrive.target_arn == source)
        });
        if is_target {
            return Ok(());
        }
        let message = "Source queue must be configured as a Dead Letter Queue.";
        Err(Error::InvalidParameterValue(message.into()))
    }
}
