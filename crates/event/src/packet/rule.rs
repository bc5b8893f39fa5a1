//! The rules of a declaration, and what breaks them.

use std::borrow::Cow;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::place::{PAYLOAD, is_missing};
use super::problem::Problem;

/// A rule about one place of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The place, as a JSON pointer from the top of the event; within the elements of a list, from the element.
    pub at: String,
    /// What has to be so there.
    #[serde(flatten)]
    pub check: Check,
}

/// What has to be so at a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
#[expect(missing_docs, reason = "see the methods of `Packet` that declare them")]
pub enum Check {
    DemandKey,
    DemandValue { value: Value },
    DemandAny { values: Vec<Value> },
    DemandPrefix { prefix: String },
    RejectKey,
    RejectValue { value: Value },
    RequireKey,
    RequireValue { value: Value },
    RequireAny { values: Vec<Value> },
    RequireAll { values: Vec<Value> },
    RequireArray { items: Vec<Rule> },
    RequireParsed { r#type: Parser },
    ForbidKey,
    InterestedIn,
}

/// Reads a value as some type. From the catalogue it is but a name, and takes everything.
#[derive(Clone)]
pub struct Parser {
    name: String,
    parse: Option<Parse>,
}

/// Tries, and says why it cannot.
type Parse = fn(&Value) -> Result<(), String>;

type LookUp<'v, 'f> = dyn Fn(&str) -> Option<Cow<'v, Value>> + 'f;

impl Check {
    /// Whether it says which events are meant.
    fn is_precondition(&self) -> bool {
        use Check::{DemandAny, DemandKey, DemandPrefix, DemandValue, RejectKey, RejectValue};
        matches!(
            self,
            DemandKey
                | DemandValue { .. }
                | DemandAny { .. }
                | DemandPrefix { .. }
                | RejectKey
                | RejectValue { .. }
        )
    }

    /// As in the methods of `Packet`.
    fn name(&self) -> &'static str {
        match self {
            Self::DemandKey => "demand_key",
            Self::DemandValue { .. } => "demand_value",
            Self::DemandAny { .. } => "demand_any",
            Self::DemandPrefix { .. } => "demand_prefix",
            Self::RejectKey => "reject_key",
            Self::RejectValue { .. } => "reject_value",
            Self::RequireKey => "require_key",
            Self::RequireValue { .. } => "require_value",
            Self::RequireAny { .. } => "require_any",
            Self::RequireAll { .. } => "require_all",
            Self::RequireArray { .. } => "require_array",
            Self::RequireParsed { .. } => "require_parsed",
            Self::ForbidKey => "forbid_key",
            Self::InterestedIn => "interested_in",
        }
    }

    fn expected(&self) -> String {
        let list =
            |values: &[Value]| values.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Self::DemandKey | Self::RequireKey | Self::InterestedIn => "a value".to_owned(),
            Self::RejectKey | Self::ForbidKey => "nothing".to_owned(),
            Self::DemandValue { value } | Self::RequireValue { value } => value.to_string(),
            Self::RejectValue { value } => format!("anything but {value}"),
            Self::DemandAny { values } | Self::RequireAny { values } => {
                format!("one of {}", list(values))
            }
            Self::DemandPrefix { prefix } => format!("a text that begins with {prefix:?}"),
            Self::RequireAll { values } => format!("a list with {}", list(values)),
            Self::RequireArray { .. } => "a list".to_owned(),
            Self::RequireParsed { r#type } => format!("a {}", r#type.name),
        }
    }
}

impl Rule {
    /// Whether it says which events are meant; the others say what is wrong with one that is.
    #[must_use]
    pub fn is_precondition(&self) -> bool {
        self.check.is_precondition()
    }

    /// What breaks the rule; nothing where it is kept.
    pub(super) fn problems(&self, look_up: &LookUp<'_, '_>) -> Vec<Problem> {
        let found = look_up(&self.at);
        let found = found.as_deref();
        let kept = match &self.check {
            Check::DemandKey | Check::RequireKey => found.is_some(),
            Check::RejectKey | Check::ForbidKey => found.is_none(),
            Check::DemandValue { value } | Check::RequireValue { value } => is(found, value),
            Check::RejectValue { value } => !is(found, value),
            Check::DemandAny { values } | Check::RequireAny { values } => {
                values.iter().any(|value| is(found, value))
            }
            Check::DemandPrefix { prefix } => {
                found.and_then(Value::as_str).is_some_and(|text| text.starts_with(prefix.as_str()))
            }
            Check::RequireAll { values } => {
                let list = found.and_then(Value::as_array);
                list.is_some_and(|list| values.iter().all(|value| list.contains(value)))
            }
            Check::RequireArray { items } => return self.array(found, items),
            Check::RequireParsed { r#type } => return self.parsed(found, r#type),
            Check::InterestedIn => true,
        };
        if kept { Vec::new() } else { vec![self.problem(found)] }
    }

    fn problem(&self, found: Option<&Value>) -> Problem {
        Problem::new(self.check.name(), &self.at, self.check.expected(), found)
    }

    fn array(&self, found: Option<&Value>, items: &[Self]) -> Vec<Problem> {
        let Some(Value::Array(list)) = found else { return vec![self.problem(found)] };
        let of_element = |(index, element): (usize, &Value)| {
            let look_up = |at: &str| {
                let found = element.pointer(at).filter(|value| !is_missing(value));
                found.cloned().map(Cow::Owned)
            };
            let problems: Vec<_> = items.iter().flat_map(|rule| rule.problems(&look_up)).collect();
            let element = format!("{}/{index}", self.at);
            problems.into_iter().map(move |problem| problem.within(&element)).collect::<Vec<_>>()
        };
        list.iter().enumerate().flat_map(of_element).collect()
    }

    fn parsed(&self, found: Option<&Value>, parser: &Parser) -> Vec<Problem> {
        let empty = Value::Object(serde_json::Map::new());
        let read = match found {
            // A payload that is left out can be read by a type that needs nothing of it.
            None if self.at == PAYLOAD => &empty,
            None => return vec![self.problem(None)],
            Some(found) => found,
        };
        match parser.parse.map_or(Ok(()), |parse| parse(read)) {
            Ok(()) => Vec::new(),
            Err(why) => {
                let expected = format!("{}: {why}", self.check.expected());
                vec![Problem::new(self.check.name(), &self.at, expected, found)]
            }
        }
    }

    /// The rule for an element of a list: what was declared as a path into the payload is one into the element.
    pub(super) fn of_element(mut self) -> Self {
        if let Some(path) = self.at.strip_prefix(PAYLOAD) {
            self.at = path.to_owned();
        }
        self
    }
}

fn is(found: Option<&Value>, wanted: &Value) -> bool {
    found == Some(wanted) || (found.is_none() && is_missing(wanted))
}

impl Parser {
    pub(super) fn of<T: DeserializeOwned>() -> Self {
        let name = std::any::type_name::<T>();
        // Without the modules: `Vec<View>` reads better than `alloc::vec::Vec<location::View>`.
        let name = name.split_inclusive(['<', '>', ',', ' ', '(', ')', '[', ']']);
        let name = name.map(|part| part.rsplit("::").next().unwrap_or(part)).collect();
        let parse =
            |value: &Value| T::deserialize(value).map(drop).map_err(|error| error.to_string());
        Self { name, parse: Some(parse) }
    }
}

impl Eq for Parser {}

impl PartialEq for Parser {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Parser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Serialize for Parser {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for Parser {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self { name: String::deserialize(from)?, parse: None })
    }
}
