//! Whether a value is as a schema says. What is not checked here is told as such.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::keyword::{self, Class};
use super::members::Types;
use super::node::{Node, escaped};
use super::number::{compare, count, equal, is_multiple};
use super::{Judgement, Misfit};

/// Schemas within schemas that are looked at: so many fit on a stack.
const DEPTH_MAX: u32 = 100;
/// What is told as unchecked beyond that.
const DEPTH: &str = "depth";

pub(super) fn judge(node: &Node<'_>, value: &Value) -> Judgement {
    judge_at(node, value, 0)
}

fn judge_at(node: &Node<'_>, value: &Value, depth: u32) -> Judgement {
    let mut judgement = Judgement::default();
    Judge { judgement: &mut judgement, depth }.look(node, value, "");
    judgement
}

/// Collects what is wrong.
struct Judge<'j> {
    judgement: &'j mut Judgement,
    depth: u32,
}

impl Judge<'_> {
    fn look(&mut self, node: &Node<'_>, value: &Value, at: &str) {
        if self.depth == DEPTH_MAX {
            return self.unchecked(DEPTH);
        }
        self.depth += 1;
        self.look_at_keywords(node, value, at);
        self.depth -= 1;
    }

    fn look_at_keywords(&mut self, node: &Node<'_>, value: &Value, at: &str) {
        let Some(keywords) = node.keywords() else {
            if *node.schema == Value::Bool(false) {
                self.misfit(at, "nothing".to_owned());
            }
            return;
        };
        for (name, said) in keywords {
            let concerns = Types::of(value).is_within(keyword::types(name));
            match Class::of(name) {
                _ if !concerns => {}
                Class::Annotation => {}
                Class::Entangled | Class::Unknown => self.unchecked(name),
                Class::Ruled | Class::Alone => {
                    if !self.applies_schemas(node, name, value, at) {
                        self.asserts(keywords, name, said, value, at);
                    }
                }
            }
        }
    }

    /// Keywords that apply schemas, to the value or to parts of it; false if it is none of those.
    fn applies_schemas(&mut self, node: &Node<'_>, name: &str, value: &Value, at: &str) -> bool {
        match (name, value) {
            ("$ref", _) => self.look_all(node.target(), value, at),
            ("allOf", _) => self.look_all(node.list(name), value, at),
            ("anyOf", _) => {
                let fitting = self.fitting(&node.list(name), value);
                self.ensure(fitting > 0, at, || "one of the alternatives".to_owned());
            }
            ("oneOf", _) => {
                let fitting = self.fitting(&node.list(name), value);
                self.ensure(fitting == 1, at, || {
                    format!("exactly one of the alternatives, and not {fitting}")
                });
            }
            ("not", _) => {
                let fitting = self.fitting(node.child(name).as_slice(), value);
                self.ensure(fitting == 0, at, || "something else".to_owned());
            }
            ("if", _) => {
                let fits = self.fitting(node.child(name).as_slice(), value) > 0;
                self.look_all(node.child(if fits { "then" } else { "else" }), value, at);
            }
            ("then" | "else" | "minContains" | "maxContains", _) => {}
            (_, Value::Object(map)) => return self.applies_to_fields(node, name, map, value, at),
            (_, Value::Array(list)) => return self.applies_to_elements(node, name, list, at),
            _ => return false,
        }
        true
    }

    fn applies_to_fields(
        &mut self,
        node: &Node<'_>,
        name: &str,
        map: &Map<String, Value>,
        value: &Value,
        at: &str,
    ) -> bool {
        let below = |field: &str| format!("{at}/{}", escaped(field));
        match name {
            "properties" => {
                for (field, schema) in node.entries(name) {
                    if let Some(value) = map.get(field) {
                        self.look(&schema, value, &below(field));
                    }
                }
            }
            "additionalProperties" => {
                let described = |field: &str| node.entry("properties", field).is_some();
                for (field, value) in map.iter().filter(|(field, _)| !described(field)) {
                    // Whether a pattern describes it is not known.
                    if node.get("patternProperties").is_some() {
                        self.unchecked("patternProperties");
                    } else {
                        self.look_all(node.child(name), value, &below(field));
                    }
                }
            }
            "patternProperties" => self.unchecked(name),
            "propertyNames" => {
                for field in map.keys() {
                    self.look_all(node.child(name), &Value::from(field.as_str()), &below(field));
                }
            }
            "dependentSchemas" => {
                for (field, schema) in node.entries(name) {
                    self.look_all(map.get(field).map(|_| schema), value, at);
                }
            }
            _ => return false,
        }
        true
    }

    fn applies_to_elements(
        &mut self,
        node: &Node<'_>,
        name: &str,
        list: &[Value],
        at: &str,
    ) -> bool {
        let listed = node.list("prefixItems");
        match name {
            "prefixItems" => {
                for (index, (schema, value)) in listed.into_iter().zip(list).enumerate() {
                    self.look(&schema, value, &format!("{at}/{index}"));
                }
            }
            "items" => {
                for (index, value) in list.iter().enumerate().skip(listed.len()) {
                    self.look_all(node.child(name), value, &format!("{at}/{index}"));
                }
            }
            "contains" => {
                let schema = node.child(name);
                let fits = |value: &&Value| self.fitting(schema.as_slice(), value) > 0;
                let found = list.iter().filter(fits).count() as u64;
                let bound = |name: &str| node.get(name).and_then(count);
                let least = bound("minContains").unwrap_or(1);
                let most = bound("maxContains").unwrap_or(u64::MAX);
                self.ensure((least..=most).contains(&found), at, || {
                    format!("other elements: {found} are as `contains` says")
                });
            }
            _ => return false,
        }
        true
    }

    /// Keywords that say something of the value itself.
    fn asserts(
        &mut self,
        keywords: &Map<String, Value>,
        name: &str,
        said: &Value,
        value: &Value,
        at: &str,
    ) {
        if let ("required", Value::Object(map)) = (name, value) {
            let names = said.as_array().into_iter().flatten().filter_map(Value::as_str);
            for missing in names.filter(|name| !map.contains_key(*name)) {
                let at = format!("{at}/{}", escaped(missing));
                self.misfit(&at, "a value, for it is required".to_owned());
            }
            return;
        }
        let holds = match (name, value) {
            ("type", _) => Types::of(value).is_within(Types::given(said)),
            ("const", _) => equal(said, value),
            ("enum", _) => said.as_array().is_some_and(|all| all.iter().any(|it| equal(it, value))),
            (_, Value::Number(number)) => said.as_number().is_some_and(|bound| match name {
                "minimum" => compare(number, bound).is_ge(),
                "maximum" => compare(number, bound).is_le(),
                "exclusiveMinimum" => compare(number, bound) == Ordering::Greater,
                "exclusiveMaximum" => compare(number, bound) == Ordering::Less,
                _ => is_multiple(number, bound),
            }),
            (_, Value::String(text)) => match name {
                "minLength" => count(said).is_some_and(|least| length(text) >= least),
                "maxLength" => count(said).is_none_or(|most| length(text) <= most),
                _ => return self.unchecked(name),
            },
            (_, Value::Array(list)) => match name {
                "minItems" => count(said).is_some_and(|least| list.len() as u64 >= least),
                "maxItems" => count(said).is_none_or(|most| list.len() as u64 <= most),
                _ => *said != Value::Bool(true) || all_differ(list),
            },
            (_, Value::Object(map)) => {
                let has = |field: &Value| field.as_str().is_some_and(|name| map.contains_key(name));
                let has_all =
                    |fields: &Value| fields.as_array().is_some_and(|all| all.iter().all(has));
                match name {
                    "minProperties" => count(said).is_some_and(|least| map.len() as u64 >= least),
                    "maxProperties" => count(said).is_none_or(|most| map.len() as u64 <= most),
                    _ => said.as_object().is_some_and(|all| {
                        all.iter()
                            .all(|(field, others)| !map.contains_key(field) || has_all(others))
                    }),
                }
            }
            _ => true,
        };
        let expected = keywords.get(name).map(super::brief).unwrap_or_default();
        self.ensure(holds, at, || format!("{name} {expected}"));
    }

    fn look_all<'n>(&mut self, nodes: impl IntoIterator<Item = Node<'n>>, value: &Value, at: &str) {
        nodes.into_iter().for_each(|node| self.look(&node, value, at));
    }

    /// How many of the schemas the value fits.
    fn fitting(&mut self, nodes: &[Node<'_>], value: &Value) -> usize {
        let fits = |node: &&Node<'_>| {
            let Judgement { misfits, unchecked } = judge_at(node, value, self.depth);
            self.judgement.unchecked.extend(unchecked);
            misfits.is_empty()
        };
        nodes.iter().filter(fits).count()
    }

    fn ensure(&mut self, holds: bool, at: &str, expected: impl FnOnce() -> String) {
        if !holds {
            self.misfit(at, expected());
        }
    }

    fn misfit(&mut self, at: &str, expected: String) {
        self.judgement.misfits.push(Misfit { at: at.to_owned(), expected });
    }

    fn unchecked(&mut self, keyword: &str) {
        self.judgement.unchecked.insert(keyword.to_owned());
    }
}

/// In characters, as JSON Schema counts (RFC 8259).
fn length(text: &str) -> u64 {
    text.chars().count() as u64
}

fn all_differ(list: &[Value]) -> bool {
    list.iter().enumerate().all(|(index, one)| list[..index].iter().all(|it| !equal(it, one)))
}
