//! How much waits in rivers and in quarantines, as SQS says it: about right, some seconds old.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName::{
    self, ApproximateNumberOfMessages, ApproximateNumberOfMessagesDelayed,
    ApproximateNumberOfMessagesNotVisible,
};
use event::names::{River, Stage};
use futures_util::{StreamExt as _, stream};
use tracing::{info, warn};

use crate::metrics::Ways;

/// States of a message, and what SQS calls their number.
const STATES: [(&str, QueueAttributeName); 3] = [
    ("visible", ApproximateNumberOfMessages),
    ("in_flight", ApproximateNumberOfMessagesNotVisible),
    ("delayed", ApproximateNumberOfMessagesDelayed),
];

/// Queues that are looked into at the same time.
const LOOKS_MAX: usize = 8;

/// Looks into queues.
#[derive(Debug)]
pub(crate) struct Depths {
    sqs: Client,
    stage: Stage,
    metrics: Ways,
    /// URLs by queue; a queue that is made anew has the same one.
    urls: BTreeMap<String, String>,
    /// Queues that could not be looked into.
    unseen: BTreeSet<String>,
}

impl Depths {
    pub(crate) fn new(sqs: Client, stage: Stage, metrics: Ways) -> Self {
        Self { sqs, stage, metrics, urls: BTreeMap::new(), unseen: BTreeSet::new() }
    }

    /// Looks into the queues of these rivers, and into the platform's quarantines. One that cannot be looked into is
    /// not shown. Returns the rivers in which nothing waits and nothing is at work.
    pub(crate) async fn look(&mut self, rivers: &[String]) -> Vec<String> {
        let mut queues = Vec::new();
        for name in rivers {
            let Ok(river) = River::parse(name, &self.stage) else { continue };
            queues.push((name.clone(), Which::River, river.queue()));
            queues.push((name.clone(), Which::Dead, river.dead_letter_queue()));
        }
        let quarantines = [self.stage.rapids_quarantine(), self.stage.control_quarantine()];
        for (name, queue) in ["Rapids", "Control"].into_iter().zip(quarantines) {
            queues.push((name.to_owned(), Which::Dead, queue));
        }
        let (sqs, urls) = (&self.sqs, &self.urls);
        let asked = queues.into_iter().map(|(name, which, queue)| async move {
            let counts = asked(sqs, urls.get(&queue), &queue).await;
            (name, which, queue, counts)
        });
        let asked: Vec<_> = stream::iter(asked).buffer_unordered(LOOKS_MAX).collect().await;
        let mut empty = Vec::new();
        for (name, which, queue, counts) in asked {
            let counts = self.noted(queue, counts);
            self.show(&name, which, counts);
            if let (Which::River, Some([0, 0, 0])) = (which, counts) {
                empty.push(name);
            }
        }
        empty
    }

    fn show(&self, name: &str, which: Which, counts: Option<[i64; 3]>) {
        match (which, counts) {
            (Which::River, Some(counts)) => {
                for ((state, _), count) in STATES.iter().zip(counts) {
                    self.metrics.depth.with_label_values(&[name, state]).set(count);
                }
            }
            (Which::Dead, Some(counts)) => {
                self.metrics.dead.with_label_values(&[name]).set(counts.iter().sum());
            }
            // They may never have been there.
            (Which::River, None) => {
                for (state, _) in &STATES {
                    self.metrics.depth.remove_label_values(&[name, state]).ok();
                }
            }
            (Which::Dead, None) => {
                self.metrics.dead.remove_label_values(&[name]).ok();
            }
        }
    }

    /// Shows a river no more.
    pub(crate) fn forget(&self, name: &str) {
        self.show(name, Which::River, None);
        self.show(name, Which::Dead, None);
    }

    /// Remembers where the queue is; says once why it cannot be looked into, and once that it can again.
    fn noted(
        &mut self,
        queue: String,
        counts: Result<(String, [i64; 3]), String>,
    ) -> Option<[i64; 3]> {
        match counts {
            Ok((url, counts)) => {
                if self.unseen.remove(&queue) {
                    info!(queue, "the queue can be looked into again");
                }
                self.urls.insert(queue, url);
                Some(counts)
            }
            Err(error) => {
                // Anew the next time: a river that was only just wanted has no queue yet.
                self.urls.remove(&queue);
                if self.unseen.insert(queue.clone()) {
                    warn!(queue, error, "could not look into a queue: its depth is not shown");
                }
                None
            }
        }
    }
}

/// What a queue is to its river.
#[derive(Clone, Copy, Debug)]
enum Which {
    River,
    Dead,
}

/// URL and counts of a queue.
async fn asked(
    sqs: &Client,
    url: Option<&String>,
    queue: &str,
) -> Result<(String, [i64; 3]), String> {
    let url = match url {
        Some(url) => url.clone(),
        None => {
            let found = sqs.get_queue_url().queue_name(queue).send().await;
            let url = found.map_err(|error| chassis::explain(&error))?.queue_url;
            url.ok_or_else(|| "SQS names no URL".to_owned())?
        }
    };
    let names = STATES.map(|(_, name)| name).to_vec();
    let get = sqs.get_queue_attributes().queue_url(&url).set_attribute_names(Some(names));
    let got = get.send().await.map_err(|error| chassis::explain(&error))?;
    let got = got.attributes.unwrap_or_default();
    let count = |name: &QueueAttributeName| got.get(name).and_then(|count| count.parse().ok());
    let counts = STATES.map(|(_, name)| count(&name));
    let [Some(a), Some(b), Some(c)] = counts else {
        return Err("SQS does not say how many messages there are".to_owned());
    };
    Ok((url, [a, b, c]))
}
