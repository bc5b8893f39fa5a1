use std::time::Duration;

use event::names::Stage;
use event::route::{Direct, Routing};
use proptest::prelude::*;

use super::*;
use crate::tables::Removal;

fn river() -> River {
    River::parse("r1", &Stage::parse("dev").unwrap()).unwrap()
}

fn topics(statuses: &[(&str, Status)]) -> BTreeMap<Topic, Status> {
    statuses.iter().map(|(name, status)| (Topic::parse(name).unwrap(), *status)).collect()
}

/// Where SNS delivers at once, as it does in emulators, and may not show what was changed last.
fn planned(view: &View) -> Vec<Action> {
    let blueprint = Blueprint { bridge: Duration::ZERO, ..Blueprint::test() };
    plan(&blueprint, &river(), &View { in_doubt: true, ..view.clone() }).unwrap().actions
}

/// Where a filter takes up to 15 minutes.
fn bridged(view: &View) -> Plan {
    plan(&Blueprint::test(), &river(), view).unwrap()
}

/// The world after `actions`, as an observer sees it.
fn after(mut view: View, actions: &[Action]) -> View {
    let queue = || Queue { url: "http://q".to_owned(), attributes: Attributes::new() };
    for action in actions.iter().cloned() {
        match action {
            Action::CreateQueue { name } if name == "r1-dev" => view.queue = Some(queue()),
            Action::CreateQueue { .. } => view.dead_letter_queue = Some(queue()),
            Action::SetQueue { name, attributes } => {
                let found =
                    if name == "r1-dev" { &mut view.queue } else { &mut view.dead_letter_queue };
                found.as_mut().expect("a queue to set").attributes.extend(attributes);
            }
            Action::Subscribe { attributes, .. } => {
                assert!(view.queue.is_some(), "a subscription before its queue");
                view.subscription = Some(Subscription { arn: "arn:sub".to_owned(), attributes });
            }
            Action::SetSubscription { name, value, .. } => {
                view.subscription.as_mut().unwrap().attributes.insert(name, value);
            }
            Action::Unsubscribe { .. } => view.subscription = None,
            Action::Route { lines } if lines.is_empty() => view.row.direct = None,
            Action::Route { lines } => {
                let queue_url = view.queue.as_ref().expect("a queue to route to").url.clone();
                view.row.direct = Some(Direct { queue_url, packets: lines });
                view.versions.version += 1;
            }
            Action::Nudge => view.versions.nudged = view.versions.version,
            Action::DeleteQueue { name } if name == "r1-dev" => view.queue = None,
            Action::DeleteQueue { .. } => view.dead_letter_queue = None,
            Action::Forget => view.row = Row::default(),
            Action::Activate { topic } => {
                view.topics.insert(topic, Status::Active);
            }
        }
    }
    view
}

fn filter(view: &View) -> Option<&str> {
    view.subscription.as_ref().map(|found| found.attributes[FILTER_POLICY].as_str())
}

#[test]
fn a_new_river_is_built_from_the_dead_letter_queue_up() {
    let view = View { topics: topics(&[("ViewPage", Status::Pending)]), ..View::default() };
    let kinds: Vec<_> = planned(&view)
        .iter()
        .map(|action| match action {
            Action::CreateQueue { name } => format!("create {name}"),
            Action::SetQueue { name, .. } => format!("set {name}"),
            Action::Subscribe { endpoint, .. } => format!("subscribe {endpoint}"),
            Action::Activate { topic } => format!("activate {topic}"),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "create r1-dev-dlq",
            "set r1-dev-dlq",
            "create r1-dev",
            "set r1-dev",
            "subscribe arn:aws:sqs:us-east-1:123456789012:r1-dev",
            "activate ViewPage",
        ]
    );
}

