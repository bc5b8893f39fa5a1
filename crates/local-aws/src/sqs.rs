//! SQS: queues in memory.
//!
//! Written here because what can be linked takes 256 KiB a message at the most, knows no fair queues and tells the
//! machine's time: a message of 256 KiB in its SNS envelope would be lost. Policies are stored, not enforced.

mod attributes;
mod batch;
mod error;
mod groups;
mod manage;
mod message;
mod queue;
mod receive;
mod redrive;
mod send;
mod state;
mod store;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::Clock;
use crate::wire::{Response, json_response};
pub(crate) use error::Error;
use receive::{Found, ReceiveMessage};
use state::State;

pub(crate) use message::{AttributeValue, Message, MessageAttributes, is_group};

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
/// A receive that waits looks again at least this often, because a test may move the clock by hand.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The emulated SQS. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sqs(Arc<Inner>);

struct Inner {
    clock: Clock,
    state: Mutex<State>,
}

impl Sqs {
    /// `address` is where clients reach this emulator: it goes into the URLs of queues.
    pub(crate) fn new(clock: Clock, region: &str, account: &str, address: SocketAddr) -> Self {
        let state = State::new(
            format!("arn:aws:sqs:{region}:{account}:"),
            format!("http://{address}/{account}/"),
        );
        Self(Arc::new(Inner { clock, state: Mutex::new(state) }))
    }

    pub(crate) async fn handle(&self, operation: &str, body: &[u8]) -> Response {
        let answer = match operation {
            "ReceiveMessage" => self.receive(body).await,
            _ => self.apply(operation, body),
        };
        match answer {
            Ok(answer) => json_response(StatusCode::OK, CONTENT_TYPE, answer.to_string()),
            Err(error) => error.into_response(),
        }
    }

    /// Puts a message into the queue with `arn`, as SNS does.
    ///
    /// # Errors
    ///
    /// If there is no such queue, or it refuses the message.
    pub(crate) fn deliver(&self, arn: &str, message: Message) -> Result<(), Error> {
        let now_ms = self.0.clock.now_ms();
        let mut state = self.state();
        let queue = state.named(arn, now_ms).ok_or(Error::NonExistentQueue)?;
        queue.send(message, None, now_ms).map(|_| ())
    }

    fn apply(&self, operation: &str, body: &[u8]) -> Result<Value, Error> {
        let now = self.0.clock.now_ms();
        let mut state = self.state();
        match operation {
            "CreateQueue" => state.create_queue(parse(body)?, now),
            "DeleteQueue" => state.delete_queue(&parse(body)?, now),
            "GetQueueUrl" => state.get_queue_url(&parse(body)?),
            "ListQueues" => Ok(state.list_queues(&parse(body)?)),
            "GetQueueAttributes" => state.get_attributes(&parse(body)?, now),
            "SetQueueAttributes" => state.set_attributes(&parse(body)?, now),
            "PurgeQueue" => state.purge(&parse(body)?, now),
            "TagQueue" => state.tag(parse(body)?, now),
            "UntagQueue" => state.untag(&parse(body)?, now),
            "ListQueueTags" => state.list_tags(&parse(body)?, now),
            "ListDeadLetterSourceQueues" => state.list_dead_letter_sources(&parse(body)?, now),
            "SendMessage" => state.send(parse(body)?, now),
            "SendMessageBatch" => state.send_batch(parse(body)?, now),
            "DeleteMessage" => state.delete(&parse(body)?, now),
            "DeleteMessageBatch" => state.delete_batch(parse(body)?, now),
            "ChangeMessageVisibility" => state.change_visibility(&parse(body)?, now),
            "ChangeMessageVisibilityBatch" => state.change_visibility_batch(parse(body)?, now),
            "StartMessageMoveTask" => state.start_move(parse(body)?, now),
            "ListMessageMoveTasks" => Ok(state.list_moves(&parse(body)?)),
            _ => Err(Error::UnknownOperation(operation.to_owned())),
        }
    }

    /// Long polling: looks until there is a message or the time is up.
    async fn receive(&self, body: &[u8]) -> Result<Value, Error> {
        let input: ReceiveMessage = parse(body)?;
        let wait = self.state().wait_seconds(&input, self.0.clock.now_ms())?;
        let deadline = Instant::now() + Duration::from_secs(wait);
        loop {
            let now_ms = self.0.clock.now_ms();
            let found = self.state().receive(&input, now_ms)?;
            let Found { messages, changed, next_change_ms } = found;
            let now = Instant::now();
            if !messages.is_empty() || now >= deadline {
                return Ok(json!({ "Messages": messages }));
            }
            let next_change =
                next_change_ms.map(|at| Duration::from_millis(at.saturating_sub(now_ms)));
            let rest =
                LOOK_AGAIN.min(next_change.unwrap_or(LOOK_AGAIN)).max(Duration::from_millis(1));
            // Made under the lock of the look, so that no change between look and wait is missed.
            tokio::pin!(changed);
            tokio::select! {
                biased;
                () = changed => {}
                () = tokio::time::sleep_until(deadline.min(now + rest)) => {}
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| {
        let message = error.to_string();
        match message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')) {
            Some((field, _)) => Error::MissingParameter(field.to_owned()),
            None => Error::Serialization(message),
        }
    })
}
