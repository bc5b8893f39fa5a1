//! A ping through every river: rapids, reader, SNS or the direct way, queue, service, and back onto the rapids.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use aws_sdk_kinesis::primitives::Blob;
use event::{Event, EventId};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::finding::Finding;
use crate::session::Session;
use crate::tail::{Start, Tail};
use crate::watch::rows::subscriptions;

/// What asks rivers whether they flow, and what the services of the kit answer.
const PING: &str = "system.Ping";
const PONG: &str = "system.Pong";

/// Asks, and waits for at most `wait_s` seconds.
pub(super) async fn look(session: &Session, wait_s: u64) -> Vec<Finding> {
    match ask(session, Duration::from_secs(wait_s)).await {
        Ok((asked, answered)) => judge(&asked, &answered, wait_s),
        Err(error) => {
            let call = "kinesis:PutRecord and kinesis:GetRecords";
            vec![Finding::unseen("canary", call, &error)]
        }
    }
}

/// The rivers whose services answer pings, and those that did.
async fn ask(
    session: &Session,
    wait: Duration,
) -> anyhow::Result<(BTreeSet<String>, BTreeSet<String>)> {
    let rows = subscriptions(session).await?;
    let asked: BTreeSet<_> =
        rows.into_iter().filter(|row| row.covers(PING)).map(|row| row.river).collect();
    let rapids = &session.names.rapids;
    let mut tail = Tail::open_at(session.aws.kinesis.clone(), rapids, Start::Now).await?;
    let ping = Event::root(PING, "rapids-doctor", json!({}), session.now()?);
    let put = session.aws.kinesis.put_record().stream_name(rapids);
    let put = put.partition_key(ping.partition_key()).data(Blob::new(ping.to_json()));
    put.send().await.with_context(|| format!("putting a ping onto {rapids}"))?;
    let mut answered = BTreeSet::new();
    let give_up = Instant::now() + wait;
    while answered.len() < asked.len() {
        let Ok(records) = timeout_at(give_up, tail.records()).await else { break };
        let events = records?.into_iter().filter_map(|record| record.event.ok());
        answered.extend(events.filter_map(|event| answer(&event, &ping.event_id)));
        if Instant::now() >= give_up {
            break;
        }
    }
    Ok((asked, answered))
}

/// The river that answers our ping.
fn answer(event: &Event, ping: &EventId) -> Option<String> {
    let is_ours = event.event_type == PONG && event.causation_id.as_ref() == Some(ping);
    is_ours.then(|| event.payload["river"].as_str().map(str::to_owned))?
}

fn judge(asked: &BTreeSet<String>, answered: &BTreeSet<String>, wait_s: u64) -> Vec<Finding> {
    if asked.is_empty() {
        return vec![Finding::ok("canary", "no river has a service that answers pings")];
    }
    let silent = asked.difference(answered).map(|river| {
        let remedy = format!(
            "see that a service of it runs and reads: `rapids rivers show {river}`, its logs"
        );
        Finding::fail(format!("river {river}"), format!("no pong within {wait_s} s"), remedy)
    });
    let mut findings: Vec<_> = silent.collect();
    let heard = asked.len() - findings.len();
    if heard > 0 {
        findings.push(Finding::ok("canary", format!("{heard} of {} rivers answered", asked.len())));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_river_that_does_not_answer_is_named() {
        let rivers = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let found = judge(&rivers(&["a", "b"]), &rivers(&["a"]), 10);
        assert_eq!((found[0].level, &*found[0].what), (Level::Fail, "river b"));
        assert_eq!(found[1].says, "1 of 2 rivers answered");
        assert_eq!(judge(&rivers(&[]), &rivers(&[]), 10)[0].level, Level::Ok);
    }
}
