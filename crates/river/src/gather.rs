//! Gathers single requests into batches, as SQS prices them.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::sleep;

/// Entries of a batch request, and messages of a receive: SQS has no more
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>).
pub(crate) const BATCH_MAX: usize = 10;
/// How long the first of a batch waits for the others: little beside a call to SQS, enough to fill a batch.
const LINGER: Duration = Duration::from_millis(20);
/// Requests that wait to be gathered. Whoever adds one more waits: SQS is slow, and handling should be too.
pub(crate) const WAITING_MAX: usize = 10 * BATCH_MAX;

/// `first` and what follows it shortly, ten in all at most.
pub(crate) async fn batch<T>(first: T, more: &mut Receiver<T>) -> Vec<T> {
    let mut batch = vec![first];
    let mut linger = pin!(sleep(LINGER));
    while batch.len() < BATCH_MAX {
        tokio::select! {
            biased;
            next = more.recv() => match next {
                Some(next) => batch.push(next),
                None => break,
            },
            () = &mut linger => break,
        }
    }
    batch
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_closed_by_ten_by_time_or_by_the_end() {
        let (sender, mut receiver) = mpsc::channel(WAITING_MAX);
        for n in 1..=12 {
            sender.send(n).await.unwrap();
        }
        assert_eq!(batch(0, &mut receiver).await, (0..=9).collect::<Vec<_>>());
        let waited = tokio::time::Instant::now();
        assert_eq!(batch(10, &mut receiver).await, [10, 10, 11, 12]);
        assert!(waited.elapsed() >= LINGER);
        sender.send(13).await.unwrap();
        drop(sender);
        assert_eq!(batch(0, &mut receiver).await, [0, 13]);
    }
}
