//! Temporary.
#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:4599").await?;
    let aws = local_aws::LocalAws::builder().public_address(listener.local_addr()?).build();
    aws.serve(listener, tokio_util::sync::CancellationToken::new()).await
}
