//! monitor: watches the business, the services and the way of events, and proves them with a probe.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run::<monitor::Service>("monitor")
}
