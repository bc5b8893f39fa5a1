//! offer-engine: collects the offers for a view for a while, then selects among them.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run::<offer_engine::Service>("offer-engine")
}
