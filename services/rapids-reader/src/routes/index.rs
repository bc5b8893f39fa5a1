//! Which rivers get an event directly: the routes of one version, laid out so that an event asks few of them.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use event::names::Topic;
use event::packet::{Packet, Verdict};
use event::route::{Direct, Line};
use event::{Event, Header};
use jiff::Timestamp;

use crate::target::Target;

/// The routes of one version. An event looks up its type, and then meets only patterns and its own type's lines.
#[derive(Debug, Default)]
pub(crate) struct Index {
    version: u64,
    rivers: BTreeMap<String, River>,
    targets: Vec<Arc<Target>>,
    by_type: HashMap<String, Vec<Entry>>,
    /// By pattern, such as `Offer.*`.
    by_pattern: BTreeMap<String, Vec<Entry>>,
}

#[derive(Clone, Debug)]
struct River {
    direct: Direct,
    target: Arc<Target>,
}

/// A line of a river.
#[derive(Debug)]
struct Entry {
    /// Index of the river in `targets`.
    target: usize,
    /// None where the type alone decides.
    packet: Option<Packet>,
    line: Line,
}

/// A row that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub(crate) river: String,
    pub(crate) reason: String,
}

impl Index {
    /// Lays out rows: names of rivers, and their routes as JSON. A river whose row cannot be read keeps what it had in
    /// `before`, and one that has not moved its queue keeps how that fares.
    pub(crate) fn compile(
        version: u64,
        rows: Vec<(String, String)>,
        before: &Self,
    ) -> (Self, Vec<Unreadable>) {
        let (mut index, mut unreadable) = (Self { version, ..Self::default() }, Vec::new());
        for (name, json) in rows {
            let known = before.rivers.get(&name);
            let direct = match Direct::parse(&json) {
                Ok(direct) => direct,
                Err(error) => {
                    unreadable.push(Unreadable { river: name.clone(), reason: error.to_string() });
                    let Some(known) = known else { continue };
                    known.direct.clone()
                }
            };
            let same = known.filter(|known| known.direct.queue_url == direct.queue_url);
            let target = same.map_or_else(
                || Arc::new(Target::new(name.clone(), direct.queue_url.clone())),
                |known| Arc::clone(&known.target),
            );
            index.add(name, River { direct, target });
        }
        (index, unreadable)
    }

    fn add(&mut self, name: String, river: River) {
        for line in &river.direct.packets {
            let packet = Some(line.packet()).filter(|packet| !packet.rules().is_empty());
            let entry = Entry { target: self.targets.len(), packet, line: line.clone() };
            let entries = if line.topic.ends_with('*') {
                self.by_pattern.entry(line.topic.clone()).or_default()
            } else {
                self.by_type.entry(line.topic.clone()).or_default()
            };
            entries.push(entry);
        }
        self.targets.push(Arc::clone(&river.target));
        self.rivers.insert(name, river);
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// How many rivers are fed directly.
    pub(crate) fn rivers(&self) -> usize {
        self.rivers.len()
    }

    /// The rivers that get an event at `now`, each once. The event is read in full only where rules ask for it; one that
    /// cannot be read so goes to them all the same, as it does by SNS: each puts it away with the reason.
    pub(crate) fn route(&self, header: &Header<'_>, now: Timestamp) -> Vec<Arc<Target>> {
        let exact = self.by_type.get(&*header.event_type).into_iter().flatten();
        let covers = |topic: &str| Topic::covers(topic, &header.event_type);
        let patterns = self.by_pattern.iter().filter(|(topic, _)| covers(topic));
        let entries = exact.chain(patterns.flat_map(|(_, entries)| entries));
        let (mut hits, mut asking) = (BTreeSet::new(), Vec::new());
        for entry in entries.filter(|entry| entry.line.is_open(now)) {
            match &entry.packet {
                None => drop(hits.insert(entry.target)),
                Some(packet) => asking.push((entry.target, packet)),
            }
        }
        let event = LazyCell::new(|| whole(header));
        for (target, packet) in asking {
            let means = || event.as_ref().is_none_or(|it| packet.check(it) != Verdict::NotMine);
            if !hits.contains(&target) && means() {
                hits.insert(target);
            }
        }
        hits.into_iter().map(|target| Arc::clone(&self.targets[target])).collect()
    }
}

/// The event, with the arms that stand beside it: rules may be about those.
fn whole(header: &Header<'_>) -> Option<Event> {
    let mut event = Event::parse(header.json.as_bytes()).ok()?;
    for (experiment, arm) in &header.experiments {
        event.experiments.entry(experiment.to_string()).or_insert_with(|| arm.to_string());
    }
    Some(event)
}

#[cfg(test)]
mod tests;
