//! Schemas that hold together, and what follows from that: of which types a value may be, which values there are.

use std::ops::{BitAnd, BitOr};

use serde_json::Value;

use super::keyword;
use super::node::Node;
use super::number::{equal, is_whole};

/// Types of JSON; numbers with a fraction are one of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Types(u8);

impl Types {
    pub(super) const NONE: Self = Self(0);
    const NULL: Self = Self(1);
    const BOOLEAN: Self = Self(2);
    const INTEGER: Self = Self(4);
    const FRACTION: Self = Self(8);
    pub(super) const NUMBER: Self = Self(4 | 8);
    pub(super) const STRING: Self = Self(16);
    pub(super) const ARRAY: Self = Self(32);
    pub(super) const OBJECT: Self = Self(64);
    pub(super) const ALL: Self = Self(127);

    /// By the name that `type` has for it.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            "string" => Self::STRING,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            _ => return None,
        })
    }

    /// As the keyword `type` gives them.
    pub(super) fn given(value: &Value) -> Self {
        let names = value.as_array().map_or_else(|| vec![value], |list| list.iter().collect());
        let types = names.into_iter().filter_map(|name| Self::named(name.as_str()?));
        types.fold(Self::NONE, BitOr::bitor)
    }

    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(number) if is_whole(number) => Self::INTEGER,
            Value::Number(_) => Self::FRACTION,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }

    pub(super) fn is_within(self, other: Self) -> bool {
        self & other == self
    }
}

impl BitAnd for Types {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for Types {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

const FALSE: Value = Value::Bool(false);
/// The values of the types that have few.
static FEW: [Value; 3] = [Value::Null, Value::Bool(true), FALSE];

/// Schemas that all hold of one value.
#[derive(Clone, Debug, Default)]
pub(super) struct Members<'a>(Vec<Node<'a>>);

impl<'a> Members<'a> {
    /// With all that `$ref` and `allOf` say besides.
    pub(super) fn of(nodes: impl IntoIterator<Item = Node<'a>>) -> Self {
        let mut members = Self::default();
        nodes.into_iter().for_each(|node| members.add(node));
        members
    }

    /// Adds what holds as well.
    pub(super) fn with(&self, node: Node<'a>) -> Self {
        let mut members = self.clone();
        members.add(node);
        members
    }

    fn add(&mut self, node: Node<'a>) {
        if self.0.iter().any(|member| member.home == node.home) {
            return;
        }
        let (target, all) = (node.target(), node.list("allOf"));
        self.0.push(node);
        target.into_iter().chain(all).for_each(|node| self.add(node));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Node<'a>> {
        self.0.iter()
    }

    /// Which they are.
    pub(super) fn homes(&self) -> Vec<String> {
        let mut homes: Vec<_> = self.0.iter().map(|member| member.home.clone()).collect();
        homes.sort_unstable();
        homes
    }

    /// What a keyword says in each of those that have it.
    pub(super) fn says<'m>(&'m self, keyword: &'m str) -> impl Iterator<Item = &'a Value> + 'm {
        self.0.iter().filter_map(move |member| member.get(keyword))
    }

    /// What is told of a keyword.
    pub(super) fn told(&self, keyword: &str) -> Option<Value> {
        self.says(keyword).next().cloned()
    }

    /// The types that a value may be of.
    pub(super) fn types(&self) -> Types {
        let mut types = Types::ALL;
        for member in &self.0 {
            if *member.schema == FALSE {
                return Types::NONE;
            }
            if let Some(given) = member.get("type") {
                types = types & Types::given(given);
            }
            if let Some(values) = listed(member) {
                types = types & values.into_iter().map(Types::of).fold(Types::NONE, BitOr::bitor);
            }
        }
        types
    }

    /// All values, if they are few enough to be listed; some of them may be invalid for other reasons.
    pub(super) fn values(&self) -> Option<Vec<&'a Value>> {
        let types = self.types();
        let few = || types.is_within(Types::NULL | Types::BOOLEAN).then(|| FEW.iter().collect());
        let values: Vec<_> = self.0.iter().find_map(listed).or_else(few)?;
        let holds = |value: &&Value| {
            let others = self.0.iter().filter_map(listed);
            let mut others = others.map(|list| list.into_iter().any(|other| equal(other, value)));
            Types::of(value).is_within(types) && others.all(|is_listed| is_listed)
        };
        Some(values.into_iter().filter(holds).collect())
    }

    /// What holds of the field `name`, where it is there.
    pub(super) fn field(&self, name: &str) -> Self {
        Self::of(self.0.iter().flat_map(|member| {
            let own = member.entry("properties", name);
            // What a pattern says of it would take the pattern's language to find out.
            let others = member.get("patternProperties").is_none();
            own.or_else(|| member.child("additionalProperties").filter(|_| others))
        }))
    }

    /// What holds of the element at an index, where there is one.
    pub(super) fn element(&self, index: usize) -> Self {
        let of = |member: &Node<'a>| {
            let own = member.list("prefixItems").into_iter().nth(index);
            own.or_else(|| member.child("items"))
        };
        Self::of(self.0.iter().filter_map(of))
    }

    /// What holds of elements beyond those that `prefixItems` lists.
    pub(super) fn further_elements(&self) -> Self {
        Self::of(self.0.iter().filter_map(|member| member.child("items")))
    }

    /// Elements that `prefixItems` lists at most.
    pub(super) fn listed_elements(&self) -> usize {
        let lists = self.says("prefixItems").filter_map(Value::as_array);
        lists.map(Vec::len).max().unwrap_or_default()
    }

    /// Names of required fields.
    pub(super) fn required(&self) -> impl Iterator<Item = &'a str> {
        self.says("required").filter_map(Value::as_array).flatten().filter_map(Value::as_str)
    }

    /// Whether they say anything.
    pub(super) fn is_anything(&self) -> bool {
        self.0.iter().all(|member| keyword::is_anything(member.schema))
    }

    /// Whether no value can be as they say, as far as that is easily seen.
    pub(super) fn is_impossible(&self) -> bool {
        self.has_nothing()
            || self.types() == Types::OBJECT
                && self.required().any(|name| self.field(name).has_nothing())
    }

    fn has_nothing(&self) -> bool {
        self.types() == Types::NONE || self.values().is_some_and(|values| values.is_empty())
    }
}

impl Members<'_> {
    /// Whether nothing is as both say, as far as that is easily seen: by itself, or by a field that tells them apart.
    pub(super) fn is_apart(&self, other: &Members<'_>) -> bool {
        let field = |name| self.field(name).has_none_of(&other.field(name));
        self.has_none_of(other)
            || self.types() & other.types() == Types::OBJECT
                && (self.required().any(field) || other.required().any(field))
    }

    fn has_none_of(&self, other: &Members<'_>) -> bool {
        match (self.values(), other.values()) {
            (Some(mine), Some(others)) => {
                mine.iter().all(|one| others.iter().all(|another| !equal(one, another)))
            }
            _ => self.types() & other.types() == Types::NONE,
        }
    }
}

/// The values that `const` or `enum` allows.
fn listed<'a>(member: &Node<'a>) -> Option<Vec<&'a Value>> {
    let one = member.get("const").map(|value| vec![value]);
    one.or_else(|| Some(member.get("enum")?.as_array()?.iter().collect()))
}
