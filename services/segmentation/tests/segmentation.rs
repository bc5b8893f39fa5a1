//! The service between its river and the rapids.

use jiff::Timestamp;
use river::Event;
use river_test::{Plan, World, explore};
use segmentation::{Config, Segmentation};
use serde_json::{Value, json};

fn view(id: &str, payload: Value) -> Event {
    let mut view = Event::root("ViewPage", "TheSource", payload, Timestamp::UNIX_EPOCH);
    view.event_id = id.into();
    view
}

#[test]
fn every_customer_gets_one_answer_and_everybody_knows_sally() {
    let views = [
        ("sally", json!({"name": "Sally"}), "RoadWarrior"),
        ("by id", json!({"customerId": "Sally", "name": "S."}), "RoadWarrior"),
        ("unknown", json!({"name": "Harry"}), "None"),
        ("anonymous", json!({}), "None"),
        ("nothing said", Value::Null, "None"),
    ];
    let plan = || Plan::of(views.iter().map(|(id, payload, _)| view(id, payload.clone())));
    for plan in [plan().each_twice(), plan().each_twice().all_at_once().replicas(2)] {
        explore::<Segmentation>(&plan, |run| {
            let answers = run.answers_of("CustomerSegmented");
            assert_eq!(answers.len(), views.len());
            for (id, _, expected) in &views {
                let to = |answer: &&&Event| answer.causation_id == Some((*id).into());
                let answer = answers.iter().find(to).expect("an answer");
                assert_eq!(answer.payload["segment"], *expected, "{id}");
            }
        });
    }
}

#[test]
fn a_process_that_dies_at_any_call_has_answered_in_the_end() {
    let plan = Plan::of([view("v", json!({"name": "Sally"}))]).crash_at_every_call();
    explore::<Segmentation>(&plan, |run| assert_eq!(run.answers().len(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_a_view_is_not_answered_again() {
    let world = World::new().await;
    let service = world.start::<Segmentation>().await;
    for _ in 0..2 {
        // The inbox is written before the message is deleted.
        world.send::<Segmentation>(&view("v", json!({"name": "Sally"}))).await;
        world.drained("segmentation").await;
    }
    assert_eq!(service.counted("rapids_river_messages_total", "duplicate"), 1);
    assert_eq!(world.rapids().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_configuration_says_of_a_customer_counts() {
    let world = World::new().await;
    let segments = [("Harry".to_owned(), "Commuter".to_owned())].into();
    let config = Config { segments, ..Config::default() };
    world.start_with::<Segmentation>(config).await;
    world.send::<Segmentation>(&view("v", json!({"name": "Harry"}))).await;
    world.drained("segmentation").await;
    assert_eq!(world.rapids().await[0].payload["segment"], "Commuter");
}
