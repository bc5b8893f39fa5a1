//! Registering a consumer for enhanced fan-out.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::ConsumerStatus;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::calls::{Refused, Why, call, without_retries};
use crate::error::Error;
use crate::metrics::{Api, Metrics};
use crate::settings::{Retrieval, Settings};

/// How long a consumer may take to become ACTIVE: some seconds are usual.
const ACTIVE_WAIT: Duration = Duration::from_secs(60);
/// Between two looks: a stream's consumers can be described 20 times a second by all workers together
/// (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DescribeStreamConsumer.html>).
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Where registering stands.
enum Look {
    Active(Arc<str>),
    /// Not yet, and why not.
    Waiting(&'static str),
}

/// The ARN to subscribe with; `None` where shards are polled, by choice or because fan-out was not to be had and
/// the settings allow to do without.
///
/// # Errors
/// Those of [`register`].
pub(crate) async fn consumer_arn(
    kinesis: &Client,
    settings: &Settings,
    metrics: &dyn Metrics,
) -> Result<Option<Arc<str>>, Error> {
    let Retrieval::FanOut { consumer, fall_back } = &settings.retrieval else { return Ok(None) };
    match register(kinesis, &settings.stream, consumer, metrics).await {
        Ok(arn) => Ok(Some(arn)),
        Err(error @ Error::ConsumerNotActive { .. }) if *fall_back => {
            let error = &error as &dyn std::error::Error;
            warn!(consumer, error, "polling instead of enhanced fan-out, as the settings say");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Finds the stream's consumer of that name, or registers it, and waits until it is ACTIVE.
///
/// # Errors
/// [`Error::StreamNotFound`], [`Error::ConsumerNotActive`] after a minute, and what kept Kinesis from answering.
pub(crate) async fn register(
    kinesis: &Client,
    stream: &str,
    consumer: &str,
    metrics: &dyn Metrics,
) -> Result<Arc<str>, Error> {
    let kinesis = &without_retries(kinesis);
    let until = Instant::now() + ACTIVE_WAIT;
    let mut stream_arn = None;
    loop {
        let look = async {
            let arn = match &stream_arn {
                Some(arn) => arn,
                None => stream_arn.insert(arn_of(kinesis, stream, metrics).await?),
            };
            look(kinesis, arn, stream, consumer, metrics).await
        };
        let state = match look.await {
            Ok(Look::Active(arn)) => return Ok(arn),
            Ok(Look::Waiting(state)) => state,
            Err(Refused { why: Why::NotFound, .. }) => {
                return Err(Error::StreamNotFound { stream: stream.to_owned() });
            }
            Err(Refused { why: Why::Throttled, .. }) => "not to be asked about, for throttling",
            // It may pass, but its cause is worth more than a state.
            Err(Refused { why: Why::Other, error }) if Instant::now() < until => {
                let error = &error as &dyn std::error::Error;
                warn!(consumer, error, "could not look at the consumer");
                ""
            }
            Err(Refused { error, .. }) => return Err(error),
        };
        if Instant::now() >= until {
            return Err(Error::ConsumerNotActive {
                consumer: consumer.to_owned(),
                stream: stream.to_owned(),
                state,
                seconds: ACTIVE_WAIT.as_secs(),
            });
        }
        sleep(LOOK_INTERVAL.mul_f64(0.5 + fastrand::f64())).await;
    }
}

async fn arn_of(kinesis: &Client, stream: &str, metrics: &dyn Metrics) -> Result<String, Refused> {
    let describe = kinesis.describe_stream_summary().stream_name(stream).send();
    let answer = call(metrics, stream, Api::DescribeStreamConsumer, describe).await?;
    Ok(answer.stream_description_summary.map(|stream| stream.stream_arn).unwrap_or_default())
}

/// One look at the consumer; registers it where there is none.
async fn look(
    kinesis: &Client,
    stream_arn: &str,
    stream: &str,
    consumer: &str,
    metrics: &dyn Metrics,
) -> Result<Look, Refused> {
    let describe = kinesis.describe_stream_consumer().stream_arn(stream_arn);
    let describe = describe.consumer_name(consumer).send();
    match call(metrics, stream, Api::DescribeStreamConsumer, describe).await {
        Ok(answer) => {
            let Some(found) = answer.consumer_description else {
                return Ok(Look::Waiting("not described"));
            };
            return Ok(match found.consumer_status {
                ConsumerStatus::Active => Look::Active(found.consumer_arn.into()),
                ConsumerStatus::Creating => Look::Waiting("CREATING"),
                ConsumerStatus::Deleting => Look::Waiting("DELETING"),
                _ => Look::Waiting("in a state that this version does not know"),
            });
        }
        Err(Refused { why: Why::NotFound, .. }) => {}
        Err(refused) => return Err(refused),
    }
    let register = kinesis.register_stream_consumer().stream_arn(stream_arn);
    let register = register.consumer_name(consumer).send();
    match call(metrics, stream, Api::DescribeStreamConsumer, register).await {
        Ok(_) => {
            info!(consumer, stream, "registered a consumer for enhanced fan-out");
            Ok(Look::Waiting("CREATING"))
        }
        // Another worker was faster.
        Err(Refused { why: Why::InUse, .. }) => Ok(Look::Waiting("CREATING")),
        Err(Refused { why: Why::Throttled, .. }) => {
            Ok(Look::Waiting("not registered, as the stream has all the consumers it may have"))
        }
        Err(refused) => Err(refused),
    }
}
