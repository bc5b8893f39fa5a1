//! `replay`: events that the rapids still hold, sent to one river again.

use anyhow::{Context as _, anyhow};
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use event::message_group;
use event::names::River;
use event::packet::Verdict;
use serde_json::json;

use super::pace::Pace;
use super::publication::{Publication, rules_of_arms};
use super::queue::Queue;
use super::rows::{self, Subscription};
use super::tail::event_line;
use crate::args::watch::Replay as Settings;
use crate::failure::{Failure, Result};
use crate::output::Progress;
use crate::session::Session;
use crate::signals::Signals;
use crate::tail::{Start, Tail};

/// Messages in a request, and bytes of all of them
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>).
const ENTRIES_MAX: usize = 10;
const BYTES_MAX: usize = 256 << 10;
/// Attempts for what SQS did not take at first.
const ATTEMPTS_MAX: u32 = 5;
/// The message attribute that marks what was replayed.
const REPLAY: &str = "replay";

/// What became of the events.
#[derive(Debug, Default)]
struct Counts {
    read: u64,
    sent: u64,
    /// Larger than SQS takes with its attributes.
    too_large: u64,
}

/// Sends them.
pub(super) async fn run(session: &Session, settings: &Settings) -> Result<()> {
    let river = River::parse(&settings.river, &session.names.stage)?;
    let rows = rows::of_river(session, &river).await?;
    if rows.is_empty() {
        return Err(Failure::Usage(format!(
            "river {river} is subscribed to nothing, so nothing would be sent: `rapids subscribe {river} TOPIC`"
        )));
    }
    let queue = Queue::find(session, &river.queue()).await?.with_context(|| {
        format!("river {river} has no queue {}: see that the control plane runs", river.queue())
    })?;
    let counts =
        send_all(session, settings, &Replay::new(session, &queue, rows, &river).await?).await?;
    report(session, settings, &river, &counts)
}

fn report(session: &Session, settings: &Settings, river: &River, counts: &Counts) -> Result<()> {
    let Counts { read, sent, too_large } = counts;
    let output = session.output;
    if output.json {
        let counts = json!({
            "river": river.as_str(), "read": read, "sent": if settings.dry_run { &0 } else { sent },
            "matched": sent, "tooLarge": too_large,
        });
        return Ok(output.print(&counts)?);
    }
    let what = if settings.dry_run { "would be sent" } else { "sent" };
    output.say(&format!("{sent} of {read} events {what} to river {river}"))?;
    if *too_large > 0 {
        output.note(&format!("{too_large} are too large for SQS and were left out"));
    }
    if *sent > 0 && !settings.dry_run {
        output.note("inboxes drop those that the river's service has settled already");
    }
    Ok(())
}

/// Where to, and by which rules.
struct Replay<'a> {
    session: &'a Session,
    queue: &'a Queue,
    rows: Vec<Subscription>,
    experiments: Vec<(event::Experiment, bool)>,
    river: River,
}

async fn send_all(
    session: &Session,
    settings: &Settings,
    replay: &Replay<'_>,
) -> anyhow::Result<Counts> {
    let now = session.now()?;
    let until = settings.to.map_or(Some(now), |to| to.before(now)).unwrap_or(now);
    let kinesis = session.aws.kinesis.clone();
    let start = Start::since(settings.from.before(now));
    let mut tail = Tail::open_at(kinesis, &session.names.rapids, start).await?;
    let mut signals = Signals::listen()?;
    let (mut counts, mut pace) = (Counts::default(), Pace::of(settings.rate));
    let (mut progress, mut batch) = (Progress::new(), Vec::new());
    let mut bytes = 0;
    'reading: loop {
        // Given up, a read of the rapids loses nothing.
        let records = tokio::select! {
            biased;
            () = signals.next() => break,
            records = tail.records() => records?,
        };
        for record in records {
            if record.arrived > until {
                break 'reading;
            }
            counts.read += 1;
            let Ok(event) = record.event else { continue };
            if record.is_copy || !settings.pick.takes(&event) {
                continue;
            }
            let Some(publication) = replay.wanted(event, record.data) else { continue };
            if publication.size() + REPLAY.len() * 4 > BYTES_MAX {
                counts.too_large += 1;
                continue;
            }
            if settings.dry_run {
                counts.sent += 1;
                let output = session.output;
                if output.is_for_people() {
                    let (event, at) = (&publication.event, record.arrived);
                    output.say(&event_line(output.paint(), output.width(), at, event, false))?;
                }
                continue;
            }
            let size = publication.size() + REPLAY.len() * 4;
            if batch.len() == ENTRIES_MAX || bytes + size > BYTES_MAX {
                counts.sent +=
                    replay.send(&mut pace, std::mem::take(&mut batch), counts.sent).await?;
                bytes = 0;
            }
            bytes += size;
            batch.push(publication);
        }
        progress.show(&format!("{} events read, {} sent", counts.read, counts.sent));
        if tail.is_caught_up() {
            break;
        }
    }
    counts.sent += replay.send(&mut pace, batch, counts.sent).await?;
    Ok(counts)
}

