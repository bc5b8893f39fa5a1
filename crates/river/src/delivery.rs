//! One message, from receipt to settlement.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chassis::Clock;
use event::names::Topic;
use event::{Event, Packet, packet};
use futures_util::FutureExt as _;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::Experiments;
use crate::budget::Share;
use crate::dead_letters::DeadLetters;
use crate::handler::{Failure, Handler, Outcome};
use crate::held::Hold;
use crate::limit::{Fared, Observation};
use crate::message::Message;
use crate::metrics::Metrics;
use crate::pressure;
use crate::rapids::{self, NotPublished, Rapids};
use crate::report::{Ping, Reporter};
use crate::settle::{self, Limits, Settlement, Verdict};
use crate::turns::{Seat, Turns};
use crate::visibility::Return;

/// Takes messages to the handler, and settles them. Shared by all deliveries of a river.
#[derive(Debug)]
pub(crate) struct Courier<H> {
    pub(crate) handler: Arc<H>,
    pub(crate) listens_to: Arc<[Packet]>,
    pub(crate) rapids: Rapids,
    pub(crate) dead_letters: DeadLetters,
    /// Whose turn it is to be handled.
    pub(crate) turns: Turns,
    pub(crate) returns: Sender<Return>,
    pub(crate) deletes: Sender<Hold>,
    pub(crate) limits: Limits,
    pub(crate) handle_limit: Duration,
    pub(crate) clock: Clock,
    pub(crate) ping: Ping,
    pub(crate) river: String,
    pub(crate) experiments: Experiments,
    pub(crate) reporter: Reporter,
    pub(crate) metrics: Metrics,
}

/// What a message takes up in the process until it is settled.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) _seat: Seat,
    pub(crate) _share: Share,
}

