//! control-plane: turns commands into queues and subscriptions.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run::<control_plane::ControlPlane>("control-plane")
}
