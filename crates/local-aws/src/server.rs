//! The emulator on a socket.

use std::io;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::LocalAws;
use crate::local_aws::Answer;
use crate::wire::{Response, json_response};

/// Largest request: `PutRecords` takes 10 MiB of records, which base64 makes a third longer.
const REQUEST_BYTES_MAX: usize = 16 << 20;

impl LocalAws {
    /// Serves on `listener` until `stop` is cancelled. Requests under way are then cut off.
    ///
    /// # Errors
    /// When connections cannot be accepted any more.
    pub async fn serve(&self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (aws, stop) = (self.clone(), stop.clone());
                    connections.spawn(async move { aws.converse(stream, stop).await });
                }
                // The peer went away before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
        connections.close();
        connections.wait().await;
        Ok(())
    }

    async fn converse(&self, stream: TcpStream, stop: CancellationToken) {
        stream.set_nodelay(true).ok(); // Only speed is lost without it.
        let service = service_fn(|request: http::Request<Incoming>| self.reply(request));
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service);
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            ended = connection => ended,
        };
        if let Err(error) = ended {
            debug!(error = &error as &dyn std::error::Error, "a connection ended early");
        }
    }

    /// An error here closes the connection without an answer, as a lost reply does.
    async fn reply(&self, request: http::Request<Incoming>) -> io::Result<Response> {
        let (parts, body) = request.into_parts();
        let body: Bytes = match Limited::new(body, REQUEST_BYTES_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => {
                let body = serde_json::json!({
                    "__type": "RequestEntityTooLargeException", "message": error.to_string(),
                });
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                return Ok(json_response(status, "application/x-amz-json-1.1", body.to_string()));
            }
        };
        match self.answer(http::Request::from_parts(parts, body)).await {
            Answer::Response(response) => Ok(response),
            Answer::Broken => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
        }
    }
}
