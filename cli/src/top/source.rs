//! Where figures come from: one request, one answer.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An answer that takes longer is none.
const WITHIN: Duration = Duration::from_secs(3);
/// Longest answer: a Prometheus with hundreds of processes.
const ANSWER_MAX: u64 = 64 << 20;
/// What a Prometheus is asked for, instead of a page of its own: the newest sample of each of our series.
const FEDERATE: &str =
    "/federate?match[]=%7B__name__%3D~%22(rapids|kcl|offers|segments|memberships)_.%2B%22%7D";

/// A daemon, or a Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    authority: String,
    path: String,
}

impl Source {
    /// `http://HOST:PORT/metrics` is a daemon; `http://HOST:PORT` is a Prometheus.
    pub(super) fn parse(url: &str) -> anyhow::Result<Self> {
        let Some(rest) = url.trim().strip_prefix("http://") else {
            bail!(
                "{url:?} is no source of figures: expected http://HOST:PORT/metrics of a daemon, or http://HOST:PORT of a \
                 Prometheus; what speaks only https is reached by `kubectl port-forward`"
            );
        };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, format!("/{path}")),
            None => (rest, "/".to_owned()),
        };
        if authority.is_empty() || authority.contains('@') {
            bail!("{url:?} names no host: expected http://HOST:PORT/metrics");
        }
        let port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if port { authority.to_owned() } else { format!("{authority}:80") };
        let path = if path == "/" { FEDERATE.to_owned() } else { path };
        Ok(Self { authority, path })
    }

    pub(super) fn name(&self) -> &str {
        &self.authority
    }

    /// The text that it shows.
    pub(super) async fn read(&self) -> Result<String, String> {
        let read = async {
            let mut stream = TcpStream::connect(&self.authority).await?;
            // HTTP/1.0: the answer ends with the connection.
            let Self { authority, path } = self;
            let request =
                format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\nAccept: text/plain\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.take(ANSWER_MAX).read_to_end(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = timeout(WITHIN, read).await;
        let answer = answer.map_err(|_| format!("no answer within {} s", WITHIN.as_secs()))?;
        let answer = answer.map_err(|error| error.to_string())?;
        let answer = String::from_utf8(answer).map_err(|_| "the answer is no text".to_owned())?;
        body(&answer).map_err(|error| error.to_string())
    }
}

fn body(answer: &str) -> anyhow::Result<String> {
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is not HTTP")?;
    let status = head.lines().next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    if status != "200" {
        bail!("the answer is HTTP {status}");
    }
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_has_a_path_and_a_prometheus_has_none() {
        let source = |url: &str| Source::parse(url).unwrap();
        let daemon = source("http://127.0.0.1:9464/metrics");
        assert_eq!((daemon.name(), &*daemon.path), ("127.0.0.1:9464", "/metrics"));
        assert!(source("http://prometheus:9090/").path.starts_with("/federate?match[]="));
        assert_eq!(source("http://prometheus").name(), "prometheus:80");
        for wrong in ["https://a/metrics", "localhost:9464", "http:///metrics"] {
            let error = Source::parse(wrong).unwrap_err().to_string();
            assert!(error.contains("http://HOST:PORT"), "{error}");
        }
    }

    #[test]
    fn only_what_was_found_is_figures() {
        assert_eq!(body("HTTP/1.0 200 OK\r\na: b\r\n\r\nx 1\n").unwrap(), "x 1\n");
        assert!(body("HTTP/1.0 404 Not Found\r\n\r\n").unwrap_err().to_string().contains("404"));
        assert!(body("SSH-2.0").is_err());
    }
}
