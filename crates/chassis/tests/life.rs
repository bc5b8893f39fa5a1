//! The life of a daemon as its operator sees it: `examples/idle.rs` as a process of its own.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

/// Cargo builds examples together with tests, beside the folder of the test programs.
fn idle() -> Command {
    let test = std::env::current_exe().unwrap();
    let built: PathBuf = test.parent().unwrap().with_file_name("examples").join("idle");
    assert!(built.exists(), "{} is missing: cargo build -p chassis --examples", built.display());
    let mut command = Command::new(built);
    // No look-up of credentials or region leaves this machine.
    command
        .env_clear()
        .env("AWS_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("RAPIDS_ADMIN__ADDRESS", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn output(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// A running daemon and its log; killed when a test fails half-way.
struct Daemon {
    process: Child,
    log: BufReader<ChildStderr>,
    /// Where its admin server listens.
    admin: String,
}

impl Daemon {
    fn start(command: &mut Command) -> Self {
        let mut process = command.spawn().unwrap();
        let log = BufReader::new(process.stderr.take().unwrap());
        let mut daemon = Self { process, log, admin: String::new() };
        let started = daemon.until("\"started\"");
        let started: serde_json::Value = serde_json::from_str(&started).unwrap();
        daemon.admin = started["admin.address"].as_str().unwrap().to_owned();
        daemon
    }

    /// The next line of the log that contains `text`.
    fn until(&mut self, text: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.log.read_line(&mut line).unwrap();
            assert!(read > 0, "the log ended before {text}");
            if line.contains(text) {
                return line;
            }
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    fn end(mut self) -> (i32, String) {
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        (self.process.wait().unwrap().code().unwrap(), rest)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

#[test]
fn sigterm_settles_and_exits_0() {
    let daemon = Daemon::start(&mut idle());
    daemon.signal("-TERM");
    let (code, log) = daemon.end();
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("\"stopping\"") && log.contains("\"stopped\""), "{log}");
}

#[test]
fn ctrl_c_is_the_same_as_sigterm() {
    let daemon = Daemon::start(&mut idle());
    daemon.signal("-INT");
    assert_eq!(daemon.end().0, 0);
}

#[test]
fn work_that_does_not_settle_in_time_is_left_with_a_word() {
    let slow = [("RAPIDS_SETTLE", "1h"), ("RAPIDS_SHUTDOWN__GRACE", "100ms")];
    let daemon = Daemon::start(idle().envs(slow));
    daemon.signal("-TERM");
    let (code, log) = daemon.end();
    assert_eq!(code, 1);
    assert!(log.contains("shutdown.grace"), "{log}");
}

#[test]
fn a_second_signal_exits_at_once() {
    let slow = [("RAPIDS_SETTLE", "1h"), ("RAPIDS_SHUTDOWN__GRACE", "1h")];
    let mut daemon = Daemon::start(idle().envs(slow));
    daemon.signal("-TERM");
    daemon.until("\"stopping\"");
    daemon.signal("-TERM");
    let (code, log) = daemon.end();
    assert_eq!(code, 1);
    assert!(log.contains("told to stop again"), "{log}");
}

#[test]
fn every_mistake_of_the_configuration_is_told_and_the_exit_code_is_64() {
    let wrong = [("RAPIDS_SETTLE", "2h"), ("RAPIDS_BROKEN", "maybe"), ("RAPIDS_STAGE", "dev")];
    let (code, _, said) = output(idle().envs(wrong));
    assert_eq!(code, 64);
    assert!(
        said.starts_with("error: idle cannot start, its configuration has 3 problems:\n"),
        "{said}"
    );
    assert!(said.contains("settle = \"2h\" (RAPIDS_SETTLE): must be at most 1h"), "{said}");
    assert!(said.contains("broken = \"maybe\" (RAPIDS_BROKEN): invalid type"), "{said}");
    assert!(said.contains("stage (RAPIDS_STAGE): unknown key"), "{said}");
}

#[test]
fn a_file_that_is_not_there_is_a_mistake_of_the_configuration() {
    let (code, _, said) = output(idle().args(["--config", "/nowhere.toml"]));
    assert_eq!(code, 64);
    assert!(said.contains("/nowhere.toml cannot be read"), "{said}");
}

#[test]
fn the_file_can_be_named_by_a_variable() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "settle = \"3s\"").unwrap();
    let (code, printed, _) = output(idle().arg("--print-config").env("RAPIDS_CONFIG", file.path()));
    assert_eq!(code, 0);
    assert!(printed.contains("settle = \"3s\""), "{printed}");
    assert!(printed.contains("[shutdown]\ngrace = \"20s\""), "{printed}");
}

#[test]
fn a_failed_start_is_one_line_and_exit_1() {
    let (code, _, said) =
        output(idle().env("RAPIDS_BROKEN", "true").env("RAPIDS_LOG__FILTER", "off"));
    assert_eq!((code, said.as_str()), (1, "error: told to be broken\n"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, said) = output(idle().env("RAPIDS_ADMIN__ADDRESS", address));
    assert_eq!(code, 1);
    assert!(said.contains("(setting admin.address): address already in use"), "{said}");
}

#[test]
fn what_everybody_forgets_once_is_told_with_the_next_step() {
    let calling = || {
        let mut command = idle();
        command.env("RAPIDS_CALL", "true").env("RAPIDS_LOG__FILTER", "off");
        command
    };
    let (code, _, said) = output(calling().env("AWS_ENDPOINT_URL", "http://127.0.0.1:9"));
    assert_eq!(code, 1);
    assert!(said.contains("AWS_PROFILE") && said.lines().count() == 1, "{said}");
    let keys = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];
    let (code, _, said) = output(calling().envs(keys).env_remove("AWS_REGION"));
    assert_eq!(code, 1);
    assert!(said.contains("AWS_REGION") && said.lines().count() == 1, "{said}");
    let nobody = [("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), ("AWS_MAX_ATTEMPTS", "1")];
    let (code, _, said) = output(calling().envs(keys).envs(nobody));
    assert_eq!(code, 1);
    let cause = "could not reach AWS at http://127.0.0.1:9: connection refused";
    assert_eq!(said, format!("error: could not list the queues: {cause}\n"));
}

#[test]
fn a_failed_run_is_exit_1() {
    let (code, _, log) = output(idle().env("RAPIDS_FAILING", "true"));
    assert_eq!(code, 1);
    assert!(log.contains("told to fail"), "{log}");
}

#[test]
fn health_asks_the_running_process() {
    for (stuck, code, said) in
        [("false", 0, "ready\n"), ("true", 1, "not ready: what never comes\n")]
    {
        let daemon = Daemon::start(idle().env("RAPIDS_STUCK", stuck));
        let answered = output(idle().arg("health").env("RAPIDS_ADMIN__ADDRESS", &daemon.admin));
        assert_eq!((answered.0, answered.1.as_str()), (code, said));
    }
}

#[test]
fn health_of_nobody_is_exit_1() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (code, said, _) = output(idle().arg("health").env("RAPIDS_ADMIN__ADDRESS", &free));
    assert_eq!(code, 1);
    assert_eq!(said, format!("not ready: no answer from {free}: connection refused\n"));
}

#[test]
fn help_lists_the_settings() {
    let (code, help, _) = output(idle().arg("--help"));
    assert_eq!(code, 0);
    assert!(help.contains("RAPIDS_SETTLE") && help.contains("admin.address"), "{help}");
    assert!(help.ends_with('\n'), "{help}");
}
