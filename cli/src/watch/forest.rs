//! Events as trees: each below the one that caused it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use event::{Event, EventId};
use serde_json::{Value, json};

use crate::output::short;
use crate::tree::emitter;

/// The events of a conversation.
#[derive(Debug, Default)]
pub(super) struct Forest {
    nodes: BTreeMap<EventId, Node>,
}

/// An event, and how often it came.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) event: Event,
    pub(super) copies: usize,
}

/// One stop on the way through the forest.
#[derive(Debug)]
pub(super) enum Stop<'a> {
    /// A cause that is not there, before what it caused.
    Missing(&'a EventId),
    /// An event.
    Node(&'a Node),
}

impl Forest {
    /// Takes an event; one that is there already counts as a copy.
    pub(super) fn add(&mut self, event: Event) {
        let id = event.event_id.clone();
        self.nodes.entry(id).or_insert(Node { event, copies: 0 }).copies += 1;
    }

    /// How many events there are, copies not counted.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Every event once: what it caused follows it, in order of time.
    pub(super) fn walk(&self) -> Vec<Stop<'_>> {
        let causes = self.by_cause();
        let mut stops = Vec::with_capacity(self.nodes.len());
        let mut visited = BTreeSet::new();
        for root in causes.get(&None).into_iter().flatten() {
            self.visit(root, &causes, &mut visited, &mut stops);
        }
        let missing = causes.keys().filter_map(|cause| *cause);
        for cause in missing.filter(|cause| !self.nodes.contains_key(*cause)) {
            stops.push(Stop::Missing(cause));
            for node in &causes[&Some(cause)] {
                self.visit(node, &causes, &mut visited, &mut stops);
            }
        }
        // Events that cause each other in a circle have no root: nobody but a broken producer makes them.
        for node in self.nodes.values() {
            self.visit(node, &causes, &mut visited, &mut stops);
        }
        stops
    }

    fn by_cause(&self) -> BTreeMap<Option<&EventId>, Vec<&Node>> {
        let mut causes = BTreeMap::<_, Vec<&Node>>::new();
        for node in self.nodes.values() {
            causes.entry(node.event.causation_id.as_ref()).or_default().push(node);
        }
        for caused in causes.values_mut() {
            caused.sort_by_key(|node| (node.event.timestamp, &node.event.event_id));
        }
        causes
    }

    /// The node and all below it, without recursion: what a producer writes must not end this process.
    fn visit<'a>(
        &'a self,
        node: &'a Node,
        causes: &BTreeMap<Option<&'a EventId>, Vec<&'a Node>>,
        visited: &mut BTreeSet<&'a EventId>,
        stops: &mut Vec<Stop<'a>>,
    ) {
        let mut left = vec![node];
        while let Some(node) = left.pop() {
            if !visited.insert(&node.event.event_id) {
                continue;
            }
            stops.push(Stop::Node(node));
            let caused = causes.get(&Some(&node.event.event_id));
            left.extend(caused.into_iter().flatten().rev());
        }
    }

    /// The nodes as a list in the order of the walk, each with its cause.
    pub(super) fn json(&self) -> Value {
        let nodes = self.walk().into_iter().map(|stop| match stop {
            Stop::Missing(id) => json!({ "eventId": id, "missing": true }),
            Stop::Node(Node { event, copies }) => json!({
                "eventId": event.event_id,
                "eventType": event.event_type,
                "producer": emitter(event),
                "timestamp": format!("{:.3}", event.timestamp),
                "causationId": event.causation_id,
                "hops": event.hops,
                "copies": copies,
                "payload": event.payload,
            }),
        });
        nodes.collect()
    }

    /// A flowchart of Mermaid (<https://mermaid.js.org/syntax/flowchart.html>).
    pub(super) fn mermaid(&self) -> String {
        let stops = self.walk();
        let id = |stop: &Stop<'_>| match stop {
            Stop::Missing(id) => (*id).clone(),
            Stop::Node(node) => node.event.event_id.clone(),
        };
        let names: BTreeMap<_, _> = stops.iter().map(id).zip(0..).collect();
        let mut text = "flowchart TD".to_owned();
        for (index, stop) in stops.iter().enumerate() {
            let label = match stop {
                Stop::Missing(id) => format!("not found: {}", short(id.as_str())),
                Stop::Node(Node { event, copies }) => {
                    let copies = if *copies > 1 { format!(" x{copies}") } else { String::new() };
                    format!("{}{copies}<br/>{}", escape(&event.event_type), escape(emitter(event)))
                }
            };
            // Writing to a text does not fail.
            writeln!(text).and_then(|()| write!(text, "  n{index}[\"{label}\"]")).ok();
        }
        for (index, stop) in stops.iter().enumerate() {
            let Stop::Node(node) = stop else { continue };
            let cause = node.event.causation_id.as_ref().and_then(|cause| names.get(cause));
            if let Some(cause) = cause {
                writeln!(text).and_then(|()| write!(text, "  n{cause} --> n{index}")).ok();
            }
        }
        text
    }
}

/// Text within the quotes of a label.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "#amp;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;")
}

#[cfg(test)]
mod tests;
