//! Changes of state and their events, through crashes.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod world;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use event::Event;
use jiff::SignedDuration;
use local_aws::{Fault, Service};
use pond::{CommitError, Committed, Outbox, Sweep, Swept, Unpublished};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use world::{World, event};

const AT_ONCE: SignedDuration = SignedDuration::ZERO;
/// Longer than anything takes: who has not come back by then is dead.
const DEAD: Duration = Duration::from_secs(600);

/// The rapids: how often each event came.
#[derive(Default)]
struct Rapids(RefCell<BTreeMap<String, usize>>);

impl Rapids {
    async fn publish(&self, events: &[Event]) -> Result<(), Unpublished> {
        for event in events {
            *self.0.borrow_mut().entry(event.event_id.to_string()).or_default() += 1;
        }
        // Kinesis takes some time, in which others come to do something.
        sleep(Duration::from_millis(1)).await;
        Ok(())
    }

    fn has(&self, id: &str) -> bool {
        self.0.borrow().contains_key(id)
    }
}

/// A change that can be done once.
fn booking(id: &str) -> Vec<TransactWriteItem> {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put = Put::builder().table_name("Pond-test-dev").item("pk", text(&format!("BOOKING#{id}")));
    let put = put.item("sk", text("BOOKING")).condition_expression("attribute_not_exists(pk)");
    vec![TransactWriteItem::builder().put(put.build().unwrap()).build()]
}

async fn is_booked(world: &World, id: &str) -> bool {
    let get = world.dynamodb().get_item().table_name("Pond-test-dev").consistent_read(true);
    let get = get.key("pk", AttributeValue::S(format!("BOOKING#{id}")));
    let got = get.key("sk", AttributeValue::S("BOOKING".into())).send().await;
    got.unwrap().item.is_some()
}

async fn never(_: Vec<Event>) -> Result<(), Unpublished> {
    std::future::pending().await
}

async fn busy(_: Vec<Event>) -> Result<(), Unpublished> {
    Err(Unpublished::later("the rapids are busy"))
}

/// Leaves an entry for this event.
async fn leave(world: &World, outbox: &Outbox, id: &str) {
    let committed = outbox.commit(booking(id), &[event(id, Value::Null)], busy).await.unwrap();
    assert!(matches!(committed, Committed::Left(_)));
    world.advance_ms(1);
}

#[tokio::test(start_paused = true)]
async fn a_change_and_its_events_are_there_and_no_entry_is_left() {
    let world = World::new().await;
    let (outbox, rapids) = (Outbox::new(&world.pond, "o"), Rapids::default());
    let events = [event("a", Value::Null), event("b", json!({"n": 1}))];
    let publish = async |events: Vec<Event>| rapids.publish(&events).await;
    let committed = outbox.commit(booking("1"), &events, publish).await.unwrap();
    assert!(matches!(committed, Committed::Published));
    assert!(is_booked(&world, "1").await && rapids.has("a") && rapids.has("b"));
    assert_eq!(outbox.oldest().await.unwrap(), None);
    // The same change again is refused, and its events are not heard of.
    let again = outbox.commit(booking("1"), &[event("c", Value::Null)], publish).await;
    let CommitError::Cancelled { reasons } = again.unwrap_err() else { panic!("no condition") };
    let codes: Vec<_> = reasons.iter().filter_map(|reason| reason.code()).collect();
    assert_eq!(codes, ["ConditionalCheckFailed"]);
    assert!(!rapids.has("c"));
    assert_eq!(outbox.oldest().await.unwrap(), None);
}

