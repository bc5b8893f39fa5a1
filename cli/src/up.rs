//! `rapids up`: the whole system on 127.0.0.1, for as long as somebody plays with it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use event::control::Command;
use local_aws::LocalAws;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::archive::{self, Archive};
use crate::args::Up;
use crate::bootstrap;
use crate::daemon::Daemon;
use crate::fleet::Fleet;
use crate::output::Output;
use crate::session::{Names, Session};
use crate::signals::Signals;
use crate::verbs::control;

/// Credentials for the embedded AWS, which checks none; but no SDK makes a call without.
const CREDENTIALS: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local")];

/// Longest time from the archive's start until its river gets every event.
const SUBSCRIBED_MAX: Duration = Duration::from_secs(60);

/// Runs until Ctrl-C or SIGTERM, then stops everything in order.
///
/// # Errors
/// What keeps it from starting, or a daemon that ended by itself.
pub(crate) async fn run(names: Names, settings: Up, output: Output) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let listener = bind(settings.listen, settings.port).await?;
    let address = listener.local_addr().context("the port of the embedded AWS")?;
    let aws = LocalAws::builder().public_address(reachable(address)).build();
    let stop_aws = CancellationToken::new();
    let server = tokio::spawn({
        let (aws, stop) = (aws.clone(), stop_aws.clone());
        async move { aws.serve(listener, stop).await }
    });

    let session = Session::embedded(names, &aws.sdk_config(), output);
    let (mut fleet, mut archive) = (Fleet::new(), Archive::default());
    let lived = tokio::select! {
        biased;
        () = signals.next() => Ok(()),
        ended = live(&session, &aws, &settings, &mut fleet, &mut archive) => ended,
    };
    // A second signal gives up the wait.
    let stopped = tokio::select! {
        biased;
        () = signals.next() => Err(anyhow!("stopped with work unsettled")),
        stopped = async {
            let (archive, fleet) = tokio::join!(archive.stop(), fleet.stop());
            fleet.and(archive)
        } => stopped,
    };
    stop_aws.cancel();
    server.await.context("the embedded AWS panicked")?.context("the embedded AWS")?;
    lived.and(stopped)
}

/// Starts everything, says so, and goes on until a daemon ends.
async fn live(
    session: &Session,
    aws: &LocalAws,
    settings: &Up,
    fleet: &mut Fleet,
    archive: &mut Archive,
) -> anyhow::Result<()> {
    bootstrap::ensure(session, settings.shards.count).await?;
    let daemons = settings.embedded_services.daemons();
    let started = fleet.start(daemons, &aws.sdk_config(), session, Some(settings.admin_port)).await;
    started.map_err(|error| match chassis::explain(error.as_ref()) {
        said if said.contains("in use") => anyhow!("{said}; choose other ports with --admin-port"),
        _ => error,
    })?;
    let endpoints = Endpoints::of(aws, fleet);
    if let Some(place) = &settings.archive {
        *archive = Archive::start(place, session.names.stage.as_str(), &endpoints.environment)?;
    }
    if session.output.json {
        ready(session, daemons, fleet, archive).await?;
        session.output.print(&endpoints.json())?;
    } else {
        session.output.say(&endpoints.text())?;
        ready(session, daemons, fleet, archive).await?;
        session.output.say("ready")?;
    }
    tokio::select! {
        biased;
        error = fleet.first_end() => Err(error),
        error = archive.first_end() => Err(error),
    }
}

/// Waits until every daemon is ready, and the archive gets every event from now on.
async fn ready(
    session: &Session,
    daemons: &[Daemon],
    fleet: &mut Fleet,
    archive: &mut Archive,
) -> anyhow::Result<()> {
    fleet.ready(session).await?;
    // Without a control plane in this process, one that is started later hooks the archive in.
    if !archive.is_some() || !daemons.contains(&Daemon::ControlPlane) {
        return Ok(());
    }
    let subscribe = Command::subscribe(archive::RIVER, archive::TOPIC);
    tokio::select! {
        biased;
        error = archive.first_end() => Err(error),
        subscribed = control::wait(session, &subscribe, SUBSCRIBED_MAX) => subscribed,
    }
}

/// "Any address" is one to listen on, not one to call.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

async fn bind(listen: IpAddr, port: u16) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::from((listen, port));
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow!(
            "port {port} of {listen} is in use: stop what listens there, or choose another with --port"
        ),
        _ => anyhow::Error::new(error).context(format!("cannot listen on {address} (--listen, --port)")),
    })
}

/// Where everything is, and how other programs find it.
struct Endpoints {
    aws: String,
    admin: BTreeMap<&'static str, String>,
    environment: Vec<(&'static str, String)>,
}

impl Endpoints {
    fn of(aws: &LocalAws, fleet: &Fleet) -> Self {
        let endpoint = format!("http://{}", aws.address());
        let admin = fleet.admin_servers().map(|(name, at)| (name, format!("http://{at}")));
        let region = || aws.region().to_owned();
        // The SDK for Python reads only the second name of the region.
        let mut environment = vec![
            ("AWS_ENDPOINT_URL", endpoint.clone()),
            ("AWS_REGION", region()),
            ("AWS_DEFAULT_REGION", region()),
        ];
        environment.extend(CREDENTIALS.map(|(name, value)| (name, value.to_owned())));
        let admin: BTreeMap<_, _> = admin.collect();
        if !admin.is_empty() {
            let sources = admin.values().map(|at| format!("{at}/metrics"));
            environment.push(("RAPIDS_METRICS", sources.collect::<Vec<_>>().join(",")));
        }
        Self { aws: endpoint, admin, environment }
    }

    fn text(&self) -> String {
        let mut lines = vec![format!("{:<15}{}", "aws", self.aws)];
        lines.extend(self.admin.iter().map(|(name, at)| format!("{name:<15}{at}/metrics")));
        let exports = self.environment.iter().map(|(name, value)| format!("{name}={value}"));
        lines.push(format!("export {}", exports.collect::<Vec<_>>().join(" ")));
        lines.join("\n")
    }

    fn json(&self) -> serde_json::Value {
        let environment: BTreeMap<_, _> = self.environment.iter().cloned().collect();
        json!({ "aws": self.aws, "admin": self.admin, "environment": environment })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exports_can_be_pasted_into_a_shell() {
        let endpoints = Endpoints {
            aws: "http://127.0.0.1:4566".to_owned(),
            admin: BTreeMap::from([("brand", "http://127.0.0.1:9464".to_owned())]),
            environment: vec![
                ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566".to_owned()),
                ("AWS_REGION", "us-east-1".to_owned()),
            ],
        };
        let text = "aws            http://127.0.0.1:4566\n\
                    brand          http://127.0.0.1:9464/metrics\n\
                    export AWS_ENDPOINT_URL=http://127.0.0.1:4566 AWS_REGION=us-east-1";
        assert_eq!(endpoints.text(), text);
    }

    #[tokio::test]
    async fn a_port_in_use_is_told_with_the_way_out() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = bind(Ipv4Addr::LOCALHOST.into(), port).await.unwrap_err().to_string();
        assert!(error.contains(&format!("port {port}")) && error.contains("--port"), "{error}");
    }
}
