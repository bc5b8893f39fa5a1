//! Crashes between any two calls to AWS, each followed by a new process that starts where the checkpoint stands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_config::retry::RetryConfig;
use aws_smithy_runtime_api::client::http::{
    HttpClient as _, HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_types::SdkConfig;
use chassis::Kit;
use event::names::River;
use local_aws::LocalAws;

use super::*;
use crate::config::Config;
use crate::control_plane::handler;
use crate::plan::View;
use crate::tables::Status;

/// When the one failing call fails.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// AWS never saw it.
    Before,
    /// AWS did as it was told, and nobody heard.
    After,
}

/// The way to AWS, which breaks once.
#[derive(Clone, Debug)]
struct Breaking {
    way: SharedHttpConnector,
    /// Calls until the one that fails.
    left: Arc<AtomicUsize>,
    moment: Moment,
}

impl HttpConnector for Breaking {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let counted = |left: usize| left.checked_sub(1);
        let breaks = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, counted) == Ok(1);
        let (way, moment) = (self.way.clone(), self.moment);
        HttpConnectorFuture::new(async move {
            let broken = || Err(ConnectorError::io("the connection broke".into()));
            if breaks && matches!(moment, Moment::Before) {
                return broken();
            }
            let answer = way.call(request).await;
            if breaks { broken() } else { answer }
        })
    }
}

struct World {
    aws: LocalAws,
    config: SdkConfig,
    left: Arc<AtomicUsize>,
}

impl World {
    /// An AWS whose call number `at`, counted from 1, breaks; 0: none.
    fn breaking(at: usize, moment: Moment) -> Self {
        let aws = LocalAws::new();
        let left = Arc::new(AtomicUsize::new(at));
        let (inner, counter) = (aws.http_client(), left.clone());
        let client = http_client_fn(move |settings, components| {
            let way = inner.http_connector(settings, components);
            SharedHttpConnector::new(Breaking { way, left: counter.clone(), moment })
        });
        let config = aws.sdk_config().into_builder().http_client(client);
        let config = config.retry_config(RetryConfig::disabled()).build();
        Self { aws, config, left }
    }

    fn unbroken() -> Self {
        Self::breaking(0, Moment::Before)
    }

    async fn process(&self, batch: &Batch) -> anyhow::Result<Handler> {
        let kit = Kit::new("control-plane", self.config.clone());
        let handler = handler(&Config::default(), &stage(), &kit).await?;
        handler.process(batch).await?;
        Ok(handler)
    }

    /// Processes until a process gets through, and says how many did not.
    async fn process_through_crashes(&self, batch: &Batch) -> (Handler, usize) {
        let mut crashes = 0;
        loop {
            match self.process(batch).await {
                Ok(handler) => return (handler, crashes),
                Err(_) => crashes += 1,
            }
            assert!(crashes < 2, "the connection breaks once");
        }
    }

    async fn quarantined(&self) -> Vec<String> {
        let sqs = aws_sdk_sqs::Client::new(&self.aws.sdk_config());
        let queue = sqs.get_queue_url().queue_name("Control-dev-dlq").send().await.unwrap();
        let url = queue.queue_url.unwrap();
        let received = sqs.receive_message().queue_url(url).max_number_of_messages(10).send().await;
        let messages = received.unwrap().messages.unwrap_or_default();
        messages.into_iter().filter_map(|message| message.body).collect()
    }
}

fn stage() -> Stage {
    Stage::parse("dev").unwrap()
}

fn batch(commands: &[&str]) -> Batch {
    let record = |(index, data): (usize, &&str)| Record {
        sequence_number: SequenceNumber::parse(&(index + 1).to_string()).unwrap(),
        partition_key: Some("r1".to_owned()),
        data: data.as_bytes().to_vec().into(),
        arrived_at: None,
    };
    let records = commands.iter().enumerate().map(record).collect();
    Batch { shard: "shardId-000000000000".into(), records, millis_behind_latest: 0 }
}

/// What AWS has of a river, without the times and the counts of messages.
async fn observed(handler: &Handler, river: &str) -> View {
    let river = River::parse(river, &stage()).unwrap();
    let mut view = handler.reconciler.observe(&river).await.unwrap();
    for queue in [&mut view.queue, &mut view.dead_letter_queue].into_iter().flatten() {
        let varies = |name: &str| name.ends_with("Timestamp") || name.starts_with("Approximate");
        queue.attributes.retain(|name, _| !varies(name));
    }
    if let Some(subscription) = &mut view.subscription {
        subscription.arn.clear();
        subscription.attributes.remove("SubscriptionArn");
    }
    view
}

