//! How much is received and handled at once, and whose turn it is.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod world;

use std::sync::atomic::Ordering;
use std::time::Duration;

use chassis::Kit;
use prometheus::proto::MetricType;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};
use world::{World, play};

/// The value of a metric without labels of its own; of a histogram, the number of observations.
fn metric(kit: &Kit, name: &str) -> f64 {
    let families = kit.registry().gather();
    let family = families.iter().find(|family| family.name() == name).unwrap();
    let metric = &family.get_metric()[0];
    match family.get_field_type() {
        MetricType::COUNTER => metric.get_counter().get_value(),
        #[expect(clippy::cast_precision_loss, reason = "tests count to some hundred")]
        MetricType::HISTOGRAM => metric.get_histogram().get_sample_count() as f64,
        _ => metric.get_gauge().get_value(),
    }
}

async fn until(kit: &Kit, name: &str, reached: impl Fn(f64) -> bool) {
    let waiting = async {
        while !reached(metric(kit, name)) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    let patience = Duration::from_secs(3_600);
    assert!(timeout(patience, waiting).await.is_ok(), "{name} stays at {}", metric(kit, name));
}

const LIMIT: &str = "rapids_river_concurrency_limit";
const BYTES: &str = "rapids_river_bytes_in_flight";

#[tokio::test(start_paused = true)]
async fn throttles_lower_the_number_of_handlers_and_good_outcomes_raise_it_again() {
    let world = World::new().await;
    let (_actor, _stop, kit) = world.start(world.config()).await;
    assert!(metric(&kit, LIMIT) >= 10.0);
    let said = "table Pond: ProvisionedThroughputExceededException: slow down";
    for round in 1..=3 {
        world.send(&play(&format!("t{round}"), json!({"fail": [said, 1_000]}))).await;
    }
    until(&kit, LIMIT, |limit| limit <= 2.0).await;
    for n in 0..400 {
        world.send(&play(&format!("e{n}"), json!({"sleep_s": 1}))).await;
    }
    until(&kit, LIMIT, |limit| limit > 5.0).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_no_pressure_leaves_the_number_of_handlers() {
    let world = World::new().await;
    let (_actor, _stop, kit) = world.start(world.config()).await;
    world.send(&play("f", json!({"fail": ["the file is gone", 5]}))).await;
    world.until_depth(&world.queue, 0, 0).await;
    assert_eq!(metric(&kit, LIMIT).to_string(), "10");
}

#[tokio::test(start_paused = true)]
async fn handlers_that_run_out_of_time_lower_the_number_of_handlers_to_the_floor_and_not_below() {
    let world = World::new().await;
    let handle_limit = Duration::from_secs(5);
    let config = river::Config { handle_limit, concurrency_least: 3, ..world.config() };
    let (_actor, _stop, kit) = world.start(config).await;
    for n in 0..8 {
        world.send(&play(&format!("e{n}"), json!({"sleep_s": 50}))).await;
    }
    until(&kit, LIMIT, |limit| limit <= 3.0).await;
    world.until(&world.stage.begun, 30).await;
    assert_eq!(metric(&kit, LIMIT).to_string(), "3");
}

#[tokio::test(start_paused = true)]
async fn the_bytes_of_messages_in_the_process_are_bounded() {
    let world = World::new().await;
    let ballast = "x".repeat(1_000_000);
    for n in 0..40 {
        world.send(&play(&format!("e{n}"), json!({"wait": true, "ballast": ballast}))).await;
    }
    let bytes_in_flight_max = 25 << 20;
    let config = river::Config { concurrency: 100, bytes_in_flight_max, ..world.config() };
    let (_actor, _stop, kit) = world.start(config).await;
    // Two receives of ten fit, and a third would not, if its messages were as large as they may be.
    world.until_depth(&world.queue, 20, 20).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(world.depth(&world.queue).await, (20, 20));
    let held = metric(&kit, BYTES);
    assert!(held > 20_000_000.0 && held < f64::from(25 << 20), "{held}");
    world.stage.gate.add_permits(40);
    world.until_depth(&world.queue, 0, 0).await;
    until(&kit, BYTES, |held| held == 0.0).await;
    assert_eq!(world.stage.begun.load(Ordering::SeqCst), 40);
}

#[tokio::test(start_paused = true)]
async fn a_backlog_of_one_group_delays_the_message_of_another_by_one_turn() {
    let world = World::new().await;
    for n in 0..9 {
        world.send_as("noisy", &play(&format!("n{n}"), json!({"sleep_s": 1}))).await;
    }
    world.send_as("quiet", &play("q", json!({"sleep_s": 1}))).await;
    let config = river::Config { concurrency: 1, ..world.config() };
    let (_actor, _stop, _) = world.start(config).await;
    world.until(&world.stage.begun, 3).await;
    assert_eq!(world.stage.order.lock().unwrap()[..3], ["n0", "q", "n1"]);
    world.until_depth(&world.queue, 0, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_says_when_to_come_again_and_a_permanent_one_does_not() {
    let world = World::new().await;
    let (_actor, _stop, _) = world.start(world.config()).await;
    let sent = Instant::now();
    world.send(&play("f", json!({"fail": ["closed", 1], "after_s": 90}))).await;
    world.until(&world.stage.begun, 1).await;
    world.until_depth(&world.queue, 0, 1).await;
    world.until(&world.stage.begun, 2).await;
    assert!((90..92).contains(&sent.elapsed().as_secs()), "{:?}", sent.elapsed());
    world.send(&play("p", json!({"permanent": "no such shop"}))).await;
    world.until_depth(&world.dead_letters, 1, 0).await;
    let letter = world.receive(&world.dead_letters).await.remove(0);
    let attributes = letter.message_attributes.unwrap();
    assert_eq!(attributes["kind"].string_value(), Some("permanent"));
    assert_eq!(attributes["reason"].string_value(), Some("no such shop"));
}

#[tokio::test(start_paused = true)]
async fn time_in_the_queue_is_measured_once_and_extensions_are_counted() {
    let world = World::new().await;
    let visibility = Duration::from_secs(6);
    let (_actor, _stop, kit) = world.start(river::Config { visibility, ..world.config() }).await;
    world.send(&play("slow", json!({"sleep_s": 20, "fail": ["not yet", 1]}))).await;
    world.until(&world.stage.answered, 1).await;
    assert_eq!(metric(&kit, "rapids_river_queue_seconds").to_string(), "1");
    assert!(metric(&kit, "rapids_river_visibility_extensions_total") >= 4.0);
}
