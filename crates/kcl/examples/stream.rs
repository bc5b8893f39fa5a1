//! Records as a stream, acknowledged one by one in any order. `cargo run -p kcl --example stream`

mod embedded;

use kcl::{Consumer, Lanes, Settings};
use tokio_util::sync::CancellationToken;

const ORDERS: usize = 100;

#[tokio::main]
async fn main() -> Result<(), embedded::Error> {
    let (kinesis, dynamodb) = embedded::orders(ORDERS).await?;
    let (to_stream, mut deliveries) = kcl::stream(32);
    let settings =
        Settings { lanes: Lanes::Unordered(4), ..Settings::new("orders", "archive", "worker-1") };
    let consumer = Consumer::build(kinesis, dynamodb, settings, to_stream).await?;
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(stop.clone()));
    let mut left = ORDERS;
    while left > 0
        && let Some(delivery) = deliveries.next().await
    {
        if delivery.attempt() == 0 && delivery.record().data.ends_with(b"7") {
            delivery.nack("the archive is busy");
            continue;
        }
        println!("{} {:?}", delivery.shard().id, delivery.record().data);
        left -= usize::from(delivery.ack());
    }
    stop.cancel();
    Ok(running.await??)
}
