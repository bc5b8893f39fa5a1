//! Once through a dead-letter queue.
//!
//! SQS shows nothing without receiving it. What is received is hidden from others until it is deleted, or put back
//! at the end; so each message is seen once, and those who wait for one wait no longer than the pass takes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, anyhow};
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry as Visibility,
    DeleteMessageBatchRequestEntry as Deletion, MessageSystemAttributeName,
};
use jiff::Timestamp;

use super::letter::{Letter, Parcel};
use crate::session::Session;
use crate::watch::queue::Queue;

/// Messages of one call.
const BATCH_MAX: usize = 10;
/// How long a message stays hidden if this process ends without putting it back, in seconds.
const HIDDEN_S: i32 = 300;
/// Wait for a message, in seconds: a receive that waits asks all of SQS's servers, so that an empty one means an
/// empty queue.
const WAIT_S: i32 = 1;
/// Messages of one pass: SQS lets 120,000 of a queue be hidden at once
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>).
const MESSAGES_MAX: usize = 100_000;

/// A pass that is under way.
pub(super) struct Pass<'a> {
    session: &'a Session,
    queue: &'a Queue,
    began: Timestamp,
    seen: BTreeSet<String>,
    /// Receipts of what is to be put back, by message.
    held: BTreeMap<String, String>,
    /// Parts whose others have not come yet, by what they are parts of.
    parts: BTreeMap<String, BTreeMap<usize, Letter>>,
    /// Receives that brought nothing new.
    stale: usize,
}

impl<'a> Pass<'a> {
    /// Begins.
    pub(super) fn new(session: &'a Session, queue: &'a Queue) -> anyhow::Result<Self> {
        let began = session.now()?;
        let (seen, held, parts) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        Ok(Self { session, queue, began, seen, held, parts, stale: 0 })
    }

    /// The next messages, perhaps none of them whole; none once all have been seen.
    ///
    /// # Errors
    /// What SQS refuses.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Vec<Parcel>>> {
        if self.seen.len() >= MESSAGES_MAX || self.stale > BATCH_MAX {
            return Ok(None);
        }
        let receive = self.session.aws.sqs.receive_message().queue_url(&self.queue.url);
        let receive = receive
            .max_number_of_messages(i32::try_from(BATCH_MAX)?)
            .visibility_timeout(HIDDEN_S)
            .wait_time_seconds(WAIT_S)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All);
        let received = receive.send().await;
        let received =
            received.with_context(|| format!("receiving from queue {}", self.queue.name))?;
        let letters = received.messages.unwrap_or_default().into_iter().filter_map(Letter::of);
        let letters: Vec<_> = letters.collect();
        if letters.is_empty() {
            return Ok(None);
        }
        let seen_before = self.seen.len();
        let parcels = letters.into_iter().filter_map(|letter| self.take(letter)).collect();
        self.stale = if self.seen.len() == seen_before { self.stale + 1 } else { 0 };
        Ok(Some(parcels))
    }

    fn take(&mut self, letter: Letter) -> Option<Parcel> {
        // Until somebody says otherwise, it is put back.
        self.held.insert(letter.id.clone(), letter.receipt.clone());
        if !self.seen.insert(letter.id.clone()) {
            return None;
        }
        // What was sent back and got stuck again is for the next pass, or this one would never end.
        if letter.sent().is_some_and(|sent| sent > self.began) {
            return None;
        }
        let Some((whole, part, parts)) = letter.part() else { return Some(Parcel::of(letter)) };
        let known = self.parts.entry(whole.clone()).or_default();
        known.insert(part, letter);
        if known.len() < parts {
            return None;
        }
        Some(Parcel::joined(self.parts.remove(&whole)?.into_values().collect()))
    }

    /// Deletes messages.
    ///
    /// # Errors
    /// When SQS did not delete all of them.
    pub(super) async fn delete(&mut self, parcel: &Parcel) -> anyhow::Result<()> {
        for letters in parcel.letters.chunks(BATCH_MAX) {
            let entries = letters.iter().enumerate().map(|(index, letter)| {
                // Received again meanwhile, a message has a new handle.
                let receipt = self.held.get(&letter.id).unwrap_or(&letter.receipt);
                Deletion::builder().id(index.to_string()).receipt_handle(receipt).build()
            });
            let entries = entries.collect::<Result<Vec<_>, _>>()?;
            let delete = self.session.aws.sqs.delete_message_batch().queue_url(&self.queue.url);
            let deleted = delete.set_entries(Some(entries)).send().await;
            let deleted =
                deleted.with_context(|| format!("deleting from queue {}", self.queue.name))?;
            if let Some(failed) = deleted.failed().first() {
                let why = failed.message().unwrap_or(failed.code());
                let (id, queue) = (parcel.id(), &self.queue.name);
                return Err(anyhow!("message {id} could not be deleted from queue {queue}: {why}"));
            }
            letters.iter().for_each(|letter| drop(self.held.remove(&letter.id)));
        }
        Ok(())
    }

    /// Puts back what was not deleted; where SQS does not do it, messages come back when their time is over. How many
    /// lacked other parts.
    pub(super) async fn finish(self) -> usize {
        let receipts: Vec<_> = self.held.into_values().collect();
        for receipts in receipts.chunks(BATCH_MAX) {
            let entries = receipts.iter().enumerate().map(|(index, receipt)| {
                let entry = Visibility::builder().id(index.to_string());
                entry.receipt_handle(receipt).visibility_timeout(0).build()
            });
            let Ok(entries) = entries.collect::<Result<Vec<_>, _>>() else { continue };
            let change = self.session.aws.sqs.change_message_visibility_batch();
            let change = change.queue_url(&self.queue.url).set_entries(Some(entries));
            change.send().await.ok();
        }
        self.parts.values().map(BTreeMap::len).sum()
    }
}
