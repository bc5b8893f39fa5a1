//! The tree of events, line by line as they come: who said what, on what grounds, how long after the root.

use std::collections::BTreeMap;

use event::{Event, EventId};
use jiff::Timestamp;
use serde_json::Value;

/// Columns for the emitter and for the type, with room for the longest names of the scenario.
const EMITTER_WIDTH: usize = 14;
const TYPE_WIDTH: usize = 19;
/// Instead of a time, of an event that nobody has seen.
const MISSING_MARGIN: &str = "           ";

/// A tree that grows.
#[derive(Debug)]
pub(crate) struct Tree {
    colours: bool,
    /// What matters about an event, in few words.
    summary: fn(&Event) -> String,
    /// When the root was emitted.
    began: Option<Timestamp>,
    placed: BTreeMap<EventId, Node>,
    /// Events whose cause was not seen yet: shards are read one after the other.
    waiting: Vec<Event>,
}

#[derive(Debug)]
struct Node {
    depth: usize,
    event_type: String,
}

impl Tree {
    /// An empty tree.
    pub(crate) fn new(colours: bool, summary: fn(&Event) -> String) -> Self {
        Self { colours, summary, began: None, placed: BTreeMap::new(), waiting: Vec::new() }
    }

    /// Takes an event and gives the lines that can be shown now: its own, and those of events that waited for it;
    /// none while its cause is missing.
    pub(crate) fn add(&mut self, event: &Event) -> Vec<String> {
        self.waiting.push(event.clone());
        let mut lines = Vec::new();
        while let Some(next) = self.waiting.iter().position(|event| self.has_cause(event)) {
            let event = self.waiting.remove(next);
            lines.push(self.place(&event));
        }
        lines
    }

    /// Lines of the events whose cause never came.
    pub(crate) fn rest(mut self) -> Vec<String> {
        let rest = std::mem::take(&mut self.waiting);
        rest.iter().map(|event| self.place(event)).collect()
    }

    /// Takes the id of a cause that is not to be found, and gives its line: what rests on it stands below.
    pub(crate) fn add_missing(&mut self, id: &EventId) -> String {
        let node = Node { depth: 0, event_type: "?".to_owned() };
        self.placed.insert(id.clone(), node);
        self.dim(&format!("{MISSING_MARGIN}(not found: {id})"))
    }

    fn has_cause(&self, event: &Event) -> bool {
        event.causation_id.as_ref().is_none_or(|cause| self.placed.contains_key(cause))
    }

    fn place(&mut self, event: &Event) -> String {
        let began = *self.began.get_or_insert(event.timestamp);
        let cause = event.causation_id.as_ref().and_then(|cause| self.placed.get(cause));
        let depth = cause.map_or(0, |cause| cause.depth + 1);
        let line = self.line(event, event.timestamp.duration_since(began).as_millis(), depth);
        let node = Node { depth, event_type: event.event_type.clone() };
        self.placed.insert(event.event_id.clone(), node);
        line
    }

    fn line(&self, event: &Event, ms: i128, depth: usize) -> String {
        let indent = "  ".repeat(depth);
        let emitter = emitter(event);
        let event_type = &event.event_type;
        let after = self.dim(&format!("+{ms:>5} ms"));
        let event_type = self.bold(&format!("{event_type:<TYPE_WIDTH$}"));
        let mut line = format!(
            "{after}  {indent}{emitter:<EMITTER_WIDTH$} {event_type} {}",
            (self.summary)(event)
        );
        let causes = self.causes(event);
        if !causes.is_empty() {
            let causes = self.dim(&format!("  ← {}", causes.join(" + ")));
            line.push_str(&causes);
        }
        line.trim_end().to_owned()
    }

    /// Types of the events that this one rests on: the facts that an offer names, else the one it answers.
    fn causes(&self, event: &Event) -> Vec<&str> {
        let known = |id: &EventId| self.placed.get(id).map(|node| node.event_type.as_str());
        let facts = event.payload["facts"].as_array();
        let facts = facts.into_iter().flatten().filter_map(Value::as_str).map(EventId::from);
        let named: Vec<_> = facts.filter_map(|id| known(&id)).collect();
        if named.is_empty() {
            return event.causation_id.as_ref().and_then(known).into_iter().collect();
        }
        named
    }

    fn dim(&self, text: &str) -> String {
        self.coloured("\x1b[2m", text)
    }

    fn bold(&self, text: &str) -> String {
        self.coloured("\x1b[1m", text)
    }

    fn coloured(&self, code: &str, text: &str) -> String {
        if self.colours { format!("{code}{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Who emitted an event: the service, or the domain where none is named.
pub(crate) fn emitter(event: &Event) -> &str {
    event.producer.as_ref().map_or(&event.event_domain, |producer| &producer.service)
}

#[cfg(test)]
mod tests;
