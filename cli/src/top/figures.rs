//! From two looks at all sources to what is worth knowing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use super::exposition::Sample;

/// What all sources showed at one time.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) at: Instant,
    wall: Timestamp,
    /// Samples by process. A Prometheus tells of many.
    pub(super) processes: BTreeMap<String, Vec<Sample>>,
    /// Sources that showed nothing, and why.
    pub(super) down: BTreeMap<String, String>,
}

/// The picture as data.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Figures {
    pub(super) offers: Option<Offers>,
    pub(super) services: Vec<Service>,
    pub(super) shards: Vec<Shard>,
    pub(super) rivers: Vec<River>,
    pub(super) down: BTreeMap<String, String>,
}

/// What the monitor shows of the business; synthetic customers count for the probe alone.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Offers {
    pub(super) views_per_minute: f64,
    pub(super) selections_per_minute: f64,
    /// Of all views that were judged since the monitor's start.
    pub(super) covered: Option<f64>,
    pub(super) seconds_p95: Option<f64>,
    pub(super) probes_passed: f64,
    pub(super) probes_failed: f64,
    pub(super) probe_age_seconds: Option<f64>,
    pub(super) events_missing: f64,
}

/// The processes of one version of a service.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Service {
    pub(super) service: String,
    pub(super) version: String,
    pub(super) processes: usize,
    /// Processes whose last self-check failed.
    pub(super) ill: usize,
    pub(super) handled_per_second: f64,
    pub(super) failed_per_second: f64,
    pub(super) quarantined: f64,
    pub(super) in_flight: f64,
    pub(super) handle_seconds_p95: Option<f64>,
}

/// A shard, as its reader shows it.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shard {
    pub(super) service: String,
    pub(super) shard: String,
    pub(super) process: String,
    pub(super) behind_seconds: f64,
    pub(super) checkpoint_age_seconds: Option<f64>,
}

/// A river, as the monitor shows its queue, and its services what they take out.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct River {
    pub(super) river: String,
    pub(super) visible: Option<f64>,
    pub(super) in_flight: Option<f64>,
    pub(super) delayed: Option<f64>,
    pub(super) dead: Option<f64>,
    pub(super) settled_per_second: f64,
    pub(super) queue_seconds_p95: Option<f64>,
}

impl Reading {
    pub(super) fn new(at: Instant, wall: Timestamp) -> Self {
        Self { at, wall, processes: BTreeMap::new(), down: BTreeMap::new() }
    }

    /// What is of a namespace; of all that there is, if it is of one.
    ///
    /// # Errors
    /// The namespaces, where there are several and none is wanted: their sum would look like one stage.
    pub(super) fn of_namespace(mut self, wanted: Option<&str>) -> Result<Self, Vec<String>> {
        if let Some(wanted) = wanted {
            self.processes
                .values_mut()
                .for_each(|its| its.retain(|it| it.label("namespace") == wanted));
            self.processes.retain(|_, its| !its.is_empty());
            return Ok(self);
        }
        let all = self.processes.values().flatten().filter(|it| it.name == "rapids_build_info");
        let names: BTreeSet<&str> = all.map(|it| it.label("namespace")).collect();
        if names.len() > 1 {
            return Err(names.into_iter().map(str::to_owned).collect());
        }
        Ok(self)
    }

    /// What a source showed, or why it did not.
    pub(super) fn add(&mut self, source: &str, answer: Result<Vec<Sample>, String>) {
        match answer {
            Err(why) => drop(self.down.insert(source.to_owned(), why)),
            Ok(samples) => {
                for sample in samples {
                    let process = match sample.label("instance") {
                        "" => source,
                        instance => instance,
                    };
                    self.processes.entry(process.to_owned()).or_default().push(sample);
                }
            }
        }
    }
}

/// What is to be shown of two looks.
pub(super) fn of(before: &Reading, now: &Reading) -> Figures {
    let seconds = now.at.duration_since(before.at).as_secs_f64().max(0.001);
    let known = before.processes.keys().map(String::as_str).collect();
    let change = Change { before: series(before), known, now, seconds };
    Figures {
        offers: change.offers(),
        services: change.services(),
        shards: change.shards(),
        rivers: change.rivers(),
        down: now.down.clone(),
    }
}

type Series<'a> = BTreeMap<(&'a str, &'a str, Vec<(&'a str, &'a str)>), f64>;

