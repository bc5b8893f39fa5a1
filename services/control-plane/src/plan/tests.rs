use event::names::Stage;
use proptest::prelude::*;

use super::*;

fn river() -> River {
    River::parse("r1", &Stage::parse("dev").unwrap()).unwrap()
}

fn topics(statuses: &[(&str, Status)]) -> BTreeMap<Topic, Status> {
    statuses.iter().map(|(name, status)| (Topic::parse(name).unwrap(), *status)).collect()
}

fn planned(view: &View) -> Vec<Action> {
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
fn one_topic_more_than_a_filter_holds_is_refused_by_name() {
    let many = |count| {
        let names: Vec<_> = (0..count).map(|n| format!("t{n}")).collect();
        let statuses: Vec<_> = names.iter().map(|name| (name.as_str(), Status::Active)).collect();
        View { topics: topics(&statuses), ..View::default() }
    };
    assert!(plan(&Blueprint::test(), &river(), &many(150)).is_ok());
    let error = plan(&Blueprint::test(), &river(), &many(151)).unwrap_err();
    assert!(error.is_refusal());
    assert_eq!(
        error.to_string(),
        "river r1 is refused: 151 topics, and an SNS filter policy holds 150"
    );
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

proptest! {
    /// A crash after any step, and a plan made anew from what is there, end in the same world.
    #[test]
    fn a_plan_cut_short_anywhere_is_completed_by_the_next(
        before in proptest::collection::btree_map("[a-e]", any_status(), 0..5),
        wanted in proptest::collection::btree_map("[a-e]", any_status(), 0..5),
        cut in 0_usize..10,
    ) {
        let named = |map: &BTreeMap<String, Status>| -> BTreeMap<Topic, Status> {
            map.iter().map(|(name, status)| (Topic::parse(name).unwrap(), *status)).collect()
        };
        let start = View { topics: named(&before), ..View::default() };
        let start = View { topics: named(&wanted), ..after(start.clone(), &planned(&start)) };
        let actions = planned(&start);
        let whole = after(start.clone(), &actions);
        let cut_short = after(start, &actions[..cut.min(actions.len())]);
        let completed = after(cut_short.clone(), &planned(&cut_short));
        prop_assert_eq!(completed, whole);
    }
}
