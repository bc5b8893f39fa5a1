//! A place in a schema that is a schema itself.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// A schema within a document.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    root: &'a Value,
    pub(super) schema: &'a Value,
    /// How one came here, by way of references.
    pub(super) at: String,
    /// Where it stands in the document.
    pub(super) home: String,
}

impl<'a> Node<'a> {
    pub(super) fn root(root: &'a Value) -> Self {
        Self { root, schema: root, at: String::new(), home: String::new() }
    }

    /// The keywords, of which `true` and `false` have none.
    pub(super) fn keywords(&self) -> Option<&'a Map<String, Value>> {
        self.schema.as_object()
    }

    pub(super) fn get(&self, keyword: &str) -> Option<&'a Value> {
        self.schema.get(keyword)
    }

    /// The schema under a keyword.
    pub(super) fn child(&self, keyword: &str) -> Option<Self> {
        Some(self.step(self.get(keyword)?, &[keyword]))
    }

    /// The schema under a name under a keyword.
    pub(super) fn entry(&self, keyword: &str, name: &str) -> Option<Self> {
        Some(self.step(self.get(keyword)?.as_object()?.get(name)?, &[keyword, name]))
    }

    /// The names under a keyword, each with a schema.
    pub(super) fn entries(&self, keyword: &str) -> impl Iterator<Item = (&'a str, Self)> {
        let entries = self.get(keyword).and_then(Value::as_object);
        let keyword = keyword.to_owned();
        entries
            .into_iter()
            .flatten()
            .map(move |(name, schema)| (name.as_str(), self.step(schema, &[&keyword, name])))
    }

    /// The schemas of the list under a keyword.
    pub(super) fn list(&self, keyword: &str) -> Vec<Self> {
        let list = self.get(keyword).and_then(Value::as_array);
        let list = list.into_iter().flatten().enumerate();
        list.map(|(index, schema)| self.step(schema, &[keyword, &index.to_string()])).collect()
    }

    /// What `$ref` points to, if that is there.
    pub(super) fn target(&self) -> Option<Self> {
        let home = self.get("$ref")?.as_str()?.strip_prefix('#')?;
        let schema = resolve(self.root, home)?;
        let (at, home) = (format!("{}/$ref", self.at), home.to_owned());
        Some(Self { root: self.root, schema, at, home })
    }

    fn step(&self, schema: &'a Value, path: &[&str]) -> Self {
        let path: String = path.iter().map(|token| format!("/{}", escaped(token))).collect();
        let (at, home) = (format!("{}{path}", self.at), format!("{}{path}", self.home));
        Self { root: self.root, schema, at, home }
    }

    /// Whether two schemas are the same, in all that they refer to as well.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.says_the_same(other, self.schema, other.schema)
    }

    /// Whether `mine`, a part of this schema, means what `yours` means there.
    pub(super) fn says_the_same(&self, other: &Self, mine: &Value, yours: &Value) -> bool {
        if mine != yours {
            return false;
        }
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![mine]);
        while let Some(value) = waiting.pop() {
            let Some(found) = references(value) else { return self.root == other.root };
            for home in found {
                if !seen.insert(home.to_owned()) {
                    continue;
                }
                let here = resolve(self.root, home);
                if here != resolve(other.root, home) {
                    return false;
                }
                waiting.extend(here);
            }
        }
        true
    }
}

/// All that a value refers to; none if that depends on who refers to it. What only looks like a reference does no harm.
fn references(value: &Value) -> Option<Vec<&str>> {
    let mut found = Vec::new();
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Array(list) => waiting.extend(list),
            Value::Object(map) if map.contains_key("$dynamicRef") => return None,
            Value::Object(map) => {
                let target = map.get("$ref").and_then(Value::as_str);
                found.extend(target.and_then(|target| target.strip_prefix('#')));
                waiting.extend(map.values());
            }
            _ => {}
        }
    }
    Some(found)
}

/// What is at a JSON pointer, which is empty for the whole.
fn resolve<'a>(root: &'a Value, pointer: &str) -> Option<&'a Value> {
    // Percent-encoding of URI fragments is not undone: who needs it gives the definition another name.
    root.pointer(pointer)
}

/// A token of a JSON pointer (RFC 6901).
pub(super) fn escaped(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}
