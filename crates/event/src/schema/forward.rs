//! Whether all that a new schema allows was allowed by the old one.
//!
//! Each keyword of the old schema is an assertion, and the new schema has to imply each. What else the new one asserts
//! makes it narrower, which does no harm. Answers are certain where they are empty; where they are not, there may be
//! a proof that this one does not find.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Incompatibility;
use super::instance::judge;
use super::keyword::{self, Class, together};
use super::members::{Members, Types};
use super::node::Node;
use super::number::{compare, count, is_multiple};
use super::shape;

/// Pairs of schemas that are compared before it is given up: the alternatives of alternatives are many.
const STEPS_MAX: u32 = 10_000;
/// Schemas within schemas that are compared: so many fit on a stack.
const DEPTH_MAX: u32 = 64;
/// What is found of a comparison that was given up, and of everything else at most.
const FOUND_MAX: usize = 100;

type Found = Vec<Told>;

/// An incompatibility, and where the old schema's part stands that it is about: one comes here by many ways.
#[derive(Clone, Debug)]
struct Told {
    home: String,
    what: Incompatibility,
}

pub(super) fn incompatibilities(old: &Value, new: &Value) -> Vec<Incompatibility> {
    let (old, new) = (Node::root(old), Node::root(new));
    if old.is_same(&new) {
        return Vec::new();
    }
    let mut found = Comparison::default().narrows(&Members::of([new.clone()]), &old, &[]);
    found.sort_by_key(|told| told.what.at.len());
    found.extend(unknown(&old, &new));
    let mut once = Found::new();
    for told in found {
        let is_told = |other: &Told| other.home == told.home && is_alike(&other.what, &told.what);
        if once.len() < FOUND_MAX && !once.iter().any(is_told) {
            once.push(told);
        }
    }
    once.sort_by(|a, b| a.what.at.cmp(&b.what.at));
    once.into_iter().map(|told| told.what).collect()
}

fn is_alike(a: &Incompatibility, b: &Incompatibility) -> bool {
    (&a.rule, &a.old, &a.new) == (&b.rule, &b.old, &b.new)
}

/// Keywords that came with the new schema, and that nobody here knows.
fn unknown(old: &Node<'_>, new: &Node<'_>) -> Found {
    let of = |node: &Node<'_>| {
        let nodes = shape::all(node.schema).unwrap_or_default();
        let nodes =
            nodes.into_iter().filter_map(|node| Some((node.keywords()?.clone(), node.home)));
        let all = nodes.flat_map(|(keywords, home)| {
            keywords.into_iter().map(move |(name, value)| (home.clone(), name, value))
        });
        all.filter(|(_, name, _)| Class::of(name) == Class::Unknown).collect::<Vec<_>>()
    };
    let known = of(old);
    let is_known =
        |name: &str, value: &Value| known.iter().any(|(_, a, b)| a == name && b == value);
    let mut found = of(new);
    found.retain(|(_, name, value)| !is_known(name, value));
    let found = found.into_iter().map(|(home, rule, value)| {
        let at = format!("{home}/{rule}");
        Told { home, what: Incompatibility { at, rule, old: None, new: Some(value) } }
    });
    found.collect()
}

/// A comparison under way.
#[derive(Debug, Default)]
struct Comparison {
    steps: u32,
    depth: u32,
    /// Pairs that are being compared. One that comes again lies deeper in the value, and values end.
    assumed: Vec<(String, Vec<String>)>,
}

impl Comparison {
    /// What keeps a value of which all of `new` holds from being as `old` says. The alternatives in `split` were looked
    /// at one by one already.
    fn narrows(&mut self, new: &Members<'_>, old: &Node<'_>, split: &[String]) -> Found {
        self.steps += 1;
        if self.steps > STEPS_MAX || self.depth == DEPTH_MAX {
            return vec![told(old, keyword::SIZE, None, None)];
        }
        self.depth += 1;
        let found = self.narrows_within(new, old, split);
        self.depth -= 1;
        found
    }

