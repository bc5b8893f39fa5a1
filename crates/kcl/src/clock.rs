//! The wall clock. Nothing is decided by it among workers: it only says where reading begins and how old
//! records are, as the service's own times are of this kind.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time of day.
pub(crate) type Now = Arc<dyn Fn() -> SystemTime + Send + Sync>;

pub(crate) fn system() -> Now {
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    Arc::new(SystemTime::now)
}

/// Milliseconds since the Unix epoch.
pub(crate) fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
