//! brand: offers of the brand.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run::<brand::Service>("brand")
}
