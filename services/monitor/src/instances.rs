//! Whose heartbeats are heard.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use event::Event;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Processes that are watched; the ones heard of first.
const WATCHED_MAX: usize = 2_000;
/// Longest name of anything; what is longer is no name.
const LENGTH_MAX: usize = 200;
/// A process that has been silent, or gone, for so long is forgotten, unless it was the last one on its river.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// What was last heard of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Up,
    Stopping,
    /// It said goodbye, or was waited for in vain.
    Gone,
    Silent,
}

/// A process of a service, as it names itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) service: String,
    pub(crate) version: String,
    pub(crate) river: String,
    pub(crate) state: State,
    pub(crate) heard: Timestamp,
}

/// Processes by their names.
#[derive(Debug)]
pub(crate) struct Instances {
    known: BTreeMap<String, Instance>,
    silent_after: SignedDuration,
}

impl State {
    pub(crate) const ALL: [Self; 4] = [Self::Up, Self::Stopping, Self::Gone, Self::Silent];

    /// The label of it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Stopping => "stopping",
            Self::Gone => "gone",
            Self::Silent => "silent",
        }
    }
}

impl Instances {
    pub(crate) fn new(silent_after: SignedDuration) -> Self {
        Self { known: BTreeMap::new(), silent_after }
    }

    /// An event of the life of a service; all others say nothing here. Who is gone stays known: rivers keep no order, and a
    /// heartbeat that was overtaken by the goodbye is no sign of life.
    pub(crate) fn heard(&mut self, event: &Event, now: Timestamp) {
        let state = match event.event_type.as_str() {
            "system.ServiceUp" | "system.ServiceReady" | "system.ServiceHeartbeat" => State::Up,
            "system.ServiceStopping" => State::Stopping,
            "system.ServiceDown" => State::Gone,
            _ => return,
        };
        let name = word(event, "instance");
        let is_name = |field: &str| word(event, field).len() <= LENGTH_MAX;
        if !["instance", "service", "version", "river"].into_iter().all(is_name) {
            return;
        }
        if name.is_empty() || (self.known.len() >= WATCHED_MAX && !self.known.contains_key(name)) {
            return;
        }
        let before = self.known.get(name).map(|it| it.state);
        let state = match (before, state) {
            (Some(State::Gone), _) => State::Gone,
            (Some(State::Stopping), State::Up) => State::Stopping,
            _ => state,
        };
        let instance = Instance {
            service: word(event, "service").to_owned(),
            version: word(event, "version").to_owned(),
            river: word(event, "river").to_owned(),
            state,
            heard: now,
        };
        self.known.insert(name.to_owned(), instance);
    }

    /// Those that have just fallen silent, by name. A process that was stopping and never said that it is down is gone: it
    /// is not missed, but what it had to tell is. The last one on a river that is wanted is not forgotten: it shows that
    /// nobody drinks from there.
    pub(crate) fn fell_silent(
        &mut self,
        wanted: &BTreeSet<String>,
        now: Timestamp,
    ) -> Vec<(String, Instance)> {
        let age = |it: &Instance| now.duration_since(it.heard);
        let up = self.known.values().filter(|it| it.state == State::Up);
        let mut held: BTreeSet<_> = up.map(|it| it.river.clone()).collect();
        let mut old: Vec<_> = self.known.iter().filter(|(_, it)| it.state != State::Up).collect();
        old.sort_by_key(|(_, it)| Reverse(it.heard));
        let forgotten = |(name, it): (&String, &Instance)| {
            let is_last = wanted.contains(&it.river) && held.insert(it.river.clone());
            (!is_last && age(it) >= FORGOTTEN_AFTER).then(|| name.clone())
        };
        let forgotten: Vec<_> = old.into_iter().filter_map(forgotten).collect();
        forgotten.iter().for_each(|name| drop(self.known.remove(name)));
        let alive = |it: &Instance| matches!(it.state, State::Up | State::Stopping);
        let quiet = |it: &&mut Instance| alive(it) && age(it) >= self.silent_after;
        let mut silent = Vec::new();
        for (name, it) in &mut self.known {
            if let Some(it) = Some(it).filter(quiet) {
                it.state = if it.state == State::Up { State::Silent } else { State::Gone };
                silent.push((name.clone(), it.clone()));
            }
        }
        silent
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, &Instance)> {
        self.known.iter()
    }