impl<'a> Replay<'a> {
    async fn new(
        session: &'a Session,
        queue: &'a Queue,
        rows: Vec<Subscription>,
        river: &River,
    ) -> anyhow::Result<Self> {
        let experiments = rows::experiments(session).await?;
        Ok(Self { session, queue, rows, experiments, river: river.clone() })
    }

    /// The event as it is to be sent, if the river would have got it.
    fn wanted(&self, event: event::Event, data: Vec<u8>) -> Option<Publication> {
        let publication = Publication::of(event, String::from_utf8(data).ok()?, &self.experiments);
        let of_arms = rules_of_arms(&self.experiments, self.river.as_str());
        let is_wanted = |row: &Subscription| {
            publication.passes_row(row, &of_arms)
                && row.packet().check(&publication.event) != Verdict::NotMine
        };
        self.rows.iter().any(is_wanted).then_some(publication)
    }

    /// Sends at most ten, again and again those that SQS did not take; how many.
    async fn send(
        &self,
        pace: &mut Pace,
        batch: Vec<Publication>,
        sent_before: u64,
    ) -> anyhow::Result<u64> {
        let all = batch.len();
        let mut left: Vec<usize> = (0..all).collect();
        let mut why = String::new();
        for _ in 0..ATTEMPTS_MAX {
            if left.is_empty() {
                return Ok(all as u64);
            }
            pace.wait(u32::try_from(left.len())?).await;
            let entries = left.iter().map(|&index| entry(index, &batch[index]));
            let entries = entries.collect::<anyhow::Result<Vec<_>>>()?;
            let send = self.session.aws.sqs.send_message_batch().queue_url(&self.queue.url);
            let reply = send.set_entries(Some(entries)).send().await.with_context(|| {
                format!(
                    "sending to queue {}: {sent_before} events were sent before",
                    self.queue.name
                )
            })?;
            left = reply.failed().iter().filter_map(|failed| failed.id().parse().ok()).collect();
            why = reply.failed().first().map_or_else(String::new, |failed| {
                format!("{}: {}", failed.code(), failed.message().unwrap_or_default())
            });
        }
        if left.is_empty() {
            return Ok(all as u64);
        }
        let sent = sent_before + (all - left.len()) as u64;
        Err(anyhow!(
            "queue {} did not take {} events ({why}); {sent} were sent before: begin again from their time",
            self.queue.name,
            left.len()
        ))
    }
}

fn entry(index: usize, publication: &Publication) -> anyhow::Result<SendMessageBatchRequestEntry> {
    let mut entry = SendMessageBatchRequestEntry::builder()
        .id(index.to_string())
        .message_body(&publication.json)
        .set_message_group_id(
            publication.event.subject.as_deref().and_then(message_group).map(Into::into),
        );
    let mark = (REPLAY, ("String", "true".to_owned()));
    for (name, (kind, value)) in publication.attributes().into_iter().chain([mark]) {
        let value = MessageAttributeValue::builder().data_type(kind).string_value(value).build()?;
        entry = entry.message_attributes(name, value);
    }
    Ok(entry.build()?)
}

#[cfg(test)]
mod tests {
    use event::Event;
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn what_is_replayed_has_the_attributes_of_the_reader_and_a_mark() {
        let mut event = Event::root("ViewPage", "web", json!({}), Timestamp::UNIX_EPOCH);
        event.subject = Some("sally".into());
        let json = event.to_json();
        let entry = entry(3, &Publication::of(event, json.clone(), &[])).unwrap();
        assert_eq!((entry.id(), entry.message_body()), ("3", json.as_str()));
        assert_eq!(entry.message_group_id(), Some("sally"));
        let attributes = entry.message_attributes().unwrap();
        assert_eq!(attributes["replay"].string_value(), Some("true"));
        assert_eq!(attributes["event_type"].string_value(), Some("ViewPage"));
    }
}