#[test]
fn a_river_in_order_is_only_told_its_filter() {
    let view = View { topics: topics(&[("ViewPage", Status::Active)]), ..View::default() };
    let view = after(view.clone(), &planned(&view));
    let filter = r#"{"event_type":["ViewPage"]}"#.to_owned();
    let (arn, name) = ("arn:sub".to_owned(), FILTER_POLICY.to_owned());
    assert_eq!(planned(&view), [Action::SetSubscription { arn, name, value: filter }]);
}

#[test]
fn the_last_topic_takes_the_subscription_with_it_and_leaves_the_queue() {
    let view = View { topics: topics(&[("ViewPage", Status::Active)]), ..View::default() };
    let mut view = after(view.clone(), &planned(&view));
    view.topics.clear();
    assert_eq!(planned(&view), [Action::Unsubscribe { arn: "arn:sub".to_owned() }]);
    let view = after(view.clone(), &planned(&view));
    assert_eq!(planned(&view), []);
    assert!(view.queue.is_some());
}

#[test]
fn a_river_that_nobody_wants_is_not_made() {
    assert_eq!(planned(&View::default()), []);
    let refused = View { topics: topics(&[("ViewPage", Status::Degraded)]), ..View::default() };
    assert_eq!(planned(&refused), []);
}

