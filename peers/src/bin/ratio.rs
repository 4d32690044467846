//! Throughput beside the kernel's: iperf3 in the same lab, by turns with the kernel and with a node as the subject, each
//! direction. One line a case: medians and their ratio. Turns, so that what the machine does besides hits both alike.
//!
//! `ratio [ROUNDS [SECONDS]]`

use serde_json::Value;
use sockeye_peers::{Process, Scene, Setup, Side, Subject};

const CASES: &[(&str, Side, &[&str])] = &[
    ("receives", Side::Subject, &[]),
    ("sends", Side::Peer, &[]),
    ("receives, 4 streams", Side::Subject, &["-P", "4"]),
    ("sends, 4 streams", Side::Peer, &["-P", "4"]),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    sockeye_lab::become_root()?;
    let mut numbers = std::env::args().skip(1).map(|word| word.parse::<usize>());
    let rounds = numbers.next().transpose()?.unwrap_or(3);
    let seconds = numbers.next().transpose()?.unwrap_or(3);
    println!("{:<22}{:>14}{:>14}{:>8}", "the subject", "kernel Gbit/s", "node Gbit/s", "ratio");
    for (name, server, options) in CASES {
        let (mut kernel, mut node) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            for (subject, results) in [(Subject::Kernel, &mut kernel), (Subject::Sockeye, &mut node)] {
                let scene = Scene::with(Setup { subject: Some(subject), ..Setup::default() });
                results.push(gigabits(&scene, *server, seconds, options)?);
            }
        }
        let (kernel, node) = (median(kernel), median(node));
        println!("{name:<22}{kernel:>14.2}{node:>14.2}{:>8.2}", node / kernel);
    }
    Ok(())
}

fn gigabits(scene: &Scene, server: Side, seconds: usize, options: &[&str]) -> Result<f64, String> {
    let mut serve = scene.command(server, "iperf3");
    let _serving = Process::start(serve.args(["-s", "-1", "-B", server.address()]));
    scene.listens(server, 5201);
    let mut ask = scene.command(server.other(), "iperf3");
    ask.args(["-c", server.address(), "-J", "-t", &seconds.to_string()]).args(options);
    let asked = Process::start(&mut ask).finish();
    let report: Value = serde_json::from_slice(&asked.stdout).map_err(|error| format!("{error}: {asked}"))?;
    let rate = report["end"]["sum_received"]["bits_per_second"].as_f64();
    rate.map(|rate| rate / 1e9).ok_or_else(|| asked.to_string())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
