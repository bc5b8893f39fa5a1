//! The row by which a worker tells the leader that it lives and what it can bear.
//!
//! Source: `WorkerMetricStats` of KCL 3.x. A row without a resource metric is valid
//! (`isUsingDefaultWorkerMetric`): the leader then goes by the throughput that the worker's leases carry. This
//! worker measures no processor load, so its row has none.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::types::AttributeValue;

use crate::lease::{ENTITY_TYPE, Item, LEASE_KEY};

/// Value of `entityType`.
pub(crate) const WORKER_METRIC_STATS: &str = "WORKER_METRIC_STATS";
/// Partition key in the table of its own.
pub(crate) const WORKER_ID: &str = "wid";
pub(crate) const UPDATED: &str = "lut";
const SAMPLES: &str = "sts";
const LIMITS: &str = "opr";
const PROPERTIES: &str = "properties";
const SUPPORT_CODE: &str = "sup";
const SUPPORT_UPDATED: &str = "slu";

/// Time between two reports. KCL: `workerMetricsReporterFreqInMillis`.
#[cfg_attr(test, expect(dead_code, reason = "the consumer is to keep it"))]
pub(crate) const REPORT_INTERVAL: Duration = Duration::from_secs(30);
/// A row that is older is that of a worker that is gone. KCL: two reports missed.
const FRESH: Duration = Duration::from_secs(60);
/// `SINGLE_TABLE_MIGRATION`: this worker reads a lease table that holds other rows too. It does
/// ([`crate::Lease::decode`]), and it finds its own row by the same states as the Java workers.
const SINGLE_TABLE: u32 = 1;
/// Property that tells the rows of this library from those of Java workers.
const CLIENT: (&str, &str) = ("client", "rapids-kcl");
const THROUGHPUT: &str = "throughputKBps";

/// A worker's row. Attributes that no leader of today reads are kept out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MetricStats {
    /// The worker, as it stands in `leaseOwner`.
    pub(crate) worker: String,
    /// When the row was written, in seconds since 1970 by the worker's clock.
    pub(crate) updated: u64,
    /// Samples by resource metric, the latest last; `C` is processor load in percent.
    pub(crate) samples: BTreeMap<String, Vec<f64>>,
    /// Limits by resource metric: the first is what the worker is not to exceed.
    pub(crate) limits: BTreeMap<String, Vec<i64>>,
    /// Free text by name.
    pub(crate) properties: BTreeMap<String, String>,
    /// The newest breaking change that the worker copes with, and when it last said so.
    pub(crate) support: Option<(u32, u64)>,
}

impl MetricStats {
    /// The row of this worker.
    pub(crate) fn of(worker: &str, now: SystemTime, throughput_kbps: f64) -> Self {
        let updated = seconds(now);
        let client = (CLIENT.0.to_owned(), CLIENT.1.to_owned());
        Self {
            worker: worker.to_owned(),
            updated,
            samples: BTreeMap::new(),
            limits: BTreeMap::new(),
            properties: [client, (THROUGHPUT.to_owned(), format!("{throughput_kbps:.6}"))].into(),
            support: Some((SINGLE_TABLE, updated)),
        }
    }

    /// Reads a row of either table; `None` for one that is none or lacks the time of its writing, without
    /// which it is invalid for the leader too.
    pub(crate) fn decode(row: &Item) -> Option<Self> {
        let kind = row.get(ENTITY_TYPE).map(AttributeValue::as_s);
        if kind.is_some_and(|kind| kind.is_ok_and(|kind| kind != WORKER_METRIC_STATS)) {
            return None;
        }
        let worker = row.get(WORKER_ID).or_else(|| row.get(LEASE_KEY))?.as_s().ok()?;
        let support = number(row, SUPPORT_CODE).zip(number(row, SUPPORT_UPDATED));
        let properties = map(row, PROPERTIES)
            .filter_map(|(name, value)| Some((name.clone(), value.as_s().ok()?.clone())));
        Some(Self {
            worker: worker.clone(),
            updated: number(row, UPDATED)?,
            samples: map(row, SAMPLES).filter_map(list).collect(),
            limits: map(row, LIMITS).filter_map(list).collect(),
            properties: properties.collect(),
            support,
        })
    }

    /// What is written, but for the key. Rows are updated attribute by attribute, as the KCL does it, so that
    /// what a newer worker of the same name wrote stays. The maps are there even when they are empty: KCL
    /// before 3.5 does not expect them to be absent.
    pub(crate) fn attributes(&self) -> Vec<(&'static str, AttributeValue)> {
        let n = |number: u64| AttributeValue::N(number.to_string());
        let text =
            |(name, text): (&String, &String)| (name.clone(), AttributeValue::S(text.clone()));
        let mut attributes = vec![
            (ENTITY_TYPE, AttributeValue::S(WORKER_METRIC_STATS.to_owned())),
            (UPDATED, n(self.updated)),
            (SAMPLES, numbers(&self.samples)),
            (LIMITS, numbers(&self.limits)),
            (PROPERTIES, AttributeValue::M(self.properties.iter().map(text).collect())),
        ];
        if let Some((code, at)) = self.support {
            attributes.extend([(SUPPORT_CODE, n(code.into())), (SUPPORT_UPDATED, n(at))]);
        }
        attributes
    }

    /// Whether the worker is taken for alive.
    pub(crate) fn is_fresh(&self, now: SystemTime) -> bool {
        seconds(now).saturating_sub(self.updated) <= FRESH.as_secs()
    }

    /// Whether a worker of this library wrote the row.
    pub(crate) fn is_ours(&self) -> bool {
        self.properties.get(CLIENT.0).is_some_and(|client| client == CLIENT.1)
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn number<T: std::str::FromStr>(row: &Item, name: &str) -> Option<T> {
    row.get(name)?.as_n().ok()?.parse().ok()
}

fn map<'a>(
    row: &'a Item,
    name: &str,
) -> impl Iterator<Item = (&'a String, &'a AttributeValue)> + use<'a> {
    row.get(name).and_then(|value| value.as_m().ok()).into_iter().flatten()
}

fn list<T: std::str::FromStr>(
    (name, value): (&String, &AttributeValue),
) -> Option<(String, Vec<T>)> {
    let values = value.as_l().ok()?.iter();
    let numbers = values.filter_map(|value| value.as_n().ok()?.parse().ok());
    Some((name.clone(), numbers.collect()))
}

fn numbers<T: ToString>(lists: &BTreeMap<String, Vec<T>>) -> AttributeValue {
    let list = |values: &Vec<T>| {
        AttributeValue::L(values.iter().map(|value| AttributeValue::N(value.to_string())).collect())
    };
    let lists: HashMap<_, _> =
        lists.iter().map(|(name, values)| (name.clone(), list(values))).collect();
    AttributeValue::M(lists)
}
