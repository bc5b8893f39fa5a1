//! The embedded AWS on a loopback port: `cargo run -p local-aws --example serve -- 4566`, until Ctrl-C.
//!
//! Point any client at it with `AWS_ENDPOINT_URL=http://127.0.0.1:4566`; credentials are not checked.

use std::net::{Ipv4Addr, SocketAddr};

use local_aws::LocalAws;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).map_or(Ok(4566), |port| port.parse())?;
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let address = listener.local_addr()?;
    let aws = LocalAws::builder().public_address(address).build();
    eprintln!("listening on http://{address}");
    let stop = CancellationToken::new();
    let ends = stop.clone();
    tokio::spawn(async move {
        tokio::signal::ctrl_c().await.ok();
        ends.cancel();
    });
    Ok(aws.serve(listener, stop).await?)
}
