//! SNS: <https://docs.aws.amazon.com/sns/latest/api/welcome.html> and the pages on filter policies, delivery and
//! dead-letter queues of its developer guide.

use aws_sdk_sns::error::ProvideErrorMetadata as _;
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use serde_json::{Value, json};

use crate::world::{World, name};

fn attribute(data_type: &str, value: &str) -> MessageAttributeValue {
    MessageAttributeValue::builder().data_type(data_type).string_value(value).build().unwrap()
}

fn entry(id: &str, message: &str) -> PublishBatchRequestEntry {
    PublishBatchRequestEntry::builder().id(id).message(message).build().unwrap()
}

impl World {
    async fn topic(&self) -> String {
        let create = self.sns().create_topic().name(name("topic", false));
        create.send().await.unwrap().topic_arn.unwrap()
    }

    async fn subscribe(&self, topic: &str, queue_arn: &str, attributes: &[(&str, &str)]) -> String {
        let subscribe = self.sns().subscribe().topic_arn(topic).protocol("sqs").endpoint(queue_arn);
        let mut subscribe = subscribe.return_subscription_arn(true);
        for (name, value) in attributes {
            subscribe = subscribe.attributes(*name, *value);
        }
        subscribe.send().await.unwrap().subscription_arn.unwrap()
    }

    async fn publish(&self, topic: &str, event_type: &str, message: &str) {
        let publish = self.sns().publish().topic_arn(topic).message(message);
        let publish = publish.message_attributes("event_type", attribute("String", event_type));
        publish.send().await.unwrap();
    }
}

const RAW: (&str, &str) = ("RawMessageDelivery", "true");

#[tokio::test]
async fn a_notification_has_the_fields_of_aws() {
    let world = World::new();
    let (topic, (url, queue)) = (world.topic().await, world.queue(&[]).await);
    let subscription = world.subscribe(&topic, &queue, &[]).await;
    let publish = world.sns().publish().topic_arn(&topic).subject("s").message("{\"a\":1}");
    let publish = publish.message_attributes("event_type", attribute("String", "ViewPage"));
    let sent = publish.send().await.unwrap();

    let body: Value = serde_json::from_str(&world.bodies(&url).await[0]).unwrap();
    assert_eq!(body["Type"], "Notification");
    assert_eq!(body["MessageId"], json!(sent.message_id.unwrap()));
    assert_eq!(body["TopicArn"], json!(topic));
    assert_eq!(body["Subject"], "s");
    assert_eq!(body["Message"], "{\"a\":1}");
    assert_eq!(body["SignatureVersion"], "1");
    let expected = json!({ "event_type": { "Type": "String", "Value": "ViewPage" } });
    assert_eq!(body["MessageAttributes"], expected);
    let timestamp = body["Timestamp"].as_str().unwrap();
    assert!(timestamp.len() == "2026-11-23T01:02:03.456Z".len() && timestamp.ends_with('Z'));
    assert!(body["UnsubscribeURL"].as_str().unwrap().contains(&subscription));
    assert!(body["SigningCertURL"].is_string() && body["Signature"].is_string());
}

#[tokio::test]
async fn raw_delivery_hands_on_the_body_and_the_attributes() {
    let world = World::new();
    let (topic, (url, queue)) = (world.topic().await, world.queue(&[]).await);
    world.subscribe(&topic, &queue, &[RAW]).await;
    world.publish(&topic, "ViewPage", "é & <m>\r\n").await;
    let received = world.receive(&url).await.remove(0);
    assert_eq!(received.body.as_deref(), Some("é & <m>\r\n"));
    let attributes = received.message_attributes.unwrap();
    assert_eq!(attributes["event_type"].string_value.as_deref(), Some("ViewPage"));
}

