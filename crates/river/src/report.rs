//! What a service says about itself on the rapids: that it lives, how it does, and what it could not use.
//!
//! Reports are for watchers. They never keep the work waiting: beyond a bound they are dropped, and counted.

mod acknowledged;
mod ping;
mod sampler;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chassis::Warning;
use event::Event;
use event::packet::Problems;
use quarantine::Reason;
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, warn};

use acknowledged::{ACKNOWLEDGED, Acknowledged};
pub(crate) use ping::Ping;
use sampler::Sampler;

use crate::Context;
use crate::config::Report;
use crate::handler::Handler;
use crate::metrics::Metrics;
use crate::rapids::{self, NotPublished, Rapids};

/// Domain of the events that services emit about themselves.
const DOMAIN: &str = "system";
/// Reports that wait to be published.
const WAITING_MAX: usize = 256;
/// Reports that are published together.
const BATCH_MAX: usize = 100;
/// Longest pause between two attempts at a batch.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long the last reports of a process may take; it has others to say goodbye to.
const LAST_WITHIN: Duration = Duration::from_secs(3);
/// Longest self-check: one that takes longer has failed.
const CHECK_WITHIN: Duration = Duration::from_secs(5);

/// A moment in the life of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// It runs, and waits for its river.
    Up,
    /// It drinks from its river.
    Ready,
    /// It was told to stop, and finishes what it has begun.
    Stopping,
    /// All is settled.
    Down,
}

impl Moment {
    fn event_type(self) -> &'static str {
        match self {
            Self::Up => "system.ServiceUp",
            Self::Ready => "system.ServiceReady",
            Self::Stopping => "system.ServiceStopping",
            Self::Down => "system.ServiceDown",
        }
    }
}

/// Takes reports. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    /// None where nothing is to be reported.
    sender: Option<Sender<Event>>,
    about: Arc<About>,
    sampler: Arc<Mutex<Sampler>>,
    metrics: Metrics,
}

#[derive(Debug)]
struct About {
    context: Context,
    started: Instant,
    acknowledged: Acknowledged,
}

/// The task that publishes reports; it ends when every reporter is gone.
#[derive(Debug)]
pub(crate) struct Publishing {
    task: JoinHandle<()>,
    last: CancellationToken,
}

impl Reporter {
    /// Starts reporting, heartbeats included, as the configuration says.
    pub(crate) fn start<H: Handler>(
        context: &Context,
        config: &Report,
        handler: Arc<H>,
        metrics: Metrics,
    ) -> (Self, Publishing) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let sampler = Arc::new(Mutex::new(Sampler::new(config.rejected_per_minute)));
        let about = Arc::new(About {
            context: context.clone(),
            started: Instant::now(),
            acknowledged: Acknowledged::default(),
        });
        let sender = config.lifecycle.then_some(sender);
        let reporter = Self { sender, about, sampler, metrics };
        let last = CancellationToken::new();
        let beat = Heart {
            about: Arc::clone(&reporter.about),
            handler,
            metrics: reporter.metrics.clone(),
            every: config.heartbeat,
        };
        let publishing = publish(receiver, context.rapids(), beat, last.clone());
        let task = tokio::spawn(publishing.in_current_span());
        if config.logs
            && let Some(warnings) = context.kit.take_warnings()
        {
            let sampler = Sampler::new(config.rejected_per_minute);
            tokio::spawn(tell_logs(warnings, sampler, reporter.clone(), last.clone()));
        }
        (reporter, Publishing { task, last })
    }

    /// The process has come so far.
    pub(crate) fn moment(&self, moment: Moment) {
        self.report(moment.event_type(), self.about.payload());
    }

    /// An event has come here, and is settled or lies in the queue again.
    pub(crate) fn acknowledged(&self, event: &Event) {
        if self.sender.is_some() {
            self.about.acknowledged.note(event);
        }
    }

    /// A message went to the dead-letter queue. Of many in a minute, only some are told here.
    pub(crate) fn quarantined(
        &self,
        event: Option<&Event>,
        reason: &Reason,
        problems: Option<&Problems>,
    ) {
        let mut sampler = self.sampler.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = sampler.take(Instant::now());
        drop(sampler);
        let Some(untold) = taken else { return };
        let event_type = match reason.kind {
            "invalid" => "system.PacketRejected",
            "loop" => "system.LoopDetected",
            _ => "system.MessageQuarantined",
        };
        let mut payload = self.about.payload();
        payload["kind"] = reason.kind.into();
        payload["reason"] = reason.text.as_str().into();
        payload["untold"] = untold.into();
        if let Some(event) = event {
            payload["event"] = json!({
                "eventType": event.event_type,
                "eventId": event.event_id,
                "correlationId": event.correlation(),
                "producer": event.producer,
            });
        }
        if let Some(problems) = problems {
            payload["problems"] = json!(problems);
        }
        self.report(event_type, payload);
    }

    fn report(&self, event_type: &str, payload: Value) {
        let Some(sender) = &self.sender else { return };
        if sender.try_send(self.about.event(event_type, payload)).is_err() {
            self.metrics.report_dropped();
        }
    }
}

