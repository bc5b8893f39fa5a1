//! Producers, types and consumers, as they were seen.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use event::{Event, EventId};
use serde_json::{Value, json};

use crate::output::Paint;
use crate::tree::emitter;
use crate::watch::forest::escape;
use crate::watch::rows::Subscription;

/// Events whose type is remembered: an answer comes within seconds of what it answers.
const CAUSES_MAX: usize = 200_000;
/// Of the most names in a column.
const WIDTH_MAX: usize = 32;

/// What flows.
#[derive(Debug)]
pub(super) struct Map<'a> {
    subscriptions: &'a [Subscription],
    pub(super) events: u64,
    /// Records that are no events.
    pub(super) unreadable: u64,
    types: BTreeMap<String, Seen>,
    causes: BTreeMap<EventId, String>,
    order: VecDeque<EventId>,
}

/// A type.
#[derive(Debug, Default)]
struct Seen {
    count: u64,
    emitted_by: BTreeMap<String, u64>,
    /// Services whose events name one of this type as their cause.
    answered_by: BTreeSet<String>,
}

impl<'a> Map<'a> {
    /// Nothing was seen yet.
    pub(super) fn new(subscriptions: &'a [Subscription]) -> Self {
        Self {
            subscriptions,
            events: 0,
            unreadable: 0,
            types: BTreeMap::new(),
            causes: BTreeMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Takes an event.
    pub(super) fn add(&mut self, event: &Event) {
        self.events += 1;
        let by = emitter(event).to_owned();
        let seen = self.types.entry(event.event_type.clone()).or_default();
        seen.count += 1;
        *seen.emitted_by.entry(by.clone()).or_default() += 1;
        let cause = event.causation_id.as_ref().and_then(|cause| self.causes.get(cause));
        if let Some(cause) = cause.and_then(|cause| self.types.get_mut(cause)) {
            cause.answered_by.insert(by);
        }
        self.order.push_back(event.event_id.clone());
        self.causes.insert(event.event_id.clone(), event.event_type.clone());
        if self.order.len() > CAUSES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.causes.remove(&oldest);
        }
    }

    fn consumers(&self, event_type: &str) -> Vec<&'a Subscription> {
        self.subscriptions.iter().filter(|row| row.covers(event_type)).collect()
    }

    fn unconsumed(&self) -> Vec<&str> {
        let types = self.types.keys().map(String::as_str);
        types.filter(|event_type| self.consumers(event_type).is_empty()).collect()
    }