    fn narrows_within(&mut self, new: &Members<'_>, old: &Node<'_>, split: &[String]) -> Found {
        if keyword::is_anything(old.schema) || new.is_impossible() {
            return Found::new();
        }
        if new.iter().any(|member| old.is_same(member)) {
            return Found::new();
        }
        let pair = (old.home.clone(), new.homes());
        if self.assumed.contains(&pair) {
            return Found::new();
        }
        if let Some(found) = one_by_one(new, old) {
            return found;
        }
        self.assumed.push(pair);
        let mut found = self.implies(new, old);
        self.assumed.pop();
        if !found.is_empty()
            && let Some(of_alternatives) = self.alternatives(new, old, split)
        {
            found = of_alternatives;
        }
        found
    }

    /// What keeps each alternative that `new` has, with all that holds besides.
    fn alternatives(
        &mut self,
        new: &Members<'_>,
        old: &Node<'_>,
        split: &[String],
    ) -> Option<Found> {
        let name = |member: &Node<'_>, keyword: &str| format!("{}/{keyword}", member.home);
        let choices =
            new.iter().flat_map(|member| ["anyOf", "oneOf"].map(|keyword| (member, keyword)));
        let (member, keyword) =
            choices
                .filter(|(member, keyword)| member.get(keyword).is_some())
                .find(|(member, keyword)| !split.contains(&name(member, keyword)))?;
        let split = [split, &[name(member, keyword)]].concat();
        let mut found = Found::new();
        for alternative in member.list(keyword) {
            found.extend(self.narrows(&new.with(alternative), old, &split));
        }
        Some(found)
    }

    /// What of the old schema's keywords is not implied.
    fn implies(&mut self, new: &Members<'_>, old: &Node<'_>) -> Found {
        let Some(keywords) = old.keywords() else {
            return vec![told(old, "false", Some(old.schema.clone()), None)];
        };
        let mut found = Found::new();
        for (name, said) in keywords {
            if new.types() & keyword::types(name) == Types::NONE {
                continue;
            }
            match name.as_str() {
                "$ref" => {
                    let target = old.target();
                    target.iter().for_each(|it| found.extend(self.narrows(new, it, &[])));
                }
                "allOf" => {
                    for part in old.list(name) {
                        found.extend(self.narrows(new, &part, &[]));
                    }
                }
                "anyOf" | "oneOf" => {
                    if !self.is_one_of(new, old, name) {
                        found.push(told(old, name, Some(said.clone()), new.told(name)));
                    }
                }
                "properties" => found.extend(self.fields(new, old)),
                "patternProperties" => found.extend(self.patterns(new, old)),
                "additionalProperties" => found.extend(self.other_fields(new, old)),
                "prefixItems" | "items" => found.extend(self.elements(new, old, name)),
                "required" => found.extend(required(new, old)),
                _ if Class::of(name) == Class::Annotation || holds(new, old, name, said) => {}
                _ => found.push(told(old, name, Some(said.clone()), new.told(name))),
            }
        }
        found
    }

    /// Whether one alternative of the old schema takes it all; of `oneOf`, none of the others any of it.
    fn is_one_of(&mut self, new: &Members<'_>, old: &Node<'_>, keyword: &str) -> bool {
        let alternatives = old.list(keyword);
        (0..alternatives.len()).any(|index| {
            let takes_all = self.narrows(new, &alternatives[index], &[]).is_empty();
            let mut others = alternatives.iter().enumerate().filter(|(other, _)| *other != index);
            takes_all
                && (keyword == "anyOf"
                    || others.all(|(_, other)| new.is_apart(&Members::of([other.clone()]))))
        }) || new.iter().any(|member| is_same_keyword(old, member, keyword))
    }

