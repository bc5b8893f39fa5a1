//! membership: says which tier of the loyalty program a customer has.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run::<membership::Service>("membership")
}
