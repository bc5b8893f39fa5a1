use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn schema(json: Value) -> Schema {
    Schema::parse(json).unwrap()
}

/// Where and by which rules consumers of the old schema would be broken.
fn broken(old: Value, new: Value) -> Vec<(String, String)> {
    let found = incompatibilities(&schema(old), &schema(new));
    found.into_iter().map(|one| (one.at, one.rule)).collect()
}

fn assert_broken(old: Value, new: Value, expected: &[(&str, &str)]) {
    let told = format!("{old} to {new}");
    let found = broken(old, new);
    let expected: Vec<_> =
        expected.iter().map(|(at, rule)| ((*at).to_owned(), (*rule).to_owned())).collect();
    assert_eq!(found, expected, "{told}");
}

fn assert_fits(old: Value, new: Value) {
    assert_broken(old, new, &[]);
}

#[test]
fn a_field_may_come_and_become_required_but_not_go() {
    let name = json!({"type": "string"});
    let old = json!({"type": "object", "required": ["name"], "properties": {"name": name}});
    let more = json!({"type": "object", "required": ["name", "age"],
        "properties": {"name": name, "age": {"type": "integer"}}});
    assert_fits(old.clone(), more.clone());
    assert_broken(
        more.clone(),
        old.clone(),
        &[("/properties/age", "properties"), ("/required", "required")],
    );
    // Never there is not the same as anything.
    let gone = json!({"type": "object", "required": ["name", "age"], "properties": {"name": name, "age": false}});
    assert_fits(more, gone);
    let optional = json!({"type": "object", "properties": {"name": name}});
    assert_broken(old, optional, &[("/required", "required")]);
}

#[test]
fn who_expects_no_more_fields_is_not_sent_more() {
    let closed = json!({"properties": {"a": {}}, "additionalProperties": false});
    let more = json!({"properties": {"a": {}, "b": {}}, "additionalProperties": false});
    assert_fits(more.clone(), closed.clone());
    assert_broken(closed.clone(), more, &[("/properties/b", "additionalProperties")]);
    assert_broken(closed, json!({}), &[("/additionalProperties", "additionalProperties")]);
    let texts = json!({"additionalProperties": {"type": "string"}});
    assert_fits(
        texts.clone(),
        json!({"properties": {"a": {"const": "x"}}, "additionalProperties": false}),
    );
    assert_broken(
        texts,
        json!({"properties": {"a": {"type": "null"}}, "additionalProperties": false}),
        &[("/properties/a", "additionalProperties")],
    );
}

#[test]
fn types_and_values_become_fewer_and_never_more() {
    let number = json!({"type": "number"});
    let integer = json!({"type": "integer"});
    assert_fits(number.clone(), integer.clone());
    assert_broken(integer.clone(), number, &[("/type", "type")]);
    assert_broken(integer.clone(), json!({"type": ["integer", "null"]}), &[("/type", "type")]);
    assert_broken(integer, json!({"type": "string"}), &[("/type", "type")]);
    let two = json!({"enum": ["gold", "silver"]});
    assert_fits(two.clone(), json!({"const": "gold"}));
    assert_broken(two.clone(), json!({"enum": ["gold", "silver", "lead"]}), &[("/enum", "enum")]);
    assert_broken(two, json!({"type": "string"}), &[("/enum", "enum")]);
    assert_fits(json!({"type": "string", "maxLength": 4}), json!({"enum": ["gold"]}));
    assert_fits(json!({"type": ["boolean", "string"]}), json!({"type": "boolean"}));
    assert_fits(json!({"enum": [true, false, null]}), json!({"type": ["boolean", "null"]}));
}

#[test]
fn the_report_says_which_values_are_new() {
    let two = schema(json!({"properties": {"tier": {"enum": ["gold", "silver"]}}}));
    let three = schema(json!({"properties": {"tier": {"enum": ["gold", "silver", "lead"]}}}));
    let [one] = &incompatibilities(&two, &three)[..] else { panic!("one") };
    assert_eq!(
        one.to_string(),
        r#"/properties/tier/enum: consumers may meet a value that they do not know (was ["gold","silver"], is ["lead"])"#
    );
    let json = json!({"at": "/properties/tier/enum", "rule": "enum", "old": ["gold", "silver"], "new": ["lead"]});
    assert_eq!(serde_json::to_value(one).unwrap(), json);
}

