//! What this process has used, as Linux tells it.

use std::fs;

use crate::Error;

/// Ticks a second in `/proc`, on every architecture that Rust runs on.
const TICKS: f64 = 100.0;

/// CPU seconds of all threads so far, those that ended among them.
pub(crate) fn cpu_s() -> Result<f64, Error> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name before it, in parentheses, may hold spaces.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut ticks = fields.split_ascii_whitespace().skip(11).take(2).map(str::parse::<f64>);
    let (user, system) = (ticks.next().ok_or("no utime")??, ticks.next().ok_or("no stime")??);
    Ok((user + system) / TICKS)
}

/// Resident memory in MB: now, and at its highest.
pub(crate) fn rss_mb() -> Result<(f64, f64), Error> {
    let status = fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| -> Result<f64, Error> {
        let line = status.lines().find(|line| line.starts_with(name)).ok_or("no such field")?;
        let kb = line.split_ascii_whitespace().nth(1).ok_or("no value")?;
        Ok(kb.parse::<f64>()? / 1024.0)
    };
    Ok((field("VmRSS:")?, field("VmHWM:")?))
}

/// Name of the processor, the cores that are there, and the kernel.
pub(crate) fn machine() -> Result<String, Error> {
    let info = fs::read_to_string("/proc/cpuinfo")?;
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown", |(_, model)| model);
    let cores = std::thread::available_parallelism()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let release = kernel.split('-').next().unwrap_or_default().trim();
    Ok(format!("{model}, {cores} cores, Linux {release}"))
}
