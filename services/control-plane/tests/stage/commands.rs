//! Commands put on the control stream, and what AWS has afterwards.

use std::time::Duration;

use crate::common::{World, attribute};
use aws_sdk_sns::types::MessageAttributeValue;
use aws_sdk_sqs::types::QueueAttributeName::{
    MessageRetentionPeriod, Policy, RedrivePolicy, SqsManagedSseEnabled, VisibilityTimeout,
};
use control_plane::{Config, DeadLetter, Queue};
use event::Packet;
use event::control::Command;
use local_aws::{Fault, Service};
use serde_json::{Value, json};

const TOPIC_ARN: &str = "arn:aws:sns:us-east-1:000000000000:Rapids-dev";
const QUEUE_ARN: &str = "arn:aws:sqs:us-east-1:000000000000:r1-dev";
const DEAD_LETTER_ARN: &str = "arn:aws:sqs:us-east-1:000000000000:r1-dev-dlq";

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn policy_for(queue: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "DeliverFromRapids",
            "Effect": "Allow",
            "Principal": { "Service": "sns.amazonaws.com" },
            "Action": "sqs:SendMessage",
            "Resource": queue,
            "Condition": {
                "ArnEquals": { "aws:SourceArn": TOPIC_ARN },
                "StringEquals": { "aws:SourceAccount": "000000000000" },
            },
        }],
    })
}

