//! What becomes of the records of a batch.

use event::{Event, Header, Malformed};
use futures_util::{StreamExt as _, stream};
use kcl::{Batch, Failure, PartitionKey, Position, Processor, Record};
use quarantine::{Quarantine, Reason};
use river::Experiments;
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
    pub(crate) experiments: Experiments,
    pub(crate) metrics: Metrics,
}

/// The records of a batch, told apart.
#[derive(Default)]
struct Sorted<'a> {
    records: Vec<&'a Record>,
    headers: Vec<Header<'a>>,
    unfit: Vec<(&'a Record, Reason)>,
}

/// What is left of a batch to do again.
#[derive(Default)]
struct Left {
    positions: Vec<Position>,
    reason: String,
}

impl Processor for Carrier {
    async fn process(&self, batch: &Batch) -> Result<(), Failure> {
        let mut sorted = sort(&batch.records, &self.experiments);
        let (refused, mut left) = self.publish(&sorted).await;
        self.metrics.published(sorted.headers.len() - refused.len() - left.positions.len());
        sorted.unfit.extend(refused);
        for (record, reason) in &sorted.unfit {
            if let Err(error) = self.put_away(&batch.shard.id, record, reason).await {
                left.positions.push(record.position);
                left.reason = chassis::explain(&error);
            }
        }
        let (shard, behind_ms) = (&*batch.shard.id, batch.millis_behind_latest);
        if left.positions.is_empty() {
            info!(shard, records = batch.records.len(), behind_ms, "carried a batch");
            return Ok(());
        }
        Err(Failure::partial(left.positions, left.reason))
    }
}

impl Carrier {
    /// Publishes every fit record: those that SNS refused, and those that it did not take for now.
    async fn publish<'a>(&self, sorted: &Sorted<'a>) -> (Vec<(&'a Record, Reason)>, Left) {
        let keys = sorted.records.iter().map(|record| record.partition_key.as_ref());
        let keys: Vec<_> = keys.map(|key| key.map(PartitionKey::as_str)).collect();
        let groups = pack::groups(&keys, REQUESTS_MAX).into_iter();
        let groups = groups.map(async |group| self.publish_in_order(sorted, &group).await);
        let mut groups = stream::iter(groups).buffer_unordered(REQUESTS_MAX);
        let (mut refused, mut left) = (Vec::new(), Left::default());
        while let Some((group_refused, group_left)) = groups.next().await {
            refused.extend(group_refused);
            if !group_left.positions.is_empty() {
                left.positions.extend(group_left.positions);
                left.reason = group_left.reason;
            }
        }
        (refused, left)
    }

    /// Publishes records one request after the other. Once a request leaves something, what follows waits with
    /// it: it may be of the same key.
    async fn publish_in_order<'a>(
        &self,
        sorted: &Sorted<'a>,
        group: &[usize],
    ) -> (Vec<(&'a Record, Reason)>, Left) {
        let headers: Vec<_> = group.iter().map(|&index| sorted.headers[index].clone()).collect();
        let sizes: Vec<_> = headers.iter().map(pack::size).collect();
        let (mut refused, mut left) = (Vec::new(), Left::default());
        for run in pack::runs(&sizes) {
            let record = |index: usize| sorted.records[group[run.start + index]];
            if !left.positions.is_empty() {
                left.positions.extend((0..run.len()).map(|index| record(index).position));
                continue;
            }
            let attempt = self.publisher.publish(&headers[run.clone()]).await;
            refused.extend(attempt.refused.into_iter().map(|refused| {
                let reason = Reason { kind: "refused_by_sns", text: refused.reason };
                (record(refused.index), reason)
            }));
            left.positions.extend(attempt.left.iter().map(|&index| record(index).position));
            left.reason = format!("SNS did not accept some events: {}", attempt.last_error);
        }
        (refused, left)
    }

    async fn put_away(
        &self,
        shard: &str,
        record: &Record,
        reason: &Reason,
    ) -> Result<(), quarantine::Error> {
        let position = record.position.to_string();
        let origin = [
            ("shard", shard),
            ("sequence_number", position.as_str()),
            ("partition_key", record.partition_key.as_ref().map_or("", PartitionKey::as_str)),
        ];
        self.quarantine.put(&record.data, reason, &origin).await?;
        self.metrics.quarantined(reason.kind);
        let reason = &reason.text;
        warn!(shard, sequence_number = position, reason, "quarantined a record");
        Ok(())
    }
}

/// The header of a record, with the arms that experiments give its event. What is no whole event gets none.
fn header<'a>(record: &'a Record, experiments: &Experiments) -> Result<Header<'a>, Malformed> {
    let mut header = Header::parse(&record.data)?;
    let arms = experiments.assign(&header.event_type, || Event::parse(&record.data).ok());
    header.experiments.extend(arms.into_iter().map(|(name, arm)| (name.into(), arm.into())));
    Ok(header)
}

fn sort<'a>(records: &'a [Record], experiments: &Experiments) -> Sorted<'a> {
    let mut sorted = Sorted::default();
    for record in records {
        match header(record, experiments) {
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