    /// Rivers that somebody drinks from.
    pub(crate) fn rivers(&self) -> BTreeSet<String> {
        let up = self.known.values().filter(|it| it.state == State::Up && !it.river.is_empty());
        up.map(|it| it.river.clone()).collect()
    }
}

fn word<'a>(event: &'a Event, name: &str) -> &'a str {
    event.payload.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + s).unwrap()
    }

    fn said(moment: &str, instance: &str) -> Event {
        let payload =
            json!({"service": "brand", "version": "1", "instance": instance, "river": "brand"});
        Event::root(format!("system.{moment}"), "system", payload, at(0))
    }

    fn nobody() -> BTreeSet<String> {
        BTreeSet::new()
    }

    fn instances() -> Instances {
        Instances::new(SignedDuration::from_secs(45))
    }

    fn states(instances: &Instances) -> Vec<State> {
        instances.all().map(|(_, it)| it.state).collect()
    }

    #[test]
    fn who_is_not_heard_of_is_silent_once_and_forgotten_later() {
        let mut instances = instances();
        instances.heard(&said("ServiceHeartbeat", "a"), at(0));
        instances.heard(&said("ServiceHeartbeat", "b"), at(0));
        instances.heard(&said("ServiceHeartbeat", "b"), at(15));
        assert_eq!(instances.fell_silent(&nobody(), at(44)), []);
        let silent = instances.fell_silent(&nobody(), at(45));
        assert_eq!(silent.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!(instances.fell_silent(&nobody(), at(46)), []);
        assert_eq!(states(&instances), [State::Silent, State::Up]);
        assert_eq!(instances.rivers(), BTreeSet::from(["brand".to_owned()]));
        instances.heard(&said("ServiceHeartbeat", "a"), at(50));
        assert_eq!(states(&instances), [State::Up, State::Up]);
        instances.fell_silent(&nobody(), at(700));
        instances.fell_silent(&nobody(), at(701));
        assert_eq!(states(&instances), []);
    }

    #[test]
    fn who_says_goodbye_is_not_missed_though_a_heartbeat_comes_after_it() {
        let mut instances = instances();
        instances.heard(&said("ServiceReady", "a"), at(0));
        instances.heard(&said("ServiceStopping", "a"), at(1));
        instances.heard(&said("ServiceHeartbeat", "a"), at(2));
        assert_eq!(states(&instances), [State::Stopping]);
        assert_eq!(instances.fell_silent(&nobody(), at(40)), []);
        instances.heard(&said("ServiceDown", "a"), at(101));
        instances.heard(&said("ServiceHeartbeat", "a"), at(102));
        assert_eq!(instances.fell_silent(&nobody(), at(200)), [], "a heartbeat after the goodbye");
        assert!(instances.rivers().is_empty());
        instances.fell_silent(&nobody(), at(800));
        assert_eq!(states(&instances), []);
    }

    #[test]
    fn the_last_one_on_a_river_that_is_wanted_is_not_forgotten() {
        let (mut instances, wanted) = (instances(), BTreeSet::from(["brand".to_owned()]));
        instances.heard(&said("ServiceHeartbeat", "a"), at(0));
        instances.heard(&said("ServiceHeartbeat", "b"), at(1));
        instances.fell_silent(&wanted, at(100));
        instances.fell_silent(&wanted, at(10_000));
        assert_eq!(states(&instances), [State::Silent], "b was heard last");
        assert_eq!(instances.all().next().unwrap().0, "b");
        instances.heard(&said("ServiceHeartbeat", "c"), at(10_001));
        instances.fell_silent(&wanted, at(10_002));
        assert_eq!(states(&instances), [State::Up]);
    }

    #[test]
    fn who_is_killed_while_it_stops_is_gone_and_what_it_had_to_tell_is_missed() {
        let mut instances = instances();
        instances.heard(&said("ServiceStopping", "a"), at(0));
        let gone = instances.fell_silent(&nobody(), at(45));
        assert_eq!(gone[0].1.state, State::Gone);
        assert_eq!(instances.fell_silent(&nobody(), at(46)), []);
    }

    #[test]
    fn what_is_too_long_is_no_name() {
        let mut instances = instances();
        instances.heard(&said("ServiceHeartbeat", &"a".repeat(201)), at(0));
        assert_eq!(states(&instances), []);
    }

    #[test]
    fn an_event_of_the_business_is_no_sign_of_life() {
        let mut instances = instances();
        instances.heard(&Event::root("ViewPage", "web", json!({"instance": "a"}), at(0)), at(0));
        assert_eq!(states(&instances), []);
    }
}