#[test]
fn a_refused_topic_stays_out_of_the_filter() {
    let statuses = [("a", Status::Active), ("b", Status::Degraded), ("c", Status::Pending)];
    let view = View { topics: topics(&statuses), ..View::default() };
    let view = after(view.clone(), &planned(&view));
    assert_eq!(filter(&view), Some(r#"{"event_type":["a","c"]}"#));
    assert_eq!(view.topics, topics(&[statuses[0], statuses[1], ("c", Status::Active)]));
}

#[test]
fn one_topic_more_than_a_filter_holds_is_fed_directly_unless_sns_was_commanded() {
    let many = |count| {
        let names: Vec<_> = (0..count).map(|n| format!("t{n}")).collect();
        let statuses: Vec<_> = names.iter().map(|name| (name.as_str(), Status::Active)).collect();
        View { topics: topics(&statuses), ..View::default() }
    };
    assert_eq!(bridged(&many(150)).route, Route::Sns);
    let direct = bridged(&many(151));
    assert_eq!(direct.route, Route::Direct);
    assert_eq!(direct.reason, "151 topics, and an SNS filter policy holds 150");
    let row = Row { routing: Routing::Sns, ..Row::default() };
    let commanded = View { row, ..many(151) };
    let error = plan(&Blueprint::test(), &river(), &commanded).unwrap_err();
    assert!(error.is_refusal());
    assert_eq!(
        error.to_string(),
        "river r1 is refused: 151 topics, and an SNS filter policy holds 150"
    );
}

fn kinds(actions: &[Action]) -> Vec<&'static str> {
    let kind = |action: &Action| match action {
        Action::CreateQueue { .. } => "create",
        Action::SetQueue { .. } => "set",
        Action::Route { .. } => "route",
        Action::Nudge => "nudge",
        Action::Subscribe { .. } => "subscribe",
        Action::SetSubscription { .. } => "set subscription",
        Action::Unsubscribe { .. } => "unsubscribe",
        Action::Activate { .. } => "activate",
        Action::DeleteQueue { .. } => "delete",
        Action::Forget => "forget",
    };
    actions.iter().map(kind).collect()
}

fn lines(view: &View) -> Vec<(&str, Option<i64>)> {
    let direct = view.row.direct.iter().flat_map(|direct| &direct.packets);
    direct.map(|line| (line.topic.as_str(), line.until.map(Timestamp::as_second))).collect()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn a_new_topic_is_written_by_the_reader_until_sns_surely_delivers_it() {
    let view = View { topics: topics(&[("a", Status::Pending)]), ..View::default() };
    let begun = bridged(&view);
    let steps = ["create", "set", "create", "set", "route", "nudge", "subscribe", "activate"];
    assert_eq!(kinds(&begun.actions), steps);
    let mut view = after(view, &begun.actions);
    assert_eq!(lines(&view), [("a", Some(960))]);

    // Another topic changes the filter before SNS surely knew the first: both have a bridge until it does.
    view.now = at(600);
    view.topics.extend(topics(&[("b", Status::Pending)]));
    let more = bridged(&view);
    assert_eq!(kinds(&more.actions), ["route", "nudge", "set subscription", "activate"]);
    let mut view = after(view, &more.actions);
    assert_eq!(lines(&view), [("a", Some(1_560)), ("b", Some(1_560))]);
    view.now = at(1_559);
    assert_eq!(bridged(&view).actions, []);
    view.now = at(1_560);
    let over = bridged(&view);
    assert_eq!(kinds(&over.actions), ["route"]);
    assert_eq!(lines(&after(view, &over.actions)), []);
}

#[test]
fn less_in_the_filter_keeps_a_bridge_open_and_none_that_is_closed_is_opened() {
    let wanted = topics(&[("a", Status::Pending), ("b", Status::Active)]);
    let view = View { topics: topics(&[("b", Status::Active)]), ..View::default() };
    let view = after(view.clone(), &planned(&view));
    let view = View { topics: wanted, ..view };
    let mut view = after(view.clone(), &bridged(&view).actions);
    assert_eq!(lines(&view), [("a", Some(960))]);
    view.now = at(300);
    view.topics.remove(&Topic::parse("b").unwrap());
    assert_eq!(lines(&after(view.clone(), &bridged(&view).actions)), [("a", Some(1_260))]);
    view.now = at(960);
    view.row.direct = None;
    assert_eq!(kinds(&bridged(&view).actions), ["set subscription"]);
}

#[test]
fn a_bridge_is_told_to_the_readers_though_the_one_who_built_it_died() {
    let view = View { topics: topics(&[("a", Status::Pending)]), ..View::default() };
    let begun = bridged(&view);
    let cut = begun.actions.iter().position(|action| *action == Action::Nudge).unwrap();
    let left = after(view, &begun.actions[..cut]);
    assert_eq!(kinds(&bridged(&left).actions), ["nudge", "subscribe", "activate"]);
}

#[test]
fn a_filter_that_others_changed_has_a_bridge_for_what_is_missing_in_it() {
    let view =
        View { topics: topics(&[("a", Status::Active), ("b", Status::Active)]), ..View::default() };
    let mut view = after(view.clone(), &planned(&view));
    assert_eq!(bridged(&view).actions, []);
    let filter = &mut view.subscription.as_mut().unwrap().attributes;
    filter.insert(FILTER_POLICY.to_owned(), r#"{"event_type":["a"]}"#.to_owned());
    let repair = bridged(&view);
    assert_eq!(kinds(&repair.actions), ["route", "nudge", "set subscription"]);
    assert_eq!(lines(&after(view.clone(), &repair.actions)), [("b", Some(960))]);
    // Less is delivered at once: there is nothing to bridge.
    view.topics = topics(&[("a", Status::Active)]);
    view.subscription
        .as_mut()
        .unwrap()
        .attributes
        .insert(FILTER_POLICY.to_owned(), r#"{"event_type":["a","b"]}"#.to_owned());
    assert_eq!(kinds(&bridged(&view).actions), ["set subscription"]);
}

#[test]
fn a_river_changes_its_route_without_a_gap_in_either_direction() {
    let view = View { topics: topics(&[("a", Status::Active)]), ..View::default() };
    let mut view = after(view.clone(), &planned(&view));
    view.row.routing = Routing::Direct;
    let direct = bridged(&view);
    assert_eq!(kinds(&direct.actions), ["route", "nudge", "unsubscribe"]);
    let mut view = after(view, &direct.actions);
    assert_eq!(lines(&view), [("a", None)]);
    assert_eq!(bridged(&view).actions, []);
    view.row.routing = Routing::Sns;
    let back = bridged(&view);
    assert_eq!(kinds(&back.actions), ["route", "nudge", "subscribe"]);
    assert_eq!(lines(&after(view, &back.actions)), [("a", Some(960))]);
}

#[test]
fn a_river_goes_when_it_is_empty_and_not_before_its_counts_can_be_trusted() {
    let view = View { topics: topics(&[("a", Status::Active)]), ..View::default() };
    let mut view = after(view.clone(), &planned(&view));
    view.topics.clear();
    view.row.removal = Some(Removal { discard: false, since: at(0) });
    let waiting = |view: &mut View, messages: &str| {
        let queue = view.dead_letter_queue.as_mut().unwrap();
        queue.attributes.insert("ApproximateNumberOfMessages".to_owned(), messages.to_owned());
    };
    waiting(&mut view, "0");
    let early = bridged(&view);
    assert_eq!(kinds(&early.actions), ["unsubscribe"]);
    let mut view = after(view, &early.actions);
    view.now = at(960);
    waiting(&mut view, "1");
    let full = bridged(&view);
    assert_eq!(full.actions, []);
    assert!(full.findings[0].contains("1 messages wait"), "{full:?}");
    waiting(&mut view, "0");
    assert_eq!(kinds(&bridged(&view).actions), ["delete", "delete", "forget"]);
    waiting(&mut view, "7");
    view.row.removal = Some(Removal { discard: true, since: at(960) });
    assert_eq!(kinds(&bridged(&view).actions), ["delete", "delete", "forget"]);
}

#[test]
fn a_setting_changed_by_hand_is_brought_back() {
    let view = View { topics: topics(&[("a", Status::Active)]), ..View::default() };
    let mut view = after(view.clone(), &planned(&view));
    let queue = view.queue.as_mut().unwrap();
    queue.attributes.insert("VisibilityTimeout".to_owned(), "1".to_owned());
    let subscription = view.subscription.as_mut().unwrap();
    subscription.attributes.remove("RedrivePolicy");
    let repaired = after(view.clone(), &planned(&view));
    assert_eq!(repaired.queue.unwrap().attributes["VisibilityTimeout"], "30");
    assert!(repaired.subscription.unwrap().attributes.contains_key("RedrivePolicy"));
}

fn any_status() -> impl Strategy<Value = Status> {
    prop_oneof![Just(Status::Pending), Just(Status::Active), Just(Status::Degraded)]
}

fn any_routing() -> impl Strategy<Value = Routing> {
    prop_oneof![Just(Routing::Auto), Just(Routing::Sns), Just(Routing::Direct)]
}

proptest! {
    /// A crash after any step, and a plan made anew from what is there, end in the same world.
    #[test]
    fn a_plan_cut_short_anywhere_is_completed_by_the_next(
        before in proptest::collection::btree_map("[a-e]", any_status(), 0..5),
        wanted in proptest::collection::btree_map("[a-e]", any_status(), 0..5),
        routings in proptest::array::uniform2(any_routing()),
        bridge in prop_oneof![Just(0_u64), Just(960)],
        cut in 0_usize..12,
    ) {
        let blueprint = Blueprint { bridge: Duration::from_secs(bridge), ..Blueprint::test() };
        let planned = |view: &View| plan(&blueprint, &river(), view).unwrap().actions;
        let named = |map: &BTreeMap<String, Status>| -> BTreeMap<Topic, Status> {
            map.iter().map(|(name, status)| (Topic::parse(name).unwrap(), *status)).collect()
        };
        let start = View { topics: named(&before), ..View::default() };
        let start = View { row: Row { routing: routings[0], ..Row::default() }, ..start };
        let mut start = View { topics: named(&wanted), ..after(start.clone(), &planned(&start)) };
        start.row.routing = routings[1];
        let actions = planned(&start);
        let whole = after(start.clone(), &actions);
        let cut_short = after(start, &actions[..cut.min(actions.len())]);
        let completed = after(cut_short.clone(), &planned(&cut_short));
        // How often the routes were written is no matter.
        let unversioned = |view: View| View { versions: Versions::default(), ..view };
        prop_assert_eq!(unversioned(completed.clone()), unversioned(whole));
        prop_assert_eq!(planned(&completed), []);
    }
}
