//! One question, one answer: how long it takes, and how many connections can be made for one each.

use super::{Base, Case, Figure, Told, busy};
use crate::Result;
use crate::process::Process;
use crate::scene::{Scene, Side, Wire};
use crate::subject::Subject;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for size in [1, 64] {
        cases.push(Case {
            workload: "request",
            title: format!("request and response of {size} byte{}", if size == 1 { "" } else { "s" }),
            wire: Some(Wire::OFFLOADS),
            admits: |_| true,
            base: Base::Kernel,
            once: false,
            quick: size == 64,
            measure: Box::new(move |scene| request(scene, size)),
        });
    }
    for (client, title) in [(Side::Subject, "connects"), (Side::Peer, "accepts")] {
        cases.push(Case {
            workload: "connect",
            title: format!("{title} and requests and closes"),
            wire: Some(Wire::OFFLOADS),
            admits: if client == Side::Subject { |_| true } else { Subject::takes_programs },
            base: Base::Kernel,
            once: false,
            quick: client == Side::Peer,
            measure: Box::new(move |scene| connect(scene, client)),
        });
    }
    cases
}

fn request(scene: &Scene<'_>, size: usize) -> Result<Vec<Figure>> {
    let _server = scene.traffic_server(Side::Peer)?;
    let mut client = scene.client()?;
    let address = format!("{}:7003", scene.address(Side::Peer));
    client.args(["request", &address, &size.to_string(), &scene.seconds.to_string()]);
    let (output, busy) = busy(|| Process::run(&mut client, scene.patience()))?;
    let told = Told::read(&output)?;
    latencies(&told, busy)
}

/// The figures of requests that wait for each other.
pub(super) fn latencies(told: &Told, busy: f64) -> Result<Vec<Figure>> {
    let latency = told.latency_ns.as_ref().ok_or("no latency was told")?;
    Ok(vec![
        Figure::less("p50", "µs", latency.p50 / 1e3),
        Figure::less("p99", "µs", latency.p99 / 1e3),
        Figure::less("p99.9", "µs", latency.p999 / 1e3),
        Figure::less("CPU", "µs/request", busy * 1e6 / told.count),
    ])
}

fn connect(scene: &Scene<'_>, side: Side) -> Result<Vec<Figure>> {
    let far = if side == Side::Peer { Side::Subject } else { Side::Peer };
    let _server = scene.traffic_server(far)?;
    let mut client = if side == Side::Subject { scene.client()? } else { scene.traffic(side) };
    client.args(["connect", &format!("{}:7004", scene.address(far)), &scene.seconds.to_string()]);
    let (output, busy) = busy(|| Process::run(&mut client, scene.patience()))?;
    let told = Told::read(&output)?;
    Ok(vec![Figure::more("rate", "conn/s", told.rate()), Figure::less("CPU", "µs/conn", busy * 1e6 / told.count)])
}
