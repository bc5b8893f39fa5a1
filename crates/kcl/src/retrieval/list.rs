//! Listing the shards of a stream.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::{ChildShard, HashKeyRange};
use tokio::time::sleep;
use tracing::debug;

use super::calls::{Refused, Why, call, without_retries};
use crate::error::Error;
use crate::lease::HashRange;
use crate::metrics::{Api, Metrics};
use crate::shards::Shard;

/// How often a page is asked for before the list fails: its caller comes again.
const ATTEMPTS_MAX: u32 = 5;
/// How often a list begins anew because its token expired. A token lives for 5 minutes
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListShards.html>).
const RESTARTS_MAX: u32 = 3;
const PAUSE_LEAST: Duration = Duration::from_millis(100);
const PAUSE_MOST: Duration = Duration::from_secs(1);

/// Every shard that the stream still has.
///
/// # Errors
/// [`Error::StreamNotFound`], and what kept Kinesis from answering a page so many times.
pub(crate) async fn list(
    kinesis: &Client,
    stream: &str,
    metrics: &dyn Metrics,
) -> Result<Vec<Shard>, Error> {
    let kinesis = without_retries(kinesis);
    let (mut shards, mut next) = (Vec::new(), None::<String>);
    let (mut failures, mut restarts) = (0, 0);
    loop {
        // A page's token stands alone: with it, Kinesis refuses the stream's name.
        let request = match &next {
            Some(token) => kinesis.list_shards().next_token(token),
            None => kinesis.list_shards().stream_name(stream),
        };
        let refused = match call(metrics, stream, Api::ListShards, request.send()).await {
            Ok(page) => {
                failures = 0;
                shards.extend(page.shards().iter().map(Shard::from));
                next = page.next_token;
                if next.is_none() {
                    return Ok(shards);
                }
                continue;
            }
            Err(refused) => refused,
        };
        match refused {
            Refused { why: Why::NotFound, .. } => {
                return Err(Error::StreamNotFound { stream: stream.to_owned() });
            }
            Refused { why: Why::Expired, .. } if restarts < RESTARTS_MAX => {
                debug!(stream, "the list of shards begins anew: its page token expired");
                restarts += 1;
                shards.clear();
                next = None;
            }
            Refused { why: Why::Throttled | Why::Other, .. } if failures + 1 < ATTEMPTS_MAX => {
                failures += 1;
                let ceiling = PAUSE_MOST.min(PAUSE_LEAST * 2_u32.pow(failures));
                sleep(ceiling.mul_f64(fastrand::f64())).await;
            }
            Refused { error, .. } => return Err(error),
        }
    }
}

impl From<&aws_sdk_kinesis::types::Shard> for Shard {
    fn from(shard: &aws_sdk_kinesis::types::Shard) -> Self {
        let parents = [&shard.parent_shard_id, &shard.adjacent_parent_shard_id];
        Self {
            id: shard.shard_id.clone(),
            parents: parents.into_iter().flatten().cloned().collect::<BTreeSet<_>>(),
            hash_range: shard.hash_key_range.as_ref().and_then(hash_range),
            open: shard
                .sequence_number_range
                .as_ref()
                .is_none_or(|range| range.ending_sequence_number.is_none()),
        }
    }
}

impl From<&ChildShard> for Shard {
    fn from(shard: &ChildShard) -> Self {
        Self {
            id: shard.shard_id.clone(),
            parents: shard.parent_shards.iter().cloned().collect(),
            hash_range: shard.hash_key_range.as_ref().and_then(hash_range),
            open: true,
        }
    }
}

fn hash_range(range: &HashKeyRange) -> Option<HashRange> {
    let start = range.starting_hash_key.parse().ok()?;
    Some(HashRange { start, end: range.ending_hash_key.parse().ok()? })
}