#[test]
fn bounds_become_closer_and_never_wider() {
    for (keyword, near, far) in [
        ("minimum", 2, 1),
        ("exclusiveMinimum", 2, 1),
        ("maximum", 1, 2),
        ("exclusiveMaximum", 1, 2),
        ("multipleOf", 4, 2),
        ("minLength", 2, 1),
        ("maxLength", 1, 2),
        ("minItems", 2, 1),
        ("maxItems", 1, 2),
        ("minProperties", 2, 1),
        ("maxProperties", 1, 2),
    ] {
        let bound = |value: i32| json!({ keyword: value });
        let at = format!("/{keyword}");
        assert_fits(bound(far), bound(near));
        assert_broken(bound(near), bound(far), &[(&at, keyword)]);
        assert_broken(bound(near), json!({}), &[(&at, keyword)]);
    }
    assert_fits(json!({"minimum": 1}), json!({"exclusiveMinimum": 1}));
    assert_broken(
        json!({"exclusiveMinimum": 1}),
        json!({"minimum": 1}),
        &[("/exclusiveMinimum", "exclusiveMinimum")],
    );
    assert_fits(json!({"uniqueItems": true}), json!({"maxItems": 1}));
    let least = i64::MIN;
    assert_broken(
        json!({"minimum": least + 1}),
        json!({"minimum": least}),
        &[("/minimum", "minimum")],
    );
    // What a keyword does not concern cannot break it.
    assert_fits(json!({"type": ["string", "null"], "maxLength": 3}), json!({"type": "null"}));
}

#[test]
fn elements_are_compared_one_by_one_and_beyond_those_listed() {
    let texts = json!({"type": "array", "items": {"type": "string"}});
    assert_fits(
        texts.clone(),
        json!({"type": "array", "prefixItems": [{"const": "a"}], "items": {"maxLength": 2, "type": "string"}}),
    );
    assert_broken(
        texts.clone(),
        json!({"type": "array", "prefixItems": [{"const": 1}], "items": {"type": "string"}}),
        &[("/items/type", "type")],
    );
    assert_broken(texts, json!({"type": "array"}), &[("/items/type", "type")]);
    assert_fits(json!({"prefixItems": [{"type": "string"}]}), json!({"items": {"type": "string"}}));
}

#[test]
fn references_are_followed_also_where_they_lead_back() {
    let tree = |text: Value| {
        json!({"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "properties": {
            "name": text, "below": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}}})
    };
    let (old, new) =
        (tree(json!({"type": "string"})), tree(json!({"type": "string", "maxLength": 3})));
    assert_fits(old.clone(), new.clone());
    assert_broken(new, old, &[("/$ref/properties/name/maxLength", "maxLength")]);
    // The same words, and another meaning.
    let of = |kind: &str| json!({"properties": {"a": {"pattern": "x", "not": {"$ref": "#/$defs/b"}}}, "$defs": {"b": {"type": kind}}});
    assert_broken(of("null"), of("string"), &[("/properties/a/not", "not")]);
    assert_fits(of("null"), of("null"));
}

#[test]
fn alternatives_may_go_and_not_come() {
    let any = |kinds: &[&str]| json!({"anyOf": kinds.iter().map(|kind| json!({"type": kind})).collect::<Vec<_>>()});
    assert_fits(any(&["string", "null"]), any(&["null"]));
    assert_fits(any(&["string", "null"]), any(&["null", "string"]));
    assert_broken(any(&["null"]), any(&["null", "string"]), &[("/anyOf", "anyOf")]);
    let one = |kinds: &[&str]| {
        let of = |kind: &&str| json!({"type": "object", "required": ["kind"], "properties": {"kind": {"const": kind}}});
        json!({"oneOf": kinds.iter().map(of).collect::<Vec<_>>()})
    };
    assert_fits(one(&["a", "b", "c"]), one(&["c", "a"]));
    assert_broken(one(&["a"]), one(&["a", "b"]), &[("/oneOf", "oneOf")]);
    let overlapping = json!({"oneOf": [{"minimum": 1}, {"minimum": 2}]});
    assert_broken(overlapping, json!({"minimum": 3}), &[("/oneOf", "oneOf")]);
}

#[test]
fn what_cannot_be_compared_is_incompatible_unless_it_is_the_same() {
    for (keyword, a, b) in [
        ("pattern", json!("^a"), json!("^b")),
        ("format", json!("date"), json!("time")),
        ("not", json!({"type": "null"}), json!({"type": "string"})),
        ("contains", json!({"type": "null"}), json!({"type": "string"})),
        ("discriminator", json!("kind"), json!("type")),
    ] {
        let at = format!("/{keyword}");
        assert_fits(json!({ keyword: a }), json!({ keyword: a, "title": "the same" }));
        let mut expected = vec![(at.as_str(), keyword)];
        assert_eq!(broken(json!({ keyword: a }), json!({})).len(), 1, "{keyword}");
        if keyword == "discriminator" {
            expected.push((&at, keyword));
        }
        assert_broken(json!({ keyword: a }), json!({ keyword: b }), &expected);
    }
    // Each says the same, but not of the same fields.
    let old = json!({"properties": {"a": {}}, "unevaluatedProperties": false});
    let new = json!({"properties": {"a": {}, "b": {}}, "unevaluatedProperties": false});
    assert_eq!(broken(old.clone(), new).len(), 1);
    assert_fits(old.clone(), old);
    assert_broken(
        json!({}),
        json!({"discriminator": "kind"}),
        &[("/discriminator", "discriminator")],
    );
    assert_fits(json!({}), json!({"x-team": "web", "title": "A", "deprecated": true}));
}

