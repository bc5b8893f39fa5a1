//! What other hands change is put back, or told and left.

use std::time::Duration;

use crate::common::{World, until};
use aws_sdk_sqs::types::QueueAttributeName::{self, Policy, RedrivePolicy, VisibilityTimeout};
use control_plane::Config;
use local_aws::{Fault, Service};

async fn with_a_river() -> World {
    let config = Config { bridge: Duration::ZERO, ..Config::default() };
    let world = World::with(config).await;
    world.command("subscribe", "r1", "ViewPage").await;
    world.settled().await;
    world
}

impl World {
    async fn url(&self, queue: &str) -> String {
        self.sqs.get_queue_url().queue_name(queue).send().await.unwrap().queue_url.unwrap()
    }

    async fn set(&self, queue: &str, name: QueueAttributeName, value: &str) {
        let set = self.sqs.set_queue_attributes().queue_url(self.url(queue).await);
        set.attributes(name, value).send().await.unwrap();
    }

    async fn subscription(&self) -> String {
        self.subscriptions().await[0]["SubscriptionArn"].clone()
    }

    async fn set_subscription(&self, name: &str, value: &str) {
        let set = self.sns.set_subscription_attributes();
        let set = set.subscription_arn(self.subscription().await);
        set.attribute_name(name).attribute_value(value).send().await.unwrap();
    }

    fn drift(&self, kind: &str) -> bool {
        self.metrics().contains(&format!("rapids_control_drift_total{{kind=\"{kind}\"}} 1"))
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_by_hand_is_put_back_and_counted() {
    let world = with_a_river().await;
    let filter = world.subscriptions().await[0]["FilterPolicy"].clone();
    let policy = world.queue("r1-dev").await.unwrap()[&Policy].clone();

    world.set_subscription("FilterPolicy", r#"{"event_type":["Other"]}"#).await;
    until("the filter is back", async || world.drift("filter")).await;
    assert_eq!(world.subscriptions().await[0]["FilterPolicy"], filter);

    world.set_subscription("RawMessageDelivery", "true").await;
    until("the delivery is back", async || world.drift("subscription_attributes")).await;
    assert_eq!(world.subscriptions().await[0]["RawMessageDelivery"], "false");

    world.set("r1-dev", VisibilityTimeout, "1").await;
    world.set("r1-dev", RedrivePolicy, "").await;
    world.set("r1-dev", Policy, "").await;
    until("the attributes are back", async || world.drift("queue_attributes")).await;
    let queue = world.queue("r1-dev").await.unwrap();
    assert_eq!((queue[&VisibilityTimeout].as_str(), &queue[&Policy]), ("30", &policy));
    assert!(queue[&RedrivePolicy].contains("r1-dev-dlq"));

    let unsubscribe = world.sns.unsubscribe().subscription_arn(world.subscription().await);
    unsubscribe.send().await.unwrap();
    until("it is subscribed again", async || world.drift("subscription_missing")).await;
    assert_eq!(world.subscriptions().await[0]["FilterPolicy"], filter);

    world.sqs.delete_queue().queue_url(world.url("r1-dev").await).send().await.unwrap();
    // SQS refuses the name for a minute.
    until("the queue is back", async || world.queue("r1-dev").await.is_some()).await;
    until("it is whole", async || {
        world.queue("r1-dev").await.unwrap().get(&Policy) == Some(&policy)
    })
    .await;
    until("nothing is in the way", async || !world.river("r1").await.contains_key("Problem")).await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_changed_on_purpose_is_told_and_left() {
    let world = with_a_river().await;
    let ours = world.queue("r1-dev").await.unwrap()[&Policy].clone();
    let auditor = r#"{"Sid":"Auditor","Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sqs:ReceiveMessage","Resource":"*"}"#;
    let policy = ours.replace(r#""Statement":["#, &format!(r#""Statement":[{auditor},"#));
    world.set("r1-dev", Policy, &policy).await;
    until("it is told", async || {
        world.river("r1").await.get("Findings").is_some_and(|told| told.contains("Auditor"))
    })
    .await;
    assert!(world.queue("r1-dev").await.unwrap()[&Policy].contains("Auditor"));
    assert!(!world.metrics().contains("rapids_control_drift_total{"));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_river_in_order_costs_its_looks_and_changes_nothing() {
    let world = with_a_river().await;
    let checked = async || world.river("r1").await["CheckedAt"].clone();
    let first = checked().await;
    let changes =
        || ["CreateQueue", "SetQueueAttributes"].map(|call| world.aws.calls(Service::Sqs, call));
    let before = changes();
    until("it was looked at", async || checked().await != first).await;
    let again = checked().await;
    until("it was looked at again", async || checked().await != again).await;
    assert_eq!(changes(), before);
    for call in ["Subscribe", "SetSubscriptionAttributes", "Unsubscribe"] {
        assert!(world.aws.calls(Service::Sns, call) <= 1, "{call}");
    }
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_river_that_aws_refuses_keeps_nothing_from_the_others() {
    let world = with_a_river().await;
    world.command("subscribe", "r2", "ViewPage").await;
    world.settled().await;
    let denied = Fault::on(Service::Sqs, "GetQueueUrl").matching("r1-dev");
    world.aws.faults().add(denied.error(403, "AccessDenied", "no").always());
    world.set("r2-dev", VisibilityTimeout, "1").await;
    let visibility = async || world.queue("r2-dev").await.unwrap()[&VisibilityTimeout].clone();
    until("r2 is mended", async || visibility().await == "30").await;
    until("r1 says why", async || {
        world.river("r1").await.get("Problem").is_some_and(|told| told.contains("AccessDenied"))
    })
    .await;
    world.aws.faults().clear();
    until("r1 is in order", async || !world.river("r1").await.contains_key("Problem")).await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_river_is_drained_before_it_goes() {
    let world = with_a_river().await;
    let url = world.url("r1-dev").await;
    world.sqs.send_message().queue_url(&url).message_body("left").send().await.unwrap();
    world.put(r#"{"command":"removeRiver","commandArgs":{"river":"r1"}}"#).await;
    world.settled().await;
    assert!(world.subscriptions().await.is_empty());
    assert_eq!(world.row("r1", "ViewPage").await, None);
    until("the drain is told", async || {
        world.river("r1").await.get("Findings").is_some_and(|told| told.contains("1 messages wait"))
    })
    .await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    let [message] = &world.receive("r1-dev").await[..] else { panic!("it is still there") };
    let handle = message.receipt_handle.clone();
    world.sqs.delete_message().queue_url(url).set_receipt_handle(handle).send().await.unwrap();
    until("the river is gone", async || world.queue("r1-dev").await.is_none()).await;
    assert_eq!(world.queue("r1-dev-dlq").await, None);
    until("its row is gone", async || !world.river("r1").await.contains_key("Removal")).await;

    // The name can be used again once SQS allows it.
    world.command("subscribe", "r1", "ViewPage").await;
    world.until_active("r1", "ViewPage").await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_201st_river_is_fed_directly() {
    let world = with_a_river().await;
    let full = "FilterPolicyLimitExceeded";
    let refusal = Fault::on(Service::Sns, "Subscribe").error(403, full, "200 filter policies");
    world.aws.faults().add(refusal.always());
    world.command("subscribe", "r2", "ViewPage").await;
    world.until_active("r2", "ViewPage").await;
    let row = world.river("r2").await;
    assert_eq!(row["Route"], "direct");
    assert!(row["RouteReason"].contains(full), "{row:?}");
    assert!(row["Direct"].contains(r#""topic":"ViewPage","rules":[],"until":null"#), "{row:?}");
    world.stop().await;
}
