//! The archive beside `rapids up`: its own process, so that Parquet is not in this one.

use std::future;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The program.
const PROGRAM: &str = "archive";
/// Its river, and what that is subscribed to.
pub(crate) const RIVER: &str = "archive";
pub(crate) const TOPIC: &str = "*";
/// Longest time to commit what has arrived, as for the daemons in this process.
const GRACE: Duration = Duration::from_secs(20);

/// The archive's process, if there is one. It is killed when this is dropped, which costs it nothing but time.
#[derive(Debug, Default)]
pub(crate) struct Archive(Option<Child>);

impl Archive {
    /// Starts it in a place, on the AWS that `environment` names.
    ///
    /// # Errors
    /// The program is not there, or cannot be run.
    pub(crate) fn start(
        place: &str,
        stage: &str,
        environment: &[(&'static str, String)],
    ) -> anyhow::Result<Self> {
        let program = beside()?;
        let mut command = Command::new(&program);
        command.envs(environment.iter().map(|(name, value)| (*name, value)));
        command.envs([("RAPIDS_ARCHIVE", place), ("RAPIDS_STAGE", stage)]);
        command.envs([("RAPIDS_ADMIN__ADDRESS", "127.0.0.1:0"), ("RAPIDS_LOG__FILTER", "warn")]);
        let child = command.kill_on_drop(true).spawn();
        let child = child.with_context(|| format!("cannot run {}", program.display()))?;
        Ok(Self(Some(child)))
    }

    /// Whether there is one.
    pub(crate) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Waits for its end, although nobody told it to; for ever when there is none.
    pub(crate) async fn first_end(&mut self) -> anyhow::Error {
        match &mut self.0 {
            Some(child) => match child.wait().await {
                Ok(status) => anyhow!("the archive ended ({status}); standard error says why"),
                Err(error) => anyhow::Error::new(error).context("waiting for the archive"),
            },
            None => future::pending().await,
        }
    }

    /// Tells it to stop, and waits until it has committed what has arrived.
    ///
    /// # Errors
    /// It did not end well, or not in time.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let Some(mut child) = self.0 else { return Ok(()) };
        // It is told by the program that every Unix has for that; to call the system itself would be unsafe code.
        if let Some(id) = child.id() {
            Command::new("kill").args(["-TERM", &id.to_string()]).status().await?;
        }
        let ended = timeout(GRACE, child.wait()).await;
        let ended = ended
            .with_context(|| format!("the archive did not stop within {} s", GRACE.as_secs()))??;
        ensure!(ended.success(), "the archive ended ({ended})");
        Ok(())
    }
}

/// The program beside this one.
fn beside() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name(PROGRAM);
    ensure!(
        program.is_file(),
        "there is no {}: `cargo build -p {PROGRAM}` makes it, or leave --archive out",
        program.display()
    );
    Ok(program)
}
