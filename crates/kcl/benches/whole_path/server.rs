//! The stub on a loopback port, so that a consumer is measured with the HTTP client that it really has.

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::Error;
use crate::stub::Stub;

/// Serves until it is dropped. Speaks as much HTTP/1.1 as the SDK's client does.
pub(crate) async fn serve(stub: Stub, listener: TcpListener) -> Result<(), Error> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_ended) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => {
                connections.spawn(converse(stub.clone(), accepted?.0));
            }
        }
    }
}

async fn converse(stub: Stub, mut stream: TcpStream) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut read = BytesMut::with_capacity(16 << 10);
    loop {
        let end = loop {
            if let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8(read.split_to(end).to_vec())?.to_ascii_lowercase();
        let field = |name: &str| {
            head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default()
        };
        let length: usize = field("content-length:").parse()?;
        while read.len() < length {
            stream.read_buf(&mut read).await?;
        }
        let answer = stub.answer(field("x-amz-target:"), &read[..length]).await;
        read.advance(length);
        let (content_type, body) = answer.ok_or("not served")?;
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&body).await?;
    }
}
