//! Configuration: defaults, then a TOML file, then `RAPIDS_` variables.
//!
//! A key of a section is `lease.duration` in the file and `RAPIDS_LEASE__DURATION` in the environment. The
//! serialised defaults are the tree of known keys, so an unknown key is told like any other mistake, and all
//! mistakes are told at once, each with its key, its value and where it came from.
//!
//! Limits that follow: a map-valued setting defaults to an empty map, and an optional section is given whole.

mod load;
mod problem;
mod show;
mod source;
mod suggest;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use self::load::{Loaded, defaults, load};
pub use self::problem::{Problems, Validate};
pub(crate) use self::show::{effective, keys_help};
pub(crate) use self::source::{FILE_VARIABLE, Sources};
use crate::{admin, telemetry};

/// All settings of a process: the sections of the chassis beside the service's own keys.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Settings<C> {
    pub(crate) log: telemetry::Config,
    pub(crate) admin: admin::Config,
    pub(crate) shutdown: Shutdown,
    #[serde(flatten)]
    pub(crate) service: C,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shutdown {
    /// Time to settle work after SIGTERM; below the 30 seconds that Kubernetes and ECS give by default.
    #[serde(with = "crate::duration")]
    pub(crate) grace: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { grace: Duration::from_secs(20) }
    }
}

impl<C: Validate> Validate for Settings<C> {
    fn validate(&self, problems: &mut Problems) {
        problems.section("log", &self.log);
        self.service.validate(problems);
    }
}

#[cfg(test)]
mod tests;
