//! One message, from the queue to what becomes of it.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod world;

use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_sdk_sqs::types::Message;
use local_aws::{Fault, Service};
use serde_json::json;
use world::{World, play};

fn attribute<'a>(message: &'a Message, name: &str) -> &'a str {
    message.message_attributes().unwrap()[name].string_value().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_event_is_answered_on_the_rapids_and_deleted() {
    let world = World::new().await;
    let (actor, stop, kit) = world.start(world.config()).await;
    world.send(&play("cause", json!({"answers": 2}))).await;
    world.until_depth(&world.queue, 0, 0).await;
    world.until(&world.stage.answered, 1).await;
    let answers = world.published().await;
    assert_eq!(answers.len(), 2);
    assert_ne!(answers[0].event_id, answers[1].event_id);
    for answer in &answers {
        assert_eq!((&*answer.event_type, &*answer.event_domain), ("Played", "theatre"));
        assert_eq!(answer.causation_id, Some("cause".into()));
        assert_eq!(answer.correlation_id, Some("cause".into()));
        assert_eq!(answer.producer.as_ref().unwrap().instance, kit.instance());
    }
    stop.cancel();
    actor.join().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_an_event_is_answered_with_the_same_ids() {
    let world = World::new().await;
    let (_actor, _stop, _) = world.start(world.config()).await;
    for _ in 0..2 {
        world.send(&play("cause", json!({"answers": 1}))).await;
    }
    world.until(&world.stage.answered, 2).await;
    let answers = world.published().await;
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0].event_id, answers[1].event_id);
}