#[test]
fn what_is_no_schema_is_refused_with_the_place() {
    for (json, at) in [
        (json!(7), ""),
        (json!({"type": "strng"}), "/type"),
        (json!({"type": []}), "/type"),
        (json!({"properties": {"a": {"minimum": "1"}}}), "/properties/a/minimum"),
        (json!({"properties": {"a/b": 1}}), "/properties/a~1b"),
        (json!({"required": ["a", "a"]}), "/required"),
        (json!({"maxLength": -1}), "/maxLength"),
        (json!({"items": [{}]}), "/items"),
        (json!({"$ref": "https://example.org/a.json"}), "/$ref"),
        (json!({"$ref": "#/$defs/missing"}), "/$ref"),
        (json!({"$ref": "#"}), "/$ref"),
        (json!({"allOf": [{"$ref": "#"}]}), "/allOf/0/$ref"),
        (json!({"$schema": "http://json-schema.org/draft-07/schema#"}), "/$schema"),
        (json!({"$defs": {"a": {"$id": "urn:a"}}}), "/$defs/a/$id"),
    ] {
        let told = json.to_string();
        match Schema::parse(json) {
            Err(malformed) if malformed.at == "/$ref" && at.ends_with("/$ref") => {}
            Err(malformed) => assert_eq!(malformed.at, at, "{told}: {malformed}"),
            Ok(_) => panic!("{told} was taken"),
        }
    }
}

#[test]
fn what_is_too_deep_is_refused_or_given_up_and_fits_on_a_stack() {
    let chain = |link: &dyn Fn(Value) -> Value, end: Value| {
        let mut defs: serde_json::Map<_, _> = (0..5_000)
            .map(|index| {
                (format!("d{index}"), link(json!({"$ref": format!("#/$defs/d{}", index + 1)})))
            })
            .collect();
        defs.insert("d5000".to_owned(), end);
        json!({"$ref": "#/$defs/d0", "$defs": defs})
    };
    let at_once = chain(&|next| next, json!({}));
    assert!(Schema::parse(at_once).unwrap_err().why.contains("more than 32 schemas"));
    let below = |end: Value| chain(&|next| json!({"items": next}), end);
    let (old, new) = (below(json!({"type": "null"})), below(json!({})));
    assert_eq!(broken(old.clone(), new).first().unwrap().1, "size");
    let mut value = json!([]);
    for _ in 0..5_000 {
        value = Value::Array(vec![value]);
    }
    assert!(schema(old).judge(&value).unchecked.contains("depth"));
    // Dropping it at once would not fit.
    while let Some(next) = value.get_mut(0) {
        value = next.take();
    }
}

#[test]
fn the_schemas_of_the_scenario_are_schemas_and_compatible_with_themselves() {
    for text in [
        include_str!("../../schema/event.schema.json"),
        include_str!("../../schema/command.schema.json"),
        include_str!("../../schema/payload/OfferProposed.schema.json"),
        include_str!("../../schema/payload/OffersSelected.schema.json"),
        include_str!("../../schema/payload/ViewPage.schema.json"),
    ] {
        let json: Value = serde_json::from_str(text).unwrap();
        let old = schema(json.clone());
        let mut other = json.clone();
        other["title"] = "Another".into();
        assert_eq!(incompatibilities(&old, &schema(other)), []);
        assert!(!broken(json, json!({})).is_empty());
    }
}

