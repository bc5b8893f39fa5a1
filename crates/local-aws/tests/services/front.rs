//! The same AWS on a socket.

use std::net::SocketAddr;

use local_aws::{Fault, LocalAws, Service};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::over_socket;

struct Front {
    aws: LocalAws,
    address: SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
}

impl Front {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let aws = LocalAws::builder().public_address(address).build();
        let stop = CancellationToken::new();
        let server = tokio::spawn({
            let (aws, stop) = (aws.clone(), stop.clone());
            async move { aws.serve(listener, stop).await }
        });
        Self { aws, address, stop, server }
    }

    fn config(&self) -> aws_types::SdkConfig {
        over_socket(&self.aws.sdk_config(), &format!("http://{}", self.address))
    }

    async fn close(self) {
        self.stop.cancel();
        self.server.await.unwrap().unwrap();
    }

    /// The answer to a request as it is on the wire.
    async fn exchange(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

#[tokio::test]
async fn every_service_answers_on_the_one_port() {
    let front = Front::open().await;
    let config = front.config();
    let sqs = aws_sdk_sqs::Client::new(&config);
    let url = sqs.create_queue().queue_name("q").send().await.unwrap().queue_url.unwrap();
    assert!(url.starts_with(&format!("http://{}/", front.address)), "{url}");
    let sns = aws_sdk_sns::Client::new(&config);
    sns.create_topic().name("t").send().await.unwrap();
    aws_sdk_dynamodb::Client::new(&config).list_tables().send().await.unwrap();
    aws_sdk_kinesis::Client::new(&config).list_streams().send().await.unwrap();
    aws_sdk_sts::Client::new(&config).get_caller_identity().send().await.unwrap();
    front.close().await;
}

#[tokio::test]
async fn the_socket_and_the_process_see_the_same_things() {
    let front = Front::open().await;
    let outside = aws_sdk_sqs::Client::new(&front.config());
    let inside = aws_sdk_sqs::Client::new(&front.aws.sdk_config());
    let url = outside.create_queue().queue_name("q").send().await.unwrap().queue_url.unwrap();
    let wait = outside.receive_message().queue_url(&url).wait_time_seconds(20).send();
    let send = inside.send_message().queue_url(&url).message_body("m").send();
    let (received, sent) = tokio::join!(wait, send);
    sent.unwrap();
    assert_eq!(received.unwrap().messages()[0].body.as_deref(), Some("m"));
    front.close().await;
}

#[tokio::test]
async fn a_lost_reply_closes_the_connection_without_an_answer() {
    let front = Front::open().await;
    front.aws.faults().add(Fault::on(Service::Sqs, "CreateQueue").lose_reply());
    let answer = front.exchange(
        "POST / HTTP/1.1\r\nhost: local\r\nx-amz-target: AmazonSQS.CreateQueue\r\n\
         content-length: 17\r\n\r\n{\"QueueName\":\"q\"}",
    );
    assert_eq!(answer.await, "");
    let sqs = aws_sdk_sqs::Client::new(&front.aws.sdk_config());
    sqs.get_queue_url().queue_name("q").send().await.unwrap();
    front.close().await;
}

#[tokio::test]
async fn a_request_for_nothing_known_is_told_what_is_served() {
    let front = Front::open().await;
    let request = "GET / HTTP/1.1\r\nhost: local\r\nconnection: close\r\n\r\n";
    let answer = front.exchange(request).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("local-aws serves kinesis, sns, sqs, dynamodb and sts"), "{answer}");
    front.close().await;
}

#[tokio::test]
async fn a_request_too_large_is_refused() {
    let front = Front::open().await;
    let mut stream = TcpStream::connect(front.address).await.unwrap();
    let head =
        "POST / HTTP/1.1\r\nhost: local\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("100000\r\n{}\r\n", "x".repeat(0x10_0000));
    for _ in 0..17 {
        // The server may have answered and gone before all is written.
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
    front.close().await;
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_receive_that_waits() {
    let front = Front::open().await;
    let sqs = aws_sdk_sqs::Client::new(&front.config());
    let url = sqs.create_queue().queue_name("q").send().await.unwrap().queue_url.unwrap();
    let wait = tokio::spawn(sqs.receive_message().queue_url(&url).wait_time_seconds(20).send());
    while front.aws.calls(Service::Sqs, "ReceiveMessage") == 0 {
        tokio::task::yield_now().await;
    }
    front.close().await;
    wait.abort();
}
