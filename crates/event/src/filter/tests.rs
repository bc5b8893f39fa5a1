use super::*;

fn attributes(of: &[(&str, Value)]) -> Attributes {
    let values = |value: &Value| match value {
        Value::Array(elements) => elements.clone(),
        single => vec![single.clone()],
    };
    of.iter().map(|(name, value)| ((*name).to_owned(), values(value))).collect()
}

fn passes(policy: Value, of: &[(&str, Value)]) -> bool {
    let policy = FilterPolicy::parse(&policy.to_string(), Scope::Attributes).unwrap();
    policy.matches_attributes(&attributes(of))
}

fn body_passes(policy: Value, body: &Value) -> bool {
    FilterPolicy::parse(&policy.to_string(), Scope::Body).unwrap().matches_body(body)
}

#[test]
fn a_river_gets_its_event_types_and_no_other() {
    let policy = river_policy(["ViewPage", "OfferProposed", "ViewPage"]);
    assert_eq!(policy, r#"{"event_type":["OfferProposed","ViewPage"]}"#);
    let policy = FilterPolicy::parse(&policy, Scope::Attributes).unwrap();
    let matches =
        |name: &str| policy.matches_attributes(&attributes(&[("event_type", json!(name))]));
    assert!(matches("ViewPage") && matches("OfferProposed"));
    assert!(!matches("viewpage") && !matches("View"));
    assert!(!policy.matches_attributes(&Attributes::new()));
}

#[test]
fn each_operator_does_what_the_page_says() {
    let cases = [
        (json!({"prefix": "Offer"}), json!("OfferProposed"), json!("NoOffer")),
        (json!({"suffix": "Page"}), json!("ViewPage"), json!("PageView")),
        (json!({"equals-ignore-case": "viewpage"}), json!("ViewPage"), json!("View")),
        (json!({"anything-but": ["a", "b"]}), json!("c"), json!("a")),
        (json!({"anything-but": {"prefix": "a"}}), json!("b"), json!("ab")),
        (json!({"numeric": ["=", 1]}), json!(1.0), json!(2)),
        (json!({"numeric": [">", 0, "<=", 5]}), json!(5), json!(5.1)),
        (json!({"cidr": "10.0.0.0/8"}), json!("10.1.2.3"), json!("11.0.0.1")),
        (json!(true), json!(true), json!("true")),
        (json!(null), json!(null), json!("null")),
        (json!(7), json!(7.0), json!("7")),
    ];
    for (condition, pass, fail) in cases {
        assert!(passes(json!({ "k": [condition] }), &[("k", pass.clone())]), "{condition} {pass}");
        assert!(!passes(json!({ "k": [condition] }), &[("k", fail.clone())]), "{condition} {fail}");
        let absent_passes = passes(json!({ "k": [condition] }), &[]);
        assert!(!absent_passes, "{condition} on an absent key");
    }
}

#[test]
fn presence_can_be_asked_for_both_ways() {
    let here = [("k", json!("x"))];
    assert!(passes(json!({"k": [{"exists": true}]}), &here));
    assert!(!passes(json!({"k": [{"exists": true}]}), &[]));
    assert!(passes(json!({"k": [{"exists": false}]}), &[]));
    assert!(!passes(json!({"k": [{"exists": false}]}), &here));
}

#[test]
fn keys_are_joined_by_and_values_by_or() {
    let policy = json!({"a": ["1", "2"], "b": ["x"]});
    assert!(passes(policy.clone(), &[("a", json!("2")), ("b", json!("x"))]));
    assert!(!passes(policy.clone(), &[("a", json!("2"))]));
    assert!(!passes(policy, &[("a", json!("3")), ("b", json!("x"))]));
}

#[test]
fn or_joins_branches_with_the_rest_of_the_policy() {
    let policy = json!({"a": ["1"], "$or": [{"b": ["x"]}, {"c": ["y"]}]});
    assert!(passes(policy.clone(), &[("a", json!("1")), ("c", json!("y"))]));
    assert!(!passes(policy.clone(), &[("a", json!("1"))]));
    assert!(!passes(policy, &[("b", json!("x")), ("c", json!("y"))]));
}

#[test]
fn one_element_of_a_list_is_enough() {
    assert!(passes(json!({"arm": ["ranking:bold"]}), &[("arm", json!(["x:y", "ranking:bold"]))]));
    assert!(!passes(json!({"arm": ["ranking:bold"]}), &[("arm", json!(["x:y"]))]));
}

#[test]
fn a_body_is_matched_where_the_policy_points() {
    let policy = json!({"payload": {"tier": ["Platinum"], "offers": {"slot": ["rental"]}}});
    let body = |tier: &str, slot: &str| json!({"payload": {"tier": tier, "offers": [{"slot": "hotel"}, {"slot": slot}]}});
    assert!(body_passes(policy.clone(), &body("Platinum", "rental")));
    assert!(!body_passes(policy.clone(), &body("Gold", "rental")));
    assert!(!body_passes(policy.clone(), &body("Platinum", "car")));
    assert!(!body_passes(policy, &json!("text")));
}

#[test]
fn what_aws_would_refuse_is_refused_with_the_reason() {
    let reason = |policy: Value| {
        FilterPolicy::parse(&policy.to_string(), Scope::Attributes).unwrap_err().to_string()
    };
    let many: Vec<_> = (0..151).map(|n| n.to_string()).collect();
    assert!(reason(json!({"event_type": many})).contains("combinations is 151, at most 150"));
    let product: Vec<_> = (0..76).map(|n| n.to_string()).collect();
    assert!(reason(json!({"a": product, "b": ["x", "y"]})).contains("152"));
    let keys: Map<_, _> = (0..6).map(|n| (n.to_string(), json!(["x"]))).collect();
    assert!(reason(Value::Object(keys)).contains("keys is 6"));
    assert!(reason(json!({"a": {"b": ["x"]}})).contains("\"a\""), "nesting needs the body's scope");
    assert!(reason(json!({"a": "x"})).contains("list of conditions"));
    assert!(reason(json!({"a": []})).contains("list of conditions"));
    assert!(reason(json!({"a": [{"like": "x"}]})).contains("unknown operator \"like\""));
    assert!(reason(json!({"a": [{"numeric": [">"]}]})).contains("numeric"));
    assert!(reason(json!([])).contains("not a JSON object"));
}
