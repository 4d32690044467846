//! Two programs on one host: over the kernel's loopback, or from program to program on one node.
//!
//! Each program has a core; the node, where the bytes pass through it, shares the server's.

use super::bulk::figures;
use super::request::latencies;
use super::{Base, Case, Figure, Told, busy};
use crate::Result;
use crate::process::Process;
use crate::scene::{SUBJECT, Scene, Side, Wire};
use crate::subject::Subject;

pub(super) fn cases() -> Vec<Case> {
    let case = |title: &str, verb: &'static str, port: u16, argument: Option<&'static str>| Case {
        workload: "local",
        title: format!("between two programs of the host: {title}"),
        wire: Some(Wire::OFFLOADS),
        admits: |subject| matches!(subject, Subject::Kernel | Subject::Sockeye),
        base: Base::Kernel,
        once: false,
        quick: false,
        measure: Box::new(move |scene| local(scene, verb, port, argument)),
    };
    vec![
        case("bulk over 1 flow", "send", 7001, None),
        case("request and response of 64 bytes", "request", 7003, Some("64")),
        case("connect and request and close", "connect", 7004, None),
    ]
}

fn local(scene: &Scene<'_>, verb: &str, port: u16, argument: Option<&str>) -> Result<Vec<Figure>> {
    let _server = scene.traffic_server(Side::Subject)?;
    let mut client = scene.neighbour_traffic();
    client.args([verb, &format!("{SUBJECT}:{port}")]).args(argument).arg(scene.seconds.to_string());
    let (output, busy) = busy(|| Process::run(&mut client, scene.patience()))?;
    let told = Told::read(&output)?;
    match verb {
        "send" => Ok(figures(told.rate() * 8.0, told.count, busy)),
        "request" => latencies(&told, busy),
        _ => Ok(vec![
            Figure::more("rate", "conn/s", told.rate()),
            Figure::less("CPU", "µs/conn", busy * 1e6 / told.count),
        ]),
    }
}
