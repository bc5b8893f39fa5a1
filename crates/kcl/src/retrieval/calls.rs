//! Calls to Kinesis for one shard: timed, bounded, counted, and their refusals told apart.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use tokio::time::{Instant, timeout};

use crate::error::{Cause, Error};
use crate::metrics::{Api, Metrics};
use crate::shards::Shard;

use super::list::list;

/// When a call counts as lost: the SDK waits for ever unless it was told otherwise. Ten megabytes take a while.
const CALL_MAX: Duration = Duration::from_secs(60);

/// A client without retries, and whom it calls for.
pub(super) struct Calls {
    pub(super) kinesis: Client,
    pub(super) stream: String,
    pub(super) shard: Arc<str>,
    metrics: Arc<dyn Metrics>,
}

/// A call that was not answered as hoped.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) why: Why,
    pub(super) error: Error,
}

/// Why, by what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Too many calls or bytes, or, at a registration, consumers.
    Throttled,
    /// The iterator or page token is too old.
    Expired,
    /// The stream, the shard or the consumer is not there.
    NotFound,
    /// An argument was refused.
    Invalid,
    /// Another subscription is too young, or the consumer is not active.
    InUse,
    /// Anything else: it may pass.
    Other,
}

impl Calls {
    pub(super) fn new(
        kinesis: &Client,
        stream: String,
        shard: Arc<str>,
        metrics: Arc<dyn Metrics>,
    ) -> Self {
        Self { kinesis: without_retries(kinesis), stream, shard, metrics }
    }

    /// Waits for an answer, for at most [`CALL_MAX`].
    pub(super) async fn call<T, E>(
        &self,
        api: Api,
        sent: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> Result<T, Refused>
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        call(&*self.metrics, &self.stream, api, sent).await
    }

    /// What a missing resource means: only the stream itself can say that it is gone.
    pub(super) async fn missing(&self, refused: Refused) -> Error {
        let list = self.kinesis.list_shards().stream_name(&self.stream).max_results(1);
        match self.call(Api::ListShards, list.send()).await {
            Err(Refused { why: Why::NotFound, .. }) => {
                Error::StreamNotFound { stream: self.stream.clone() }
            }
            _ => refused.error,
        }
    }

    /// An answer was given, but is of no use.
    pub(super) fn unusable(&self, api: Api, source: impl Into<Cause>) -> Error {
        failed(api, &self.stream, source)
    }

    /// The shards that follow on this one, from a list of all.
    pub(super) async fn children(&self) -> Result<Vec<Shard>, Error> {
        let shards = list(&self.kinesis, &self.stream, &*self.metrics).await?;
        let of_this = |shard: &Shard| shard.parents.contains(&*self.shard);
        Ok(shards.into_iter().filter(of_this).collect())
    }

    /// The time by the SDK's clock.
    pub(super) fn now(&self) -> Option<SystemTime> {
        self.kinesis.config().time_source().map(|clock| clock.now())
    }
}

/// The same client, every call of which is one request.
pub(super) fn without_retries(kinesis: &Client) -> Client {
    let config = kinesis.config().to_builder().retry_config(RetryConfig::disabled());
    Client::from_conf(config.build())
}

pub(super) async fn call<T, E>(
    metrics: &dyn Metrics,
    stream: &str,
    api: Api,
    sent: impl Future<Output = Result<T, SdkError<E>>>,
) -> Result<T, Refused>
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let began = Instant::now();
    let answer = match timeout(CALL_MAX, Box::pin(sent)).await {
        Ok(answer) => answer,
        Err(late) => Err(SdkError::timeout_error(late)),
    };
    metrics.called(api, began.elapsed(), answer.is_ok());
    answer.map_err(|error| {
        let why = Why::of(error.code());
        if why == Why::Throttled {
            metrics.throttled(api);
        }
        Refused { why, error: failed(api, stream, error) }
    })
}

pub(super) fn failed(api: Api, stream: &str, source: impl Into<Cause>) -> Error {
    let operation = match api {
        Api::GetRecords => "GetRecords",
        Api::GetShardIterator => "GetShardIterator",
        Api::ListShards => "ListShards",
        Api::SubscribeToShard => "SubscribeToShard",
        _ => "DescribeStreamConsumer",
    };
    Error::Kinesis { operation, stream: stream.to_owned(), source: source.into() }
}

impl Why {
    /// Codes as in the API reference of Kinesis, and the throttling codes that AWS shares between services.
    pub(super) fn of(code: Option<&str>) -> Self {
        match code.unwrap_or_default() {
            "ProvisionedThroughputExceededException"
            | "LimitExceededException"
            | "KMSThrottlingException"
            | "ThrottlingException"
            | "Throttling"
            | "TooManyRequestsException"
            | "RequestLimitExceeded" => Self::Throttled,
            "ExpiredIteratorException" | "ExpiredNextTokenException" => Self::Expired,
            "ResourceNotFoundException" => Self::NotFound,
            "InvalidArgumentException" => Self::Invalid,
            "ResourceInUseException" => Self::InUse,
            _ => Self::Other,
        }
    }
}