    /// The fields that the old schema describes.
    fn fields(&mut self, new: &Members<'_>, old: &Node<'_>) -> Found {
        let mut found = Found::new();
        for (name, described) in old.entries("properties") {
            let field = new.field(name);
            if field.is_anything() && !keyword::is_anything(described.schema) {
                // All that the description says would be told otherwise.
                if !self.narrows(&field, &described, &[]).is_empty() {
                    let was = Some(described.schema.clone());
                    let (at, rule) = (described.at, "properties".to_owned());
                    let what = Incompatibility { at, rule, old: was, new: None };
                    found.push(Told { home: described.home, what });
                }
                continue;
            }
            found.extend(self.narrows(&field, &described, &[]));
        }
        found
    }

    /// The fields that the old schema describes by patterns: the new one has to have each of these.
    fn patterns(&mut self, new: &Members<'_>, old: &Node<'_>) -> Found {
        let mut found = Found::new();
        for (pattern, described) in old.entries("patternProperties") {
            let of = new.iter().filter_map(|member| member.entry("patternProperties", pattern));
            let fields = Members::of(of);
            found.extend(self.narrows(&fields, &described, &[]));
        }
        found
    }

    /// The fields that the old schema does not describe.
    fn other_fields(&mut self, new: &Members<'_>, old: &Node<'_>) -> Found {
        let Some(others) = old.child("additionalProperties") else { return Found::new() };
        if keyword::is_anything(others.schema) {
            return Found::new();
        }
        let mut found = Found::new();
        let is_described = |name: &str| old.entry("properties", name).is_some();
        let has_pattern = |pattern: &str| old.entry("patternProperties", pattern).is_some();
        for member in new.iter() {
            for (name, described) in member.entries("properties") {
                if !is_described(name) && !self.narrows(&new.field(name), &others, &[]).is_empty() {
                    found.push(added(&others, &described));
                }
            }
            for (pattern, described) in member.entries("patternProperties") {
                let fields = Members::of([described.clone()]);
                if !has_pattern(pattern) && !self.narrows(&fields, &others, &[]).is_empty() {
                    found.push(added(&others, &described));
                }
            }
        }
        // Those that the new schema does not describe either.
        let rest =
            Members::of(new.iter().filter_map(|member| member.child("additionalProperties")));
        if !self.narrows(&rest, &others, &[]).is_empty() {
            let was = Some(others.schema.clone());
            found.push(told(old, "additionalProperties", was, new.told("additionalProperties")));
        }
        found
    }

    fn elements(&mut self, new: &Members<'_>, old: &Node<'_>, keyword: &str) -> Found {
        let listed = old.list("prefixItems");
        let mut found = Found::new();
        if keyword == "prefixItems" {
            for (index, described) in listed.iter().enumerate() {
                found.extend(self.narrows(&new.element(index), described, &[]));
            }
            return found;
        }
        let Some(further) = old.child("items") else { return found };
        for index in listed.len()..new.listed_elements() {
            found.extend(self.narrows(&new.element(index), &further, &[]));
        }
        found.extend(self.narrows(&new.further_elements(), &further, &[]));
        found
    }
}

/// The verdict on all values, where the new schema lists them; none if it does not, or one cannot be judged.
fn one_by_one(new: &Members<'_>, old: &Node<'_>) -> Option<Found> {
    let mut refused = Vec::new();
    for value in new.values()? {
        if new.iter().any(|member| judge(member, value).is_no()) {
            continue;
        }
        let judgement = judge(old, value);
        if !judgement.unchecked.is_empty() {
            return None;
        }
        if !judgement.misfits.is_empty() {
            refused.push(value.clone());
        }
    }
    if refused.is_empty() {
        return Some(Found::new());
    }
    let rule = ["const", "enum", "type"].into_iter().find(|keyword| old.get(keyword).is_some());
    let rule = rule.unwrap_or("enum");
    Some(vec![told(old, rule, old.get(rule).cloned(), Some(Value::Array(refused)))])
}

