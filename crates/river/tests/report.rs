//! What a service says about itself on the rapids.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use chassis::{Kit, Warning, embed};
use event::{Event, EventId};
use jiff::Timestamp;
use local_aws::{Fault, Service};
use river::Report;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use world::{Actor, Stage, World, play};

fn reporting(world: &World) -> river::Config<world::Config> {
    river::Config { report: Report::default(), ..world.config() }
}

/// Waits until so many events of this type are on the rapids.
async fn until(world: &World, event_type: &str, least: usize) -> Vec<Event> {
    let reached = async {
        loop {
            let mut events = world.published().await;
            events.retain(|event| event.event_type == event_type);
            if events.len() >= least {
                return events;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(600), reached).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_life_of_a_process_is_told_from_up_to_down() {
    let world = World::new().await;
    let (actor, stop, kit) = world.start(reporting(&world)).await;
    until(&world, "system.ServiceReady", 1).await;
    stop.cancel();
    actor.join().await.unwrap();
    let told = world.published().await;
    let types: Vec<_> = told.iter().map(|event| &*event.event_type).collect();
    let life = ["ServiceUp", "ServiceReady", "ServiceStopping", "ServiceDown"];
    assert_eq!(types, life.map(|moment| format!("system.{moment}")));
    for event in &told {
        let payload = json!({
            "service": "actor", "version": kit.version(), "instance": kit.instance(), "river": "actor",
        });
        assert_eq!((&*event.event_domain, &event.payload), ("system", &payload));
        assert_eq!(event.producer.as_ref().unwrap().instance, kit.instance());
    }
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_tells_what_was_done_and_whether_the_service_is_well() {
    let mut world = World::new().await;
    world.stage = Stage { ill: true, ..Stage::default() };
    let (_actor, _stop, kit) = world.start(reporting(&world)).await;
    world.send(&play("a", json!({}))).await;
    world.send(&play("b", json!({"poison": "x"}))).await;
    // More often than it can be tried before the second heartbeat, however short the pauses turn out.
    world.send(&play("c", json!({"fail": ["not now", 99]}))).await;
    let beats = until(&world, "system.ServiceHeartbeat", 2).await;
    let told = &beats[1].payload;
    assert_eq!((&told["handled"], &told["quarantined"]), (&json!(1), &json!(1)));
    assert!(told["failed"].as_u64() >= Some(1), "{told}");
    assert_eq!(told["selfCheck"], json!({"ok": false, "why": "the stage is on fire"}));
    let apart = beats[1].timestamp.duration_since(beats[0].timestamp);
    assert!(apart.as_secs() >= 14, "{apart}");
    let families = kit.registry().gather();
    let status = families.iter().find(|f| f.name() == "rapids_self_check_status").unwrap();
    assert!(status.get_metric()[0].get_gauge().get_value() < 0.5);
}

#[tokio::test(start_paused = true)]
async fn audited_events_are_accounted_for_once_settled_or_given_back_and_no_others() {
    let world = World::new().await;
    let (actor, stop, _) = world.start(reporting(&world)).await;
    let ids: Vec<_> = (0..60).map(|n| format!("play-{n}")).collect();
    for (n, id) in ids.iter().enumerate() {
        let payload = match n % 3 {
            0 => json!({}),
            1 => json!({"poison": "x"}),
            _ => json!({"fail": ["not now", 99]}),
        };
        world.send(&play(id, payload)).await;
    }
    let told = |events: &[Event]| -> BTreeSet<String> {
        let ids = events.iter().flat_map(|event| event.payload["ids"].as_array().unwrap());
        ids.map(|id| id.as_str().unwrap().to_owned()).collect()
    };
    let audited: BTreeSet<_> =
        ids.into_iter().filter(|id| EventId::from(id.as_str()).is_audited()).collect();
    assert!(audited.len() > 2, "{audited:?}");
    let mut accounts = until(&world, "system.Acknowledged", 1).await;
    assert_eq!(accounts[0].payload["river"], "actor");
    stop.cancel();
    actor.join().await.unwrap();
    accounts = world.published().await;
    let last = accounts.last().map(|event| &*event.event_type);
    assert_eq!(last, Some("system.ServiceDown"), "who is gone has told before");
    accounts.retain(|event| event.event_type == "system.Acknowledged");
    assert_eq!(told(&accounts), audited);
}

#[tokio::test(start_paused = true)]
async fn a_ping_comes_back_from_the_river_that_it_asks() {
    let world = World::new().await;
    let (_actor, _stop, _) = world.start(reporting(&world)).await;
    let at =
        Timestamp::from_millisecond(i64::try_from(world.aws.clock().now_ms()).unwrap()).unwrap();
    let ping = |river: &str| Event::root("system.Ping", "system", json!({ "river": river }), at);
    let (ours, theirs) = (ping("actor"), ping("extra"));
    // A copy is answered with the same id.
    for event in [&theirs, &ours, &ours] {
        world.send(&event.to_json()).await;
    }
    let pongs = until(&world, "system.Pong", 2).await;
    world.until_depth(&world.queue, 0, 0).await;
    assert_eq!(pongs.len(), 2);
    assert_eq!(pongs[0].event_id, pongs[1].event_id);
    assert_eq!(pongs[0].causation_id.as_ref(), Some(&ours.event_id));
    assert_eq!(pongs[0].payload["river"], "actor");
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_used_is_told_with_all_that_is_wrong() {
    let world = World::new().await;
    let report = Report { rejected_per_minute: 4, ..Report::default() };
    let (_actor, _stop, _) = world.start(river::Config { report, ..reporting(&world) }).await;
    world.send("{oops").await;
    world.send(&play("circling", json!({"answers": 1})).replacen('{', r#"{"hops":32,"#, 1)).await;
    world.send(&play("poison", json!({"poison": "no such play"}))).await;
    world.send(&play("broken", json!({"forbidden": 1}))).await;
    let [rejected] = until(&world, "system.PacketRejected", 1).await.try_into().unwrap();
    assert_eq!(rejected.payload["event"]["eventId"], "broken");
    assert_eq!(
        rejected.payload["problems"],
        json!([{
            "pointer": "/payload/forbidden", "rule": "forbid_key", "expected": "nothing", "found": "1",
        }])
    );
    let quarantined = until(&world, "system.MessageQuarantined", 2).await;
    let kinds: Vec<_> = quarantined.iter().map(|event| &event.payload["kind"]).collect();
    assert!(kinds.contains(&&json!("not_json")) && kinds.contains(&&json!("poison")), "{kinds:?}");
    let [turning] = until(&world, "system.LoopDetected", 1).await.try_into().unwrap();
    assert_eq!(turning.payload["event"]["eventType"], "Play");
    // The fifth in a minute is in the dead-letter queue and told by number only.
    world.send("{again").await;
    world.until_depth(&world.dead_letters, 5, 0).await;
    sleep(Duration::from_secs(60)).await;
    world.send("{and again").await;
    let quarantined = until(&world, "system.MessageQuarantined", 3).await;
    assert_eq!(quarantined[2].payload["untold"], 1);
}

#[tokio::test(start_paused = true)]
async fn rapids_that_take_nothing_keep_no_event_waiting_and_no_process_from_stopping() {
    let world = World::new().await;
    // `{"eventType":"system.`, as it travels.
    let fault = Fault::on(Service::Kinesis, "PutRecords")
        .matching("eyJldmVudFR5cGUiOiJzeXN0ZW0u")
        .times(1_000);
    world.aws.faults().add(fault.error(500, "InternalFailure", "not now"));
    let (actor, stop, _) = world.start(reporting(&world)).await;
    world.send(&play("a", json!({"answers": 1}))).await;
    world.until_depth(&world.queue, 0, 0).await;
    let types: Vec<Value> =
        world.published().await.iter().map(|event| json!(event.event_type)).collect();
    assert_eq!(types, ["Played"]);
    stop.cancel();
    actor.join().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_logged_goes_onto_the_rapids_where_that_is_wanted_and_not_without_end() {
    for wanted in [false, true] {
        let world = World::new().await;
        let (logs, warnings) = mpsc::channel(10);
        let kit = Kit::new("actor", world.aws.sdk_config()).with_warnings(warnings);
        let report = Report { logs: wanted, rejected_per_minute: 3, ..Report::default() };
        let config = river::Config { report, ..world.config() };
        let stop = CancellationToken::new();
        let actor = embed::<river::Service<Actor>>(kit, config, None, stop.clone()).await.unwrap();
        for n in 0..5 {
            let fields = [("n".to_owned(), n.to_string())].into();
            let (target, message) = ("actor".to_owned(), "the set wobbles".to_owned());
            logs.send(Warning { level: "warn", target, message, fields }).await.unwrap();
        }
        until(&world, "system.ServiceReady", 1).await;
        sleep(Duration::from_secs(5)).await;
        let told = until(&world, "system.Logged", 0).await;
        assert_eq!(told.len(), if wanted { 3 } else { 0 });
        if let Some(first) = told.first() {
            assert_eq!(first.payload["message"], "the set wobbles");
            assert_eq!(
                (&first.payload["level"], &first.payload["fields"]["n"]),
                (&json!("warn"), &json!("0"))
            );
        }
        stop.cancel();
        actor.join().await.unwrap();
    }
}
