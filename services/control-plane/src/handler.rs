//! Settles the records of the control stream: carried out, quarantined, or to be tried again.

use event::control;
use event::names::Stage;
use kcl::{Batch, Ended, Failure, PartitionKey, Processor, Record, Scope, ShardContext};
use quarantine::{Quarantine, Reason};
use tracing::{info, warn};

use crate::command::Command;
use crate::held::Held;
use crate::metrics::{Metrics, Outcome};
use crate::reconcile::Reconciler;

/// Takes the records of the control stream, one after the other within a shard: the commands of a river lie in
/// one shard, and their order is what their writer meant.
#[derive(Debug)]
pub(crate) struct Handler {
    pub(crate) stage: Stage,
    pub(crate) reconciler: Reconciler,
    pub(crate) quarantine: Quarantine,
    pub(crate) metrics: Metrics,
    pub(crate) held: Held,
}

impl Processor for Handler {
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        for (index, record) in batch.records.iter().enumerate() {
            if let Err(failure) = self.settle(&batch.shard.id, record).await {
                // What comes before is done; what follows may be about the same river.
                let left = batch.records[index..].iter().map(|record| record.position);
                return Err(Failure { scope: Scope::Records(left.collect()), ..failure });
            }
        }
        Ok(())
    }

    async fn started(&self, shard: &ShardContext) {
        self.held.began(shard);
    }

    async fn ended(&self, shard: &ShardContext, _why: Ended) {
        self.held.ended(shard);
    }
}

fn place(record: &Record) -> String {
    let position = record.position;
    control::place(&position.sequence.to_string(), position.sub_sequence)
}

impl Handler {
    async fn settle(&self, shard: &str, record: &Record) -> Result<(), Failure> {
        let command = match Command::read(&record.data, &self.stage) {
            Ok(command) => command,
            Err(unreadable) => {
                let reason = Reason { kind: unreadable.kind(), text: unreadable.to_string() };
                return self.quarantine("unreadable", shard, record, &reason).await;
            }
        };
        let kind = command.kind();
        let timer = self.metrics.start(kind);
        let applied = self.reconciler.apply(&command, &place(record)).await;
        drop(timer);
        match applied {
            Ok(steps) => {
                self.metrics.settled(kind, Outcome::Applied);
                let (river, subject) =
                    (command.river().map(tracing::field::display), command.subject());
                info!(command = kind, river, subject, steps, "carried out a command");
                Ok(())
            }
            Err(error) if error.is_refusal() => {
                let reason = Reason { kind: error.kind(), text: error.explain() };
                self.quarantine(kind, shard, record, &reason).await
            }
            Err(error) => Err(self.retry(kind, &error)),
        }
    }

    async fn quarantine(
        &self,
        command: &'static str,
        shard: &str,
        record: &Record,
        reason: &Reason,
    ) -> Result<(), Failure> {
        let position = record.position.to_string();
        let origin = [
            ("shard", shard),
            ("sequence_number", position.as_str()),
            ("partition_key", record.partition_key.as_ref().map_or("", PartitionKey::as_str)),
        ];
        if let Err(error) = self.quarantine.put(&record.data, reason, &origin).await {
            return Err(self.retry(command, &error));
        }
        self.metrics.settled(command, Outcome::Quarantined);
        self.metrics.quarantined(reason.kind);
        warn!(shard, sequence_number = position, reason = reason.text, "quarantined a command");
        Ok(())
    }

    fn retry(&self, command: &'static str, error: &(dyn std::error::Error + 'static)) -> Failure {
        self.metrics.settled(command, Outcome::Retried);
        Failure::retry(chassis::explain(error))
    }
}

#[cfg(test)]
mod tests;
