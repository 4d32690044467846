//! As many bytes as go: iperf3, and where a stack is linked into a program, a program of ours beside it.

use serde_json::Value;

use super::{Base, Case, Figure, Told, busy};
use crate::Result;
use crate::process::Process;
use crate::scene::{Scene, Side, Wire};
use crate::subject::Subject;

const FLOWS: [u32; 2] = [1, 8];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for wire in [Wire::OFFLOADS, Wire::BARE, Wire::JUMBO] {
        for (sender, verb) in [(Side::Subject, "sends"), (Side::Peer, "receives")] {
            for flows in FLOWS {
                cases.push(Case {
                    workload: "bulk",
                    title: format!("iperf3 {verb} over {flows} flow{}", if flows == 1 { "" } else { "s" }),
                    wire: Some(wire),
                    admits: if wire == Wire::JUMBO {
                        |subject| subject <= Subject::Sockeye
                    } else {
                        Subject::takes_programs
                    },
                    base: Base::Kernel,
                    once: false,
                    quick: flows == 1 && wire != Wire::JUMBO,
                    measure: Box::new(move |scene| iperf3(scene, sender, flows)),
                });
            }
        }
    }
    for wire in [Wire::OFFLOADS, Wire::BARE] {
        for (verb, port, does) in [("send", 7001, "sends"), ("receive", 7002, "receives")] {
            for flows in FLOWS {
                cases.push(Case {
                    workload: "stream",
                    title: format!("traffic {does} over {flows} flow{}", if flows == 1 { "" } else { "s" }),
                    wire: Some(wire),
                    admits: |subject| subject.is_linked() || matches!(subject, Subject::Kernel | Subject::Sockeye),
                    base: Base::Kernel,
                    once: false,
                    quick: false,
                    measure: Box::new(move |scene| traffic(scene, verb, port, flows)),
                });
            }
        }
    }
    cases
}

/// The server is always the receiver, so that the client's clock runs from its first byte.
fn iperf3(scene: &Scene<'_>, sender: Side, flows: u32) -> Result<Vec<Figure>> {
    let receiver = if sender == Side::Peer { Side::Subject } else { Side::Peer };
    let mut serve = scene.command(receiver, "iperf3");
    let _server = Process::start(serve.args(["-s", "-1", "--forceflush", "-B", scene.own_address(receiver)]))?
        .ready("Server listening")?;
    let mut ask = scene.command(sender, "iperf3");
    ask.args(["-c", scene.address(receiver), "-J", "-t", &scene.seconds.max(1.0).round().to_string()]);
    ask.args(["-P", &flows.to_string()]);
    let (output, busy) = busy(|| Process::run(&mut ask, scene.patience()))?;
    let report: Value = serde_json::from_str(&output)?;
    let sum = &report["end"]["sum_received"];
    let (Some(rate), Some(bytes)) = (sum["bits_per_second"].as_f64(), sum["bytes"].as_f64()) else {
        return Err(format!("iperf3 has no sum: {}", report["error"]).into());
    };
    Ok(figures(rate, bytes, busy))
}

fn traffic(scene: &Scene<'_>, verb: &str, port: u16, flows: u32) -> Result<Vec<Figure>> {
    let _server = scene.traffic_server(Side::Peer)?;
    let mut client = scene.client()?;
    let address = format!("{}:{port}", scene.address(Side::Peer));
    client.args([verb, &address, &scene.seconds.to_string(), &flows.to_string()]);
    let (output, busy) = busy(|| Process::run(&mut client, scene.patience()))?;
    let told = Told::read(&output)?;
    Ok(figures(told.rate() * 8.0, told.count, busy))
}

/// The figures of a transfer.
pub(super) fn figures(bits_per_second: f64, bytes: f64, busy: f64) -> Vec<Figure> {
    vec![Figure::more("rate", "Gbit/s", bits_per_second / 1e9), Figure::less("CPU", "s/GB", busy / (bytes / 1e9))]
}
