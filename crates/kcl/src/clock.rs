//! Wall time, which comes from outside: so that a run under virtual time is a function of its seed.

use std::sync::Arc;
use std::time::SystemTime;

/// Tells the wall time. Only ages of records are taken from it, never a decision about a lease.
pub(crate) type Now = Arc<dyn Fn() -> SystemTime + Send + Sync>;