#[tokio::test(start_paused = true)]
async fn a_river_is_made_by_its_first_subscription() {
    let world = World::start().await;
    world.command("subscribe", "r1", "ViewPage").await;
    world.settled().await;

    let queue = world.queue("r1-dev").await.unwrap();
    assert_eq!(queue[&MessageRetentionPeriod], "345600");
    assert_eq!(queue[&VisibilityTimeout], "30");
    assert_eq!(queue[&SqsManagedSseEnabled], "true");
    assert_eq!(parsed(&queue[&Policy]), policy_for(QUEUE_ARN));
    let redrive = json!({ "deadLetterTargetArn": DEAD_LETTER_ARN, "maxReceiveCount": 25 });
    assert_eq!(parsed(&queue[&RedrivePolicy]), redrive);

    let dead_letters = world.queue("r1-dev-dlq").await.unwrap();
    assert_eq!(dead_letters[&MessageRetentionPeriod], "1209600");
    assert_eq!(parsed(&dead_letters[&Policy]), policy_for(DEAD_LETTER_ARN));

    let [subscription] = &world.subscriptions().await[..] else { panic!("one subscription") };
    assert_eq!(subscription["Endpoint"], QUEUE_ARN);
    assert_eq!(parsed(&subscription["FilterPolicy"]), json!({ "event_type": ["ViewPage"] }));
    assert_eq!(subscription["RawMessageDelivery"], "false");
    let redrive = json!({ "deadLetterTargetArn": DEAD_LETTER_ARN });
    assert_eq!(parsed(&subscription["RedrivePolicy"]), redrive);

    let row = world.row("r1", "ViewPage").await.unwrap();
    assert_eq!(row["Status"], "active");
    assert!(row["StatusAt"].ends_with('Z'), "{row:?}");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_river_gets_the_events_it_asked_for_and_no_others() {
    let world = World::start().await;
    world.command("subscribe", "r1", "ViewPage").await;
    world.settled().await;
    for (event_type, body) in [("ViewPage", "wanted"), ("Purchase", "unwanted")] {
        let value = MessageAttributeValue::builder().data_type("String").string_value(event_type);
        let publish = world.sns.publish().topic_arn(TOPIC_ARN).message(body);
        publish.message_attributes("event_type", value.build().unwrap()).send().await.unwrap();
    }
    let [message] = &world.receive("r1-dev").await[..] else { panic!("one message") };
    let notification = parsed(message.body.as_deref().unwrap());
    assert_eq!(notification["Type"], "Notification");
    assert_eq!(notification["Message"], "wanted");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_service_declares_is_checked_by_sns_as_far_as_sns_can() {
    let world = World::start().await;
    let packet = Packet::of("ViewPage").demand_value("/synthetic", true).require_key("name");
    let (river, topic) = ("r1".to_owned(), packet.topic().to_owned());
    world.put(Command::Subscribe { river, topic, rules: packet.rules().to_vec() }.to_json()).await;
    world.settled().await;
    let [subscription] = &world.subscriptions().await[..] else { panic!("one subscription") };
    let filter = json!({ "event_type": ["ViewPage"], "synthetic": ["true"] });
    assert_eq!(parsed(&subscription["FilterPolicy"]), filter);
    // Without the rules it is every event again.
    world.command("subscribe", "r1", "ViewPage").await;
    world.settled().await;
    let [subscription] = &world.subscriptions().await[..] else { panic!("one subscription") };
    assert_eq!(parsed(&subscription["FilterPolicy"]), json!({ "event_type": ["ViewPage"] }));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_experiment_moves_filters_while_it_runs_and_puts_them_back() {
    let world = World::start().await;
    for river in ["engine", "engine-bold"] {
        world.command("subscribe", river, "ViewPage").await;
    }
    let arm = |name: &str, river: &str| json!({ "name": name, "weight": 50, "river": river });
    let experiment = json!({
        "name": "ranking", "on": ["ViewPage"], "unit": "/payload/name",
        "arms": [arm("control", "engine"), arm("bold", "engine-bold")],
    });
    let start = json!({ "command": "startExperiment", "commandArgs": experiment });
    world.put(start.to_string()).await;
    world.settled().await;
    let filter = async |river: &str| {
        let endpoint = QUEUE_ARN.replace("r1-dev", &format!("{river}-dev"));
        let all = world.subscriptions().await;
        let of_river = all.iter().find(|subscription| subscription["Endpoint"] == endpoint);
        parsed(&of_river.unwrap()["FilterPolicy"])
    };
    let others = json!([{ "anything-but": ["ranking:bold"] }, { "exists": false }]);
    assert_eq!(filter("engine").await, json!({ "event_type": ["ViewPage"], "arm": others }));
    let bold = json!({ "event_type": ["ViewPage"], "arm": ["ranking:bold"] });
    assert_eq!(filter("engine-bold").await, bold);
    // Under its name nothing else can run; the same again is no other.
    world.put(start.to_string()).await;
    let other = start.to_string().replace("50", "60");
    world.put(other.clone()).await;
    world.settled().await;
    let refused = world.receive("Control-dev-dlq").await;
    assert_eq!(refused.len(), 1);
    assert!(attribute(&refused[0], "reason").contains("stop that first"));
    let stop = json!({ "command": "stopExperiment", "commandArgs": { "name": "ranking" } });
    world.put(stop.to_string()).await;
    world.settled().await;
    assert_eq!(filter("engine").await, json!({ "event_type": ["ViewPage"] }));
    assert_eq!(filter("engine-bold").await, bold);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_subscription_repeated_changes_nothing() {
    let world = World::start().await;
    world.command("subscribe", "r1", "ViewPage").await;
    world.settled().await;
    let (row, subscriptions) = (world.row("r1", "ViewPage").await, world.subscriptions().await);
    world.command("subscribe", "r1", "ViewPage").await;
    world.settled().await;
    assert_eq!(world.row("r1", "ViewPage").await, row);
    assert_eq!(world.subscriptions().await, subscriptions);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn topics_come_and_go_and_the_last_takes_the_subscription_but_not_the_queue() {
    let world = World::start().await;
    world.command("subscribe", "r1", "B").await;
    world.command("subscribe", "r1", "A").await;
    world.settled().await;
    let filter = parsed(&world.subscriptions().await[0]["FilterPolicy"]);
    assert_eq!(filter, json!({ "event_type": ["A", "B"] }));

    world.command("unsubscribe", "r1", "A").await;
    world.settled().await;
    assert_eq!(world.row("r1", "A").await, None);
    let filter = parsed(&world.subscriptions().await[0]["FilterPolicy"]);
    assert_eq!(filter, json!({ "event_type": ["B"] }));

    world.command("unsubscribe", "r1", "B").await;
    world.command("unsubscribe", "r1", "B").await;
    world.settled().await;
    assert!(world.subscriptions().await.is_empty());
    assert!(world.queue("r1-dev").await.is_some());
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nobodys_river_is_not_made_by_an_unsubscription() {
    let world = World::start().await;
    world.command("unsubscribe", "r1", "A").await;
    world.settled().await;
    assert_eq!(world.queue("r1-dev").await, None);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_advertised_topic_is_listed_once_with_its_first_time() {
    let world = World::start().await;
    let advertise = r#"{"command":"advertise","commandArgs":{"topic":"ViewPage"}}"#;
    let listed = async || {
        let table = world.dynamodb.scan().table_name("Topics-dev").send().await.unwrap();
        let rows = table.items.unwrap_or_default();
        rows.into_iter().find(|row| row["Topic"].as_s().unwrap() == "ViewPage")
    };
    world.put(advertise).await;
    world.settled().await;
    let first = listed().await.unwrap();
    world.put(advertise).await;
    world.settled().await;
    assert_eq!(listed().await.unwrap(), first);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_is_subscribed_to_a_topic_can_be_asked_of_the_index() {
    let world = World::start().await;
    world.command("subscribe", "r2", "ViewPage").await;
    world.command("subscribe", "r1", "ViewPage").await;
    world.settled().await;
    let topic = aws_sdk_dynamodb::types::AttributeValue::S("ViewPage".to_owned());
    let query = world.dynamodb.query().table_name("Subscriptions-dev").index_name("SubsForTopic");
    let query =
        query.key_condition_expression("Topic = :t").expression_attribute_values(":t", topic);
    let rows = query.send().await.unwrap().items.unwrap();
    let rivers: Vec<_> = rows.iter().map(|row| row["Subscriber"].as_s().unwrap()).collect();
    assert_eq!(rivers, ["r1", "r2"]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_command_is_quarantined_and_blocks_nothing() {
    let world = World::start().await;
    world.put("hello").await;
    world.put(r#"{"command":"drop","commandArgs":{"river":"r1"}}"#).await;
    world.command("subscribe", "r 1", "ViewPage").await;
    world.put(b"\xff\xfe".to_vec()).await;
    world.command("subscribe", "r1", "ViewPage").await;
    world.settled().await;

    assert_eq!(world.status("r1", "ViewPage").await.as_deref(), Some("active"));
    let mut messages = world.receive("Control-dev-dlq").await;
    messages.sort_by_key(|message| attribute(message, "sequence_number").to_owned());
    let told: Vec<_> = messages
        .iter()
        .map(|message| (attribute(message, "kind"), attribute(message, "encoding")))
        .collect();
    let expected = [
        ("malformed", "text"),
        ("unknown_command", "text"),
        ("refused_name", "text"),
        ("malformed", "base64"),
    ];
    assert_eq!(told, expected);
    assert_eq!(messages[0].body.as_deref(), Some("hello"));
    assert_eq!(messages[3].body.as_deref(), Some("//4="));
    assert!(attribute(&messages[1], "reason").contains("unknown command \"drop\""));
    assert!(attribute(&messages[2], "reason").contains("river \"r 1\" is refused"));
    assert_eq!(attribute(&messages[0], "partition_key"), "r1");

    let metrics = world.metrics();
    for line in [
        r#"rapids_control_commands_total{command="subscribe",outcome="applied"} 1"#,
        r#"rapids_control_commands_total{command="unreadable",outcome="quarantined"} 4"#,
        r#"rapids_control_quarantined_total{reason="malformed"} 2"#,
        "kcl_leases{state=\"held\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_aws_refuses_for_good_is_degraded_and_quarantined() {
    let world = World::start().await;
    let said = "Filter policy limit exceeded";
    let refusal =
        Fault::on(Service::Sns, "Subscribe").error(403, "FilterPolicyLimitExceeded", said);
    world.aws.faults().add(refusal.always());
    world.route("r1", "sns").await;
    world.command("subscribe", "r1", "ViewPage").await;
    world.settled().await;
    let row = world.row("r1", "ViewPage").await.unwrap();
    assert_eq!(row["Status"], "degraded");
    assert!(row["Reason"].contains("FilterPolicyLimitExceeded"), "{row:?}");
    let [message] = &world.receive("Control-dev-dlq").await[..] else { panic!("one message") };
    assert_eq!(attribute(message, "kind"), "refused_by_aws");

    world.aws.faults().clear();
    world.command("subscribe", "r1", "ViewPage").await;
    world.settled().await;
    let row = world.row("r1", "ViewPage").await.unwrap();
    assert_eq!((row["Status"].as_str(), row.get("Reason")), ("active", None));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_topic_too_many_is_degraded_and_the_others_go_on() {
    let world = World::start().await;
    for n in 0..150 {
        let text = |value: &str| aws_sdk_dynamodb::types::AttributeValue::S(value.to_owned());
        let put = world.dynamodb.put_item().table_name("Subscriptions-dev");
        let put = put.item("Subscriber", text("r1")).item("Topic", text(&format!("t{n:03}")));
        put.item("Status", text("active")).send().await.unwrap();
    }
    world.route("r1", "sns").await;
    world.command("subscribe", "r1", "x").await;
    world.settled().await;
    let row = world.row("r1", "x").await.unwrap();
    assert_eq!(row["Status"], "degraded");
    assert!(row["Reason"].contains("151 topics"), "{row:?}");

    world.command("unsubscribe", "r1", "t000").await;
    world.settled().await;
    let filter = parsed(&world.subscriptions().await[0]["FilterPolicy"]);
    assert_eq!(filter["event_type"].as_array().unwrap().len(), 149);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_aws_cannot_do_now_is_done_later() {
    let world = World::start().await;
    // More than the SDK tries by itself.
    world.aws.faults().add(Fault::on(Service::Sqs, "CreateQueue").times(10).throttle());
    let denied = Fault::on(Service::Sns, "Subscribe").error(403, "AuthorizationError", "no");
    world.aws.faults().add(denied.times(2));
    world.command("subscribe", "r1", "ViewPage").await;
    // Other commands go on meanwhile, and the row says what is in the way.
    world.settled().await;
    let row = world.row("r1", "ViewPage").await.unwrap();
    assert_eq!(row["Status"], "pending");
    assert!(row["Reason"].contains("SQS CreateQueue r1-dev-dlq failed"), "{row:?}");
    world.until_active("r1", "ViewPage").await;
    assert_eq!(world.row("r1", "ViewPage").await.unwrap().get("Reason"), None);
    assert!(world.receive("Control-dev-dlq").await.is_empty());
    assert!(!world.metrics().contains("rapids_control_put_off_total 0"));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn settings_reach_the_river() {
    let config = Config {
        kms_key: Some("alias/rapids".to_owned()),
        raw_delivery: true,
        queue: Queue { visibility: Duration::from_secs(90), retention: Duration::from_secs(3_600) },
        dead_letter: DeadLetter { max_receive_count: 3 },
        ..Config::default()
    };
    let world = World::with(config).await;
    world.command("subscribe", "r1", "ViewPage").await;
    world.settled().await;
    let queue = world.queue("r1-dev").await.unwrap();
    assert_eq!(queue[&VisibilityTimeout], "90");
    assert_eq!(queue[&MessageRetentionPeriod], "3600");
    assert_eq!(parsed(&queue[&RedrivePolicy])["maxReceiveCount"], 3);
    for queue in ["r1-dev", "r1-dev-dlq", "Control-dev-dlq"] {
        let queue = world.queue(queue).await.unwrap();
        assert_eq!(queue[&aws_sdk_sqs::types::QueueAttributeName::KmsMasterKeyId], "alias/rapids");
    }
    assert_eq!(world.subscriptions().await[0]["RawMessageDelivery"], "true");
    world.stop().await;
}