    fn never_seen(&self) -> Vec<&'a Subscription> {
        let is_seen = |row: &&Subscription| self.types.keys().any(|kind| row.covers(kind));
        self.subscriptions.iter().filter(|row| !is_seen(row)).collect()
    }

    /// One object.
    pub(super) fn json(&self) -> Value {
        let row = |row: &Subscription| json!({"river": row.river, "topic": row.topic, "status": row.status});
        let types = self.types.iter().map(|(event_type, seen)| {
            let consumers = self.consumers(event_type);
            json!({
                "eventType": event_type,
                "count": seen.count,
                "emittedBy": seen.emitted_by,
                "consumedBy": consumers.into_iter().map(row).collect::<Value>(),
                "answeredBy": seen.answered_by,
            })
        });
        json!({
            "events": self.events,
            "unreadable": self.unreadable,
            "types": types.collect::<Value>(),
            "unconsumed": self.unconsumed(),
            "neverSeen": self.never_seen().into_iter().map(row).collect::<Value>(),
        })
    }

    /// A table for people, and what is odd below it.
    pub(super) fn lines(&self, paint: Paint) -> Vec<String> {
        let head = ["EMITTED BY", "TYPE", "CONSUMED BY"].map(str::to_owned);
        let mut rows = vec![head];
        for (event_type, seen) in &self.types {
            let by = seen.emitted_by.iter().map(|(by, count)| format!("{by} ({count})"));
            let by = by.collect::<Vec<_>>().join(", ");
            let mut consumers =
                self.consumers(event_type).into_iter().map(consumer).collect::<Vec<_>>();
            let mut answers: Vec<_> = seen.answered_by.iter().map(String::as_str).collect();
            // A service that reads the river of its own name is told once.
            answers.retain(|service| !self.subscriptions.iter().any(|row| row.river == *service));
            if !answers.is_empty() {
                consumers.push(format!("answered by {}", answers.join(", ")));
            }
            let consumers =
                if consumers.is_empty() { "-".to_owned() } else { consumers.join(", ") };
            rows.push([by, event_type.clone(), consumers]);
        }
        let width = |column: usize| {
            let widths = rows.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or_default().min(WIDTH_MAX)
        };
        let (first, second) = (width(0), width(1));
        let mut lines: Vec<_> = rows
            .iter()
            .enumerate()
            .map(|(index, [by, event_type, to])| {
                let line = format!("{by:<first$}  {event_type:<second$}  {to}");
                if index == 0 { paint.bold(&line) } else { line }
            })
            .collect();
        lines.extend(self.oddities());
        lines
    }

    fn oddities(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let unconsumed = self.unconsumed();
        if !unconsumed.is_empty() {
            lines.push(format!("\nno river consumes: {}", unconsumed.join(", ")));
        }
        let never = self.never_seen();
        if !never.is_empty() {
            let never = never.iter().map(|row| format!("{} (river {})", row.topic, row.river));
            let never = never.collect::<Vec<_>>().join(", ");
            lines.push(format!("\nsubscribed to, but not seen: {never}"));
        }
        if self.unreadable > 0 {
            lines.push(format!("\n{} records are not events", self.unreadable));
        }
        lines
    }

    /// A flowchart of Mermaid: services, types, rivers from left to right.
    pub(super) fn mermaid(&self) -> String {
        let mut chart = Chart::default();
        for (event_type, seen) in &self.types {
            let to = chart.node('t', event_type, ["([\"", "\"])"]);
            for (by, count) in &seen.emitted_by {
                let from = chart.node('s', by, ["[\"", "\"]"]);
                chart.arrow(&format!("{from} -->|{count}| {to}"));
            }
            for row in self.consumers(event_type) {
                let river = chart.node('r', &row.river, ["[(\"", "\")]"]);
                chart.arrow(&format!("{to} --> {river}"));
            }
            for service in &seen.answered_by {
                let service = chart.node('s', service, ["[\"", "\"]"]);
                chart.arrow(&format!("{to} -.-> {service}"));
            }
        }
        chart.text()
    }
}

fn consumer(row: &Subscription) -> String {
    match row.status.as_str() {
        "active" => row.river.clone(),
        other => format!("{} ({other})", row.river),
    }
}

/// Nodes and arrows of a flowchart.
#[derive(Debug, Default)]
struct Chart {
    names: BTreeMap<(char, String), String>,
    nodes: Vec<String>,
    arrows: Vec<String>,
}

impl Chart {
    /// The name of a node, made when it is first asked for.
    fn node(&mut self, kind: char, label: &str, shape: [&str; 2]) -> String {
        let next = format!("{kind}{}", self.names.len());
        let name = self.names.entry((kind, label.to_owned())).or_insert_with(|| {
            let [open, close] = shape;
            self.nodes.push(format!("  {next}{open}{}{close}", escape(label)));
            next
        });
        name.clone()
    }

    fn arrow(&mut self, arrow: &str) {
        self.arrows.push(format!("  {arrow}"));
    }

    fn text(self) -> String {
        let mut text = "flowchart LR".to_owned();
        for line in self.nodes.iter().chain(&self.arrows) {
            // Writing to a text does not fail.
            write!(text, "\n{line}").ok();
        }
        text
    }
}

#[cfg(test)]
mod tests;
