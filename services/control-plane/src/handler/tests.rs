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
use kcl::{Position, SequenceNumber, ShardContext};
use local_aws::LocalAws;

mod advertise;

use super::*;
use crate::config::Config;
use crate::control_plane::handler;
use crate::observe::observe;
use crate::plan::View;
use crate::reconcile::Reconciler;
use crate::tables::{Removal, Row, Status, Versions};

/// When the call fails at which the process dies.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// AWS never saw it.
    Before,
    /// AWS did as it was told, and nobody heard.
    After,
}

/// The way to AWS, which breaks at one call and lets nothing through after it.
#[derive(Clone, Debug)]
struct Breaking {
    way: SharedHttpConnector,
    /// Calls until the one that fails; [`WHOLE`] where none does.
    left: Arc<AtomicUsize>,
    moment: Moment,
    /// Whether calls count that change nothing. What a process leaves behind that dies at one of them is what it leaves
    /// that dies at the next that does.
    reads_too: bool,
}

/// By the operation, which stands in a header, or in the form that SNS takes.
fn changes_something(request: &HttpRequest) -> bool {
    const READS: [&str; 6] = ["Get", "List", "Describe", "Query", "Scan", "Receive"];
    let target = request.headers().get("x-amz-target").and_then(|it| it.rsplit('.').next());
    let form = request.body().bytes().and_then(|body| std::str::from_utf8(body).ok());
    let form = form.and_then(|form| form.split('&').find_map(|pair| pair.strip_prefix("Action=")));
    let operation = target.or(form).expect("a call of an operation");
    !READS.iter().any(|read| operation.starts_with(read))
}

const WHOLE: usize = usize::MAX;