/// Values by process, name and labels.
fn series(reading: &Reading) -> Series<'_> {
    let all = reading.processes.iter();
    all.flat_map(|(process, samples)| samples.iter().map(|it| (key(process, it), it.value)))
        .collect()
}

fn key<'a>(process: &'a str, sample: &'a Sample) -> (&'a str, &'a str, Vec<(&'a str, &'a str)>) {
    let labels = sample.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    (process, &sample.name, labels.collect())
}

struct Change<'a> {
    before: Series<'a>,
    /// Processes that were there before.
    known: BTreeSet<&'a str>,
    now: &'a Reading,
    seconds: f64,
}

impl<'a> Change<'a> {
    /// Samples of this name, with their processes.
    fn all(&self, name: &'a str) -> impl Iterator<Item = (&'a str, &'a Sample)> {
        let named = move |it: &&Sample| it.name == name;
        let processes = self.now.processes.iter();
        processes.flat_map(move |(process, samples)| {
            samples.iter().filter(named).map(move |it| (process.as_str(), it))
        })
    }

    fn sum(&self, name: &'a str, of: impl Fn(&str, &Sample) -> bool) -> Option<f64> {
        let values = self.all(name).filter(|(process, it)| of(process, it)).map(|(_, it)| it.value);
        values.reduce(|a, b| a + b)
    }

    /// By how much counters rose. One that is lower than before began anew, and one that was not there has risen from
    /// nothing, unless its process was not there either: nobody can say when it rose.
    fn rise(&self, name: &'a str, of: impl Fn(&str, &Sample) -> bool) -> f64 {
        let rises =
            self.all(name).filter(|(process, it)| of(process, it)).map(|(process, it)| match self
                .before
                .get(&key(process, it))
            {
                Some(before) if *before <= it.value => it.value - before,
                Some(_) => it.value,
                None if self.known.contains(process) => it.value,
                None => 0.0,
            });
        // The sum of nothing is -0.
        rises.sum::<f64>() + 0.0
    }

    fn per_second(&self, name: &'a str, of: impl Fn(&str, &Sample) -> bool) -> f64 {
        self.rise(name, of) / self.seconds
    }

    /// The bound under which 95 of 100 observations since the process's start lie: those of the last seconds are too few.
    fn p95(&self, name: &'a str, of: impl Fn(&str, &Sample) -> bool) -> Option<f64> {
        let mut buckets = BTreeMap::<u64, (f64, f64)>::new();
        for (_, it) in self.all(name).filter(|(process, it)| of(process, it)) {
            let le: f64 = it.label("le").parse().ok()?;
            buckets.entry(le.to_bits()).or_insert((le, 0.0)).1 += it.value;
        }
        let mut buckets: Vec<_> = buckets.into_values().collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let all = buckets.last().filter(|(_, count)| *count > 0.0)?.1;
        let finite = buckets.iter().rfind(|(le, _)| le.is_finite()).map(|(le, _)| *le);
        let bound = buckets.iter().find(|(_, count)| *count >= 0.95 * all)?.0;
        if bound.is_finite() { Some(bound) } else { finite }
    }

