//! How much waits in rivers and in quarantines, as SQS says it: about right, some seconds old.

use std::collections::BTreeMap;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName::{
    self, ApproximateNumberOfMessages, ApproximateNumberOfMessagesDelayed,
    ApproximateNumberOfMessagesNotVisible,
};
use event::names::{River, Stage};
use tracing::debug;

use crate::metrics::Ways;

/// States of a message, and what SQS calls their number.
const STATES: [(&str, QueueAttributeName); 3] = [
    ("visible", ApproximateNumberOfMessages),
    ("in_flight", ApproximateNumberOfMessagesNotVisible),
    ("delayed", ApproximateNumberOfMessagesDelayed),
];

/// Looks into queues.
#[derive(Debug)]
pub(crate) struct Depths {
    sqs: Client,
    stage: Stage,
    metrics: Ways,
    /// URLs by queue; a queue that is made anew has the same one.
    urls: BTreeMap<String, String>,
}

impl Depths {
    pub(crate) fn new(sqs: Client, stage: Stage, metrics: Ways) -> Self {
        Self { sqs, stage, metrics, urls: BTreeMap::new() }
    }

    /// Looks into the queues of these rivers, and into the platform's quarantines. One that cannot be looked into is
    /// not shown.
    pub(crate) async fn look(&mut self, rivers: &[String]) {
        for name in rivers {
            let Ok(river) = River::parse(name, &self.stage) else { continue };
            let counts = self.counts(&river.queue()).await;
            for (index, (state, _)) in STATES.iter().enumerate() {
                let labels = [name, *state];
                match counts {
                    Some(counts) => {
                        self.metrics.depth.with_label_values(&labels).set(counts[index])
                    }
                    // It may never have been there.
                    None => drop(self.metrics.depth.remove_label_values(&labels)),
                }
            }
            self.dead(name, &river.dead_letter_queue()).await;
        }
        let quarantines = [self.stage.rapids_quarantine(), self.stage.control_quarantine()];
        for (name, queue) in ["Rapids", "Control"].into_iter().zip(quarantines) {
            self.dead(name, &queue).await;
        }
    }

    /// Shows a river no more.
    pub(crate) fn forget(&self, name: &str) {
        // Some may never have been there.
        for (state, _) in &STATES {
            self.metrics.depth.remove_label_values(&[name, state]).ok();
        }
        self.metrics.dead.remove_label_values(&[name]).ok();
    }

    async fn dead(&mut self, name: &str, queue: &str) {
        match self.counts(queue).await {
            Some(counts) => self.metrics.dead.with_label_values(&[name]).set(counts.iter().sum()),
            None => drop(self.metrics.dead.remove_label_values(&[name])), // As above.
        }
    }

    async fn counts(&mut self, queue: &str) -> Option<[i64; 3]> {
        let counts = self.asked(queue).await;
        if let Err(error) = &counts {
            // Anew the next time: a river that was only just wanted has no queue yet.
            self.urls.remove(queue);
            debug!(queue, error, "could not look into a queue");
        }
        counts.ok()
    }

    async fn asked(&mut self, queue: &str) -> Result<[i64; 3], String> {
        let url = match self.urls.get(queue) {
            Some(url) => url.clone(),
            None => {
                let found = self.sqs.get_queue_url().queue_name(queue).send().await;
                let url = found.map_err(|error| chassis::explain(&error))?.queue_url;
                let url = url.ok_or_else(|| "SQS names no URL".to_owned())?;
                self.urls.insert(queue.to_owned(), url.clone());
                url
            }
        };
        let get = self.sqs.get_queue_attributes().queue_url(url);
        let names = STATES.map(|(_, name)| name).to_vec();
        let got = get.set_attribute_names(Some(names)).send().await;
        let got = got.map_err(|error| chassis::explain(&error))?.attributes.unwrap_or_default();
        let count = |name: &QueueAttributeName| got.get(name).and_then(|count| count.parse().ok());
        Ok(STATES.map(|(_, name)| count(&name).unwrap_or_default()))
    }
}
