//! segmentation: says which segment a customer belongs to.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run::<segmentation::Service>("segmentation")
}