/// Values of few kinds, so that schemas and values meet.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-3..4_i64).prop_map(Value::from),
        prop_oneof![Just(0.5), Just(1.0), Just(-2.5)].prop_map(Value::from),
        "[ab]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[abc]", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn keywords(inner: BoxedStrategy<Value>) -> impl Strategy<Value = (String, Value)> {
    let kind = prop::sample::select(vec![
        "null", "boolean", "integer", "number", "string", "array", "object",
    ]);
    let kinds = prop::sample::subsequence(
        vec!["null", "boolean", "integer", "number", "string", "array", "object"],
        1..5,
    );
    let number =
        prop::sample::select(vec!["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]);
    let counts = prop::sample::select(vec![
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
    ]);
    let one = prop::sample::select(vec![
        "items",
        "additionalProperties",
        "not",
        "contains",
        "propertyNames",
    ]);
    let many = prop::sample::select(vec!["allOf", "anyOf", "oneOf", "prefixItems"]);
    prop_oneof![
        3 => kind.prop_map(|kind| ("type".to_owned(), kind.into())),
        2 => kinds.prop_map(|kinds| ("type".to_owned(), kinds.into())),
        1 => prop::collection::vec(value(), 1..4).prop_map(|all| ("enum".to_owned(), all.into())),
        1 => value().prop_map(|value| ("const".to_owned(), value)),
        2 => (number, -3..4_i64).prop_map(|(name, bound)| (name.to_owned(), bound.into())),
        1 => (1..4_i64).prop_map(|step| ("multipleOf".to_owned(), step.into())),
        2 => (counts, 0..3_u64).prop_map(|(name, bound)| (name.to_owned(), bound.into())),
        1 => any::<bool>().prop_map(|flag| ("uniqueItems".to_owned(), flag.into())),
        2 => prop::sample::subsequence(vec!["a", "b", "c"], 0..3).prop_map(|names| ("required".to_owned(), names.into())),
        3 => prop::collection::btree_map("[abc]", inner.clone(), 1..3)
            .prop_map(|map| ("properties".to_owned(), Value::Object(map.into_iter().collect()))),
        2 => (one, inner.clone()).prop_map(|(name, schema)| (name.to_owned(), schema)),
        2 => (many, prop::collection::vec(inner, 1..3)).prop_map(|(name, all)| (name.to_owned(), all.into())),
        1 => Just(("$ref".to_owned(), json!("#/$defs/d"))),
        1 => Just(("pattern".to_owned(), json!("^a"))),
    ]
}

fn part() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![1 => Just(json!(true)), 1 => Just(json!(false)), 8 => Just(json!({}))];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop::collection::btree_map(Just(()), Just(()), 0..1)
            .prop_flat_map(move |_| prop::collection::vec(keywords(inner.clone().boxed()), 1..4))
            .prop_map(|all| Value::Object(all.into_iter().collect()))
    })
    .boxed()
}

/// A schema, and one that came of it by a few changes.
fn evolution() -> impl Strategy<Value = (Schema, Schema)> {
    let whole = (part(), part()).prop_map(|(mut root, def)| {
        if let Some(root) = root.as_object_mut() {
            root.insert("$defs".to_owned(), json!({ "d": def }));
        }
        root
    });
    let changes = prop::collection::vec((any::<u8>(), keywords(part())), 1..3);
    (whole.clone(), whole, changes, any::<bool>()).prop_filter_map(
        "a schema",
        |(old, other, changes, is_new)| {
            let mut new = if is_new { other } else { old.clone() };
            for (where_to, (name, said)) in changes {
                change(&mut new, where_to, name, said);
            }
            Some((Schema::parse(old).ok()?, Schema::parse(new).ok()?))
        },
    )
}

/// Sets a keyword, or takes one away, somewhere in the schema.
fn change(schema: &mut Value, where_to: u8, name: String, said: Value) {
    let Some(keywords) = schema.as_object_mut() else { return };
    let below = ["properties", "$defs"].into_iter().find(|name| keywords.contains_key(*name));
    match (where_to % 4, below) {
        (0, _) => {
            keywords.insert(name, said);
        }
        (1, _) => {
            keywords.remove(&name);
        }
        (_, Some(below)) => {
            let below = keywords.get_mut(below).and_then(Value::as_object_mut);
            if let Some(child) = below.and_then(|map| map.values_mut().next()) {
                change(child, where_to / 4, name, said);
            }
        }
        (_, None) => {
            keywords.insert(name, said);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_global_rejects: 200_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_valid_under_a_compatible_schema_was_valid_under_the_old_one(
        (old, new) in evolution(), values in prop::collection::vec(value(), 40),
    ) {
        if !incompatibilities(&old, &new).is_empty() {
            return Ok(());
        }
        for value in values {
            let (is, was) = (new.judge(&value), old.judge(&value));
            // What is not checked might have refused it.
            if is.misfits.is_empty() && is.unchecked.is_empty() {
                let (old, new) = (old.as_json(), new.as_json());
                prop_assert_eq!(was.misfits, vec![], "{} is valid under {} and not under {}", value, new, old);
            }
        }
    }

    #[test]
    fn a_schema_is_compatible_with_itself_under_another_title((old, _) in evolution()) {
        let mut other = old.as_json().clone();
        if let Some(keywords) = other.as_object_mut() {
            keywords.insert("title".to_owned(), "Another".into());
        }
        let found = incompatibilities(&old, &Schema::parse(other).unwrap());
        prop_assert_eq!(found, vec![]);
    }
}