/// The fields that are not required any more, each by its name.
fn required(new: &Members<'_>, old: &Node<'_>) -> Found {
    let names = old.get("required").and_then(Value::as_array).into_iter().flatten();
    let names = names.filter(|name| new.required().all(|kept| Some(kept) != name.as_str()));
    names.map(|name| told(old, "required", Some(name.clone()), None)).collect()
}

/// Whether a keyword that says something of the value as such is implied.
fn holds(new: &Members<'_>, old: &Node<'_>, name: &str, said: &Value) -> bool {
    let bound = |keyword: &str, fits: &dyn Fn(std::cmp::Ordering) -> bool| {
        let says = |value: &Value| Some(compare(value.as_number()?, said.as_number()?));
        new.says(keyword).filter_map(says).any(fits)
    };
    let least = |least: u64| count(said).is_some_and(|said| least >= said);
    let counted = |fits: &dyn Fn(u64) -> bool| new.says(name).filter_map(count).any(fits);
    match name {
        "type" => new.types().is_within(Types::given(said)),
        "minimum" => {
            bound(name, &std::cmp::Ordering::is_ge)
                || bound("exclusiveMinimum", &std::cmp::Ordering::is_ge)
        }
        "exclusiveMinimum" => {
            bound(name, &std::cmp::Ordering::is_ge) || bound("minimum", &std::cmp::Ordering::is_gt)
        }
        "maximum" => {
            bound(name, &std::cmp::Ordering::is_le)
                || bound("exclusiveMaximum", &std::cmp::Ordering::is_le)
        }
        "exclusiveMaximum" => {
            bound(name, &std::cmp::Ordering::is_le) || bound("maximum", &std::cmp::Ordering::is_lt)
        }
        "multipleOf" => new.says(name).any(|step| step == said || is_coarser(step, said)),
        "minProperties" => {
            let required = new.required().collect::<BTreeSet<_>>().len() as u64;
            least(required) || counted(&least)
        }
        "minLength" | "minItems" => least(0) || counted(&least),
        "maxLength" | "maxItems" | "maxProperties" => {
            counted(&|most| count(said).is_some_and(|said| most <= said))
        }
        "uniqueItems" => {
            let few = new.says("maxItems").filter_map(count).any(|most| most <= 1);
            *said == Value::Bool(false) || few || new.says(name).any(|it| *it == Value::Bool(true))
        }
        _ if Class::of(name) == Class::Entangled => false,
        _ => new.iter().any(|member| is_same_keyword(old, member, name)),
    }
}

/// Whether every multiple of `step` is one of `said`: told of integers alone, for others are divided inexactly.
fn is_coarser(step: &Value, said: &Value) -> bool {
    let whole =
        |value: &Value| value.as_number().is_some_and(|it| super::number::whole(it).is_some());
    match (step.as_number(), said.as_number()) {
        (Some(a), Some(b)) => whole(step) && whole(said) && is_multiple(a, b),
        _ => false,
    }
}

/// Whether a keyword says the same in both, together with those that it says it with.
fn is_same_keyword(old: &Node<'_>, new: &Node<'_>, name: &str) -> bool {
    together(name).into_iter().all(|keyword| match (old.get(keyword), new.get(keyword)) {
        (Some(was), Some(is)) => old.says_the_same(new, was, is),
        (None, None) => true,
        _ => false,
    })
}

fn told(node: &Node<'_>, rule: &str, old: Option<Value>, new: Option<Value>) -> Told {
    let at = format!("{}/{rule}", node.at);
    Told { home: node.home.clone(), what: Incompatibility { at, rule: rule.to_owned(), old, new } }
}

fn added(others: &Node<'_>, described: &Node<'_>) -> Told {
    let what = Incompatibility {
        at: described.at.clone(),
        rule: "additionalProperties".to_owned(),
        old: Some(others.schema.clone()),
        new: Some(described.schema.clone()),
    };
    Told { home: described.home.clone(), what }
}
