//! How a command fails: refused before anything was done, or failed on the way.

use std::process::ExitCode;

use event::experiment::InvalidExperiment;
use event::names::InvalidName;

use crate::output::NobodyReads;

/// Exit code of a refused command line (`EX_USAGE` of sysexits.h), the same as the daemons'.
pub(crate) const USAGE_ERROR: u8 = 64;

/// What commands return.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command makes no sense as it was given; nothing was done.
    Usage(String),
    /// It was tried.
    Failed(anyhow::Error),
    /// Commands of a script failed; each has been told with its line.
    Script,
}

impl Failure {
    /// Cause and next step, in one line.
    pub(crate) fn line(&self) -> String {
        match self {
            Self::Usage(refusal) => refusal.clone(),
            Self::Failed(error) => chassis::explain(error.as_ref()),
            Self::Script => "commands of the script failed".to_owned(),
        }
    }

    /// Says it on standard error, unless that has been done, and gives the exit code.
    pub(crate) fn tell(&self) -> ExitCode {
        match self {
            Self::Script => ExitCode::FAILURE,
            // No failure: it was not to go on.
            Self::Failed(error) if error.is::<NobodyReads>() => ExitCode::SUCCESS,
            Self::Failed(_) => {
                eprintln!("error: {}", self.line());
                ExitCode::FAILURE
            }
            Self::Usage(_) => {
                eprintln!("error: {}", self.line());
                ExitCode::from(USAGE_ERROR)
            }
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<InvalidName> for Failure {
    fn from(refused: InvalidName) -> Self {
        Self::Usage(refused.to_string())
    }
}

impl From<InvalidExperiment> for Failure {
    fn from(refused: InvalidExperiment) -> Self {
        Self::Usage(refused.to_string())
    }
}
