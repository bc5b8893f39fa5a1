//! Deletes settled messages, ten in a call.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry as Entry;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{Instrument as _, warn};

use crate::gather::{self, WAITING_MAX};
use crate::held::Hold;

/// Attempts at what SQS did not delete. After that the message comes again, and is a duplicate.
const ATTEMPTS_MAX: u32 = 3;
const PAUSE: Duration = Duration::from_millis(100);

/// Starts the task. A hold that is sent to it is kept until its message is gone. It ends when every sender is
/// gone and everything is deleted.
pub(crate) fn start(sqs: Client, queue_url: String) -> (Sender<Hold>, JoinHandle<()>) {
    let (sender, settled) = mpsc::channel(WAITING_MAX);
    (sender, tokio::spawn(run(sqs, queue_url, settled).in_current_span()))
}

async fn run(sqs: Client, queue_url: String, mut settled: Receiver<Hold>) {
    while let Some(first) = settled.recv().await {
        let mut left = gather::batch(first, &mut settled).await;
        for attempt in 1..=ATTEMPTS_MAX {
            let failed = delete(&sqs, &queue_url, &mut left).await;
            let Some(error) = failed else { break };
            if attempt == ATTEMPTS_MAX {
                let messages = left.len();
                warn!(error, messages, "could not delete handled messages, they will come again");
                break;
            }
            sleep(PAUSE * attempt).await;
        }
    }
}

/// Deletes the messages of `left`, leaves those there that are not deleted, and says why.
async fn delete(sqs: &Client, queue_url: &str, left: &mut Vec<Hold>) -> Option<String> {
    let entry = |(index, hold): (usize, &Hold)| {
        Entry::builder().id(index.to_string()).receipt_handle(&hold.receipt).build().ok()
    };
    let entries = left.iter().enumerate().filter_map(entry).collect();
    let call = sqs.delete_message_batch().queue_url(queue_url).set_entries(Some(entries));
    match call.send().await {
        Ok(reply) => {
            let failed = reply.failed();
            let last = failed.last().map(|failed| failed.code().to_owned());
            let is_left = |index: usize| failed.iter().any(|f| f.id() == index.to_string());
            let mut index = 0;
            left.retain(|_| {
                index += 1;
                is_left(index - 1)
            });
            last
        }
        Err(error) => Some(chassis::explain(&error)),
    }
}