#[tokio::test(start_paused = true)]
async fn an_event_inside_of_a_notification_is_handled_too() {
    let world = World::new().await;
    let (_actor, _stop, _) = world.start(world.config()).await;
    let event = play("cause", json!({"answers": 1}));
    world.send(&json!({"Type": "Notification", "Message": event}).to_string()).await;
    world.until_depth(&world.queue, 0, 0).await;
    assert_eq!(world.published().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_meant_is_let_go_and_what_breaks_a_rule_is_told_by_the_rule() {
    let world = World::new().await;
    let (_actor, _stop, _) = world.start(world.config()).await;
    let elsewhere = play("e", json!({"stage": "elsewhere", "forbidden": 1}));
    let another = play("a", json!({})).replace("Play", "Sing");
    let broken = play("b", json!({"forbidden": 1}));
    for body in [&elsewhere, &another, &broken] {
        world.send(body).await;
    }
    world.until_depth(&world.dead_letters, 1, 0).await;
    world.until_depth(&world.queue, 0, 0).await;
    let letters = world.receive(&world.dead_letters).await;
    assert_eq!(letters[0].body(), Some(&*broken));
    assert_eq!(attribute(&letters[0], "kind"), "invalid");
    let reason = "/payload/forbidden: expected nothing, found 1 (forbid_key)";
    assert_eq!(attribute(&letters[0], "reason"), reason);
    assert_eq!(world.stage.begun.load(Ordering::SeqCst), 0, "the handler was called");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_handled_lies_in_quarantine_with_its_reason_and_every_byte() {
    let world = World::new().await;
    let (_actor, _stop, _) = world.start(world.config()).await;
    let poison = play("p", json!({"poison": "no such play"}));
    let wrong = play("w", json!({"answers": "many"}));
    let circling = play("c", json!({"answers": 1})).replacen('{', r#"{"hops":32,"#, 1);
    let bodies = ["{oops", &poison, &wrong, &circling];
    for body in bodies {
        world.send(body).await;
    }
    world.until_depth(&world.dead_letters, 4, 0).await;
    world.until_depth(&world.queue, 0, 0).await;
    let letters = world.receive(&world.dead_letters).await;
    let letter = |body: &str| letters.iter().find(|letter| letter.body() == Some(body)).unwrap();
    let kinds = bodies.map(|body| attribute(letter(body), "kind"));
    assert_eq!(kinds, ["not_json", "poison", "poison", "loop"]);
    assert_eq!(attribute(letter(&poison), "reason"), "no such play");
    assert!(attribute(letter(&wrong), "reason").contains("payload of Play"));
    for (name, value) in [("river", "actor"), ("service", "actor"), ("receives", "1")] {
        assert_eq!(attribute(letter("{oops"), name), value);
    }
    assert_eq!(world.published().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_quarantine_does_not_take_stays_until_it_does() {
    let world = World::new().await;
    world.aws.faults().add(Fault::on(Service::Sqs, "SendMessage").matching("kind").times(6).error(
        403,
        "AccessDenied",
        "not yours",
    ));
    let (_actor, _stop, _) = world.start(world.config()).await;
    world.send("{oops").await;
    world.until_depth(&world.dead_letters, 1, 0).await;
    world.until_depth(&world.queue, 0, 0).await;
    let letters = world.receive(&world.dead_letters).await;
    assert_eq!(attribute(&letters[0], "receives"), "7");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_retried_until_it_works() {
    let world = World::new().await;
    let (_actor, _stop, _) = world.start(world.config()).await;
    world.send(&play("f", json!({"fail": ["not yet", 3], "answers": 1}))).await;
    world.until_depth(&world.queue, 0, 0).await;
    assert_eq!(world.stage.begun.load(Ordering::SeqCst), 4);
    assert_eq!(world.published().await.len(), 1);
    assert_eq!(world.depth(&world.dead_letters).await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_of_one_event() {
    let world = World::new().await;
    let (_actor, _stop, _) = world.start(world.config()).await;
    world.send(&play("f", json!({"panic": "forgot my lines", "answers": 1}))).await;
    world.until_depth(&world.queue, 0, 0).await;
    assert_eq!(world.published().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_never_works_is_given_up_with_the_last_reason() {
    let world = World::new().await;
    let config = river::Config { attempts_max: 3, ..world.config() };
    let (_actor, _stop, _) = world.start(config).await;
    world.send(&play("f", json!({"fail": ["the table is gone", 99]}))).await;
    world.until_depth(&world.dead_letters, 1, 0).await;
    let letters = world.receive(&world.dead_letters).await;
    assert_eq!(attribute(&letters[0], "kind"), "exhausted");
    assert!(attribute(&letters[0], "reason").ends_with("3 attempts: the table is gone"));
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_comes_before_sqs_would_move_the_message_without_a_reason() {
    let world = World::new().await;
    let policy = json!({
        "maxReceiveCount": 2, "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:actor-dev-dlq",
    });
    let name = aws_sdk_sqs::types::QueueAttributeName::RedrivePolicy;
    let set = world.sqs.set_queue_attributes().queue_url(&world.queue);
    set.attributes(name, policy.to_string()).send().await.unwrap();
    let (_actor, _stop, _) = world.start(world.config()).await;
    world.send(&play("f", json!({"fail": ["the table is gone", 99]}))).await;
    world.until_depth(&world.dead_letters, 1, 0).await;
    let letters = world.receive(&world.dead_letters).await;
    assert!(attribute(&letters[0], "reason").ends_with("2 attempts: the table is gone"));
}

#[tokio::test(start_paused = true)]
async fn only_the_records_that_kinesis_did_not_take_are_put_again() {
    let world = World::new().await;
    let code = "ProvisionedThroughputExceededException";
    world.aws.faults().add(Fault::on(Service::Kinesis, "PutRecords").fail_entries(&[1], code));
    world.aws.faults().add(Fault::on(Service::Kinesis, "PutRecords").fail_entries(&[0], code));
    let (_actor, _stop, _) = world.start(world.config()).await;
    world.send(&play("cause", json!({"answers": 3}))).await;
    world.until_depth(&world.queue, 0, 0).await;
    let mut ids: Vec<_> = world.published().await.into_iter().map(|e| e.event_id).collect();
    assert_eq!(ids.len(), 3, "a record was lost or put twice");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    assert_eq!(world.stage.begun.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_answers_kinesis_does_not_take_comes_again() {
    let world = World::new().await;
    let down = Fault::on(Service::Kinesis, "PutRecords").always();
    world.aws.faults().add(down.error(500, "InternalFailure", "down"));
    let (_actor, _stop, _) = world.start(world.config()).await;
    world.send(&play("cause", json!({"answers": 1}))).await;
    world.until(&world.stage.begun, 2).await;
    assert_eq!(world.stage.answered.load(Ordering::SeqCst), 0);
    world.aws.faults().clear();
    world.until_depth(&world.queue, 0, 0).await;
    assert_eq!(world.published().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_kept_for_as_long_as_it_is_worked_on() {
    let world = World::new().await;
    let visibility = Duration::from_secs(6);
    let (_actor, _stop, _) = world.start(river::Config { visibility, ..world.config() }).await;
    world.send(&play("slow", json!({"sleep_s": 40, "answers": 1}))).await;
    world.until(&world.stage.answered, 1).await;
    world.until_depth(&world.queue, 0, 0).await;
    assert_eq!(world.stage.begun.load(Ordering::SeqCst), 1);
    assert!(world.aws.calls(Service::Sqs, "ChangeMessageVisibilityBatch") >= 6);
}

#[tokio::test(start_paused = true)]
async fn a_handler_whose_message_is_lost_is_cancelled() {
    let world = World::new().await;
    let refused = Fault::on(Service::Sqs, "ChangeMessageVisibilityBatch").always();
    world.aws.faults().add(refused.error(403, "AccessDenied", "not yours"));
    let visibility = Duration::from_secs(6);
    let (_actor, _stop, _) = world.start(river::Config { visibility, ..world.config() }).await;
    world.send(&play("slow", json!({"sleep_s": 40, "answers": 1}))).await;
    world.until(&world.stage.begun, 2).await;
    assert_eq!(world.stage.ended.load(Ordering::SeqCst), 0, "it went on with another's message");
    assert_eq!(world.published().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_too_long_is_given_up_and_tried_again() {
    let world = World::new().await;
    let handle_limit = Duration::from_secs(5);
    let (_actor, _stop, _) = world.start(river::Config { handle_limit, ..world.config() }).await;
    world.send(&play("slow", json!({"sleep_s": 6}))).await;
    world.until(&world.stage.begun, 2).await;
    assert_eq!(world.stage.ended.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn messages_that_sqs_did_not_delete_are_deleted_again() {
    let world = World::new().await;
    let fault = Fault::on(Service::Sqs, "DeleteMessageBatch");
    world.aws.faults().add(fault.fail_entries(&[0], "InternalError"));
    let (_actor, _stop, _) = world.start(world.config()).await;
    for id in ["a", "b"] {
        world.send(&play(id, json!({}))).await;
    }
    world.until_depth(&world.queue, 0, 0).await;
    assert_eq!(world.stage.begun.load(Ordering::SeqCst), 2);
}
