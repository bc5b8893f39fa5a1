//! Where an event is shown to all who look at it, and where time passes.

use std::collections::{BTreeMap, BTreeSet};

use chassis::LabelValues;
use event::{Event, EventId, Producer};
use jiff::{SignedDuration, Timestamp};
use river::Experiments;
use serde_json::{Value, json};
use tracing::{error, warn};

use crate::audit::{Audit, Counts, Missing, Wish};
use crate::business::Business;
use crate::clock::Clock;
use crate::config::Config;
use crate::instances::{Instance, Instances, State};
use crate::labels;
use crate::metrics::Metrics;
use crate::pings::Pings;
use crate::probe::{Probes, Verdict};
use crate::recent::Recent;

/// Losses that are told one by one at a time; all of them are counted.
const MISSING_TOLD_MAX: usize = 20;

/// All that is known, and what is made of it.
#[derive(Debug)]
pub(crate) struct Desk {
    producer: Producer,
    river: String,
    clock: Clock,
    silent_after: SignedDuration,
    missing_after: SignedDuration,
    /// Rivers that have subscriptions.
    subscribed: BTreeSet<String>,
    recent: Recent,
    business: Business,
    instances: Instances,
    pings: Pings,
    audit: Audit,
    probes: Probes,
    metrics: Metrics,
    shown: Shown,
    names: Names,
}

/// Names that are labels.
#[derive(Debug)]
struct Names {
    rivers: LabelValues,
    services: LabelValues,
    versions: LabelValues,
}

/// Series of gauges that are there: those that are not any more go.
#[derive(Debug, Default)]
struct Shown {
    instances: BTreeSet<[String; 4]>,
    ages: BTreeSet<String>,
}

impl Desk {
    pub(crate) fn new(
        config: &Config,
        producer: Producer,
        river: &str,
        metrics: Metrics,
        now: Timestamp,
    ) -> Self {
        if config.probe.enabled {
            metrics.probes.begin(now);
        }
        let signed = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        Self {
            producer,
            river: river.to_owned(),
            clock: Clock::new(now),
            silent_after: signed(config.silent_after),
            missing_after: signed(config.missing_after),
            subscribed: BTreeSet::new(),
            recent: Recent::default(),
            business: Business::new(config, metrics.offers.clone()),
            instances: Instances::new(signed(config.silent_after)),
            pings: Pings::new(signed(config.ping_within)),
            audit: Audit::new(signed(config.missing_after)),
            probes: Probes::new(&config.probe),
            metrics,
            shown: Shown::default(),
            names: Names {
                rivers: labels::rivers(),
                services: labels::rivers(),
                versions: labels::many(),
            },
        }
    }

    /// An event came here; false if it is a copy. What is much older than others that came is no news, as when somebody
    /// replays the past: it says nothing of who lives, and nobody accounts for it again.
    pub(crate) fn heard(
        &mut self,
        event: &Event,
        experiments: Option<&Experiments>,
        wall: Timestamp,
    ) -> bool {
        self.clock.heard(event.timestamp, wall);
        let now = self.clock.now();
        let is_past = |after| {
            let bound = event.timestamp.saturating_add(after).unwrap_or(Timestamp::MAX);
            self.clock.has_heard_of(bound)
        };
        let (is_stale, is_old) = (is_past(self.silent_after), is_past(self.missing_after));
        self.probes.heard(event);
        if !self.recent.is_new(&event.event_id) {
            return false;
        }
        match event.event_type.as_str() {
            "system.Pong" => {
                if let Some((river, seconds)) = self.pings.answered(event, wall) {
                    let river = self.names.rivers.of(river);
                    self.metrics.ways.pings.with_label_values(&[river, "answered"]).inc();
                    self.metrics.ways.ping_seconds.with_label_values(&[river]).observe(seconds);
                }
            }
            "system.Acknowledged" => self.acknowledged(event, now),
            "system.ServiceHeartbeat" if is_stale => {}
            "system.ServiceHeartbeat" => {
                self.instances.heard(event, now);
                let river = event.payload.get("river").and_then(Value::as_str);
                self.audit.lives(river.unwrap_or_default(), now);
            }
            _ => {
                if !is_stale {
                    self.instances.heard(event, now);
                }
                let is_control =
                    |name: &str, arm: &str| experiments.and_then(|them| them.is_control(name, arm));
                let moment = self.clock.moment(wall);
                self.business.heard(event, is_control, moment);
                if is_old {
                    return true;
                }
                let is_elsewhere =
                    |river: &str| experiments.is_some_and(|them| them.is_elsewhere(river, event));
                let (acknowledged, unknown) = self.audit.heard(event, is_elsewhere, moment);
                self.audited("acknowledged", &acknowledged);
                self.audited("unknown", &unknown);
            }
        }
        true
    }

