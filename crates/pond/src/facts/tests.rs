use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{Requires, Rule, due};

fn event(id: &str, at_s: i64, version: Option<u32>) -> Event {
    let at = Timestamp::from_second(at_s).unwrap();
    let mut event = Event::root("X", "test", Value::Null, at);
    event.event_id = id.into();
    event.schema_version = version;
    event
}

fn segment(id: &str, at_s: i64, version: Option<u32>, value: &str) -> Fact {
    Fact::of(&event(id, at_s, version), "segment", json!(value))
}

#[test]
fn of_two_facts_the_newer_counts_by_version_then_time_then_id() {
    let ordered = [
        segment("e", -5, None, "before 1970"),
        segment("d", 100, None, "early"),
        segment("b", 200, Some(1), "late"),
        segment("c", 200, None, "same time, greater id"),
        segment("a", 1, Some(2), "newer version"),
    ];
    for older in 0..ordered.len() {
        for newer in older + 1..ordered.len() {
            for order in [[older, newer], [newer, older]] {
                let mut known = Known::default();
                order.into_iter().for_each(|index| known.learn(ordered[index].clone()));
                assert_eq!(known.get("segment"), Some(&ordered[newer]));
            }
        }
    }
}

#[test]
fn a_copy_of_what_is_known_changes_nothing_though_it_was_made_later() {
    let mut known = Known::default();
    known.learn(segment("s", 7, None, "RoadWarrior"));
    let before = known.clone();
    known.learn(segment("s", 9, None, "RoadWarrior"));
    assert_eq!(known, before);
    assert_eq!(known.get("segment").unwrap().at(), Timestamp::from_second(7).unwrap());
}

#[test]
fn what_is_written_is_read_again() {
    let mut known = Known::default();
    known.learn(segment("s", 7, None, "RoadWarrior"));
    known.learn(Fact::of(&event("v", 1, None), "view", json!({"name": "Sally"})));
    known.emit("e".into());
    let mut item = item::key("FACTS#c", FACTS);
    for fact in known.facts.values() {
        item.insert(format!("{PREFIX}{}", fact.name), AttributeValue::M(to_map(fact)));
    }
    item.insert(EMITTED.into(), AttributeValue::Ss(vec!["e".into()]));
    assert_eq!(from_item(&item), Ok(known));
    item.insert("fact:odd".into(), item::text("not a map"));
    assert_eq!(from_item(&item), Err("fact:odd"));
}

const RULES: &[Rule<()>] = &[
    Rule { id: "baseline", requires: &[Requires::Known("view")], then: () },
    Rule {
        id: "segment",
        requires: &[Requires::Known("view"), Requires::Is("segment", "RoadWarrior")],
        then: (),
    },
];

#[test]
fn a_rule_asks_for_all_of_its_facts_with_their_values() {
    let met = |facts: &[(&str, Value)]| {
        let mut known = Known::default();
        for (name, value) in facts {
            known.learn(Fact::of(&event("e", 1, None), *name, value.clone()));
        }
        due(RULES, &known).map(|rule| rule.id).collect::<Vec<_>>()
    };
    let (view, warrior) = (("view", json!({})), ("segment", json!("RoadWarrior")));
    assert_eq!(met(&[]), [""; 0]);
    assert_eq!(met(std::slice::from_ref(&warrior)), [""; 0]);
    assert_eq!(met(std::slice::from_ref(&view)), ["baseline"]);
    assert_eq!(met(&[view.clone(), ("segment", json!("None"))]), ["baseline"]);
    assert_eq!(met(&[view, warrior]), ["baseline", "segment"]);
}

proptest! {
    #[test]
    fn facts_learned_in_any_order_leave_the_same_knowledge(
        facts in prop::collection::vec((0..3usize, 0..3i64, 0..3usize), 0..8), seed in any::<u64>(),
    ) {
        let facts: Vec<Fact> = facts
            .iter()
            .map(|(name, at, id)| {
                // One event says one thing: the value follows from name, time and id.
                let event = event(&format!("{id}{at}"), *at, None);
                Fact::of(&event, ["x", "y", "z"][*name], json!(format!("{name}{at}{id}")))
            })
            .collect();
        let mut shuffled = facts.clone();
        fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
        let learned = |facts: Vec<Fact>| {
            let mut known = Known::default();
            facts.into_iter().for_each(|fact| known.learn(fact));
            known
        };
        prop_assert_eq!(learned(facts), learned(shuffled));
    }
}
