//! The whole path of a record, measured: `cargo bench -p kcl --bench whole_path`.
//!
//! `-- [--json] [SECTION ...]`, where a section is one of those named in `SECTIONS`; all of them take some ten
//! minutes. What needs a process of its own, for its memory or its CPU time, gets one.

mod cbor;
mod child;
mod handover;
mod json;
mod memory;
mod pages;
mod reads;
mod report;
mod server;
mod stub;
mod throughput;
mod usage;
mod world;

use std::process::ExitCode;

use serde_json::Value;

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

const SECTIONS: [&str; 7] =
    ["throughput", "reads", "idle", "backlog", "latency", "handover", "crash"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["case", "throughput", load, way] => throughput::run(load, way).map(|line| say(&line)),
        ["case", case @ ..] => block_on(async {
            if let Some(line) = Box::pin(run_case(case)).await? {
                say(&line);
            }
            Ok(())
        }),
        // As cargo calls it, in a run of tests too.
        all if all.contains(&"--bench") => block_on(run_sections(all)),
        _ => {
            println!("cargo bench -p kcl --bench whole_path -- [--json] [{}]", SECTIONS.join("|"));
            Ok(())
        }
    };
    done.map_or_else(
        |error| {
            eprintln!("{error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn block_on(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

fn say(line: &Value) {
    println!("{line}");
}

async fn run_case(case: &[&str]) -> Result<Option<Value>, Error> {
    match case {
        ["reads", shards] => reads::run(shards).await.map(Some),
        ["rest", endpoint, shards] => memory::rest(endpoint, shards).await.map(Some),
        ["backlog", endpoint, budget] => memory::backlog(endpoint, budget).await.map(Some),
        ["worker", endpoint, name, failover] => {
            Box::pin(handover::worker(endpoint, name, failover)).await.map(|()| None)
        }
        _ => Err(format!("no case {case:?}").into()),
    }
}

async fn run_sections(arguments: &[&str]) -> Result<(), Error> {
    let json = arguments.contains(&"--json");
    let named: Vec<_> = arguments.iter().filter(|name| SECTIONS.contains(name)).collect();
    let mut lines = Vec::new();
    let mut tell = |line: Value| {
        if json {
            say(&line);
        } else {
            eprintln!("{line}");
        }
        lines.push(line);
    };
    for section in SECTIONS {
        if !named.is_empty() && !named.contains(&&section) {
            continue;
        }
        match section {
            "throughput" => {
                for (load, way) in throughput::cases() {
                    tell(child::run(&["throughput", load, way]).await?);
                }
            }
            "reads" => {
                for shards in reads::CASES {
                    tell(child::run(&["reads", shards]).await?);
                }
            }
            "idle" => memory::idle(&mut tell).await?,
            "backlog" => memory::loaded(&mut tell).await?,
            "latency" => handover::latency(&mut tell).await?,
            "handover" => handover::rounds(&mut tell).await?,
            _ => handover::crashes(&mut tell).await?,
        }
    }
    if !json {
        println!("{}\n{}", usage::machine()?, report::tables(&lines));
    }
    Ok(())
}
