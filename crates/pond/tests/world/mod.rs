//! A table, and a clock that a test moves.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use event::Event;
use jiff::Timestamp;
use local_aws::LocalAws;
use pond::Pond;
use serde_json::{Value, json};

pub(crate) struct World {
    pub(crate) aws: LocalAws,
    pub(crate) pond: Pond,
    now_ms: Arc<AtomicI64>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let aws = LocalAws::new();
        let start = i64::try_from(aws.clock().now_ms()).unwrap();
        let now_ms = Arc::new(AtomicI64::new(start));
        let clock = Arc::clone(&now_ms);
        let time = move || Timestamp::from_millisecond(clock.load(Ordering::SeqCst)).unwrap();
        let dynamodb = aws_sdk_dynamodb::Client::new(&aws.sdk_config());
        let pond = Pond::open(dynamodb, "Pond-test-dev", time).await.unwrap();
        Self { aws, pond, now_ms }
    }

    pub(crate) fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.aws.sdk_config())
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now_ms.load(Ordering::SeqCst)).unwrap()
    }

    pub(crate) fn advance_ms(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

pub(crate) fn event(id: &str, payload: Value) -> Event {
    let mut event = Event::root("Test", "test", payload, Timestamp::from_second(1).unwrap());
    event.event_id = id.into();
    event
}

pub(crate) fn view() -> Event {
    event("view", json!({"name": "Sally"}))
}
