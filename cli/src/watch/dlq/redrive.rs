//! `dlq redrive`: messages back to where they belong.

use anyhow::{Context as _, anyhow};
use aws_sdk_kinesis::primitives::Blob;
use event::Event;
use futures_util::FutureExt as _;
use serde_json::json;

use super::confirm::is_attended;
use super::edit::{Edited, edit};
use super::home::{DeadLetters, Home};
use super::letter::Parcel;
use super::pass::Pass;
use crate::args::watch::Only;
use crate::failure::{Failure, Result};
use crate::output::Progress;
use crate::session::Session;
use crate::signals::Signals;
use crate::watch::pace::Pace;
use crate::watch::queue::Queue;

/// How it is done.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    /// Messages a second.
    pub(super) rate: u32,
    pub(super) dry_run: bool,
    pub(super) edit: bool,
}

/// What became of the messages.
#[derive(Debug, Default)]
struct Counts {
    /// Sent, or to be sent.
    sent: u64,
    /// Not meant, or left by who edits.
    left: u64,
}

/// Sends them.
pub(super) async fn run(
    session: &Session,
    letters: &DeadLetters,
    only: &Only,
    how: How,
) -> Result<()> {
    if how.edit && !is_attended() {
        let refusal = "--edit needs a terminal: somebody has to see what is sent";
        return Err(Failure::Usage(refusal.to_owned()));
    }
    let queue = letters.open(session).await?;
    let sender = Sender::new(session, letters).await?;
    let mut counts = Counts::default();
    let mut pass = Pass::new(session, &queue)?;
    let done = redrive(&sender, &mut pass, only, how, &mut counts).await;
    let incomplete = pass.finish().await;
    done.with_context(|| format!("after {} messages were sent", counts.sent))?;
    let home = letters.home(session);
    let output = session.output;
    if output.json {
        let counts = json!({
            "queue": letters.queue, "dryRun": how.dry_run, "sent": counts.sent, "left": counts.left,
            "incomplete": incomplete,
        });
        return Ok(output.print(&counts)?);
    }
    let what = if how.dry_run { "would be sent" } else { "sent" };
    output.say(&format!("{} {what} to {home}, {} left", counts.sent, counts.left))?;
    if incomplete > 0 {
        output.note(&format!("{incomplete} parts lack their others and were left"));
    }
    Ok(())
}

async fn redrive(
    sender: &Sender<'_>,
    pass: &mut Pass<'_>,
    only: &Only,
    how: How,
    counts: &mut Counts,
) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let (mut pace, mut progress) = (Pace::of(how.rate), Progress::new());
    while let Some(parcels) = pass.next().await? {
        for mut parcel in parcels {
            if signals.next().now_or_never().is_some() {
                return Err(anyhow!("stopped; what was not sent lies where it was"));
            }
            if !only.takes(&parcel) {
                counts.left += 1;
                continue;
            }
            if how.dry_run {
                sender.tell(&parcel)?;
                counts.sent += 1;
                continue;
            }
            if how.edit {
                match edit(&parcel).await? {
                    Edited::Leave => {
                        counts.left += 1;
                        continue;
                    }
                    Edited::Send(bytes) => parcel.bytes = bytes,
                }
            }
            pace.wait(1).await;
            sender.send(&parcel).await?;
            // In this order: a crash in between leaves a copy.
            pass.delete(&parcel).await?;
            counts.sent += 1;
            progress.show(&format!("{} sent", counts.sent));
        }
    }
    Ok(())
}

/// Where messages go.
struct Sender<'a> {
    session: &'a Session,
    to: To,
}

enum To {
    Queue(Queue),
    Stream(String),
}

impl<'a> Sender<'a> {
    async fn new(session: &'a Session, letters: &DeadLetters) -> anyhow::Result<Self> {
        let to = match &letters.home {
            Home::Rapids => To::Stream(session.names.rapids.clone()),
            Home::Control => To::Stream(session.names.control.clone()),
            Home::River(river) => {
                let queue = Queue::find(session, &river.queue()).await?;
                let queue =
                    queue.with_context(|| format!("there is no queue {}", river.queue()))?;
                To::Queue(queue)
            }
        };
        Ok(Self { session, to })
    }

    /// Says what would be sent.
    fn tell(&self, parcel: &Parcel) -> anyhow::Result<()> {
        let output = self.session.output;
        if !output.is_for_people() {
            return Ok(());
        }
        parcel.lines().iter().try_for_each(|line| output.say(line))
    }

    async fn send(&self, parcel: &Parcel) -> anyhow::Result<()> {
        match &self.to {
            To::Queue(queue) => {
                let body = String::from_utf8(parcel.bytes.clone());
                let body = body.with_context(|| format!("message {} is no text", parcel.id()))?;
                let first = parcel.letters.first();
                let attributes = first.map(super::letter::Letter::own_attributes);
                let group = first.and_then(super::letter::Letter::group).map(str::to_owned);
                let send = self.session.aws.sqs.send_message().queue_url(&queue.url);
                let send = send.message_body(body).set_message_attributes(attributes);
                let sent = send.set_message_group_id(group).send().await;
                sent.with_context(|| format!("sending to queue {}", queue.name))?;
            }
            To::Stream(stream) => {
                let put = self.session.aws.kinesis.put_record().stream_name(stream);
                let put = put.partition_key(partition_key(parcel));
                let sent = put.data(Blob::new(parcel.bytes.clone())).send().await;
                sent.with_context(|| format!("putting a record onto stream {stream}"))?;
            }
        }
        Ok(())
    }
}

/// The key that the record had, so that it comes to the others of its conversation.
fn partition_key(parcel: &Parcel) -> String {
    let event = || Event::parse(&parcel.bytes).ok();
    let key = parcel.word("partition_key").map(str::to_owned);
    key.or_else(|| event().map(|event| event.partition_key())).unwrap_or_else(|| "-".to_owned())
}