    fn offers(&self) -> Option<Offers> {
        let real = |_: &str, it: &Sample| it.label("synthetic") == "false";
        self.sum("offers_page_views_total", |_, _| true)?;
        let judged = |result: &'static str| {
            let of = |process: &str, it: &Sample| {
                real(process, it) && (result.is_empty() || it.label("result") == result)
            };
            self.sum("offers_views_judged_total", of).unwrap_or_default()
        };
        let probes = |outcome: &'static str| {
            self.sum("rapids_probe_runs_total", |_, it| it.label("outcome") == outcome)
                .unwrap_or_default()
        };
        let success =
            self.all("rapids_probe_last_success_timestamp_seconds").map(|(_, it)| it.value);
        let age = |at: f64| (self.now.wall.as_duration().as_secs_f64() - at).max(0.0);
        let missing = |_: &str, it: &Sample| it.label("outcome") == "missing";
        Some(Offers {
            views_per_minute: 60.0 * self.per_second("offers_page_views_total", real),
            selections_per_minute: 60.0 * self.per_second("offers_selected_total", real),
            covered: Some(judged("")).filter(|all| *all > 0.0).map(|all| judged("offered") / all),
            seconds_p95: self.p95("offers_time_to_offer_seconds_bucket", real),
            probes_passed: probes("passed"),
            probes_failed: probes("failed"),
            probe_age_seconds: success.reduce(f64::max).map(age),
            events_missing: self.sum("rapids_audit_events_total", missing).unwrap_or_default(),
        })
    }

    fn services(&self) -> Vec<Service> {
        let mut processes = BTreeMap::<(&str, &str), BTreeSet<&str>>::new();
        for (process, it) in self.all("rapids_build_info") {
            processes
                .entry((it.label("service"), it.label("version")))
                .or_default()
                .insert(process);
        }
        let service = |((service, version), its): ((&str, &str), BTreeSet<&str>)| {
            let of = |process: &str, _: &Sample| its.contains(process);
            let came_to = |outcomes: &'static [&'static str], well: bool| {
                move |process: &str, it: &Sample| {
                    of(process, it) && outcomes.contains(&it.label("outcome")) == well
                }
            };
            let messages = "rapids_river_messages_total";
            let good = came_to(&["ok", "ignored", "duplicate", "pong"], true);
            let failed = came_to(&["failed", "retry", "lost"], true);
            let quarantined = came_to(
                &["ok", "ignored", "duplicate", "pong", "failed", "retry", "lost", "released"],
                false,
            );
            let records = self.per_second("rapids_reader_records_total", of);
            Service {
                service: service.to_owned(),
                version: version.to_owned(),
                processes: its.len(),
                ill: self
                    .all("rapids_self_check_status")
                    .filter(|(process, it)| of(process, it) && it.value < 0.5)
                    .count(),
                handled_per_second: self.per_second(messages, good) + records,
                failed_per_second: self.per_second(messages, failed),
                quarantined: self.sum(messages, quarantined).unwrap_or_default()
                    + self.sum("rapids_reader_quarantined_total", of).unwrap_or_default()
                    + self.sum("rapids_control_quarantined_total", of).unwrap_or_default(),
                in_flight: self.sum("rapids_river_inflight", of).unwrap_or_default(),
                handle_seconds_p95: self.p95("rapids_river_handle_seconds_bucket", of),
            }
        };
        processes.clone().into_iter().map(service).collect()
    }

    fn shards(&self) -> Vec<Shard> {
        let service = |process: &str| {
            let info = self.all("rapids_build_info").find(|(of, _)| *of == process);
            info.map_or("", |(_, it)| it.label("service")).to_owned()
        };
        let shards = self.all("kcl_shard_behind_seconds").map(|(process, it)| {
            let same = |of: &str, other: &Sample| {
                of == process && other.label("shard") == it.label("shard")
            };
            Shard {
                service: service(process),
                shard: it.label("shard").to_owned(),
                process: process.to_owned(),
                behind_seconds: it.value,
                checkpoint_age_seconds: self.sum("kcl_shard_checkpoint_age_seconds", same),
            }
        });
        let mut shards: Vec<_> = shards.collect();
        shards.sort_by(|a, b| (&b.service, &a.shard).cmp(&(&a.service, &b.shard)));
        shards
    }

    fn rivers(&self) -> Vec<River> {
        let names = ["rapids_river_depth", "rapids_dlq_depth", "rapids_river_messages_total"];
        let names: BTreeSet<&str> =
            names.iter().flat_map(|name| self.all(name)).map(|(_, it)| it.label("river")).collect();
        let river = |name: &str| {
            let here = |_: &str, it: &Sample| it.label("river") == name;
            let depth = |state: &'static str| {
                self.sum("rapids_river_depth", |process, it| {
                    here(process, it) && it.label("state") == state
                })
            };
            let settled = |process: &str, it: &Sample| {
                here(process, it)
                    && !["released", "lost", "retry", "failed"].contains(&it.label("outcome"))
            };
            River {
                river: name.to_owned(),
                visible: depth("visible"),
                in_flight: depth("in_flight"),
                delayed: depth("delayed"),
                dead: self.sum("rapids_dlq_depth", here),
                settled_per_second: self.per_second("rapids_river_messages_total", settled),
                queue_seconds_p95: self.p95("rapids_river_queue_seconds_bucket", here),
            }
        };
        names.into_iter().filter(|name| !name.is_empty()).map(river).collect()
    }
}

#[cfg(test)]
mod tests;
