//! The control plane and the rivers, as the control plane itself would find them.

use std::time::Duration;

use control_plane::{Foresight, NeverRan, Preview};
use event::names::River as Name;
use jiff::{SignedDuration, Timestamp};

use super::finding::Finding;
use crate::manage::plan::clients;
use crate::manage::state::{self, River, State};
use crate::session::Session;
use crate::watch::queue::Count;

/// Filter policies that a topic may have, and when to say that it will be full
/// (<https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html>).
const POLICIES_MAX: usize = 200;
const POLICIES_MANY: usize = 180;
/// Rounds that a control plane may be late: it looks at every river in each.
const ROUNDS_LATE: u32 = 3;

/// Looks at the control plane and at every river.
pub(super) async fn look(session: &Session) -> Vec<Finding> {
    let what = "control plane";
    let foresight = match Foresight::open(clients(session), &session.names.stage).await {
        Ok(foresight) => foresight,
        Err(error) if error.is::<NeverRan>() => {
            let says = chassis::explain(error.as_ref());
            return vec![Finding::fail(what, says, "start `control-plane` with this stage")];
        }
        Err(error) => {
            let call = "dynamodb:GetItem and sns:ListSubscriptionsByTopic";
            return vec![Finding::unseen(what, call, &error)];
        }
    };
    let (rivers, now) = match (state::all(session).await, session.now()) {
        (Ok(rivers), Ok(now)) => (rivers, now),
        (Err(error), _) | (_, Err(error)) => {
            return vec![Finding::unseen(
                "rivers",
                "dynamodb:Scan and sqs:GetQueueAttributes",
                &error,
            )];
        }
    };
    let last = rivers.iter().filter_map(|river| river.row.checked_at).max();
    let alive = of_rounds(what, last, foresight.config.reconcile_every, now);
    let is_alive = alive.as_ref().is_none_or(|finding| finding.remedy.is_none());
    let mut findings: Vec<_> = alive.into_iter().collect();
    findings.push(of_policies(foresight.subscriptions()));
    for river in &rivers {
        // What other hands wrote into the table and SQS would refuse has no river.
        let Ok(name) = Name::parse(&river.name, &session.names.stage) else { continue };
        match foresight.look(&name, None, now).await {
            Ok(preview) => findings.extend(of_river(river, &preview, is_alive, now)),
            Err(error) => findings.push(Finding::unseen(
                format!("river {name}"),
                "sqs:GetQueueAttributes, sns:GetSubscriptionAttributes and dynamodb:Query",
                &error,
            )),
        }
        // What is written directly needs no key that SNS can use.
        if river.row.route.as_deref() != Some("direct") {
            findings.extend(of_key(session, &name).await);
        }
    }
    findings
}

/// When the rivers were looked at last; nothing to say where there are none.
fn of_rounds(
    what: &str,
    last: Option<Timestamp>,
    every: Duration,
    now: Timestamp,
) -> Option<Finding> {
    let last = last?;
    let silent = now.duration_since(last).max(SignedDuration::ZERO);
    let says = format!("it looked at rivers {} s ago", silent.as_secs());
    let late = SignedDuration::try_from(every * ROUNDS_LATE).unwrap_or(SignedDuration::MAX);
    Some(if silent <= late {
        Finding::ok(what, says)
    } else {
        Finding::fail(what, says, "start it, or see its logs: nothing is repaired until it runs")
    })
}

fn of_policies(subscriptions: usize) -> Finding {
    let says = format!("{subscriptions} of {POLICIES_MAX} filter policies");
    if subscriptions < POLICIES_MANY {
        return Finding::ok("SNS topic", says);
    }
    let remedy = "nothing breaks, the next rivers are fed directly; have AWS raise the quota if they are to go by SNS";
    Finding::warn("SNS topic", says, remedy)
}

/// One river: what is wrong, or that nothing is.
fn of_river(river: &River, preview: &Preview, is_alive: bool, now: Timestamp) -> Vec<Finding> {
    let what = format!("river {}", river.name);
    let mut findings = Vec::new();
    let state = river.state(now);
    if let Some(refused) = &preview.refused {
        findings.push(Finding::fail(
            &what,
            refused,
            "take topics from it, or `rapids rivers route` it otherwise",
        ));
    }
    let degraded = river.topics.iter().filter(|topic| topic.status == "degraded");
    findings.extend(degraded.map(|topic| {
        let reason = topic.reason.as_deref().unwrap_or("no reason is given");
        let remedy = format!(
            "remove what hinders it, then `rapids subscribe {} {}`",
            river.name, topic.topic
        );
        Finding::fail(&what, format!("{} is degraded: {reason}", topic.topic), remedy)
    }));
    if let Some(problem) = &river.row.problem {
        findings.push(Finding::fail(
            &what,
            problem,
            "it is tried again and again: remove the cause",
        ));
    }
    if !preview.steps.is_empty() {
        let steps: Vec<_> = preview.steps.iter().map(|step| step.text.as_str()).collect();
        let says = format!("it is not what it should be; to do is: {}", steps.join("; "));
        findings.push(if is_alive {
            Finding::warn(&what, says, "the control plane does so in its next round")
        } else {
            Finding::fail(&what, says, "start the control plane: it does so")
        });
    }
    if state != State::Removing {
        findings.extend(preview.findings.iter().map(|finding| {
            Finding::warn(
                &what,
                finding,
                "it is left as it is, in case it was meant: undo it if not",
            )
        }));
    }
    let dead = river.dead.map_or(0, |Count { visible, hidden }| visible + hidden);
    if dead > 0 {
        let name = &river.name;
        let remedy = format!(
            "`rapids dlq show {name}` says why, `rapids dlq redrive {name}` sends them back"
        );
        findings.push(Finding::warn(&what, format!("{dead} dead letters"), remedy));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(&what, state.as_str()));
    }
    findings
}

/// Keys that AWS manages for SQS: nobody can let SNS use them.
async fn of_key(session: &Session, river: &Name) -> Option<Finding> {
    let what = format!("queue {}", river.queue());
    match key(session, &river.queue()).await {
        Ok(key) => key.and_then(|key| judge_key(what, &key)),
        Err(error) => Some(Finding::unseen(what, "sqs:GetQueueAttributes", &error)),
    }
}

async fn key(session: &Session, queue: &str) -> anyhow::Result<Option<String>> {
    use aws_sdk_sqs::types::QueueAttributeName::KmsMasterKeyId;
    let Some(queue) = crate::watch::queue::Queue::find(session, queue).await? else {
        return Ok(None);
    };
    let get = session.aws.sqs.get_queue_attributes().queue_url(queue.url);
    let got = get.attribute_names(KmsMasterKeyId).send().await?;
    Ok(got.attributes.and_then(|mut all| all.remove(&KmsMasterKeyId)))
}

fn judge_key(what: String, key: &str) -> Option<Finding> {
    if key.is_empty() {
        return None;
    }
    // By its ARN as well.
    if key.ends_with("alias/aws/sqs") {
        let remedy = "set `kms_key` of the control plane to a key of yours, whose policy lets sns.amazonaws.com do \
                      kms:Decrypt and kms:GenerateDataKey* where aws:SourceAccount is the account, and aws:SourceArn \
                      the topic";
        let says = "it is encrypted by the key that AWS manages, which SNS cannot use: nothing comes in by SNS";
        return Some(Finding::fail(what, says, remedy));
    }
    Some(Finding::warn(
        what,
        format!("it is encrypted by {key}, whose policy was not looked at"),
        "`rapids doctor --canary` proves that SNS may use it",
    ))
}

#[cfg(test)]
mod tests;
