//! What a stage needs before its daemons can start. Everything can be done twice: what exists stays as it is.
//!
//! Meant for the embedded AWS, for emulators and for a first look at a real account. The CloudFormation
//! templates make the same with encryption keys, alarms and tags, and that is what production wants.

use std::time::Duration;

use anyhow::{Context as _, bail};
use aws_sdk_kinesis::types::StreamStatus;
use control_plane::ensure_tables;
use quarantine::Quarantine;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::session::Session;

/// The control stream carries a command now and then.
const CONTROL_SHARDS: i32 = 1;
/// Longest wait for a stream; AWS takes some 20 seconds.
const ACTIVE_MAX: Duration = Duration::from_secs(120);
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// What a stage consists of.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stock {
    streams: [String; 2],
    sns_topic: String,
    tables: [String; 4],
    queues: [String; 2],
}

/// Makes what is missing, and prints what there is.
///
/// # Errors
/// Those of [`ensure`].
pub(crate) async fn run(session: &Session, shards: i32) -> anyhow::Result<()> {
    session.output.print(&ensure(session, shards).await?)
}

/// Makes what is missing and waits until it can be used. `shards` is how wide rapids are that are made now.
///
/// # Errors
/// What AWS refuses, or a stream that does not become active.
pub(crate) async fn ensure(session: &Session, shards: i32) -> anyhow::Result<Stock> {
    let names = &session.names;
    create_stream(session, &names.rapids, shards).await?;
    create_stream(session, &names.control, CONTROL_SHARDS).await?;
    let sns_topic = create_sns_topic(session).await?;
    let queues = [names.stage.rapids_quarantine(), names.stage.control_quarantine()];
    for queue in &queues {
        Quarantine::open(session.aws.sqs.clone(), queue, None).await?;
    }
    let tables = ensure_tables(session.aws.dynamodb.clone(), &names.stage).await?;
    let streams = [names.rapids.clone(), names.control.clone()];
    for stream in &streams {
        until_active(session, stream).await?;
    }
    Ok(Stock { streams, sns_topic, tables, queues })
}

async fn create_stream(session: &Session, stream: &str, shards: i32) -> anyhow::Result<()> {
    let create = session.aws.kinesis.create_stream().stream_name(stream).shard_count(shards);
    match create.send().await {
        Ok(_) => Ok(()),
        Err(error)
            if error.as_service_error().is_some_and(|it| it.is_resource_in_use_exception()) =>
        {
            Ok(())
        }
        Err(error) => Err(anyhow::Error::new(error).context(format!("creating stream {stream}"))),
    }
}

async fn until_active(session: &Session, stream: &str) -> anyhow::Result<()> {
    let give_up = Instant::now() + ACTIVE_MAX;
    loop {
        let described = session.aws.kinesis.describe_stream_summary().stream_name(stream).send();
        let described = described.await.with_context(|| format!("describing stream {stream}"))?;
        let status = described.stream_description_summary.map(|summary| summary.stream_status);
        match status {
            Some(StreamStatus::Active | StreamStatus::Updating) => return Ok(()),
            status if Instant::now() >= give_up => {
                let status = status.as_ref().map_or("unknown", StreamStatus::as_str);
                let seconds = ACTIVE_MAX.as_secs();
                bail!(
                    "stream {stream} is {status}, not ACTIVE, after {seconds} s: look at it in the console"
                )
            }
            _ => sleep(LOOK_INTERVAL).await,
        }
    }
}

/// SNS gives the topic that exists.
async fn create_sns_topic(session: &Session) -> anyhow::Result<String> {
    let name = session.names.stage.rapids();
    let topic = session.aws.sns.create_topic().name(&name).send().await;
    let topic = topic.with_context(|| format!("creating SNS topic {name}"))?;
    topic.topic_arn.with_context(|| format!("SNS gave no ARN for topic {name}"))
}
