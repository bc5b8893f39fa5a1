//! Processes of the binary.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};

use serde_json::Value;

/// The binary, in an environment without settings of the machine's user.
pub(crate) fn rapids() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rapids"));
    command.env_clear().env("HOME", "/nonexistent").env("AWS_EC2_METADATA_DISABLED", "true");
    command.stdin(Stdio::null());
    command
}

/// The binary, with an AWS at `endpoint`.
pub(crate) fn rapids_at(endpoint: &str) -> Command {
    let mut command = rapids();
    command.env("AWS_ENDPOINT_URL", endpoint).env("AWS_REGION", "us-east-1");
    command.env("AWS_ACCESS_KEY_ID", "local").env("AWS_SECRET_ACCESS_KEY", "local");
    command
}

/// What a command said on standard output, standard error, and its exit code.
pub(crate) fn run(command: &mut Command) -> (String, String, i32) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(stdout), text(stderr), status.code().unwrap())
}

/// A running `rapids up`; dropped, it is killed.
pub(crate) struct Up {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Up {
    /// Starts it on free ports.
    pub(crate) fn start(options: &[&str]) -> Self {
        let mut command = rapids();
        command.args(["up", "--port", "0", "--admin-port", "0"]).args(options);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    /// Starts it with these daemons and waits until it is ready: it, and where its AWS is.
    pub(crate) fn with(daemons: &str) -> (Self, String) {
        let mut up = Self::start(&["--json", "--embedded-services", daemons]);
        let ready: Value = serde_json::from_str(&up.line()).unwrap();
        let endpoint = ready["environment"]["AWS_ENDPOINT_URL"].as_str().unwrap().to_owned();
        (up, endpoint)
    }

    /// The next line of its output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.stdout.read_line(&mut line).unwrap();
        assert!(read > 0, "`rapids up` ended: {:?}", self.child.wait());
        line.trim_end().to_owned()
    }

    /// Asks it to end, as a supervisor does; the rest of its output and how it ended.
    pub(crate) fn terminate(mut self) -> (String, ExitStatus) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        (rest, status)
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It may have ended.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
