//! UDP: how many small datagrams arrive when as many are sent as go, and how many are lost at a rate.

use super::{Base, Case, Figure, Told, busy};
use crate::Result;
use crate::process::Process;
use crate::scene::{Scene, Side, Wire};
use crate::subject::Subject;

const SIZE: &str = "64";
/// A second, where the rate is given.
const RATE: u64 = 50_000;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (sender, verb) in [(Side::Subject, "sends"), (Side::Peer, "receives")] {
        for (rate, words) in [(0, "as many as go"), (RATE, "50 000 a second")] {
            cases.push(Case {
                workload: "datagrams",
                title: format!("{verb} datagrams of {SIZE} bytes: {words}"),
                wire: Some(Wire::OFFLOADS),
                admits: Subject::takes_programs,
                base: Base::Kernel,
                once: false,
                quick: false,
                measure: Box::new(move |scene| datagrams(scene, sender, rate)),
            });
        }
    }
    cases
}

fn datagrams(scene: &Scene<'_>, sender: Side, rate: u64) -> Result<Vec<Figure>> {
    let receiver = if sender == Side::Peer { Side::Subject } else { Side::Peer };
    let _server = scene.traffic_server(receiver)?;
    let address = format!("{}:7005", scene.address(receiver));
    let mut client = scene.traffic(sender);
    client.args(["datagrams", &address, SIZE, &rate.to_string(), &scene.seconds.to_string()]);
    let (output, busy) = busy(|| Process::run(&mut client, scene.patience()))?;
    let told = Told::read(&output)?;
    let loss = 100.0 * (1.0 - told.count / told.sent.max(1.0));
    Ok(vec![
        Figure::more("arrived", "1/s", told.rate()),
        Figure::less("lost", "%", loss),
        Figure::less("CPU", "µs/arrived", busy * 1e6 / told.count.max(1.0)),
    ])
}