impl<H: Handler> Courier<H> {
    /// Handles a message when its turn comes, and settles it. One whose turn has not come when the process is
    /// told to stop is released at once, for others.
    pub(crate) async fn deliver(
        self: Arc<Self>,
        message: Message,
        hold: Hold,
        place: Place,
        stop: CancellationToken,
    ) {
        let turn = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            () = hold.lost() => None,
            turn = self.turns.turn(message.group.as_deref()) => turn,
        };
        if let Some(turn) = turn {
            let event = message.event();
            let verdict = match &event {
                Ok(event) => self.verdict(event, &message, &hold).await,
                Err(malformed) => Verdict::quarantine(malformed.kind(), malformed.to_string()),
            };
            drop(turn);
            self.tell(event.as_ref().ok(), &message, &verdict);
            let lost = verdict.settlement == Settlement::Lost;
            self.settle(event.as_ref().ok(), &message, hold, verdict).await;
            if let (Ok(event), false) = (&event, lost)
                && !self.is_own(event)
            {
                self.reporter.acknowledged(event);
            }
        } else {
            self.metrics.settled("", "released");
            self.give_back(hold, Duration::ZERO).await;
        }
        drop(place);
    }

    async fn verdict(&self, event: &Event, message: &Message, hold: &Hold) -> Verdict {
        let meant = if self.experiments.is_elsewhere(&self.river, event) {
            packet::Verdict::NotMine
        } else {
            packet::check(&self.listens_to, event)
        };
        if Ping::is_ping(event) {
            let answered = self.pong(event).await;
            if answered.is_err() || meant == packet::Verdict::NotMine {
                return Verdict::pong(answered, message.receives, self.limits);
            }
        }
        match meant {
            packet::Verdict::Mine => self.judged(event, message, hold).await,
            packet::Verdict::NotMine => Verdict::not_mine(),
            packet::Verdict::Invalid(problems) => Verdict::invalid(problems),
        }
    }

    /// Whether the service sent it to its own river, as a timer: it was never on the rapids.
    fn is_own(&self, event: &Event) -> bool {
        self.listens_to.iter().any(|it| it.is_own() && it.topic() == event.event_type)
    }

    /// Counts a verdict, and logs what went wrong.
    fn tell(&self, event: Option<&Event>, message: &Message, verdict: &Verdict) {
        let event_type = event.map_or("", |event| &event.event_type);
        self.metrics.settled(event_type, verdict.label);
        if let (Some(error), Some(event)) = (&verdict.failure, event) {
            let (receives, settlement) = (message.receives, &verdict.settlement);
            warn!(
                event.r#type = event.event_type,
                event.id = %event.event_id,
                receives,
                ?settlement,
                error,
                "could not handle an event this time"
            );
        }
    }

    async fn pong(&self, event: &Event) -> Result<(), Failure> {
        let Some(draft) = self.ping.answer(event, rapids::now(&self.clock)) else { return Ok(()) };
        let answer = self.rapids.answer(event, draft);
        self.rapids.publish(&[answer]).await.map_err(NotPublished::into_failure)
    }

    /// Decides about an event that is meant for the service.
    async fn judged(&self, event: &Event, message: &Message, hold: &Hold) -> Verdict {
        if message.receives > self.limits.attempts_max {
            let text = format!(
                "received {} times and never settled: it may end the process that handles it",
                message.receives
            );
            return Verdict::quarantine("exhausted", text);
        }
        match self.handle(event, hold).await {
            Some(result) => settle::judge(result, message.receives, self.limits, fastrand::f64()),
            None => Verdict::lost(),
        }
    }

    /// What the event came to, everything written and published; none when the message was lost to another
    /// process meanwhile.
    async fn handle(&self, event: &Event, hold: &Hold) -> Option<Result<Outcome, Failure>> {
        let _in_flight = self.metrics.in_flight();
        let started = Instant::now();
        // A handler that panicked is used on: it must keep its state in ponds, and a process that gave up all
        // its other events for one of them would be worse.
        let work = AssertUnwindSafe(self.work(event)).catch_unwind();
        let done = tokio::select! {
            biased;
            // What is dropped here is the work, not the message: that is with somebody else already.
            () = hold.lost() => return None,
            done = timeout(self.handle_limit, work) => done,
        };
        let age = rapids::now(&self.clock).duration_since(event.timestamp);
        let age = (!self.is_own(event)).then(|| age.try_into().unwrap_or(Duration::ZERO));
        self.metrics.handled(&event.event_type, started.elapsed(), age);
        let limit = chassis::duration::to_text(self.handle_limit);
        self.observe(
            event,
            started,
            match &done {
                Ok(Ok(Ok(_))) => Fared::Well,
                Ok(Ok(Err(failure))) => pressure::fared(failure),
                Ok(Err(_panic)) => Fared::Ill,
                Err(_too_long) => Fared::Pressed,
            },
        );
        Some(match done {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => {
                Err(Failure::retry(format!("the handler panicked: {}", said(&*panic))))
            }
            Err(_) => Err(Failure::retry(format!("it took longer than handle_limit, {limit}"))),
        })
    }

    /// Tells the limiter how a handler fared. Latencies are compared among the events of one declared topic.
    fn observe(&self, event: &Event, started: Instant, fared: Fared) {
        let of_topic = |packet: &Packet| Topic::covers(packet.topic(), &event.event_type);
        let kind = self.listens_to.iter().position(of_topic).unwrap_or(usize::MAX);
        let ended = Instant::now();
        self.turns.observe(Observation { started, ended, fared, kind, demand: false });
    }

    /// Handles, publishes, and lets the handler write that down.
    async fn work(&self, event: &Event) -> Result<Outcome, Failure> {
        let outcome = self.handler.handle(event).await?;
        if let Outcome::Answered(drafts) = &outcome {
            let answer = |draft| self.rapids.answer(event, draft);
            let answers: Vec<_> = drafts.iter().cloned().map(answer).collect();
            self.rapids.publish(&answers).await.map_err(NotPublished::into_failure)?;
            self.handler.answered(event, &answers).await?;
        }
        Ok(outcome)
    }

    async fn settle(&self, event: Option<&Event>, message: &Message, hold: Hold, verdict: Verdict) {
        match verdict.settlement {
            Settlement::Delete => self.delete(hold).await,
            Settlement::Retry(after) => self.give_back(hold, after).await,
            Settlement::Lost => drop(hold),
            Settlement::Quarantine(reason) => match self.dead_letters.put(message, &reason).await {
                Ok(()) => {
                    self.reporter.quarantined(event, &reason, verdict.problems.as_ref());
                    let (kind, text) = (reason.kind, reason.text);
                    warn!(kind, reason = text, "quarantined a message");
                    self.delete(hold).await;
                }
                Err(error) => {
                    warn!(%error, reason = reason.text, "could not quarantine a message");
                    let Limits { pause_max, .. } = self.limits;
                    let pause = settle::backoff(message.receives, pause_max, fastrand::f64());
                    self.give_back(hold, pause).await;
                }
            },
        }
    }

    // Both tasks outlive the couriers; were they gone, the message would come again by itself.
    async fn delete(&self, hold: Hold) {
        self.deletes.send(hold).await.ok();
    }

    async fn give_back(&self, hold: Hold, after: Duration) {
        self.returns.send(Return::of(hold, after)).await.ok();
    }
}

/// The message of a panic.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
