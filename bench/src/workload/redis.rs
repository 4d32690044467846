//! redis, asked by its own redis-benchmark over 50 connections, one request at a time and 16 at a time.

use super::{Base, Case, Figure, busy};
use crate::Result;
use crate::process::Process;
use crate::scene::{Scene, Side, Wire};
use crate::subject::Subject;

pub(super) fn cases() -> Vec<Case> {
    // It takes a number of requests, not a time: about what the kernel does in a second.
    let depths = [(1, "with one request at a time", 60_000.0), (16, "with 16 requests at a time", 500_000.0)];
    depths
        .map(|(depth, words, a_second)| Case {
            workload: "redis",
            title: format!("redis {words}"),
            wire: Some(Wire::OFFLOADS),
            admits: Subject::takes_programs,
            base: Base::Kernel,
            once: false,
            quick: depth == 1,
            measure: Box::new(move |scene| redis(scene, depth, (a_second * scene.seconds / 2.0) as u64)),
        })
        .into()
}

fn redis(scene: &Scene<'_>, depth: u32, count: u64) -> Result<Vec<Figure>> {
    let mut serve = scene.command(Side::Subject, "redis-server");
    serve.args(["--bind", scene.own_address(Side::Subject), "--port", "6379", "--protected-mode", "no"]);
    let _server =
        Process::start(serve.args(["--save", "", "--appendonly", "no"]))?.ready("eady to accept connections")?;
    let mut ask = scene.command(Side::Peer, "redis-benchmark");
    ask.args(["-h", scene.address(Side::Subject), "-t", "set,get", "--csv", "-c", "50"]);
    ask.args(["-P", &depth.to_string(), "-n", &count.to_string()]);
    let (output, busy) = busy(|| Process::run(&mut ask, scene.patience()))?;
    let (set, get) = (rate(&output, "SET")?, rate(&output, "GET")?);
    Ok(vec![
        Figure::more("GET", "req/s", get),
        Figure::more("SET", "req/s", set),
        Figure::less("CPU", "µs/req", busy * 1e6 / (2.0 * count as f64)),
    ])
}

/// From a line such as `"GET","98039.22",...`.
fn rate(output: &str, test: &str) -> Result<f64> {
    let mut lines = output.lines().map(|line| line.split(',').map(|word| word.trim_matches('"')));
    let mut words = lines.find_map(|mut words| (words.next() == Some(test)).then_some(words));
    let rate = words.as_mut().and_then(Iterator::next).ok_or_else(|| format!("redis-benchmark has no {test}"))?;
    Ok(rate.parse()?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn redis_benchmark_is_understood() {
        let output = "\"test\",\"rps\",\"avg_latency_ms\"\n\"SET\",\"1.50\",\"0.4\"\n\"GET\",\"98039.22\",\"0.3\"";
        assert_eq!(super::rate(output, "GET").ok(), Some(98_039.22));
        assert!(super::rate(output, "INCR").is_err());
    }
}
