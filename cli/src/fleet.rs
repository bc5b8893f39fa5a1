//! Daemons within this process: started together, watched, stopped together.

use std::future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use aws_types::SdkConfig;
use chassis::Readiness;
use event::control::Command;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::daemon::{Daemon, Start};
use crate::session::Session;
use crate::verbs::control;

/// Longest time from start to readiness; a laptop that is busy with other work needs some of it.
const READY_MAX: Duration = Duration::from_secs(60);
/// Longest time for work under way when all are told to stop, the same as a daemon's own default.
const GRACE: Duration = Duration::from_secs(20);

/// Running daemons.
#[derive(Debug)]
pub(crate) struct Fleet {
    members: Vec<Member>,
    ends: JoinSet<(&'static str, anyhow::Result<()>)>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Member {
    daemon: Daemon,
    admin: Option<SocketAddr>,
    readiness: Readiness,
}

impl Fleet {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self { members: Vec::new(), ends: JoinSet::new(), stop: CancellationToken::new() }
    }

    /// Starts `daemons` one after the other. Their admin servers get consecutive ports of 127.0.0.1 from
    /// `admin_port` on, any when that is 0, none when it is not given.
    ///
    /// # Errors
    /// The first that does not start. Those before it run on, until [`Fleet::stop`].
    pub(crate) async fn start(
        &mut self,
        daemons: &[Daemon],
        aws: &SdkConfig,
        session: &Session,
        admin_port: Option<u16>,
    ) -> anyhow::Result<()> {
        for (index, daemon) in daemons.iter().enumerate() {
            let start = Start {
                aws: aws.clone(),
                stage: session.names.stage.clone(),
                admin: admin_port.map(|first| admin_address(first, index)).transpose()?,
                stop: self.stop.clone(),
            };
            let name = daemon.name();
            let embedded = daemon.start(start).await.with_context(|| format!("starting {name}"))?;
            self.members.push(Member {
                daemon: *daemon,
                admin: embedded.admin_address(),
                readiness: embedded.readiness().clone(),
            });
            self.ends.spawn(async move { (name, embedded.join().await) });
        }
        Ok(())
    }

    /// Name and admin server of every daemon that has one.
    pub(crate) fn admin_servers(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        self.members.iter().filter_map(|it| Some((it.daemon.name(), it.admin?)))
    }

    /// Waits until every daemon is ready and its river gets all that it asked for. A daemon alone is ready as
    /// soon as its river exists; an event that is sent then may pass before the last topic is subscribed to.
    ///
    /// # Errors
    /// A daemon that ended, or what is missing when the time is over.
    pub(crate) async fn ready(&mut self, session: &Session) -> anyhow::Result<()> {
        let Self { members, ends, .. } = self;
        let ready = timeout(READY_MAX, hooked_in(members, session));
        tokio::select! {
            biased;
            error = first_end(ends) => Err(error),
            ready = ready => match ready {
                Ok(ready) => ready,
                Err(_) => bail!("not ready after {} s: {}", READY_MAX.as_secs(), missing(members)),
            },
        }
    }

    /// Waits for a daemon that ends although nobody told it to.
    pub(crate) async fn first_end(&mut self) -> anyhow::Error {
        first_end(&mut self.ends).await
    }

    /// Tells all to stop and waits for them.
    ///
    /// # Errors
    /// The first that failed, or that not all settled their work in time.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        let settled = timeout(GRACE, async {
            let mut failed = None;
            while let Some(joined) = self.ends.join_next().await {
                let (name, ended) = joined.context("a daemon panicked")?;
                if let Err(error) = ended {
                    failed.get_or_insert(error.context(format!("stopping {name}")));
                }
            }
            failed.map_or(Ok(()), Err)
        });
        let late = || format!("not all daemons stopped within {} s", GRACE.as_secs());
        settled.await.with_context(late)?
    }
}

fn admin_address(first: u16, index: usize) -> anyhow::Result<SocketAddr> {
    let port = match first {
        0 => Some(0),
        first => u16::try_from(index).ok().and_then(|index| first.checked_add(index)),
    };
    let port = port.context("there are not enough ports above --admin-port: choose a lower one")?;
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

async fn hooked_in(members: &[Member], session: &Session) -> anyhow::Result<()> {
    let control_plane = members.iter().any(|member| member.daemon == Daemon::ControlPlane);
    for member in members {
        let name = member.daemon.name();
        // Without a control plane in this process, one that is started later hooks the daemons in.
        if member.daemon.subscriptions().is_some() && !control_plane {
            continue;
        }
        if !member.readiness.ready().await {
            bail!("{name} stopped before it was ready");
        }
        let Some((river, packets)) = member.daemon.subscriptions() else { continue };
        for packet in packets {
            let subscribe = Command::subscribe(river, packet.topic());
            control::wait(session, &subscribe, READY_MAX).await?;
        }
    }
    Ok(())
}

fn missing(members: &[Member]) -> String {
    let waiting = members.iter().filter_map(|member| {
        let missing = member.readiness.missing();
        (!missing.is_empty())
            .then(|| format!("{} waits for {}", member.daemon.name(), missing.join(", ")))
    });
    let waiting = waiting.collect::<Vec<_>>();
    if waiting.is_empty() { "subscriptions are pending".to_owned() } else { waiting.join("; ") }
}

async fn first_end(ends: &mut JoinSet<(&'static str, anyhow::Result<()>)>) -> anyhow::Error {
    match ends.join_next().await {
        None => future::pending().await,
        Some(Ok((name, Err(error)))) => error.context(format!("{name} failed")),
        Some(Ok((name, Ok(())))) => anyhow!("{name} ended, although nobody told it to"),
        Some(Err(error)) => anyhow::Error::new(error).context("a daemon panicked"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_ports_follow_each_other_unless_any_will_do() {
        let port = |first, index| admin_address(first, index).unwrap().port();
        assert_eq!((port(9464, 0), port(9464, 6)), (9464, 9470));
        assert_eq!(port(0, 6), 0);
        assert!(admin_address(65_533, 6).is_err());
    }
}
