//! rapids-reader: carries every record of the rapids to the SNS topic that feeds the rivers.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run::<rapids_reader::RapidsReader>("rapids-reader")
}
