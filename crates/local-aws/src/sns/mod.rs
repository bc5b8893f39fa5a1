//! SNS: topics, subscriptions with filter policies, and delivery into SQS.
//!
//! The query protocol: a form in, XML out. Only what the platform uses is served, and only SQS endpoints can
//! be subscribed; the rest is refused in AWS's words. Queue policies are not enforced.

mod deliver;
mod message;
mod publish;
mod request;
mod state;
mod subscription;
mod topic;
mod xml;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::Clock;
use crate::service::Service;
use crate::sqs::Sqs;
use crate::wire::{AwsError, Response, query_error};
use request::Request;
use state::State;

/// The emulated SNS. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sns(Arc<Inner>);

struct Inner {
    sqs: Sqs,
    clock: Clock,
    region: String,
    account: String,
    undeliverable: AtomicU64,
    filter_lag_ms: AtomicU64,
    state: Mutex<State>,
}

impl Sns {
    pub(crate) fn new(sqs: Sqs, clock: Clock, region: &str, account: &str) -> Self {
        Self(Arc::new(Inner {
            sqs,
            clock,
            region: region.to_owned(),
            account: account.to_owned(),
            undeliverable: AtomicU64::new(0),
            filter_lag_ms: AtomicU64::new(0),
            state: Mutex::default(),
        }))
    }

    pub(crate) fn set_filter_lag(&self, lag: Duration) {
        let lag_ms = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
        self.0.filter_lag_ms.store(lag_ms, Ordering::Relaxed);
    }

    pub(crate) fn undeliverable(&self) -> u64 {
        self.0.undeliverable.load(Ordering::Relaxed)
    }

    pub(crate) fn handle(&self, operation: &str, body: &[u8]) -> Response {
        let request = Request::parse(body);
        let result = match operation {
            "CreateTopic" => self.create_topic(&request),
            "DeleteTopic" => self.delete_topic(&request),
            "ListTopics" => self.list_topics(&request),
            "GetTopicAttributes" => self.get_topic_attributes(&request),
            "SetTopicAttributes" => self.set_topic_attributes(&request),
            "ListTagsForResource" => Ok("<Tags/>".to_owned()),
            "TagResource" | "UntagResource" => Ok(String::new()),
            "Subscribe" => self.subscribe(&request),
            "Unsubscribe" => self.unsubscribe(&request),
            "ListSubscriptions" => self.list_subscriptions(&request, None),
            "ListSubscriptionsByTopic" => self.list_subscriptions_by_topic(&request),
            "GetSubscriptionAttributes" => self.get_subscription_attributes(&request),
            "SetSubscriptionAttributes" => self.set_subscription_attributes(&request),
            "Publish" => self.publish(&request),
            "PublishBatch" => self.publish_batch(&request),
            _ => {
                let message = format!("local-aws does not serve the SNS operation {operation}.");
                Err(AwsError::bad_request("InvalidAction", message))
            }
        };
        match result {
            Ok(result) => xml::response(operation, &result),
            Err(error) => query_error(Service::Sns, &error),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn topic_arn(&self, name: &str) -> String {
        format!("arn:aws:sns:{}:{}:{name}", self.0.region, self.0.account)
    }
}

/// The caller's mistake, as SNS words it.
fn invalid(what: &str) -> AwsError {
    AwsError::bad_request("InvalidParameter", format!("Invalid parameter: {what}"))
}

fn not_found(what: &str) -> AwsError {
    AwsError {
        status: http::StatusCode::NOT_FOUND,
        code: "NotFound".to_owned(),
        message: format!("{what} does not exist"),
    }
}
