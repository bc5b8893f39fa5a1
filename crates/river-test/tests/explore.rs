//! What a plan finds: services with a fault each, and one without.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use event::Event;
use jiff::Timestamp;
use pond::{Inbox, Pond};
use river::{Context, Draft, Failure, Handler, NoConfig, Outcome, Packet};
use river_test::{Plan, World, explore};
use serde_json::json;
use tokio::time::Instant;

/// Answers each event with one of its own.
struct Echo<const FAULT: u8> {
    inbox: Inbox,
    heard: Mutex<usize>,
    since: Instant,
}

const NONE: u8 = 0;
/// Notes that an event was handled before its answer is on the rapids.
const NOTES_EARLY: u8 = 1;
/// Says how long it has been there.
const TELLS_TIME: u8 = 2;
/// Answers only the first event that it hears.
const FIRST_ONLY: u8 = 3;
/// Gives up what it has not heard before.
const GIVES_UP: u8 = 4;

impl<const FAULT: u8> Handler for Echo<FAULT> {
    const RIVER: &'static str = "echo";
    const EMITS: &'static [&'static str] = &["Echoed"];
    const DOMAIN: &'static str = "hills";
    type Config = NoConfig;

    fn listens_to() -> Vec<Packet> {
        vec![Packet::of("Called")]
    }

    async fn build(_: NoConfig, context: &Context) -> anyhow::Result<Self> {
        let dynamodb = context.kit().dynamodb();
        let pond = Pond::open(dynamodb, context.pond_table(), context.time()).await?;
        let inbox = Inbox::new(&pond, context.river().as_str());
        Ok(Self { inbox, heard: Mutex::new(0), since: Instant::now() })
    }

    async fn handle(&self, event: &Event) -> Result<Outcome, Failure> {
        if self.inbox.seen(&event.event_id).await? {
            return Ok(Outcome::Duplicate);
        }
        if FAULT == NOTES_EARLY {
            self.inbox.record(&event.event_id).await?;
        }
        let heard = {
            let mut heard = self.heard.lock().unwrap();
            *heard += 1;
            *heard
        };
        if FAULT == GIVES_UP && heard == 1 {
            return Err(Failure::poison("unheard of"));
        }
        if FAULT == FIRST_ONLY && heard > 1 {
            return Ok(Outcome::done());
        }
        let after_s = if FAULT == TELLS_TIME { self.since.elapsed().as_secs() } else { 0 };
        let payload = json!({"what": event.payload["what"], "afterSeconds": after_s});
        Ok(Outcome::answer(Draft::new("Echoed", "echo", payload)))
    }

    async fn answered(&self, cause: &Event, _: &[Event]) -> Result<(), Failure> {
        Ok(self.inbox.record(&cause.event_id).await?)
    }
}

fn called(id: &str) -> Event {
    let call = Event::root("Called", "test", json!({"what": id}), Timestamp::UNIX_EPOCH);
    Event { event_id: id.into(), ..call }
}

/// What the plan says against a service.
fn complaint<const FAULT: u8>(plan: &Plan<NoConfig>) -> Option<String> {
    let explored = catch_unwind(AssertUnwindSafe(|| explore::<Echo<FAULT>>(plan, |_| {})));
    explored.err().map(|panic: Box<dyn Any + Send>| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast_ref::<&str>().unwrap()).to_owned(),
    })
}

#[test]
fn a_sound_service_has_the_same_answers_whatever_happens() {
    let plan = || Plan::of([called("a"), called("b")]);
    let crashing = plan().every_order().each_twice().crash_at_every_call();
    let runs = explore::<Echo<NONE>>(&crashing, |run| {
        assert_eq!(run.answers_of("Echoed").len(), 2);
        assert_eq!(run.answers_of("Called").len(), 0);
        assert!(run.dead_letters.is_empty());
    });
    assert!(runs > 60, "{runs} runs have not been through every call");
    let together = plan().every_order_with_copies(4).all_at_once().replicas(2);
    assert_eq!(explore::<Echo<NONE>>(&together, |_| {}), 2 + 6 + 14);
}

#[test]
fn a_service_that_loses_an_answer_when_it_dies_is_found_out() {
    assert_eq!(complaint::<NOTES_EARLY>(&Plan::of([called("a")]).each_twice()), None);
    let plan = Plan::of([called("a")]).crash_at_every_call();
    let complaint = complaint::<NOTES_EARLY>(&plan).unwrap();
    assert!(complaint.contains("other answers than in another run"), "{complaint}");
}

#[test]
fn a_service_that_says_two_things_under_one_id_is_found_out() {
    let plan = Plan::of([called("a")]);
    assert_eq!(complaint::<TELLS_TIME>(&plan), None);
    let complaint = complaint::<TELLS_TIME>(&plan.crash_at_every_call()).unwrap();
    assert!(complaint.contains("one id, two contents"), "{complaint}");
}

#[test]
fn a_service_whose_answers_hang_on_the_order_is_found_out() {
    let plan = Plan::of([called("a"), called("b")]).every_order();
    assert!(complaint::<FIRST_ONLY>(&plan).is_some());
    assert_eq!(complaint::<FIRST_ONLY>(&plan.answers_may_differ()), None);
}

#[tokio::test(start_paused = true)]
async fn by_hand_a_service_can_be_stopped_killed_and_read_off() {
    let world = World::new().await;
    let service = world.start::<Echo<GIVES_UP>>().await;
    world.send::<Echo<GIVES_UP>>(&called("a")).await;
    world.drained("echo").await;
    let [letter] = &world.dead_letters("echo").await[..] else { panic!("one dead letter") };
    assert_eq!((&*letter.kind, &*letter.reason), ("poison", "unheard of"));
    assert_eq!(service.counted("rapids_river_messages_total", "poison"), 1);
    service.kill();
    world.send_text("echo", "not an event").await;
    let second = world.start::<Echo<NONE>>().await;
    world.drained("echo").await;
    assert_eq!(world.dead_letters("echo").await[0].body, "not an event");
    assert!(world.rapids().await.is_empty());
    second.stop().await;
}
