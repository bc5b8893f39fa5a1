//! rapids-query: SQL over the archive.

use std::process::ExitCode;

fn main() -> ExitCode {
    rapids_query::main()
}
