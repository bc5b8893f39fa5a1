//! A service on a river, from hooking in to the stop.

mod slow;
mod world;

use std::sync::atomic::Ordering;
use std::time::Duration;

use chassis::{Kit, embed};
use event::control::Command;
use local_aws::{Fault, LocalAws, Service};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use world::{Actor, Config, Stage, World, play};

#[tokio::test(start_paused = true)]
async fn a_service_hooks_in_by_itself_and_is_ready_when_its_queue_is_there() {
    let aws = LocalAws::new();
    let kinesis = aws_sdk_kinesis::Client::new(&aws.sdk_config());
    let sqs = aws_sdk_sqs::Client::new(&aws.sdk_config());
    let stop = CancellationToken::new();
    let kit = Kit::new("actor", aws.sdk_config());
    let config = river::Config::<Config> { advertise: true, ..river::Config::default() };
    let actor = embed::<river::Service<Actor>>(kit, config, None, stop.clone()).await.unwrap();
    world::stream(&kinesis, "Control-dev").await;
    let mut commands = Vec::new();
    while commands.len() < 3 {
        sleep(Duration::from_millis(100)).await;
        commands = world::records(&kinesis, "Control-dev").await;
    }
    let commands: Vec<Command> =
        commands.iter().map(|json| serde_json::from_slice(json).unwrap()).collect();
    let [packet] = <Actor as river::Handler>::listens_to().try_into().unwrap();
    let (river, topic) = ("actor".to_owned(), packet.topic().to_owned());
    let subscribe = Command::Subscribe { river, topic, rules: packet.rules().to_vec() };
    let ping = Command::subscribe("actor", "system.Ping");
    let [played] = <Actor as river::Handler>::adverts().try_into().unwrap();
    assert_eq!(commands, [subscribe, ping, Command::Advertise(played)]);
    assert_eq!(actor.readiness().missing(), ["river queue"]);
    world::queue(&sqs, "actor-dev").await;
    assert!(actor.readiness().ready().await);
    stop.cancel();
    actor.join().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_service_that_waits_for_its_queue_can_be_stopped() {
    let stop = CancellationToken::new();
    let kit = Kit::new("actor", LocalAws::new().sdk_config());
    let config = river::Config::<Config>::default();
    let actor = embed::<river::Service<Actor>>(kit, config, None, stop.clone()).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    stop.cancel();
    actor.join().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_what_has_begun_and_releases_the_rest_at_once() {
    let world = World::new().await;
    let config = river::Config { concurrency: 1, ..world.config() };
    for n in 0..5 {
        world.send(&play(&format!("e{n}"), json!({"wait": true, "answers": 1}))).await;
    }
    let (actor, stop, _) = world.start(config).await;
    world.until(&world.stage.begun, 1).await;
    world.until_depth(&world.queue, 0, 5).await;
    let stopped = Instant::now();
    stop.cancel();
    world.until_depth(&world.queue, 4, 1).await;
    assert!(stopped.elapsed() < Duration::from_secs(3), "they came back by themselves");
    world.stage.gate.add_permits(1);
    actor.join().await.unwrap();
    assert_eq!(world.depth(&world.queue).await, (4, 0));
    assert_eq!(world.stage.begun.load(Ordering::SeqCst), 1);
    assert_eq!(world.published().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_on_its_way_when_the_stop_comes_is_released() {
    let world = World::new().await;
    world.send(&play("e", json!({"answers": 1}))).await;
    let aws = slow::replies(&world.aws.sdk_config(), "ReceiveMessage", Duration::from_millis(500));
    let stop = CancellationToken::new();
    let kit = Kit::new("actor", aws);
    let actor = embed::<river::Service<Actor>>(kit, world.config(), None, stop.clone());
    let actor = actor.await.unwrap();
    world.until_depth(&world.queue, 0, 1).await;
    stop.cancel();
    actor.join().await.unwrap();
    assert_eq!(world.depth(&world.queue).await, (1, 0), "it was left hidden");
    assert_eq!(world.stage.begun.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_service_stops_without_waiting_for_its_long_poll() {
    let world = World::new().await;
    let (actor, stop, _) = world.start(world.config()).await;
    sleep(Duration::from_secs(5)).await;
    let stopped = Instant::now();
    stop.cancel();
    actor.join().await.unwrap();
    assert!(stopped.elapsed() < Duration::from_secs(3), "{:?}", stopped.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_service_whose_background_work_panics_ends_with_an_error() {
    let world = World::new().await;
    let mut config = world.config();
    config.handler.stage.spoiled = true;
    let (actor, _stop, _) = world.start(config).await;
    let error = actor.join().await.unwrap_err();
    assert_eq!(error.to_string(), "the background work of the service panicked");
}

#[tokio::test(start_paused = true)]
async fn no_more_events_are_handled_at_once_than_allowed() {
    let world = World::new().await;
    for n in 0..25 {
        world.send(&play(&format!("e{n}"), json!({"wait": true}))).await;
    }
    let config = river::Config { concurrency: 3, ..world.config() };
    let (actor, stop, _) = world.start(config).await;
    // Three are handled, and one receive waits for its turn.
    world.until_depth(&world.queue, 15, 10).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(world.stage.begun.load(Ordering::SeqCst), 3);
    world.stage.gate.add_permits(25);
    world.until_depth(&world.queue, 0, 0).await;
    stop.cancel();
    actor.join().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_river_that_cannot_be_reached_for_a_while_is_consumed_afterwards() {
    let world = World::new().await;
    let down = Fault::on(Service::Sqs, "ReceiveMessage").times(20);
    world.aws.faults().add(down.error(500, "InternalError", "down"));
    world.send(&play("e", json!({"answers": 1}))).await;
    let (_actor, _stop, _) = world.start(world.config()).await;
    world.until_depth(&world.queue, 0, 0).await;
    assert_eq!(world.published().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_became_of_messages_is_counted_with_bounded_labels() {
    let world = World::new().await;
    let (actor, stop, kit) = world.start(world.config()).await;
    world.send(&play("e", json!({"answers": 1}))).await;
    world.send(&play("x", json!({})).replace("Play", "Surprise")).await;
    world.send("{oops").await;
    world.until_depth(&world.queue, 0, 0).await;
    stop.cancel();
    actor.join().await.unwrap();
    let families = kit.registry().gather();
    let messages = families.iter().find(|f| f.name() == "rapids_river_messages_total").unwrap();
    let series: Vec<String> = messages
        .get_metric()
        .iter()
        .map(|metric| {
            let labels: Vec<_> = metric.get_label().iter().map(|label| label.value()).collect();
            format!("{} {}", labels.join(" "), metric.get_counter().get_value())
        })
        .collect();
    assert_eq!(series, ["Play ok actor 1", "other ignored actor 1", "other not_json actor 1"]);
}

#[test]
fn the_settings_of_the_kit_are_checked_by_key() {
    let wrong = river::Config::<Config> {
        stage: "dev-eu".into(),
        concurrency: 0,
        visibility: Duration::from_secs(1),
        handle_limit: Duration::ZERO,
        retry_pause_max: Duration::ZERO,
        attempts_max: 0,
        ..river::Config::default()
    };
    let problems = chassis::Problems::of(&wrong).to_string();
    let keys =
        ["stage", "concurrency", "visibility", "handle_limit", "retry_pause_max", "attempts_max"];
    for key in keys {
        assert!(problems.contains(&format!("{key}: ")), "{problems}");
    }
    let river = Some("no river".into());
    let wrong = river::Config::<Config> { river, ..river::Config::default() };
    assert!(chassis::Problems::of(&wrong).to_string().contains("river: "));
    assert!(chassis::Problems::of(&river::Config::<Config>::default()).is_empty());
    assert_eq!(Stage::default().gate.available_permits(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_variant_is_a_service_of_its_own_and_a_shadow_is_heard_by_nobody_who_did_not_ask() {
    let world = World::new().await;
    let own_names = [
        (None, false, "actor", "Played"),
        (Some("next"), false, "actor-next", "Played"),
        (None, true, "actor-shadow", "shadow.Played"),
        (Some("bold"), true, "actor-bold", "shadow.Played"),
    ];
    let mut ids = std::collections::BTreeSet::new();
    for (count, (variant, shadow, name, event_type)) in own_names.into_iter().enumerate() {
        let queue = world::queue(&world.sqs, &format!("{name}-dev")).await;
        let variant = variant.map(str::to_owned);
        let config = river::Config { variant, shadow, ..world.config() };
        let (actor, stop, _) = world.start(config).await;
        let send = world.sqs.send_message().queue_url(&queue);
        send.message_body(play("p", json!({"answers": 1}))).send().await.unwrap();
        world.until(&world.stage.answered, count + 1).await;
        let said = world.published().await.pop().unwrap();
        assert_eq!((&*said.event_type, &*said.producer.unwrap().service), (event_type, name));
        ids.insert(said.event_id);
        stop.cancel();
        actor.join().await.unwrap();
    }
    assert_eq!(ids.len(), own_names.len(), "no variant's answer is a copy of another's");
}
