//! The shards of the rapids: whether each is read, and how far.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_kinesis::types::ShardIteratorType;
use kcl::{Checkpoint, Lease};
use tokio::time::sleep;

use super::finding::Finding;
use crate::manage::cost::plural;
use crate::ops::leases::Leases;
use crate::session::Session;

/// An owner renews its lease a few times within the failover time, 10 s by default.
const RENEWED_WITHIN: Duration = Duration::from_secs(5);
/// Shards whose lag is looked at: each is a read, of the five a second that its readers share.
const LAGS_MAX: usize = 64;
/// From here on a lag is worth a line of its own.
const LAG_MUCH_MS: i64 = 60_000;

/// A shard, and who reads it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Shard {
    id: String,
    /// Closed, it was split or merged.
    open: bool,
    /// Shards that it came of: it is begun when they are done.
    parents: Vec<String>,
    lease: Option<Lease>,
    /// Whether the lease was renewed while it was watched.
    renewed: bool,
    lag_ms: Option<i64>,
}

impl Shard {
    /// Whether a reader has it still before it.
    fn is_unfinished(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.checkpoint != Checkpoint::ShardEnd)
    }
}

/// Looks at every shard that is not read to its end.
pub(super) async fn look(session: &Session) -> Vec<Finding> {
    match gather(session).await {
        Ok(Some((shards, unseen))) => {
            let unseen = unseen.map(|error| {
                let call = "kinesis:GetShardIterator and kinesis:GetRecords";
                Finding::unseen("how far readers are behind", call, &error)
            });
            of_shards(&shards).into_iter().chain(unseen).collect()
        }
        Ok(None) => {
            let table = Leases::of(session, "rapids-reader").table;
            let says = format!("it has never run: there is no table {table}");
            let remedy = "start `rapids-reader` with this stage; with a `lease_table` of its own it is not seen here";
            vec![Finding::fail("rapids-reader", says, remedy)]
        }
        Err(error) => {
            let call = "kinesis:ListShards and dynamodb:Scan";
            vec![Finding::unseen("shards of the rapids", call, &error)]
        }
    }
}

/// The shards, and why their lag could not be told, where it could not; none where no reader ever ran.
async fn gather(session: &Session) -> anyhow::Result<Option<(Vec<Shard>, Option<anyhow::Error>)>> {
    let leases = Leases::of(session, "rapids-reader");
    let Some(first) = leases.all().await? else { return Ok(None) };
    sleep(RENEWED_WITHIN).await;
    let then: BTreeMap<_, _> = first.into_iter().map(|it| (it.key, it.counter)).collect();
    let mut shards = list(session).await?;
    let now = leases.all().await?.unwrap_or_default();
    let mut now: BTreeMap<_, _> = now.into_iter().map(|it| (it.key.clone(), it)).collect();
    let (mut looked_at, mut unseen) = (0, None);
    for shard in &mut shards {
        shard.lease = now.remove(&shard.id);
        let counter = shard.lease.as_ref().map(|lease| lease.counter);
        shard.renewed = counter.is_some() && then.get(&shard.id) != counter.as_ref();
        if !shard.is_unfinished() || looked_at == LAGS_MAX {
            continue;
        }
        looked_at += 1;
        match lag(session, shard.lease.as_ref()).await {
            Ok(lag_ms) => shard.lag_ms = lag_ms,
            Err(error) => unseen = Some(error),
        }
    }
    Ok(Some((shards, unseen)))
}

async fn list(session: &Session) -> anyhow::Result<Vec<Shard>> {
    let mut shards = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let list = session.aws.kinesis.list_shards();
        let list = match next.take() {
            Some(token) => list.next_token(token),
            None => list.stream_name(&session.names.rapids),
        };
        let listed = list.send().await?;
        shards.extend(listed.shards.unwrap_or_default().into_iter().map(|shard| {
            let end = shard.sequence_number_range.and_then(|range| range.ending_sequence_number);
            let parents = [shard.parent_shard_id, shard.adjacent_parent_shard_id];
            Shard {
                id: shard.shard_id,
                open: end.is_none(),
                parents: parents.into_iter().flatten().collect(),
                ..Shard::default()
            }
        }));
        next = listed.next_token;
        if next.is_none() {
            return Ok(shards);
        }
    }
}

