//! A service as a part of this process: what `main` does after it has read the configuration, and what
//! `rapids up`, `rapids demo` and tests do several times in one process.

use std::net::SocketAddr;
use std::pin::pin;

use anyhow::{Context as _, ensure};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info_span};

use crate::admin::Admin;
use crate::{Kit, Problems, Readiness, Service};

/// A running service. Dropped, it goes on until its `stop` is cancelled; [`Embedded::join`] waits for its end.
#[derive(Debug)]
pub struct Embedded {
    name: &'static str,
    admin_address: Option<SocketAddr>,
    readiness: Readiness,
    task: JoinHandle<anyhow::Result<()>>,
}

/// Builds a service and starts it: checks `config`, serves the admin endpoints on `admin` (`None`: none), builds,
/// and spawns the run. Cancel `stop` to end it.
///
/// # Errors
/// Broken rules of the configuration, an address that cannot be bound, or what `build` fails with.
pub async fn embed<S: Service>(
    kit: Kit,
    config: S::Config,
    admin: Option<SocketAddr>,
    stop: CancellationToken,
) -> anyhow::Result<Embedded> {
    let name = kit.service();
    let problems = Problems::of(&config);
    ensure!(problems.is_empty(), "the configuration of {name} is wrong:\n{problems}");

    let readiness = kit.readiness().clone();
    let started = readiness.latch("start");
    let admin = match admin {
        Some(address) => Some(Admin::start(address, kit.clone()).await?),
        None => None,
    };
    let admin_address = admin.as_ref().map(Admin::address);
    let span = info_span!("service", service.name = name);
    let service = S::build(config, &kit).instrument(span.clone()).await?;
    started.release();
    let life = live(service, stop, readiness.clone(), admin);
    let task = tokio::spawn(life.instrument(span));
    Ok(Embedded { name, admin_address, readiness, task })
}

/// Runs to the end. The admin server answers until then: a process that settles is alive and can be observed.
async fn live<S: Service>(
    service: S,
    stop: CancellationToken,
    readiness: Readiness,
    admin: Option<Admin>,
) -> anyhow::Result<()> {
    let mut run = pin!(service.run(stop.clone()));
    let ended = tokio::select! {
        biased;
        () = stop.cancelled() => {
            readiness.stop();
            run.await
        }
        ended = &mut run => ended,
    };
    readiness.stop();
    if let Some(admin) = admin {
        admin.stop().await;
    }
    ended
}

impl Embedded {
    /// Name of the service.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where its admin server listens, if it has one.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Whether the service can take work.
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Waits for the service's end. It does not cause it: cancel the token given to [`embed`].
    ///
    /// # Errors
    /// What the service failed with, a panic included.
    pub async fn join(self) -> anyhow::Result<()> {
        self.task.await.with_context(|| format!("{} panicked", self.name))?
    }
}
