//! What is wrong with an event.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// Longest text of a value in a report, in characters: a report has to fit beside the message it is about.
const FOUND_MAX: usize = 80;

/// A rule that an event breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where, as a JSON pointer from the top of the event.
    pub pointer: String,
    /// The rule, as it is named in the declaration.
    pub rule: &'static str,
    /// What the rule wants there.
    pub expected: String,
    /// What is there, as JSON, cut off where it is long; none where nothing is.
    pub found: Option<String>,
}

/// All that is wrong with an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);

impl Problem {
    pub(super) fn new(
        rule: &'static str,
        pointer: &str,
        expected: impl Into<String>,
        found: Option<&Value>,
    ) -> Self {
        let (pointer, expected) = (pointer.to_owned(), expected.into());
        Self { pointer, rule, expected, found: found.map(short) }
    }

    /// The same, about something that lies within an element of a list.
    pub(super) fn within(mut self, element: &str) -> Self {
        self.pointer.insert_str(0, element);
        self
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(FOUND_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pointer, rule, expected, found } = self;
        write!(
            f,
            "{pointer}: expected {expected}, found {} ({rule})",
            found.as_deref().unwrap_or("nothing")
        )
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}