    /// What rivers want now. What comes to the monitor's own river is what it knows of: it is not audited.
    pub(crate) fn wanted(&mut self, mut wanted: BTreeMap<String, Wish>, wall: Timestamp) {
        self.subscribed = wanted.keys().cloned().collect();
        wanted.remove(&self.river);
        let unknown = self.audit.wanted(&wanted, wall);
        self.audited("unknown", &unknown);
    }

    /// The queue of a river was seen empty.
    pub(crate) fn emptied(&mut self, river: &str, wall: Timestamp) {
        self.audit.emptied(river, wall);
    }

    /// A ping for all rivers that somebody drinks from, or did: who has answered and does not is what is looked for.
    pub(crate) fn ping(&mut self, wall: Timestamp) -> Vec<Event> {
        let mut rivers = self.instances.rivers();
        rivers.extend(self.pings.answering().intersection(&self.subscribed).cloned());
        for river in &rivers {
            let river = self.names.rivers.of(river);
            for outcome in ["answered", "lost"] {
                // A counter that is born with its first event hides that event from every `increase()`.
                self.metrics.ways.pings.with_label_values(&[river, outcome]);
            }
        }
        let ping = self.pings.send(rivers, self.clock.moment(wall));
        ping.into_iter().map(|ping| self.signed(ping)).collect()
    }

    /// A synthetic customer.
    pub(crate) fn probe(&mut self, wall: Timestamp) -> Vec<Event> {
        let views = self.probes.start(self.clock.moment(wall));
        views.into_iter().map(|view| self.signed(view)).collect()
    }

    /// Time passes: what is due is judged. Returns what the rapids are to be told.
    pub(crate) fn tick(&mut self, wall: Timestamp) -> Vec<Event> {
        if self.clock.tick(wall) {
            warn!(
                "the clock of this machine was set back: pings and probes under way are forgotten"
            );
            self.pings.forget();
            self.probes.forget();
        }
        let now = self.clock.now();
        self.metrics.ways.lag.set(self.clock.lag(wall).as_secs_f64());
        self.business.tick(&self.clock);
        for (river, lost) in self.pings.lost(&self.clock) {
            let labels = [self.names.rivers.of(&river), "lost"];
            self.metrics.ways.pings.with_label_values(&labels).inc_by(lost);
            warn!(river, lost, "a ping was not answered in time");
        }
        for verdict in self.probes.judge(&self.clock) {
            self.probed(&verdict);
        }
        let mut told = self.silences(now, wall);
        let (missing, unknown) = self.audit.judge(&self.clock);
        self.audited("unknown", &unknown);
        told.extend(self.missing(&missing, wall));
        self.metrics.ways.pending.set(i64::try_from(self.audit.pending()).unwrap_or(i64::MAX));
        self.show(now);
        told
    }

    /// Another process that drinks from the same river, if there is one.
    pub(crate) fn rival(&self) -> Option<&str> {
        let rival = |(name, it): &(&String, &Instance)| {
            it.river == self.river && it.state == State::Up && **name != self.producer.instance
        };
        self.instances.all().find(rival).map(|(name, _)| name.as_str())
    }

    fn acknowledged(&mut self, event: &Event, now: Timestamp) {
        let Some(river) = event.payload.get("river").and_then(Value::as_str) else { return };
        let ids = event.payload.get("ids").and_then(Value::as_array).into_iter().flatten();
        let ids: Vec<_> = ids.filter_map(Value::as_str).map(EventId::from).collect();
        let count = self.audit.acknowledged(river, &ids, now);
        self.audited("acknowledged", &Counts::from([(river.to_owned(), count)]));
        if event.payload.get("untold").is_some() {
            let unknown = self.audit.doubt(river);
            self.audited("unknown", &Counts::from([(river.to_owned(), unknown)]));
        }
    }

