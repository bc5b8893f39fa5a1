//! The `rapids` command.
//!
//! `args` is the one grammar of the command line, the REPL and scripts; `verbs` is what the original could do;
//! `fleet`, `up` and `demo` run the whole system in this process. Nothing here knows more of the daemons than
//! their names and settings: whatever is asked of them goes through AWS, as for any other producer.

mod archive;
mod args;
mod bootstrap;
mod catalogue;
mod client;
mod daemon;
mod demo;
mod failure;
mod fleet;
mod manage;
mod notification;
mod ops;
mod output;
mod query;
mod repl;
mod run;
mod script;
mod session;
mod signals;
mod tail;
mod top;
mod tree;
mod up;
mod verbs;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match args::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(told) => return told,
    };
    match run::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}
