//! Kinesis and DynamoDB that do next to nothing: what is measured is the client.
//!
//! Every shard gives the same page for ever. Every write to the lease table succeeds and nothing is kept: the
//! one worker there is knows what it holds. In process the answers pass through no socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use local_aws::LocalAws;
use serde_json::json;

use crate::cbor::{self, CborAnswers};
use crate::pages::{Pages, Wire, iterator, page_of};

/// The services. Clones are the same ones.
#[derive(Clone)]
pub(crate) struct Stub(Arc<Inner>);

struct Inner {
    pages: Pages,
    shards: String,
    /// How long an answer of Kinesis takes.
    delay: Duration,
    reads: AtomicU64,
}

/// An answer: content type and body. None to what is not served.
type Answer = Option<(&'static str, Bytes)>;

impl Stub {
    /// A stream of so many shards, each of which gives these pages.
    pub(crate) fn new(shards: usize, pages: Pages, delay: Duration) -> Self {
        let part = u128::MAX / shards.max(1) as u128;
        let shard = |index: usize| {
            let start = part * index as u128;
            // All of the key space, or the stream counts as one that is just being made.
            let end = if index + 1 == shards { u128::MAX } else { start + (part - 1) };
            json!({
                "ShardId": format!("shardId-{index:012}"),
                "HashKeyRange": {
                    "StartingHashKey": start.to_string(),
                    "EndingHashKey": end.to_string(),
                },
                "SequenceNumberRange": { "StartingSequenceNumber": "49" },
            })
        };
        let shards = json!({ "Shards": (0..shards).map(shard).collect::<Vec<_>>() }).to_string();
        Self(Arc::new(Inner { pages, shards, delay, reads: AtomicU64::new(0) }))
    }

    /// Calls of `GetRecords` so far.
    pub(crate) fn reads(&self) -> u64 {
        self.0.reads.load(Relaxed)
    }

    /// Clients that reach it within the process, and that never try again.
    pub(crate) fn clients(&self) -> (aws_sdk_kinesis::Client, aws_sdk_dynamodb::Client) {
        let config = LocalAws::new().sdk_config().to_builder();
        let config = config.http_client(self.http_client()).retry_config(RetryConfig::disabled());
        let config = config.build();
        let mut kinesis = aws_sdk_kinesis::config::Builder::from(&config);
        if self.0.pages.wire == Wire::Cbor {
            kinesis = kinesis.protocol(CborAnswers::new());
        }
        let kinesis = aws_sdk_kinesis::Client::from_conf(kinesis.build());
        (kinesis, aws_sdk_dynamodb::Client::new(&config))
    }

    fn http_client(&self) -> SharedHttpClient {
        let stub = self.clone();
        http_client_fn(move |_, _| SharedHttpConnector::new(stub.clone()))
    }

    /// What it answers to a request; the names of operations in any case.
    pub(crate) async fn answer(&self, target: &str, request: &[u8]) -> Answer {
        let inner = &*self.0;
        let target = target.to_ascii_lowercase();
        if target.starts_with("kinesis") && !inner.delay.is_zero() {
            tokio::time::sleep(inner.delay).await;
        }
        let body = match target.rsplit_once('.')?.1 {
            "getrecords" => {
                inner.reads.fetch_add(1, Relaxed);
                let content_type = match inner.pages.wire {
                    Wire::Json => "application/x-amz-json-1.1",
                    Wire::Cbor => cbor::CONTENT_TYPE,
                };
                return Some((content_type, inner.pages.serve(page_of(request)?)));
            }
            "getsharditerator" => json!({ "ShardIterator": iterator(1) }).to_string(),
            "listshards" => inner.shards.clone(),
            "describetable" => r#"{"Table":{"TableStatus":"ACTIVE"}}"#.to_owned(),
            "scan" => r#"{"Items":[]}"#.to_owned(),
            "updateitem" => "{}".to_owned(),
            _ => return None,
        };
        Some(("application/x-amz-json-1.1", body.into()))
    }
}

impl std::fmt::Debug for Stub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stub")
    }
}

impl HttpConnector for Stub {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let stub = self.clone();
        HttpConnectorFuture::new(async move {
            let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
            let body = request.body().bytes().unwrap_or_default();
            let answer = stub.answer(&target, body).await;
            let (content_type, body) = answer
                .ok_or_else(|| ConnectorError::user(format!("{target} is not served").into()))?;
            let reply = http::Response::builder().header("content-type", content_type);
            let reply = reply.body(SdkBody::from(body));
            let reply = reply.map_err(|error| ConnectorError::user(error.into()))?;
            HttpResponse::try_from(reply).map_err(|error| ConnectorError::user(error.into()))
        })
    }
}
