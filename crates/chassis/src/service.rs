//! The shape of a service.

use serde::{Serialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;

use crate::{Kit, Validate};

/// A process that can be built, then run until told to stop.
pub trait Service: Sized + Send + 'static {
    /// Its settings. The serialised default is the list of known keys: every field is written out, a `None`
    /// included, and no field is called `log`, `admin` or `shutdown`, which are the chassis' own.
    type Config: DeserializeOwned + Serialize + Default + Validate + Send + 'static;

    /// Connects and checks; spawns nothing. Latches are taken here, so that readiness waits for them.
    ///
    /// # Errors
    /// Whatever makes a start pointless; the process says it in one line and exits 1.
    fn build(config: Self::Config, kit: &Kit) -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// Returns when `stop` is cancelled and all work is settled, or with the first fatal error.
    ///
    /// # Errors
    /// What the service cannot go on with; the process exits 1 and is started anew from outside.
    fn run(self, stop: CancellationToken) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// What [`Service::Config`] has to be, in one name.
pub(crate) trait ServiceConfig: DeserializeOwned + Serialize + Default + Validate {}

impl<T: DeserializeOwned + Serialize + Default + Validate> ServiceConfig for T {}
