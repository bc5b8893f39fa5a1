//! What becomes of the records of a batch.

use event::{Header, Malformed};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kcl::{Batch, Failure, PartitionKey, Processor, Record};
use quarantine::{Quarantine, Reason};
use tracing::{info, warn};

use crate::metrics::Metrics;
use crate::pack;
use crate::publish::Publisher;

/// Requests to SNS under way for one shard: enough to hide its latency, few enough to leave others room.
const REQUESTS_MAX: usize = 8;

/// Publishes what can be published and quarantines the rest.
#[derive(Debug)]
pub(crate) struct Carrier {
    pub(crate) publisher: Publisher,
    pub(crate) quarantine: Quarantine,
    pub(crate) metrics: Metrics,
}

/// The records of a batch, told apart.
struct Sorted<'a> {
    records: Vec<&'a Record>,
    headers: Vec<Header<'a>>,
    unfit: Vec<(&'a Record, Reason)>,
}

impl Processor for Carrier {
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        let mut sorted = sort(&batch.records);
        let refused = self.publish(&sorted).await?;
        self.metrics.published(sorted.headers.len() - refused.len());
        sorted.unfit.extend(refused);
        for (record, reason) in &sorted.unfit {
            let position = record.position.to_string();
            let origin = [
                ("shard", &*batch.shard.id),
                ("sequence_number", position.as_str()),
                ("partition_key", record.partition_key.as_ref().map_or("", PartitionKey::as_str)),
            ];
            let put = self.quarantine.put(&record.data, reason, &origin).await;
            put.map_err(|error| Failure::retry(chassis::explain(&error)))?;
            self.metrics.quarantined(reason.kind);
            warn!(
                shard = &*batch.shard.id,
                sequence_number = position,
                reason = reason.text,
                "quarantined a record"
            );
        }
        let (shard, behind_ms) = (&*batch.shard.id, batch.millis_behind_latest);
        info!(shard, records = batch.records.len(), behind_ms, "carried a batch");
        Ok(())
    }
}

impl Carrier {
    /// Publishes every fit record, and returns those that SNS refused.
    async fn publish<'a>(&self, sorted: &Sorted<'a>) -> Result<Vec<(&'a Record, Reason)>, Failure> {
        let sizes: Vec<_> = sorted.headers.iter().map(pack::size).collect();
        let requests = pack::runs(&sizes).into_iter().map(async |run| {
            let refused = self.publisher.publish(&sorted.headers[run.clone()]).await;
            let refused = refused.map_err(|error| Failure::retry(error.to_string()))?;
            let refused = refused.into_iter().map(|refused| {
                let reason = Reason { kind: "refused_by_sns", text: refused.reason };
                (sorted.records[run.start + refused.index], reason)
            });
            Ok(refused.collect::<Vec<_>>())
        });
        let refused: Vec<_> =
            stream::iter(requests).buffer_unordered(REQUESTS_MAX).try_collect().await?;
        Ok(refused.into_iter().flatten().collect())
    }
}

fn sort(records: &[Record]) -> Sorted<'_> {
    let mut sorted = Sorted { records: Vec::new(), headers: Vec::new(), unfit: Vec::new() };
    for record in records {
        match Header::parse(&record.data) {
            Ok(header) if pack::size(&header) > pack::BYTES_MAX => {
                let size = pack::size(&header);
                let text =
                    format!("{size} bytes with its attribute; SNS takes {}", pack::BYTES_MAX);
                sorted.unfit.push((record, Reason { kind: "too_large", text }));
            }
            Ok(header) => {
                sorted.records.push(record);
                sorted.headers.push(header);
            }
            Err(error) => sorted.unfit.push((record, malformed(&error))),
        }
    }
    sorted
}

fn malformed(malformed: &Malformed) -> Reason {
    Reason { kind: malformed.kind(), text: malformed.to_string() }
}