/// Where a process dies.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Dies {
    /// Before the request is sent, or before the reply is heard.
    Before(&'static str),
    After(&'static str),
    BeforePublishing,
    AfterPublishing,
}

const DEATHS: [Dies; 9] = [
    Dies::Before("TransactWriteItems"),
    Dies::After("TransactWriteItems"),
    Dies::BeforePublishing,
    Dies::AfterPublishing,
    Dies::Before("DeleteItem"),
    Dies::After("DeleteItem"),
    Dies::Before("Query"),
    Dies::After("Query"),
    Dies::Before("nothing at all"),
];

impl Dies {
    fn arm(self, world: &World) {
        world.aws.faults().clear();
        match self {
            Self::Before(operation) => {
                let fault = Fault::on(Service::DynamoDb, operation).always();
                world.aws.faults().add(fault.delay(DEAD * 2));
            }
            Self::After(operation) => {
                world
                    .aws
                    .faults()
                    .add(Fault::on(Service::DynamoDb, operation).always().lose_reply());
            }
            _ => {}
        }
    }

    async fn publish(self, rapids: &Rapids, events: &[Event]) -> Result<(), Unpublished> {
        if self == Self::BeforePublishing {
            return never(vec![]).await;
        }
        rapids.publish(events).await?;
        if self == Self::AfterPublishing { never(vec![]).await } else { Ok(()) }
    }
}

#[tokio::test(start_paused = true)]
async fn wherever_processes_die_there_is_no_event_without_its_change_and_no_change_without_its_event()
 {
    let (world, mut unpublished) = (World::new().await, 0);
    for first in DEATHS {
        for second in DEATHS {
            // Outboxes have nothing to do with each other, and neither have bookings.
            let id = &format!("{first:?}, then {second:?}");
            let (outbox, rapids) = (Outbox::new(&world.pond, &**id), Rapids::default());
            let said = [event("booked", Value::Null)];
            first.arm(&world);
            let publish = async |events: Vec<Event>| first.publish(&rapids, &events).await;
            let committing = outbox.commit(booking(id), &said, publish);
            let committed = timeout(DEAD, Box::pin(committing)).await;
            second.arm(&world);
            let publish = async |events: Vec<Event>| second.publish(&rapids, &events).await;
            let swept = timeout(DEAD, Box::pin(outbox.sweep_once(AT_ONCE, publish))).await;
            world.aws.faults().clear();
            let before = rapids.has("booked");
            let publish = async |events: Vec<Event>| rapids.publish(&events).await;
            outbox.sweep_once(AT_ONCE, publish).await.unwrap();
            let history = format!("{first:?}: {committed:?}, then {second:?}: {swept:?}");
            let is_booked = is_booked(&world, id).await;
            assert_eq!(is_booked, rapids.has("booked"), "{history}");
            assert_eq!(is_booked, first != Dies::Before("TransactWriteItems"), "{history}");
            assert_eq!(outbox.oldest().await.unwrap(), None, "{history}");
            unpublished += usize::from(is_booked && !before);
        }
    }
    assert!(unpublished > 5, "the last sweep had too little to do: {unpublished}");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_entries_are_published_by_two_sweepers_at_once() {
    let world = World::new().await;
    let (outbox, rapids) = (Outbox::new(&world.pond, "o"), Rapids::default());
    for id in 0..1000 {
        leave(&world, &outbox, &format!("e{id}")).await;
    }
    assert_eq!(outbox.oldest().await.unwrap(), Some(SignedDuration::from_secs(1)));
    let publish = async |events: Vec<Event>| rapids.publish(&events).await;
    let (one, two) =
        tokio::join!(outbox.sweep_once(AT_ONCE, publish), outbox.sweep_once(AT_ONCE, publish));
    let published = one.unwrap().published + two.unwrap().published;
    let times: Vec<usize> = rapids.0.borrow().values().copied().collect();
    assert_eq!((times.len(), times.iter().sum::<usize>()), (1000, published));
    assert_eq!(outbox.oldest().await.unwrap(), None);
    assert_eq!(world.aws.calls(Service::DynamoDb, "Scan"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_young_may_be_under_way_and_is_let_be() {
    let world = World::new().await;
    let (outbox, rapids) = (Outbox::new(&world.pond, "o"), Rapids::default());
    leave(&world, &outbox, "a").await;
    let publish = async |events: Vec<Event>| rapids.publish(&events).await;
    let after = SignedDuration::from_secs(30);
    world.advance_ms(29_998);
    assert_eq!(outbox.sweep_once(after, publish).await.unwrap(), Swept::default());
    world.advance_ms(1);
    assert_eq!(outbox.sweep_once(after, publish).await.unwrap().published, 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_refused_for_good_is_moved_aside_with_its_reason() {
    let world = World::new().await;
    let (outbox, rapids) = (Outbox::new(&world.pond, "o"), Rapids::default());
    for id in ["a", "bad", "c"] {
        leave(&world, &outbox, id).await;
    }
    let publish = async |events: Vec<Event>| match events[0].event_id.as_str() {
        "bad" => Err(Unpublished::never("the stream says no")),
        _ => rapids.publish(&events).await,
    };
    // Two at once: the second to come finds it gone.
    let (one, two) =
        tokio::join!(outbox.sweep_once(AT_ONCE, publish), outbox.sweep_once(AT_ONCE, publish));
    assert!((1..=2).contains(&(one.unwrap().refused + two.unwrap().refused)));
    assert!(rapids.has("a") && rapids.has("c") && !rapids.has("bad"));
    assert_eq!(outbox.oldest().await.unwrap(), None);
    let refused = outbox.refused().await.unwrap();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].reason, "the stream says no");
    assert_eq!(Event::parse(refused[0].events[0].as_bytes()).unwrap().event_id, "bad".into());
}

#[tokio::test(start_paused = true)]
async fn the_sweeper_backs_off_while_nothing_works_and_goes_on_behind_what_does_not() {
    let world = World::new().await;
    let (outbox, rapids) = (Outbox::new(&world.pond, "o"), Rapids::default());
    // Four entries of one conversation, and so of one shard, are always too early; the fifth is behind them.
    for id in ["w", "x", "y", "z", "good"] {
        let mut event = event(id, Value::Null);
        event.correlation_id = Some("c".into());
        outbox.commit(booking(id), &[event], busy).await.unwrap();
        world.advance_ms(1);
    }
    let tries = Cell::new(0);
    let publish = async |events: Vec<Event>| {
        tries.set(tries.get() + 1);
        if events[0].event_id.as_str() == "good" {
            rapids.publish(&events).await
        } else {
            busy(events).await
        }
    };
    let settings = Sweep { after: AT_ONCE, every: Duration::from_secs(1) };
    let stop = CancellationToken::new();
    let sweeping = outbox.sweep(settings, stop.clone(), publish);
    let ending = async {
        while !rapids.has("good") {
            sleep(Duration::from_secs(1)).await;
        }
        // No more than a few sweeps, each of which gave up after three.
        assert!(tries.get() <= 12, "{}", tries.get());
        stop.cancel();
    };
    tokio::join!(sweeping, ending);
    assert_eq!(outbox.refused().await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_cannot_be_is_refused_before_it_is_asked_for() {
    let world = World::new().await;
    let outbox = Outbox::new(&world.pond, "o");
    let change: Vec<_> = (0..100).flat_map(|id| booking(&id.to_string())).collect();
    let asked = || world.aws.calls(Service::DynamoDb, "TransactWriteItems");
    let many = outbox.commit(change.clone(), &[event("e", Value::Null)], never).await;
    assert!(matches!(many, Err(CommitError::TooMany { items: 100 })), "{many:?}");
    let large = event("e", Value::String("x".repeat(393 * 1024)));
    let large = outbox.commit(booking("x"), &[large], never).await.unwrap_err();
    assert!(large.to_string().starts_with("1 events need 40"), "{large}");
    assert_eq!(asked(), 0);
    let most = [event("e", Value::String("x".repeat(391 * 1024)))];
    let committed = outbox.commit(change[..99].to_vec(), &most, busy).await.unwrap();
    assert!(matches!(committed, Committed::Left(_)));
    assert_eq!(
        outbox
            .sweep_once(AT_ONCE, async |_: Vec<Event>| Err(Unpublished::never("no")))
            .await
            .unwrap()
            .refused,
        1
    );
}

#[tokio::test(start_paused = true)]
async fn a_commit_in_the_way_of_others_is_tried_again() {
    let world = World::new().await;
    let (outbox, rapids) = (Outbox::new(&world.pond, "o"), Rapids::default());
    let fault = Fault::on(Service::DynamoDb, "TransactWriteItems").times(3);
    world.aws.faults().add(fault.error(400, "TransactionInProgressException", "wait"));
    let publish = async |events: Vec<Event>| rapids.publish(&events).await;
    outbox.commit(booking("1"), &[event("e", Value::Null)], publish).await.unwrap();
    assert!(is_booked(&world, "1").await && rapids.has("e"));
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_cannot_be_read_is_out_of_the_way() {
    let world = World::new().await;
    let (outbox, rapids) = (Outbox::new(&world.pond, "o"), Rapids::default());
    leave(&world, &outbox, "a").await;
    let items = world.dynamodb().scan().table_name("Pond-test-dev").send().await.unwrap();
    let is_entry = |item: &&std::collections::HashMap<String, AttributeValue>| {
        item["pk"].as_s().unwrap().starts_with("OUTBOX#")
    };
    let mut entry = items.items().iter().find(is_entry).unwrap().clone();
    let odd = AttributeValue::L(vec![AttributeValue::S("nonsense".into())]);
    entry.insert("events".into(), odd);
    let put = world.dynamodb().put_item().table_name("Pond-test-dev").set_item(Some(entry));
    put.send().await.unwrap();
    leave(&world, &outbox, "b").await;
    let publish = async |events: Vec<Event>| rapids.publish(&events).await;
    let swept = outbox.sweep_once(AT_ONCE, publish).await.unwrap();
    assert_eq!((swept.refused, swept.published), (1, 1));
    assert_eq!(outbox.refused().await.unwrap()[0].events, ["nonsense"]);
}

/// As `Handler::background` is declared.
trait Background {
    fn background(&self, stop: CancellationToken) -> impl Future<Output = ()> + Send;
}

struct Bookings {
    outbox: Outbox,
    full: String,
}

impl Bookings {
    async fn publish(&self, _: &[Event]) -> Result<(), Unpublished> {
        sleep(Duration::from_secs(1)).await;
        if self.full.is_empty() { Ok(()) } else { Err(Unpublished::later("full")) }
    }
}

impl Background for Bookings {
    async fn background(&self, stop: CancellationToken) {
        let publish = async |events: Vec<Event>| self.publish(&events).await;
        let events = [event("e", Value::Null)];
        assert!(self.outbox.commit(booking("1"), &events, publish).await.is_ok());
        self.outbox.sweep(Sweep::default(), stop, publish).await;
    }
}

#[tokio::test(start_paused = true)]
async fn it_serves_in_futures_that_move_between_threads() {
    let world = World::new().await;
    let service = Bookings { outbox: Outbox::new(&world.pond, "o"), full: String::new() };
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let running = tokio::spawn(async move { service.background(stopping).await });
    sleep(Duration::from_secs(60)).await;
    stop.cancel();
    running.await.unwrap();
    assert!(is_booked(&world, "1").await);
}