    fn audited(&mut self, outcome: &str, counts: &Counts) {
        for (river, count) in counts {
            let river = self.names.rivers.of(river);
            // A river that is audited shows that nothing is missing before anything is.
            self.metrics.ways.audited.with_label_values(&[river, "missing"]).inc_by(0);
            self.metrics.ways.audited.with_label_values(&[river, outcome]).inc_by(*count);
        }
    }

    fn probed(&self, verdict: &Verdict) {
        let passed = verdict.failed.is_empty();
        let labels = [verdict.probe, if passed { "passed" } else { "failed" }];
        self.metrics.probes.runs.with_label_values(&labels).inc();
        for (stage, seconds) in &verdict.reached {
            self.metrics.probes.seconds.with_label_values(&[stage]).observe(*seconds);
        }
        for (stage, why) in &verdict.failed {
            self.metrics.probes.failures.with_label_values(&[stage]).inc();
            warn!(probe = verdict.probe, stage, why, "a stage of a probe failed");
        }
        if passed {
            let success = self.metrics.probes.success.with_label_values(&[verdict.probe]);
            // Of several that are judged at once, the newest counts.
            success.set(verdict.since.as_duration().as_secs_f64().max(success.get()));
        }
    }

    fn silences(&mut self, now: Timestamp, wall: Timestamp) -> Vec<Event> {
        let mut told = Vec::new();
        for (name, it) in self.instances.fell_silent(&self.subscribed, now) {
            // What it had settled and not told yet, nobody knows.
            let unknown = self.audit.doubt(&it.river);
            self.audited("unknown", &Counts::from([(it.river.clone(), unknown)]));
            if it.state == State::Gone {
                continue;
            }
            warn!(service = it.service, instance = name, river = it.river, "a process fell silent");
            let service = self.names.services.of(&it.service);
            self.metrics.ways.silences.with_label_values(&[service]).inc();
            let payload = json!({
                "service": it.service, "version": it.version, "instance": name, "river": it.river,
                "silentForMs": now.duration_since(it.heard).as_millis(),
            });
            told.push(self.signed(Event::root("system.ServiceSilent", "system", payload, wall)));
        }
        told
    }

    fn missing(&mut self, missing: &[Missing], now: Timestamp) -> Vec<Event> {
        for it in missing {
            let (river, event_type) = (&it.river, &it.event_type);
            error!(river, event_type, event_id = %it.event_id, "an event did not come to its river");
            self.audited("missing", &Counts::from([(it.river.clone(), 1)]));
        }
        let told = missing.iter().take(MISSING_TOLD_MAX).map(|it| {
            let payload =
                json!({"river": it.river, "eventId": it.event_id, "eventType": it.event_type});
            self.signed(Event::root("system.EventMissing", "system", payload, now))
        });
        told.collect()
    }

    fn show(&mut self, now: Timestamp) {
        let mut counts = BTreeMap::<[String; 4], i64>::new();
        let mut ages = BTreeMap::<String, f64>::new();
        for (_, it) in self.instances.all() {
            for state in State::ALL {
                let key = [
                    self.names.services.of(&it.service),
                    self.names.versions.of(&it.version),
                    self.names.rivers.of(&it.river),
                    state.as_str(),
                ];
                let key = key.map(str::to_owned);
                *counts.entry(key).or_default() += i64::from(it.state == state);
            }
            let age = now.duration_since(it.heard).as_secs_f64().max(0.0);
            let service = self.names.services.of(&it.service).to_owned();
            let freshest = ages.entry(service).or_insert(age);
            *freshest = freshest.min(age);
        }
        for (key, count) in &counts {
            self.metrics
                .ways
                .instances
                .with_label_values(&key.each_ref().map(String::as_str))
                .set(*count);
        }
        for (service, age) in &ages {
            self.metrics.ways.heartbeat_age.with_label_values(&[service]).set(*age);
            self.metrics.ways.silences.with_label_values(&[service]).inc_by(0);
        }
        let now =
            Shown { instances: counts.into_keys().collect(), ages: ages.into_keys().collect() };
        for gone in self.shown.instances.difference(&now.instances) {
            let labels = gone.each_ref().map(String::as_str);
            self.metrics.ways.instances.remove_label_values(&labels).ok(); // It was there.
        }
        for gone in self.shown.ages.difference(&now.ages) {
            self.metrics.ways.heartbeat_age.remove_label_values(&[&**gone]).ok(); // It was there.
        }
        self.shown = now;
    }

    fn signed(&self, event: Event) -> Event {
        Event { producer: Some(self.producer.clone()), ..event }
    }
}