/// How far the newest record is ahead of the checkpoint, where that can be told.
async fn lag(session: &Session, lease: Option<&Lease>) -> anyhow::Result<Option<i64>> {
    let Some(lease) = lease else { return Ok(None) };
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
    let unfinished = |id: &String| shards.iter().any(|it| it.id == *id && it.is_unfinished());
    // One that is closed and has no lease is done, and one whose parents are not done waits for them.
    let is_due = |shard: &&Shard| match &shard.lease {
        None => shard.open && !shard.parents.iter().any(unfinished),
        Some(lease) => {
            shard.is_unfinished()
                && (lease.owner.is_some() || !shard.parents.iter().any(unfinished))
        }
    };
    let due: Vec<_> = shards.iter().filter(is_due).collect();
    let mut findings: Vec<_> = due.iter().filter_map(|shard| of_shard(shard)).collect();
    if findings.is_empty() {
        let lag_ms = due.iter().filter_map(|shard| shard.lag_ms).max().unwrap_or_default();
        let says = format!(
            "{}, each with an owner, at most {lag_ms} ms behind",
            plural(due.len(), "shard")
        );
        findings.push(Finding::ok("shards of the rapids", says));
    }
    findings
}

/// What is wrong with one that is to be read.
fn of_shard(shard: &Shard) -> Option<Finding> {
    let what = format!("shard {}", shard.id);
    let start = "start a rapids-reader, or see the logs of those that run";
    let Some(lease) = &shard.lease else {
        return Some(Finding::fail(what, "no reader has a lease of it: its events wait", start));
    };
    let Some(owner) = &lease.owner else {
        return Some(Finding::fail(what, "nobody owns its lease: its events wait", start));
    };
    if !shard.renewed {
        let says = format!("{owner} has not renewed its lease for {} s", RENEWED_WITHIN.as_secs());
        return Some(Finding::fail(what, says, start));
    }
    let lag_ms = shard.lag_ms.filter(|lag_ms| *lag_ms > LAG_MUCH_MS)?;
    let says = format!("its reader is {} s behind", lag_ms / 1_000);
    let remedy = "if it grows: more readers up to one a shard, then more shards";
    Some(Finding::warn(what, says, remedy))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn shard(owner: Option<&str>, renewed: bool, lag_ms: i64) -> Shard {
        let mut lease = Lease::new("shardId-000000000000", Checkpoint::TrimHorizon);
        lease.owner = owner.map(str::to_owned);
        let (id, lease) = (lease.key.clone(), Some(lease));
        Shard { id, open: true, lease, renewed, lag_ms: Some(lag_ms), ..Shard::default() }
    }

    fn levels(shards: &[Shard]) -> Vec<Level> {
        of_shards(shards).iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn a_shard_that_nobody_reads_is_told() {
        assert_eq!(levels(&[shard(Some("me"), true, 0)]), [Level::Ok]);
        assert_eq!(levels(&[shard(None, false, 0)]), [Level::Fail]);
        assert_eq!(levels(&[shard(Some("me"), false, 0)]), [Level::Fail]);
        let unseen = Shard { id: "other".into(), lease: None, ..shard(None, false, 0) };
        assert_eq!(levels(&[unseen, shard(Some("me"), true, 0)]), [Level::Fail]);
    }

    #[test]
    fn a_closed_shard_is_read_to_its_end_before_its_children() {
        let parent = |owner| Shard { open: false, ..shard(owner, true, 0) };
        let parents = vec!["shardId-000000000000".to_owned()];
        let child = Shard { id: "child".into(), open: true, parents, ..Shard::default() };
        let waiting = Shard { lease: shard(None, false, 0).lease, ..child.clone() };
        assert_eq!(levels(&[parent(Some("me")), child.clone()]), [Level::Ok]);
        assert_eq!(levels(&[parent(Some("me")), waiting]), [Level::Ok]);
        assert_eq!(
            levels(&[parent(None), child.clone()]),
            [Level::Fail],
            "nobody reads the parent"
        );
        let mut done = parent(None);
        done.lease.as_mut().unwrap().checkpoint = Checkpoint::ShardEnd;
        assert_eq!(levels(&[done, child.clone()]), [Level::Fail], "nobody reads the child");
        let gone = Shard { lease: None, ..parent(None) };
        assert_eq!(levels(&[gone, child]), [Level::Fail]);
    }

    #[test]
    fn a_reader_that_is_behind_is_told() {
        assert_eq!(levels(&[shard(Some("me"), true, 60_000)]), [Level::Ok]);
        assert_eq!(levels(&[shard(Some("me"), true, 60_001)]), [Level::Warn]);
    }
}