impl About {
    fn payload(&self) -> Value {
        let Context { producer, river, .. } = &self.context;
        json!({
            "service": producer.service,
            "version": producer.version,
            "instance": producer.instance,
            "river": river.as_str(),
        })
    }

    fn event(&self, event_type: &str, payload: Value) -> Event {
        let at = rapids::now(self.context.kit.clock());
        Event {
            producer: Some(self.context.producer.clone()),
            ..Event::root(event_type, DOMAIN, payload, at)
        }
    }
}

impl Publishing {
    /// Publishes what is left, if that can be done shortly. Every reporter has to be gone.
    pub(crate) async fn end(self) {
        self.last.cancel();
        let mut task = self.task;
        if timeout(LAST_WITHIN, &mut task).await.is_err() {
            task.abort();
            warn!("the last reports of the service are not on the rapids");
        }
    }
}

/// What makes heartbeats.
struct Heart<H> {
    about: Arc<About>,
    handler: Arc<H>,
    metrics: Metrics,
    every: Duration,
}

impl<H: Handler> Heart<H> {
    fn acknowledged(&self) -> Vec<Event> {
        self.about.acknowledged.reports(&self.about)
    }

    /// Puts reports onto the rapids; accounts among those that are given up are told as untold.
    async fn put(&self, rapids: &Rapids, batch: &[Event], last: &CancellationToken) {
        if !put(rapids, batch, last).await {
            let accounts = batch.iter().filter(|it| it.event_type == ACKNOWLEDGED);
            accounts.for_each(|report| self.about.acknowledged.lost(report));
        }
    }

    async fn beat(&self) -> Event {
        let check = timeout(CHECK_WITHIN, self.handler.self_check()).await;
        let check = check.unwrap_or_else(|_| Err("it took too long".to_owned()));
        self.metrics.self_check(check.is_ok());
        let counts = self.metrics.counts();
        let mut payload = self.about.payload();
        payload["uptimeMs"] = json!(self.about.started.elapsed().as_millis());
        payload["handled"] = counts.handled.into();
        payload["failed"] = counts.failed.into();
        payload["quarantined"] = counts.quarantined.into();
        payload["inFlight"] = counts.in_flight.into();
        payload["selfCheck"] = match check {
            Ok(()) => json!({"ok": true}),
            Err(why) => json!({"ok": false, "why": why}),
        };
        self.about.event("system.ServiceHeartbeat", payload)
    }
}

async fn publish<H: Handler>(
    mut reports: Receiver<Event>,
    rapids: Rapids,
    heart: Heart<H>,
    last: CancellationToken,
) {
    let mut beats = interval(heart.every);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first one comes at once, when there is nothing to say yet.
    beats.tick().await;
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            biased;
            received = reports.recv_many(&mut batch, BATCH_MAX) => {
                if received == 0 {
                    heart.put(&rapids, &heart.acknowledged(), &last).await;
                    return;
                }
                // Before the goodbye: of who is gone, nobody knows what it settled.
                if batch.iter().any(|it| it.event_type == Moment::Down.event_type()) {
                    batch.splice(0..0, heart.acknowledged());
                }
            }
            _ = beats.tick(), if !reports.is_closed() => {
                batch.push(heart.beat().await);
                batch.extend(heart.acknowledged());
            }
        }
        heart.put(&rapids, &batch, &last).await;
        batch.clear();
    }
}

/// Reports what is logged, until the last chance to report. What reporting itself logs is bounded as all else is.
async fn tell_logs(
    mut warnings: Receiver<Warning>,
    mut sampler: Sampler,
    reporter: Reporter,
    last: CancellationToken,
) {
    while let Some(Some(warning)) = last.run_until_cancelled(warnings.recv()).await {
        let Some(untold) = sampler.take(Instant::now()) else { continue };
        let mut payload = reporter.about.payload();
        payload["level"] = warning.level.into();
        payload["target"] = warning.target.into();
        payload["message"] = warning.message.into();
        payload["fields"] = json!(warning.fields);
        payload["untold"] = untold.into();
        reporter.report("system.Logged", payload);
    }
}

/// Publishes a batch, however long that takes, unless it is the last chance; false if it is given up.
async fn put(rapids: &Rapids, batch: &[Event], last: &CancellationToken) -> bool {
    let mut pause = Duration::from_secs(1);
    loop {
        match rapids.publish(batch).await {
            Ok(()) => return true,
            Err(error @ NotPublished::NotAccepted { .. }) if !last.is_cancelled() => {
                warn!(%error, "could not report");
                last.run_until_cancelled(sleep(pause)).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            Err(error) => {
                warn!(%error, reports = batch.len(), "gave up reports");
                return false;
            }
        }
    }
}
