//! Streams and tables: what `rapids bootstrap` or the CloudFormation stack makes.

use anyhow::Context as _;
use aws_sdk_dynamodb::types::TableStatus;
use aws_sdk_kinesis::types::{EncryptionType, StreamStatus};

use super::finding::Finding;
use crate::client::is_missing;
use crate::manage::cost::plural;
use crate::session::Session;
use crate::watch::queue::{Count, Queue};

const BOOTSTRAP: &str = "make it with `rapids bootstrap`, or as infrastructure code";

/// A stream, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stream {
    status: StreamStatus,
    shards: i32,
    retention_hours: i32,
    encrypted: bool,
}

/// Looks at what everything stands on.
pub(super) async fn look(session: &Session) -> Vec<Finding> {
    let names = &session.names;
    let mut findings = Vec::new();
    for name in [&names.rapids, &names.control] {
        let what = format!("stream {name}");
        match stream(session, name).await {
            Ok(found) => findings.extend(of_stream(&what, found.as_ref())),
            Err(error) => {
                findings.push(Finding::unseen(what, "kinesis:DescribeStreamSummary", &error));
            }
        }
    }
    let stage = &names.stage;
    let tables = [
        stage.subscriptions_table(),
        stage.topics_table(),
        stage.experiments_table(),
        stage.rivers_table(),
    ];
    for name in tables {
        let what = format!("table {name}");
        match table(session, &name).await {
            Ok(found) => findings.push(of_table(&what, found.as_ref())),
            Err(error) => findings.push(Finding::unseen(what, "dynamodb:DescribeTable", &error)),
        }
    }
    for (name, of) in
        [(stage.rapids_quarantine(), "rapids"), (stage.control_quarantine(), "control")]
    {
        let what = format!("quarantine {name}");
        match count(session, &name).await {
            Ok(found) => findings.push(of_quarantine(&what, of, found)),
            Err(error) => findings.push(Finding::unseen(what, "sqs:GetQueueAttributes", &error)),
        }
    }
    findings
}

async fn stream(session: &Session, name: &str) -> anyhow::Result<Option<Stream>> {
    let described = session.aws.kinesis.describe_stream_summary().stream_name(name).send().await;
    let summary = match described {
        Ok(described) => described.stream_description_summary,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let summary = summary.context("Kinesis described nothing")?;
    Ok(Some(Stream {
        status: summary.stream_status,
        shards: summary.open_shard_count,
        retention_hours: summary.retention_period_hours,
        encrypted: summary.encryption_type == Some(EncryptionType::Kms),
    }))
}

fn of_stream(what: &str, found: Option<&Stream>) -> Vec<Finding> {
    let Some(Stream { status, shards, retention_hours, encrypted }) = found else {
        return vec![Finding::fail(what, "it does not exist", BOOTSTRAP)];
    };
    let is_usable = matches!(status, StreamStatus::Active | StreamStatus::Updating);
    let open = plural(usize::try_from(*shards).unwrap_or_default(), "open shard");
    let says = format!("{}, {open}, {retention_hours} h retention", status.as_str());
    let mut findings = vec![if is_usable {
        Finding::ok(what, says)
    } else {
        Finding::fail(
            what,
            says,
            "wait until Kinesis has it ACTIVE; if it is deleted, make it again",
        )
    }];
    if !encrypted {
        let remedy = "`aws kinesis start-stream-encryption`; an emulator never encrypts";
        findings.push(Finding::warn(what, "it is not encrypted at rest by KMS", remedy));
    }
    findings
}

async fn table(session: &Session, name: &str) -> anyhow::Result<Option<TableStatus>> {
    match session.aws.dynamodb.describe_table().table_name(name).send().await {
        Ok(described) => Ok(described.table.and_then(|table| table.table_status)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn of_table(what: &str, found: Option<&TableStatus>) -> Finding {
    match found {
        None => Finding::fail(what, "it does not exist", BOOTSTRAP),
        Some(status @ (TableStatus::Active | TableStatus::Updating)) => {
            Finding::ok(what, status.as_str())
        }
        Some(status) => Finding::fail(
            what,
            status.as_str(),
            "wait until DynamoDB has it ACTIVE, or make it again",
        ),
    }
}

/// What is in a queue; none where there is none.
pub(super) async fn count(session: &Session, queue: &str) -> anyhow::Result<Option<Count>> {
    match Queue::find(session, queue).await? {
        Some(queue) => Ok(Some(queue.count(session).await?)),
        None => Ok(None),
    }
}

fn of_quarantine(what: &str, of: &str, found: Option<Count>) -> Finding {
    match found.map(|count| count.visible + count.hidden) {
        None => Finding::fail(what, "it does not exist", BOOTSTRAP),
        Some(0) => Finding::ok(what, "empty"),
        Some(n) => {
            let remedy = format!(
                "`rapids dlq show {of}` says why, `rapids dlq redrive {of}` sends them back"
            );
            Finding::warn(what, format!("{n} records"), remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_stream_is_to_be_there_active_and_encrypted() {
        let levels = |found: Option<Stream>| -> Vec<Level> {
            of_stream("stream", found.as_ref()).iter().map(|finding| finding.level).collect()
        };
        let stream =
            |status, encrypted| Stream { status, shards: 1, retention_hours: 24, encrypted };
        assert_eq!(levels(None), [Level::Fail]);
        assert_eq!(levels(Some(stream(StreamStatus::Active, true))), [Level::Ok]);
        assert_eq!(levels(Some(stream(StreamStatus::Updating, false))), [Level::Ok, Level::Warn]);
        assert_eq!(levels(Some(stream(StreamStatus::Deleting, true))), [Level::Fail]);
    }

    #[test]
    fn a_table_is_to_be_there_and_active() {
        assert_eq!(of_table("t", None).level, Level::Fail);
        assert_eq!(of_table("t", Some(&TableStatus::Active)).level, Level::Ok);
        assert_eq!(of_table("t", Some(&TableStatus::Deleting)).level, Level::Fail);
    }

    #[test]
    fn what_lies_in_quarantine_is_told() {
        let count = |visible| Some(Count { visible, hidden: 0 });
        assert_eq!(of_quarantine("q", "rapids", None).level, Level::Fail);
        assert_eq!(of_quarantine("q", "rapids", count(0)).level, Level::Ok);
        let told = of_quarantine("q", "rapids", count(2));
        assert!(told.level == Level::Warn && told.remedy.unwrap().contains("dlq show rapids"));
    }
}
