//! A place for records that failed for good, for processors that have none of their own.

use crate::delivery::Progress;
use crate::processor::{Batch, Ended, Failure, Processor, ShardContext};

/// `processor`, with `put` as its dead-letter hook: for [`crate::each()`] and [`crate::stream()`]. The records are
/// acknowledged once `put` says `Ok`, and brought again until then.
pub fn with_dead_letters<P, F, Fut>(processor: P, put: F) -> WithDeadLetters<P, F>
where
    P: Processor,
    F: Fn(Batch, Failure) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send,
{
    WithDeadLetters { processor, put }
}

/// Made by [`with_dead_letters`].
pub struct WithDeadLetters<P, F> {
    processor: P,
    put: F,
}

impl<P, F, Fut> Processor for WithDeadLetters<P, F>
where
    P: Processor,
    F: Fn(Batch, Failure) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send,
{
    fn process(&self, batch: &Batch) -> impl Future<Output = Result<(), Failure>> + Send {
        self.processor.process(batch)
    }

    fn process_with(
        &self,
        batch: &Batch,
        progress: &Progress,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        self.processor.process_with(batch, progress)
    }

    fn dead_letter(
        &self,
        batch: &Batch,
        failure: &Failure,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        (self.put)(batch.clone(), failure.clone())
    }

    fn started(&self, shard: &ShardContext) -> impl Future<Output = ()> + Send {
        self.processor.started(shard)
    }

    fn ended(&self, shard: &ShardContext, why: Ended) -> impl Future<Output = ()> + Send {
        self.processor.ended(shard, why)
    }
}
