//! The emulator as a whole: routing, faults, the script of a request's life.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};

use crate::dynamodb::DynamoDb;
use crate::faults::{Faults, cut};
use crate::kinesis::{Kinesis, KinesisSettings};
use crate::service::{Route, Service};
use crate::sns::Sns;
use crate::sqs::Sqs;
use crate::wire::{AwsError, Body, Response, json_response};
use crate::{Clock, sts};

/// The account that everything belongs to.
pub const ACCOUNT: &str = "000000000000";

/// An embedded AWS. Cheap to clone; all clones are the same AWS.
#[derive(Clone)]
pub struct LocalAws(Arc<Inner>);

struct Inner {
    clock: Clock,
    region: String,
    address: SocketAddr,
    faults: Faults,
    kinesis: Kinesis,
    sns: Sns,
    sqs: Sqs,
    dynamodb: DynamoDb,
    calls: Mutex<BTreeMap<(Service, String), u64>>,
}

/// Makes a [`LocalAws`] that differs from the default.
#[derive(Clone, Debug)]
pub struct Builder {
    kinesis: KinesisSettings,
    clock: Option<Clock>,
    region: String,
    address: SocketAddr,
}

/// What comes back for a request.
pub(crate) enum Answer {
    /// A response.
    Response(Response),
    /// Nothing: the connection breaks.
    Broken,
}

impl Default for LocalAws {
    fn default() -> Self {
        Self::new()
    }
}

impl LocalAws {
    /// An empty AWS in `us-east-1`, on the machine's clock.
    ///
    /// # Panics
    /// Outside a tokio runtime, on whose clock it runs.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// An AWS with other settings.
    #[must_use]
    pub fn builder() -> Builder {
        Builder {
            kinesis: KinesisSettings::default(),
            clock: None,
            region: "us-east-1".to_owned(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 4566)),
        }
    }

    /// The clock that Kinesis and SNS tell the time by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The faults that are to come.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// The region that everything lies in.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.0.region
    }

    /// Where clients on a socket reach it, as told to [`Builder::public_address`].
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// How many requests came for an operation, those that a fault answered among them.
    #[must_use]
    pub fn calls(&self, service: Service, operation: &str) -> u64 {
        let calls = self.0.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(&(service, operation.to_owned())).copied().unwrap_or_default()
    }

    /// Messages that SNS could neither deliver nor put into a dead-letter queue, and dropped as AWS does.
    #[must_use]
    pub fn sns_undeliverable(&self) -> u64 {
        self.0.sns.undeliverable()
    }

    /// How long a new subscription, or a change of one, takes from now on until SNS delivers by it: at once unless told.
    /// AWS may take 15 minutes
    /// (<https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html>).
    pub fn set_filter_lag(&self, lag: Duration) {
        self.0.sns.set_filter_lag(lag);
    }

    pub(crate) async fn answer(&self, request: http::Request<Bytes>) -> Answer {
        let (parts, body) = request.into_parts();
        let route = match Route::of(&parts, &body) {
            Ok(route) => route,
            Err(refusal) => return Answer::Response(*refusal),
        };
        self.count(&route);
        let effect = self.0.faults.decide(route.service, &route.operation, &body);
        if !effect.delay.is_zero() {
            tokio::time::sleep(effect.delay).await;
        }
        if let Some(error) = effect.error {
            return Answer::Response(route.service.refuse(error));
        }
        let response = match effect.fail_entries {
            Some((indexes, code)) => self.serve_partly(&route, body, &indexes, &code).await,
            None => self.serve_one(&route, body).await,
        };
        if effect.lose_reply { Answer::Broken } else { Answer::Response(response) }
    }

    async fn serve_one(&self, route: &Route, body: Bytes) -> Response {
        let operation = route.operation.as_str();
        match route.service {
            Service::Kinesis => self.0.kinesis.handle(operation, body).await,
            Service::Sns => self.0.sns.handle(operation, &body),
            Service::Sqs => self.0.sqs.handle(operation, &body).await,
            Service::DynamoDb => self.0.dynamodb.handle(operation, &body),
            Service::Sts => sts::handle(operation),
        }
    }

    async fn serve_partly(
        &self,
        route: &Route,
        body: Bytes,
        indexes: &[usize],
        code: &str,
    ) -> Response {
        let Some(cut) = cut(route.service, &body, indexes, code) else {
            let message = "fail_entries was scripted for a request that is no batch.";
            return route.service.refuse(AwsError::bad_request("ValidationException", message));
        };
        let Some(rest) = cut.body.clone() else {
            let content_type = match route.service {
                Service::Sns => "text/xml",
                _ => "application/x-amz-json-1.1",
            };
            return json_response(http::StatusCode::OK, content_type, cut.rejoin(None));
        };
        let answer = self.serve_one(route, rest).await;
        if !answer.status().is_success() {
            return answer;
        }
        let (mut parts, body) = answer.into_parts();
        parts.headers.remove(http::header::CONTENT_LENGTH);
        let body = whole(body).await;
        http::Response::from_parts(parts, Full::new(cut.rejoin(Some(&body))).boxed())
    }

    fn count(&self, route: &Route) {
        let mut calls = self.0.calls.lock().unwrap_or_else(PoisonError::into_inner);
        *calls.entry((route.service, route.operation.clone())).or_default() += 1;
    }
}

async fn whole(body: Body) -> Bytes {
    match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(never) => match never {},
    }
}

impl Builder {
    /// How Kinesis behaves.
    #[must_use]
    pub fn kinesis(mut self, settings: KinesisSettings) -> Self {
        self.kinesis = settings;
        self
    }

    /// Another clock, for example one that stands still.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Another region.
    #[must_use]
    pub fn region(mut self, region: &str) -> Self {
        region.clone_into(&mut self.region);
        self
    }

    /// Where clients on a socket reach it: it goes into the URLs of queues.
    #[must_use]
    pub fn public_address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// The AWS.
    ///
    /// # Panics
    /// Outside a tokio runtime, on whose clock it runs.
    #[must_use]
    pub fn build(self) -> LocalAws {
        let clock = self.clock.unwrap_or_else(Clock::running);
        let sqs = Sqs::new(clock.clone(), &self.region, ACCOUNT, self.address);
        LocalAws(Arc::new(Inner {
            kinesis: Kinesis::new(self.kinesis, clock.clone(), &self.region, ACCOUNT),
            sns: Sns::new(sqs.clone(), clock.clone(), &self.region, ACCOUNT),
            sqs,
            dynamodb: DynamoDb::new(&clock),
            clock,
            region: self.region,
            address: self.address,
            faults: Faults::default(),
            calls: Mutex::default(),
        }))
    }
}
