//! A function for each record, many at once, in order for each partition key. `cargo run -p kcl --example each`

mod embedded;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use kcl::{Consumer, Failure, Settings};
use tokio_util::sync::CancellationToken;

const ORDERS: usize = 100;

#[tokio::main]
async fn main() -> Result<(), embedded::Error> {
    let (kinesis, dynamodb) = embedded::orders(ORDERS).await?;
    let (stop, left) = (CancellationToken::new(), Arc::new(AtomicUsize::new(ORDERS)));
    let enough = stop.clone();
    let bill = kcl::each(move |record, shard| {
        let (left, enough) = (left.clone(), enough.clone());
        async move {
            let customer =
                record.partition_key.ok_or_else(|| Failure::fatal("no partition key"))?;
            println!("{} {customer}: {:?}", shard.id, record.data);
            if left.fetch_sub(1, Relaxed) == 1 {
                enough.cancel();
            }
            Ok(())
        }
    });
    let settings = Settings::new("orders", "billing", "worker-1");
    let bill = bill.concurrency(16);
    Consumer::build(kinesis, dynamodb, settings, bill).await?.run(stop).await?;
    Ok(())
}
