//! Cases in processes of their own: this program, called again.

use std::process::Stdio;

use serde_json::Value;
use tokio::process::{Child, Command};

use crate::Error;

/// Runs a case and reads the line it prints.
pub(crate) async fn run(case: &[&str]) -> Result<Value, Error> {
    let output = command(case)?.stdout(Stdio::piped()).output().await?;
    if !output.status.success() {
        return Err(format!("{case:?} ended with {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Starts a case that ends when it is killed, or dropped here.
pub(crate) fn start(case: &[&str]) -> Result<Child, Error> {
    Ok(command(case)?.stdout(Stdio::null()).spawn()?)
}

fn command(case: &[&str]) -> Result<Command, Error> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("case").args(case).stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}
