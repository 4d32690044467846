//! What the whole machine spends: processor time and memory, whoever spends it.
//!
//! A stack's work is done in many places: in the program, in a node, in a kernel thread, in an interrupt that hit a third.
//! Only the sum over the machine misses none of it. So nothing else should run during a measurement.

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::Result;

/// Seconds of processor time that were not idle since the machine started, over all cores.
pub fn busy_seconds() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().and_then(|line| line.strip_prefix("cpu ")).ok_or("/proc/stat has no line `cpu`")?;
    // user nice system idle iowait irq softirq steal: all but idle, iowait, and what the hypervisor gave to others.
    let ticks: Vec<u64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let busy: u64 = [0, 1, 2, 5, 6].iter().filter_map(|index| ticks.get(*index)).sum();
    Ok(busy as f64 / clock_ticks_per_second() as f64)
}

/// Seconds of processor time of all threads of one process, to the nanosecond.
pub fn seconds_of(process: u32) -> Result<f64> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        nanoseconds += text.split_whitespace().next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(nanoseconds as f64 / 1e9)
}

/// Bytes that the kernel holds in slabs: sockets, descriptors, buffers. Whole slabs count, also those that are marked reclaimable: those of sockets are
/// not, as long as the socket is open. What looking at `/proc` leaves there is not counted. Only root may know.
pub fn slab_bytes() -> Result<f64> {
    let text = fs::read_to_string("/proc/slabinfo").map_err(|error| format!("/proc/slabinfo: {error}"))?;
    let mut pages = 0;
    // name <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables 0 0 0 : slabdata <active_slabs> <num_slabs> <sharedavail>
    for line in text.lines().filter(|line| !line.starts_with("proc_inode_cache")) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if let [_, _, _, _, _, per_slab, ":", "tunables", _, _, _, ":", "slabdata", _, slabs, _] = words[..] {
            pages += per_slab.parse::<u64>()? * slabs.parse::<u64>()?;
        }
    }
    Ok((pages * page_size() as u64) as f64)
}

/// Bytes of a process that are in memory.
pub fn resident_bytes(process: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/statm"))?;
    let pages: u64 = text.split_ascii_whitespace().nth(1).unwrap_or_default().parse()?;
    Ok((pages * page_size() as u64) as f64)
}

/// Processor, cores and kernel, for the head of a table.
pub fn description() -> String {
    let model = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores, Linux {}", model.as_deref().unwrap_or("unknown processor"), kernel.trim())
}

/// Lets this process's children have as many descriptors as the kernel allows anybody, where it may.
pub fn raise_limits() {
    let most = fs::read_to_string("/proc/sys/fs/nr_open").ok().and_then(|text| text.trim().parse().ok());
    // Who is not root keeps the limit there is, and the cases with many connections say so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
}
