//! The shards of the rapids: whether each is read, and how far.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_kinesis::types::ShardIteratorType;
use kcl::{Checkpoint, Lease};
use tokio::time::sleep;

use super::finding::Finding;
use crate::ops::leases::Leases;
use crate::session::Session;

/// An owner renews its lease a few times within the failover time, 10 s by default.
const RENEWED_WITHIN: Duration = Duration::from_secs(5);
/// Shards whose lag is looked at: each is a read, of the five a second that its readers share.
const LAGS_MAX: usize = 64;
/// From here on a lag is worth a line of its own.
const LAG_MUCH_MS: i64 = 60_000;

/// An open shard, and who reads it.
#[derive(Clone, Debug, PartialEq)]
struct Shard {
    id: String,
    lease: Option<Lease>,
    /// Whether the lease was renewed while it was watched.
    renewed: bool,
    lag_ms: Option<i64>,
}

/// Looks at every open shard.
pub(super) async fn look(session: &Session) -> Vec<Finding> {
    match gather(session).await {
        Ok(Some(shards)) => of_shards(&shards),
        Ok(None) => {
            let table = Leases::of(session, "rapids-reader").table;
            let says = format!("it has never run: there is no table {table}");
            vec![Finding::fail("rapids-reader", says, "start `rapids-reader` with this stage")]
        }
        Err(error) => {
            let call = "kinesis:ListShards, kinesis:GetRecords and dynamodb:Scan";
            vec![Finding::unseen("shards of the rapids", call, &error)]
        }
    }
}

async fn gather(session: &Session) -> anyhow::Result<Option<Vec<Shard>>> {
    let leases = Leases::of(session, "rapids-reader");
    let Some(first) = leases.all().await? else { return Ok(None) };
    let open = open_shards(session).await?;
    sleep(RENEWED_WITHIN).await;
    let then: BTreeMap<_, _> = first.into_iter().map(|it| (it.key, it.counter)).collect();
    let mut now: BTreeMap<_, _> = leases
        .all()
        .await?
        .unwrap_or_default()
        .into_iter()
        .map(|it| (it.key.clone(), it))
        .collect();
    let mut shards = Vec::new();
    for (nth, id) in open.into_iter().enumerate() {
        let lease = now.remove(&id);
        let lag_ms = match &lease {
            Some(lease) if nth < LAGS_MAX => lag(session, lease).await?,
            _ => None,
        };
        let renewed = lease.as_ref().is_some_and(|lease| then.get(&id) != Some(&lease.counter));
        shards.push(Shard { id, lease, renewed, lag_ms });
    }
    Ok(Some(shards))
}

async fn open_shards(session: &Session) -> anyhow::Result<Vec<String>> {
    let mut open = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let list = session.aws.kinesis.list_shards();
        let list = match next.take() {
            Some(token) => list.next_token(token),
            None => list.stream_name(&session.names.rapids),
        };
        let listed = list.send().await?;
        let shards = listed.shards.unwrap_or_default().into_iter();
        let is_open = |shard: &aws_sdk_kinesis::types::Shard| {
            shard
                .sequence_number_range
                .as_ref()
                .is_none_or(|range| range.ending_sequence_number.is_none())
        };
        open.extend(shards.filter(is_open).map(|shard| shard.shard_id));
        next = listed.next_token;
        if next.is_none() {
            return Ok(open);
        }
    }
}

/// How far the newest record is ahead of the checkpoint, where that can be told.
async fn lag(session: &Session, lease: &Lease) -> anyhow::Result<Option<i64>> {
    let iterator = session.aws.kinesis.get_shard_iterator();
    let iterator = iterator.stream_name(&session.names.rapids).shard_id(&lease.key);
    let iterator = match lease.checkpoint {
        Checkpoint::TrimHorizon => iterator.shard_iterator_type(ShardIteratorType::TrimHorizon),
        Checkpoint::At(position) => iterator
            .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
            .starting_sequence_number(position.sequence.to_string()),
        Checkpoint::Latest | Checkpoint::AtTimestamp | Checkpoint::ShardEnd => return Ok(None),
    };
    let Some(iterator) = iterator.send().await?.shard_iterator else { return Ok(None) };
    let read = session.aws.kinesis.get_records().shard_iterator(iterator).limit(1).send().await?;
    Ok(read.millis_behind_latest)
}

fn of_shards(shards: &[Shard]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for shard in shards {
        let what = format!("shard {}", shard.id);
        let start = "start a rapids-reader, or see the logs of those that run";
        match &shard.lease {
            None => findings.push(Finding::fail(
                what,
                "no reader has a lease of it: its events wait",
                start,
            )),
            Some(Lease { owner: None, .. }) => {
                findings.push(Finding::fail(what, "nobody owns its lease: its events wait", start));
            }
            Some(Lease { owner: Some(owner), .. }) if !shard.renewed => {
                let says =
                    format!("{owner} has not renewed its lease for {} s", RENEWED_WITHIN.as_secs());
                findings.push(Finding::fail(what, says, start));
            }
            Some(_) => {
                let lag = shard.lag_ms.filter(|lag_ms| *lag_ms > LAG_MUCH_MS);
                findings.extend(lag.map(|lag_ms| {
                    let says = format!("its reader is {} s behind", lag_ms / 1_000);
                    let remedy = "if it grows: more readers up to one a shard, then more shards; see the panels of rapids-reader";
                    Finding::warn(what, says, remedy)
                }));
            }
        }
    }
    if findings.is_empty() {
        let lag_ms = shards.iter().filter_map(|shard| shard.lag_ms).max().unwrap_or_default();
        let says = format!("{} open, each with an owner, at most {lag_ms} ms behind", shards.len());
        findings.push(Finding::ok("shards of the rapids", says));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn shard(owner: Option<&str>, renewed: bool, lag_ms: i64) -> Shard {
        let mut lease = Lease::new("shardId-000000000000", Checkpoint::TrimHorizon);
        lease.owner = owner.map(str::to_owned);
        Shard { id: lease.key.clone(), lease: Some(lease), renewed, lag_ms: Some(lag_ms) }
    }

    fn levels(shards: &[Shard]) -> Vec<Level> {
        of_shards(shards).iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn a_shard_that_nobody_reads_is_told() {
        assert_eq!(levels(&[shard(Some("me"), true, 0)]), [Level::Ok]);
        assert_eq!(levels(&[shard(None, false, 0)]), [Level::Fail]);
        assert_eq!(levels(&[shard(Some("me"), false, 0)]), [Level::Fail]);
        let unseen = Shard { lease: None, ..shard(None, false, 0) };
        assert_eq!(levels(&[unseen, shard(Some("me"), true, 0)]), [Level::Fail]);
    }

    #[test]
    fn a_reader_that_is_behind_is_told() {
        assert_eq!(levels(&[shard(Some("me"), true, 60_000)]), [Level::Ok]);
        assert_eq!(levels(&[shard(Some("me"), true, 60_001)]), [Level::Warn]);
    }
}
