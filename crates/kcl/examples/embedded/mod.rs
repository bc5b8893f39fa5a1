//! What the examples read: a stream of orders in an AWS of the process's own. For the real one, make the clients
//! from `aws_config` instead.

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use local_aws::LocalAws;

pub(crate) type Error = Box<dyn std::error::Error>;

/// Clients, and a stream `orders` of two shards with so many records.
pub(crate) async fn orders(
    many: usize,
) -> Result<(aws_sdk_kinesis::Client, aws_sdk_dynamodb::Client), Error> {
    let config = LocalAws::new().sdk_config();
    let kinesis = aws_sdk_kinesis::Client::new(&config);
    kinesis.create_stream().stream_name("orders").shard_count(2).send().await?;
    for number in 0..many {
        let entry = PutRecordsRequestEntry::builder()
            .partition_key(format!("customer-{}", number % 7))
            .data(Blob::new(format!("order {number}")))
            .build()?;
        kinesis.put_records().stream_name("orders").records(entry).send().await?;
    }
    Ok((kinesis, aws_sdk_dynamodb::Client::new(&config)))
}
