//! All queues of the account.

use std::collections::BTreeMap;

use super::error::Error;
use super::queue::Queue;
use super::redrive::Move;

/// What SQS knows. Everything is done under one lock, so that a message is always in exactly one queue.
#[derive(Debug)]
pub(super) struct State {
    pub(super) queues: BTreeMap<String, Queue>,
    /// When the queues that are gone were deleted.
    pub(super) deleted_ms: BTreeMap<String, u64>,
    pub(super) moves: Vec<Move>,
    /// `arn:aws:sqs:us-east-1:000000000000:`
    pub(super) arn_prefix: String,
    /// `http://127.0.0.1:4566/000000000000/`
    pub(super) url_prefix: String,
}

impl State {
    pub(super) fn new(arn_prefix: String, url_prefix: String) -> Self {
        Self {
            queues: BTreeMap::new(),
            deleted_ms: BTreeMap::new(),
            moves: Vec::new(),
            arn_prefix,
            url_prefix,
        }
    }

    /// The queue at a URL, as it is now. Host and account do not matter: a client may know us by another name.
    pub(super) fn at(&mut self, url: &str, now_ms: u64) -> Result<&mut Queue, Error> {
        let name = url.rsplit('/').next().unwrap_or_default();
        let queue = self.queues.get_mut(name).ok_or(Error::NonExistentQueue)?;
        queue.tick(now_ms);
        Ok(queue)
    }

    /// The queue with an ARN, as it is now.
    pub(super) fn named(&mut self, arn: &str, now_ms: u64) -> Option<&mut Queue> {
        let queue = self.queues.get_mut(arn.strip_prefix(&self.arn_prefix)?)?;
        queue.tick(now_ms);
        Some(queue)
    }

    pub(super) fn url(&self, name: &str) -> String {
        format!("{}{name}", self.url_prefix)
    }
}
