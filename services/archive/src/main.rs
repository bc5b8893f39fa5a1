//! archive: keeps every event as a row of Parquet, once.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run::<archive::Service>("archive")
}