impl HttpConnector for Breaking {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let counts = self.reads_too || changes_something(&request);
        let step = usize::from(counts);
        let counted = |left: usize| if left == WHOLE { None } else { left.checked_sub(step) };
        let before = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, counted);
        let dead = matches!(before, Err(0) | Ok(0));
        let breaks = counts && before == Ok(1);
        let (way, moment) = (self.way.clone(), self.moment);
        HttpConnectorFuture::new(async move {
            let broken = || Err(ConnectorError::io("the connection broke".into()));
            if dead || breaks && matches!(moment, Moment::Before) {
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
    /// An AWS that is whole until [`World::breaks_at`].
    async fn breaking(moment: Moment, reads_too: bool) -> Self {
        let aws = LocalAws::new();
        let kinesis = aws_sdk_kinesis::Client::new(&aws.sdk_config());
        kinesis.create_stream().stream_name("Rapids-dev").shard_count(2).send().await.unwrap();
        let shards =
            async || crate::nudge::open_shards(&kinesis, "Rapids-dev").await.unwrap().len();
        while shards().await < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let left = Arc::new(AtomicUsize::new(WHOLE));
        let (inner, counter) = (aws.http_client(), left.clone());
        let client = http_client_fn(move |settings, components| {
            let way = inner.http_connector(settings, components);
            SharedHttpConnector::new(Breaking { way, left: counter.clone(), moment, reads_too })
        });
        let config = aws.sdk_config().into_builder().http_client(client);
        let config = config.retry_config(RetryConfig::disabled()).build();
        Self { aws, config, left }
    }

    /// A process that has started.
    async fn handler(&self) -> anyhow::Result<Handler> {
        let kit = Kit::new("control-plane", self.config.clone());
        handler(&Config::default(), &stage(), &kit).await
    }

    fn breaks_at(&self, call: usize) {
        self.left.store(call, Ordering::SeqCst);
    }

    fn is_broken(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    /// The next process has a connection of its own.
    fn heals(&self) {
        self.left.store(WHOLE, Ordering::SeqCst);
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
        position: Position {
            sequence: SequenceNumber::parse(&(index + 1).to_string()).unwrap(),
            sub_sequence: 0,
        },
        partition_key: Some("r1".into()),
        explicit_hash_key: None,
        data: data.as_bytes().to_vec().into(),
        arrived_at: None,
    };
    let records = commands.iter().enumerate().map(record).collect();
    Batch::new(ShardContext::new("shardId-000000000000", 1), records)
}

fn whole((before, commands): Script) -> Batch {
    batch(&[before, commands].concat())
}

/// What AWS has of a river, without the times and the counts of messages.
async fn observed(handler: &Handler, river: &str) -> View {
    let river = River::parse(river, &stage()).unwrap();
    let Reconciler { hands, blueprint, .. } = &handler.reconciler;
    let mut view =
        observe(hands, blueprint, &river, None, jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    for queue in [&mut view.queue, &mut view.dead_letter_queue].into_iter().flatten() {
        let varies = |name: &str| name.ends_with("Timestamp") || name.starts_with("Approximate");
        queue.attributes.retain(|name, _| !varies(name));
    }
    if let Some(subscription) = &mut view.subscription {
        subscription.arn.clear();
        subscription.attributes.remove("SubscriptionArn");
    }
    for line in view.row.direct.iter_mut().flat_map(|direct| &mut direct.packets) {
        line.until = line.until.map(|_| jiff::Timestamp::MAX);
    }
    view.row.removal =
        view.row.removal.map(|removal| Removal { since: jiff::Timestamp::MAX, ..removal });
    View { versions: Versions::default(), now: jiff::Timestamp::default(), ..view }
}

const SUBSCRIBE_A: &str = r#"{"command":"subscribe","commandArgs":{"river":"r1","topic":"A"}}"#;
const SUBSCRIBE_B: &str = r#"{"command":"subscribe","commandArgs":{"river":"r1","topic":"B"}}"#;
const UNSUBSCRIBE_A: &str = r#"{"command":"unsubscribe","commandArgs":{"river":"r1","topic":"A"}}"#;
const ROUTE_DIRECT: &str = r#"{"command":"route","commandArgs":{"river":"r1","routing":"direct"}}"#;
const ROUTE_SNS: &str = r#"{"command":"route","commandArgs":{"river":"r1","routing":"sns"}}"#;
const REMOVE: &str = r#"{"command":"removeRiver","commandArgs":{"river":"r1","discard":true}}"#;
const REMOVE_SOFTLY: &str = r#"{"command":"removeRiver","commandArgs":{"river":"r1"}}"#;
const ADVERTISE: &str = r#"{"command":"advertise","commandArgs":{"topic":"A"}}"#;

/// Breaks every call of a run, one in each run, and compares what is left with the unbroken run. The process is gone
/// then: what it had settled does not come again, and what it had only remembered is forgotten.
async fn survives_a_crash_at_every_call(
    (before, commands): Script,
    moment: Moment,
    reads_too: bool,
) {
    let all = batch(&[before, commands].concat());
    let (head, tail) = all.records.split_at(before.len());
    let part = |records: &[Record]| Batch { records: records.to_vec(), ..all.clone() };
    let (head, batch) = (part(head), part(tail));
    let clean = World::breaking(moment, reads_too).await.handler().await.unwrap();
    clean.process(&all).await.unwrap();
    let expected = observed(&clean, "r1").await;
    for call in 1.. {
        let world = World::breaking(moment, reads_too).await;
        let handler = world.handler().await.unwrap();
        handler.process(&head).await.unwrap();
        world.breaks_at(call);
        let first = handler.process(&batch).await;
        if !world.is_broken() {
            assert!(call > 3, "only {call} calls were broken");
            return;
        }
        drop(handler);
        world.heals();
        let handler = world.handler().await.unwrap();
        if first.is_err() {
            handler.process(&batch).await.unwrap();
        }
        handler.reconciler.pass().await.unwrap();
        assert_eq!(observed(&handler, "r1").await, expected, "crash at call {call}, {moment:?}");
        // What was settled before the crash may come again all the same: the checkpoint is behind.
        if call % 5 != 1 {
            continue;
        }
        handler.process(&all).await.unwrap();
        assert_eq!(observed(&handler, "r1").await, expected, "again after call {call}, {moment:?}");
    }
}

/// Commands that are done, and those in which the process dies.
type Script = (&'static [&'static str], &'static [&'static str]);

const ONE_STAYS: Script = (&[], &[SUBSCRIBE_A, ADVERTISE, SUBSCRIBE_B, UNSUBSCRIBE_A]);
const NONE_STAYS: Script = (&[SUBSCRIBE_A], &[UNSUBSCRIBE_A]);
const DIRECT: Script = (&[SUBSCRIBE_A], &[ROUTE_DIRECT, SUBSCRIBE_B]);
const BACK_TO_SNS: Script = (&[SUBSCRIBE_A, ROUTE_DIRECT], &[ROUTE_SNS]);
const REMOVED: Script = (&[SUBSCRIBE_A], &[REMOVE]);
const WANTED_AGAIN: Script = (&[SUBSCRIBE_A], &[REMOVE_SOFTLY, SUBSCRIBE_B]);
const SCRIPTS: [Script; 6] = [ONE_STAYS, NONE_STAYS, DIRECT, BACK_TO_SNS, REMOVED, WANTED_AGAIN];

#[tokio::test(start_paused = true)]
async fn a_call_that_aws_never_saw_is_made_by_the_next_process() {
    for script in SCRIPTS {
        survives_a_crash_at_every_call(script, Moment::Before, false).await;
    }
    survives_a_crash_at_every_call(ONE_STAYS, Moment::Before, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_answer_was_lost_is_made_again_without_harm() {
    for script in SCRIPTS {
        survives_a_crash_at_every_call(script, Moment::After, false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_crashed_at_any_call_is_completed_by_the_next() {
    for moment in [Moment::Before, Moment::After] {
        for call in 1.. {
            let world = World::breaking(moment, true).await;
            world.breaks_at(call);
            let first = world.handler().await;
            if !world.is_broken() {
                assert!(call > 5, "only {call} calls were broken");
                break;
            }
            assert!(first.is_err(), "call {call} broke and nobody noticed");
            world.heals();
            let handler = world.handler().await.unwrap();
            handler.process(&batch(&[SUBSCRIBE_A])).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_unbroken_runs_end_where_their_commands_meant_to() {
    let handler = World::breaking(Moment::Before, true).await.handler().await.unwrap();
    handler.process(&whole(ONE_STAYS)).await.unwrap();
    let r1 = observed(&handler, "r1").await;
    let names: BTreeMap<_, _> =
        r1.topics.iter().map(|(topic, status)| (topic.as_str(), *status)).collect();
    assert_eq!(names, BTreeMap::from([("B", Status::Active)]));
    assert_eq!(r1.subscription.unwrap().attributes["FilterPolicy"], r#"{"event_type":["B"]}"#);

    let handler = World::breaking(Moment::Before, true).await.handler().await.unwrap();
    handler.process(&whole(NONE_STAYS)).await.unwrap();
    let r1 = observed(&handler, "r1").await;
    assert!(r1.topics.is_empty() && r1.subscription.is_none() && r1.queue.is_some());

    let handler = World::breaking(Moment::Before, true).await.handler().await.unwrap();
    handler.process(&whole(DIRECT)).await.unwrap();
    let r1 = observed(&handler, "r1").await;
    assert!(r1.subscription.is_none());
    assert_eq!(r1.row.direct.unwrap().packets.len(), 2);

    let handler = World::breaking(Moment::Before, true).await.handler().await.unwrap();
    handler.process(&whole(REMOVED)).await.unwrap();
    let r1 = observed(&handler, "r1").await;
    assert!(r1.queue.is_none() && r1.dead_letter_queue.is_none() && r1.row == Row::default());
}

#[tokio::test(start_paused = true)]
async fn what_comes_before_a_command_that_has_to_wait_is_done_and_does_not_come_again() {
    let world = World::breaking(Moment::Before, true).await;
    let handler = world.handler().await.unwrap();
    let batch = batch(&["garbage", SUBSCRIBE_A]);
    // The call after the one that quarantines.
    world.breaks_at(2);
    let failure = handler.process(&batch).await.unwrap_err();
    world.heals();
    assert_eq!(failure.scope, Scope::Records(vec![batch.records[1].position]));
    let left = Batch { records: batch.records[1..].to_vec(), ..batch };
    handler.process(&left).await.unwrap();
    assert_eq!(world.quarantined().await, ["garbage"]);
    assert!(observed(&handler, "r1").await.subscription.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_quarantine_that_is_out_of_reach_keeps_the_record_in_the_stream() {
    let world = World::breaking(Moment::Before, true).await;
    let handler = world.handler().await.unwrap();
    world.breaks_at(1);
    let retry = handler.process(&batch(&["garbage"])).await.unwrap_err();
    assert!(retry.reason.contains("SQS SendMessage"), "{}", retry.reason);
    assert!(world.quarantined().await.is_empty());
}