#[tokio::test]
async fn a_filter_on_attributes_lets_its_event_types_pass() {
    let world = World::new();
    let (topic, (url, queue)) = (world.topic().await, world.queue(&[]).await);
    let policy = r#"{"event_type":["ViewPage",{"prefix":"Offer"}]}"#;
    let subscription = world.subscribe(&topic, &queue, &[RAW, ("FilterPolicy", policy)]).await;
    for event_type in ["ViewPage", "OfferMade", "Other"] {
        world.publish(&topic, event_type, event_type).await;
    }
    world.sns().publish().topic_arn(&topic).message("none").send().await.unwrap();
    let mut bodies = world.bodies(&url).await;
    bodies.sort();
    assert_eq!(bodies, ["OfferMade", "ViewPage"]);

    let set = world.sns().set_subscription_attributes().subscription_arn(&subscription);
    let set = set.attribute_name("FilterPolicy").attribute_value(r#"{"event_type":["Other"]}"#);
    set.send().await.unwrap();
    world.publish(&topic, "ViewPage", "before").await;
    world.publish(&topic, "Other", "after").await;
    assert_eq!(world.bodies(&url).await, ["after"]);
}

#[tokio::test]
async fn a_filter_on_the_body_looks_into_the_message() {
    let world = World::new();
    let (topic, (url, queue)) = (world.topic().await, world.queue(&[]).await);
    let attributes = [
        RAW,
        ("FilterPolicyScope", "MessageBody"),
        ("FilterPolicy", r#"{"payload":{"amount":[{"numeric":[">",100]}]}}"#),
    ];
    world.subscribe(&topic, &queue, &attributes).await;
    let large = r#"{"payload":{"amount":101}}"#;
    for message in [large, r#"{"payload":{"amount":100}}"#, "no JSON"] {
        world.sns().publish().topic_arn(&topic).message(message).send().await.unwrap();
    }
    assert_eq!(world.bodies(&url).await, [large]);
}

#[tokio::test]
async fn a_string_array_passes_if_one_of_its_elements_does() {
    let world = World::new();
    let (topic, (url, queue)) = (world.topic().await, world.queue(&[]).await);
    let policy = r#"{"arms":["bold"]}"#;
    world.subscribe(&topic, &queue, &[RAW, ("FilterPolicy", policy)]).await;
    for arms in [r#"["plain","bold"]"#, r#"["plain"]"#] {
        let publish = world.sns().publish().topic_arn(&topic).message(arms);
        let arms = attribute("String.Array", arms);
        publish.message_attributes("arms", arms).send().await.unwrap();
    }
    assert_eq!(world.bodies(&url).await, [r#"["plain","bold"]"#]);
}

#[tokio::test]
async fn a_message_for_a_queue_that_is_gone_goes_to_the_dead_letters_of_the_subscription() {
    let world = World::new();
    let topic = world.topic().await;
    let (gone_url, gone) = world.queue(&[]).await;
    let (dead_url, dead) = world.queue(&[]).await;
    let (other_url, other) = world.queue(&[]).await;
    let policy = json!({ "deadLetterTargetArn": dead }).to_string();
    world.subscribe(&topic, &gone, &[RAW, ("RedrivePolicy", &policy)]).await;
    world.subscribe(&topic, &other, &[RAW]).await;
    world.sqs().delete_queue().queue_url(&gone_url).send().await.unwrap();

    world.publish(&topic, "ViewPage", "m").await;
    assert_eq!(world.bodies(&dead_url).await, ["m"]);
    assert_eq!(world.bodies(&other_url).await, ["m"]);
    assert!(world.dropped(0));
}

#[tokio::test]
async fn without_dead_letters_a_message_for_a_queue_that_is_gone_is_dropped_and_counted() {
    let world = World::new();
    let (topic, (url, queue)) = (world.topic().await, world.queue(&[]).await);
    world.subscribe(&topic, &queue, &[RAW]).await;
    world.sqs().delete_queue().queue_url(&url).send().await.unwrap();
    world.publish(&topic, "ViewPage", "m").await;
    assert!(world.dropped(1));
}

#[tokio::test]
async fn more_than_ten_attributes_cannot_be_delivered_raw() {
    let world = World::new();
    let topic = world.topic().await;
    let ((raw_url, raw), (url, queue)) = (world.queue(&[]).await, world.queue(&[]).await);
    world.subscribe(&topic, &raw, &[RAW]).await;
    world.subscribe(&topic, &queue, &[]).await;
    let mut publish = world.sns().publish().topic_arn(&topic).message("m");
    for number in 0..11 {
        publish = publish.message_attributes(format!("a{number}"), attribute("Number", "1"));
    }
    publish.send().await.unwrap();
    assert_eq!(world.bodies(&url).await.len(), 1);
    assert!(world.receive(&raw_url).await.is_empty());
    assert!(world.dropped(1));
}

#[tokio::test]
async fn the_largest_message_arrives_in_its_envelope() {
    let world = World::new();
    let (topic, (url, queue)) = (world.topic().await, world.queue(&[]).await);
    world.subscribe(&topic, &queue, &[]).await;
    // Every quotation mark is escaped in the envelope, which is twice as large.
    let message = "\"".repeat(256 * 1024);
    world.sns().publish().topic_arn(&topic).message(&message).send().await.unwrap();
    let body: Value = serde_json::from_str(&world.bodies(&url).await[0]).unwrap();
    assert_eq!(body["Message"].as_str().unwrap().len(), message.len());
    let larger = world.sns().publish().topic_arn(&topic).message(format!("{message}x"));
    assert!(larger.send().await.unwrap_err().into_service_error().is_invalid_parameter_exception());
}

#[tokio::test]
async fn subscribing_again_gives_the_same_subscription_unless_the_attributes_differ() {
    let world = World::new();
    let (topic, (_, queue)) = (world.topic().await, world.queue(&[]).await);
    let first = world.subscribe(&topic, &queue, &[RAW]).await;
    assert_eq!(world.subscribe(&topic, &queue, &[RAW]).await, first);
    assert_eq!(world.subscribe(&topic, &queue, &[]).await, first, "only what is given is compared");
    let other = world.sns().subscribe().topic_arn(&topic).protocol("sqs").endpoint(&queue);
    let error = other.attributes("RawMessageDelivery", "false").send().await.unwrap_err();
    assert!(error.message().unwrap().contains("already exists with different attributes"));
    assert!(error.into_service_error().is_invalid_parameter_exception());
}

#[tokio::test]
async fn unsubscribing_twice_is_fine_and_ends_delivery() {
    let world = World::new();
    let (topic, (url, queue)) = (world.topic().await, world.queue(&[]).await);
    let subscription = world.subscribe(&topic, &queue, &[RAW]).await;
    for _ in 0..2 {
        let unsubscribe = world.sns().unsubscribe().subscription_arn(&subscription);
        unsubscribe.send().await.unwrap();
    }
    world.publish(&topic, "ViewPage", "m").await;
    assert!(world.receive(&url).await.is_empty());
    let get = world.sns().get_subscription_attributes().subscription_arn(subscription);
    assert!(get.send().await.unwrap_err().into_service_error().is_not_found_exception());
}

#[tokio::test]
async fn subscriptions_are_listed_in_pages_of_a_hundred() {
    let world = World::new();
    let topic = world.topic().await;
    for number in 0..101 {
        let queue = format!("{}-{number}", topic.replace(":sns:", ":sqs:"));
        world.subscribe(&topic, &queue, &[]).await;
    }
    let list = || world.sns().list_subscriptions_by_topic().topic_arn(&topic);
    let first = list().send().await.unwrap();
    assert_eq!(first.subscriptions().len(), 100);
    let second = list().set_next_token(first.next_token.clone()).send().await.unwrap();
    assert_eq!((second.subscriptions().len(), second.next_token.as_deref()), (1, None));
    let told = &second.subscriptions()[0];
    assert_eq!(told.topic_arn.as_deref(), Some(topic.as_str()));
    assert_eq!(told.protocol.as_deref(), Some("sqs"));
}

#[tokio::test]
async fn a_batch_is_answered_entry_by_entry() {
    let world = World::new();
    let (topic, (url, queue)) = (world.topic().await, world.queue(&[]).await);
    world.subscribe(&topic, &queue, &[RAW]).await;
    let batch = world.sns().publish_batch().topic_arn(&topic);
    let batch = batch
        .publish_batch_request_entries(entry("a", "one"))
        .publish_batch_request_entries(entry("empty", ""));
    let answer = batch.send().await.unwrap();
    assert_eq!(answer.successful()[0].id.as_deref(), Some("a"));
    assert_eq!(answer.failed()[0].id, "empty");
    assert!(answer.failed()[0].sender_fault);
    assert_eq!(world.bodies(&url).await, ["one"]);
}

#[tokio::test]
async fn a_batch_that_is_malformed_is_refused_as_a_whole() {
    let world = World::new();
    let topic = world.topic().await;
    let batch = async |entries: Vec<PublishBatchRequestEntry>| {
        let batch = world.sns().publish_batch().topic_arn(&topic);
        let batch = batch.set_publish_batch_request_entries(Some(entries));
        batch.send().await.unwrap_err().into_service_error()
    };
    let twice = vec![entry("a", "m"), entry("a", "m")];
    assert!(batch(twice).await.is_batch_entry_ids_not_distinct_exception());
    assert!(batch(vec![]).await.is_empty_batch_request_exception());
    let eleven = (0..11).map(|number| entry(&number.to_string(), "m")).collect();
    assert!(batch(eleven).await.is_too_many_entries_in_batch_request_exception());
    let half = "x".repeat(128 * 1024 + 1);
    let long = vec![entry("a", &half), entry("b", &half)];
    assert!(batch(long).await.is_batch_request_too_long_exception());
}

#[tokio::test]
async fn a_policy_of_more_than_150_combinations_is_refused() {
    let world = World::new();
    let (topic, (_, queue)) = (world.topic().await, world.queue(&[]).await);
    let types = |count: usize| {
        let types: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        json!({ "event_type": types }).to_string()
    };
    let subscribe = world.sns().subscribe().topic_arn(&topic).protocol("sqs").endpoint(&queue);
    let error = subscribe.attributes("FilterPolicy", types(151)).send().await.unwrap_err();
    assert!(error.message().unwrap().contains("FilterPolicy"));
    assert!(error.into_service_error().is_invalid_parameter_exception());
    world.subscribe(&topic, &queue, &[("FilterPolicy", &types(150))]).await;
}

#[tokio::test]
async fn a_topic_takes_two_hundred_filter_policies() {
    let world = World::new();
    let topic = world.topic().await;
    let queue = |number| format!("{}-{number}", topic.replace(":sns:", ":sqs:"));
    let policy = ("FilterPolicy", r#"{"event_type":["x"]}"#);
    for number in 0..200 {
        world.subscribe(&topic, &queue(number), &[policy]).await;
    }
    world.subscribe(&topic, &queue(200), &[]).await;
    let one_more = world.sns().subscribe().topic_arn(&topic).protocol("sqs").endpoint(queue(201));
    let error = one_more.attributes(policy.0, policy.1).send().await.unwrap_err();
    assert!(error.into_service_error().is_filter_policy_limit_exceeded_exception());
}

#[tokio::test]
async fn the_attributes_of_a_subscription_can_be_read() {
    let world = World::new();
    let (topic, (_, queue)) = (world.topic().await, world.queue(&[]).await);
    let policy = r#"{"event_type":["x"]}"#;
    let subscription = world.subscribe(&topic, &queue, &[RAW, ("FilterPolicy", policy)]).await;
    let get = world.sns().get_subscription_attributes().subscription_arn(&subscription);
    let attributes = get.send().await.unwrap().attributes.unwrap();
    assert_eq!(attributes["FilterPolicy"], policy);
    assert_eq!(attributes["FilterPolicyScope"], "MessageAttributes");
    assert_eq!(attributes["RawMessageDelivery"], "true");
    assert_eq!(attributes["Endpoint"], queue);
}

#[tokio::test]
async fn a_topic_is_created_once_and_told_when_it_is_missing() {
    let world = World::new();
    let name = name("topic", false);
    let create = async || world.sns().create_topic().name(&name).send().await.unwrap().topic_arn;
    let topic = create().await.unwrap();
    assert_eq!(create().await.as_deref(), Some(topic.as_str()));
    world.sns().delete_topic().topic_arn(&topic).send().await.unwrap();
    world.sns().delete_topic().topic_arn(&topic).send().await.unwrap();
    let publish = world.sns().publish().topic_arn(&topic).message("m").send().await;
    assert!(publish.unwrap_err().into_service_error().is_not_found_exception());
    let attributes = world.sns().get_topic_attributes().topic_arn(topic).send().await;
    assert!(attributes.unwrap_err().into_service_error().is_not_found_exception());
}

#[tokio::test]
async fn protocols_other_than_sqs_are_refused() {
    let world = World::new();
    let topic = world.topic().await;
    let subscribe = world.sns().subscribe().topic_arn(topic).protocol("https");
    let error = subscribe.endpoint("https://example.com").send().await.unwrap_err();
    assert!(error.into_service_error().is_invalid_parameter_exception());
}

#[tokio::test]
async fn a_standard_topic_hands_a_group_on_to_standard_queues() {
    let world = World::new();
    let topic = world.topic().await;
    let (raw, raw_arn) = world.queue(&[]).await;
    let (wrapped, wrapped_arn) = world.queue(&[]).await;
    world.subscribe(&topic, &raw_arn, &[RAW]).await;
    world.subscribe(&topic, &wrapped_arn, &[]).await;
    let entry = |id: &str, group: &str| {
        let entry = PublishBatchRequestEntry::builder().id(id).message("m");
        entry.message_group_id(group).build().unwrap()
    };
    let publish = world.sns().publish_batch().topic_arn(&topic);
    let entries = vec![entry("good", "sally"), entry("bad", "not a group")];
    let reply = publish.set_publish_batch_request_entries(Some(entries)).send().await.unwrap();
    assert_eq!(reply.failed()[0].id(), "bad");
    for url in [raw, wrapped] {
        let messages = world.receive(&url).await;
        let group = MessageSystemAttributeName::MessageGroupId;
        let groups: Vec<_> = messages.iter().map(|m| &*m.attributes().unwrap()[&group]).collect();
        assert_eq!(groups, ["sally"]);
    }
}

#[tokio::test]
async fn a_fifo_topic_hands_its_groups_on_to_a_fifo_queue() {
    let world = World::new();
    let create = world.sns().create_topic().name(name("topic", true));
    let topic = create.attributes("FifoTopic", "true").send().await.unwrap().topic_arn.unwrap();
    let (url, queue) = world.queue(&[(QueueAttributeName::FifoQueue, "true")]).await;
    world.subscribe(&topic, &queue, &[RAW]).await;
    for message in ["1", "2", "2"] {
        let publish = world.sns().publish().topic_arn(&topic).message(message);
        let publish = publish.message_group_id("g").message_deduplication_id(message);
        publish.send().await.unwrap();
    }
    assert_eq!(world.bodies(&url).await, ["1", "2"]);
}
