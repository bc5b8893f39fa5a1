//! `NAME health`: asks the process of this host whether it is ready. For images that have no shell and no curl.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use crate::explain;

/// A probe has to be over before the next one: the shortest common interval is 5 seconds.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest answer that is read: a few names of latches.
const ANSWER_MAX: u64 = 64 * 1024;

/// Says one line and is successful when the process answers that it is ready.
pub(crate) fn check(admin: SocketAddr) -> ExitCode {
    let address = on_this_host(admin);
    match ask(address) {
        Ok(answer) if answer.status == 200 => {
            println!("ready");
            ExitCode::SUCCESS
        }
        Ok(answer) => {
            let missing = answer.body.trim().replace('\n', ", ");
            println!("not ready: {missing}");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("not ready: no answer from {address}: {}", explain(&error));
            ExitCode::FAILURE
        }
    }
}

/// "Any address" is one to listen on, not one to call.
fn on_this_host(mut address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            address.set_ip(Ipv4Addr::LOCALHOST.into())
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            address.set_ip(Ipv6Addr::LOCALHOST.into())
        }
        _ => {}
    }
    address
}

struct Answer {
    status: u16,
    body: String,
}

/// HTTP/1.0 by hand: one request a process does not need a client, nor a runtime.
fn ask(address: SocketAddr) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, PROBE_TIMEOUT)?;
    stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
    stream.set_write_timeout(Some(PROBE_TIMEOUT))?;
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut answer)?;
    parse(&answer).ok_or_else(|| io::Error::other("the answer is not HTTP"))
}

fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_by_status_and_body() {
        let answer =
            parse("HTTP/1.0 503 Service Unavailable\r\nx: y\r\n\r\nfirst shard\n").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (503, "first shard\n"));
        assert!(parse("SSH-2.0-OpenSSH\r\n\r\n").is_none());
    }

    #[test]
    fn an_unspecified_address_is_asked_on_loopback() {
        let on = |address: &str| on_this_host(address.parse().unwrap()).to_string();
        assert_eq!(on("0.0.0.0:9464"), "127.0.0.1:9464");
        assert_eq!(on("[::]:9464"), "[::1]:9464");
        assert_eq!(on("10.0.0.7:9464"), "10.0.0.7:9464");
    }
}
