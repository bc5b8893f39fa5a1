//! Settles the records of the control stream: carried out, quarantined, or to be tried again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use event::names::Stage;
use kcl::{Batch, Processor, Record, Retry, SequenceNumber};
use quarantine::{Quarantine, Reason};
use tracing::{info, warn};

use crate::command::Command;
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
    pub(crate) settled: Settled,
}

impl Processor for Handler {
    async fn process(&self, batch: &Batch) -> Result<(), Retry> {
        self.metrics.behind(&batch.shard, batch.millis_behind_latest);
        for record in &batch.records {
            if self.settled.contains(&batch.shard, &record.sequence_number) {
                continue;
            }
            self.settle(&batch.shard, record).await?;
            self.settled.insert(&batch.shard, &record.sequence_number);
        }
        Ok(())
    }
}

impl Handler {
    async fn settle(&self, shard: &str, record: &Record) -> Result<(), Retry> {
        let command = match Command::read(&record.data, &self.stage) {
            Ok(command) => command,
            Err(unreadable) => {
                let reason = Reason { kind: unreadable.kind(), text: unreadable.to_string() };
                return self.quarantine("unreadable", shard, record, &reason).await;
            }
        };
        let kind = command.kind();
        let timer = self.metrics.start(kind);
        let applied = self.reconciler.apply(&command).await;
        drop(timer);
        match applied {
            Ok(steps) => {
                self.metrics.settled(kind, Outcome::Applied);
                let (river, topic) =
                    (command.river().map(tracing::field::display), command.topic());
                info!(command = kind, river, %topic, steps, "carried out a command");
                Ok(())
            }
            Err(error) if error.is_refusal() => {
                let reason = Reason { kind: "refused_by_aws", text: error.explain() };
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
    ) -> Result<(), Retry> {
        let origin = [
            ("shard", shard),
            ("sequence_number", record.sequence_number.as_str()),
            ("partition_key", record.partition_key.as_deref().unwrap_or_default()),
        ];
        if let Err(error) = self.quarantine.put(&record.data, reason, &origin).await {
            return Err(self.retry(command, &error));
        }
        self.metrics.settled(command, Outcome::Quarantined);
        self.metrics.quarantined(reason.kind);
        let sequence_number = &record.sequence_number;
        warn!(shard, %sequence_number, reason = reason.text, "quarantined a command");
        Ok(())
    }

    fn retry(&self, command: &'static str, error: &(dyn std::error::Error + 'static)) -> Retry {
        self.metrics.settled(command, Outcome::Retried);
        Retry::because(chassis::explain(error))
    }
}

/// How far each shard has been settled by this process. A batch with a command that has to wait comes again as
/// a whole: what was settled before that command is not done again, and above all not quarantined again.
#[derive(Debug, Default)]
pub(crate) struct Settled(Mutex<BTreeMap<Arc<str>, SequenceNumber>>);

impl Settled {
    fn contains(&self, shard: &str, number: &SequenceNumber) -> bool {
        let settled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        settled.get(shard).is_some_and(|last| number <= last)
    }

    /// One entry for each shard that this process ever read.
    fn insert(&self, shard: &Arc<str>, number: &SequenceNumber) {
        let mut settled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        settled.insert(shard.clone(), number.clone());
    }
}

#[cfg(test)]
mod tests;