const SUBSCRIBE_A: &str = r#"{"command":"subscribe","commandArgs":{"river":"r1","topic":"A"}}"#;
const SUBSCRIBE_B: &str = r#"{"command":"subscribe","commandArgs":{"river":"r1","topic":"B"}}"#;
const UNSUBSCRIBE_A: &str = r#"{"command":"unsubscribe","commandArgs":{"river":"r1","topic":"A"}}"#;
const UNSUBSCRIBE_B: &str = r#"{"command":"unsubscribe","commandArgs":{"river":"r1","topic":"B"}}"#;
const SUBSCRIBE_R2: &str = r#"{"command":"subscribe","commandArgs":{"river":"r2","topic":"A"}}"#;
const ADVERTISE: &str = r#"{"command":"advertise","commandArgs":{"topic":"A"}}"#;

/// Breaks every call of a run, one in each run, and compares what is left with the unbroken run.
async fn survives_a_crash_at_every_call(commands: &[&str], moment: Moment) {
    let batch = batch(commands);
    let clean = World::unbroken();
    let (handler, _) = clean.process_through_crashes(&batch).await;
    let expected = [observed(&handler, "r1").await, observed(&handler, "r2").await];
    for at in 1.. {
        let world = World::breaking(at, moment);
        let (handler, crashes) = world.process_through_crashes(&batch).await;
        if world.left.load(Ordering::SeqCst) > 0 {
            assert!(at > 20, "only {at} calls were broken");
            return;
        }
        assert_eq!(crashes, 1, "call {at} broke and nobody noticed");
        let found = [observed(&handler, "r1").await, observed(&handler, "r2").await];
        assert_eq!(found, expected, "after a crash at call {at}, {moment:?}");
    }
}

#[tokio::test]
async fn a_command_that_aws_never_saw_is_done_by_the_next_process() {
    let commands = [SUBSCRIBE_A, ADVERTISE, SUBSCRIBE_B, UNSUBSCRIBE_A, SUBSCRIBE_R2];
    survives_a_crash_at_every_call(&commands, Moment::Before).await;
}

#[tokio::test]
async fn a_command_whose_answer_was_lost_is_done_again_without_harm() {
    let commands = [SUBSCRIBE_A, ADVERTISE, SUBSCRIBE_B, UNSUBSCRIBE_A, SUBSCRIBE_R2];
    survives_a_crash_at_every_call(&commands, Moment::After).await;
}

#[tokio::test]
async fn a_river_without_topics_is_left_without_subscription_by_crashes_too() {
    let commands = [SUBSCRIBE_A, SUBSCRIBE_B, UNSUBSCRIBE_A, UNSUBSCRIBE_B];
    survives_a_crash_at_every_call(&commands, Moment::Before).await;
    survives_a_crash_at_every_call(&commands, Moment::After).await;
}

#[tokio::test]
async fn the_unbroken_run_ends_where_its_commands_meant_to() {
    let world = World::unbroken();
    let commands = [SUBSCRIBE_A, ADVERTISE, SUBSCRIBE_B, UNSUBSCRIBE_A, SUBSCRIBE_R2];
    let handler = world.process(&batch(&commands)).await.unwrap();
    let r1 = observed(&handler, "r1").await;
    let names: BTreeMap<_, _> =
        r1.topics.iter().map(|(topic, status)| (topic.as_str(), *status)).collect();
    assert_eq!(names, BTreeMap::from([("B", Status::Active)]));
    assert_eq!(r1.subscription.unwrap().attributes["FilterPolicy"], r#"{"event_type":["B"]}"#);
    assert!(observed(&handler, "r2").await.subscription.is_some());
}

#[tokio::test]
async fn what_comes_before_a_command_that_has_to_wait_is_quarantined_once() {
    let world = World::unbroken();
    let kit = Kit::new("control-plane", world.config.clone());
    let handler = handler(&Config::default(), &stage(), &kit).await.unwrap();
    let batch = batch(&["garbage", SUBSCRIBE_A]);
    // The call after the one that quarantines.
    world.left.store(2, Ordering::SeqCst);
    handler.process(&batch).await.unwrap_err();
    handler.process(&batch).await.unwrap();
    assert_eq!(world.quarantined().await, ["garbage"]);
    assert!(observed(&handler, "r1").await.subscription.is_some());
}

#[tokio::test]
async fn a_quarantine_that_is_out_of_reach_keeps_the_record_in_the_stream() {
    let world = World::unbroken();
    let kit = Kit::new("control-plane", world.config.clone());
    let handler = handler(&Config::default(), &stage(), &kit).await.unwrap();
    world.left.store(1, Ordering::SeqCst);
    let retry = handler.process(&batch(&["garbage"])).await.unwrap_err();
    assert!(retry.reason.contains("SQS SendMessage"), "{}", retry.reason);
    assert!(world.quarantined().await.is_empty());
}
