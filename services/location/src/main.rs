//! location: offers at the place that a customer looks at.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run::<location::Service>("location")
}
