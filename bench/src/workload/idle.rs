//! Connections that do nothing: what they hold in memory, and what they cost in processor time.
//!
//! The peer opens them, the subject accepts and keeps them. Memory is what the kernel holds in slabs (sockets, descriptors and buffers), and what the
//! server and the node have resident, with them less before. One end of each connection is the peer's kernel's. What such an end holds is known from the
//! run in which both ends are the kernel's, and is taken off: half of the slabs.

use std::cell::Cell;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit};

use super::{Base, Case, Figure};
use crate::Result;
use crate::machine::{busy_seconds, resident_bytes, seconds_of, slab_bytes};
use crate::process::Process;
use crate::scene::{Scene, Side, Wire};
use crate::subject::Subject;

pub(super) fn cases() -> Vec<Case> {
    [(10_000, "10 000"), (100_000, "100 000")]
        .map(|(count, words)| {
            let peers_share = Cell::new(None);
            Case {
                workload: "idle",
                title: format!("{words} idle connections"),
                wire: Some(Wire::OFFLOADS),
                admits: |subject| matches!(subject, Subject::Kernel | Subject::Sockeye),
                base: Base::Kernel,
                once: true,
                quick: false,
                measure: Box::new(move |scene| idle(scene, count, &peers_share)),
            }
        })
        .into()
}

fn idle(scene: &Scene<'_>, count: u32, peers_share: &Cell<Option<f64>>) -> Result<Vec<Figure>> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Some(most) = maximum.filter(|most| *most < u64::from(count) + 100) {
        return Err(format!("here a process may have {most} descriptors at most (`ulimit -Hn`)").into());
    }
    let server = scene.traffic_server(Side::Subject)?;
    let service = scene.service();
    let resident = || -> Result<f64> { Ok(service.map_or(Ok(0.0), resident_bytes)? + resident_bytes(server.id())?) };
    let (slabs_before, resident_before) = (slab_bytes()?, resident()?);
    let mut hold = scene.traffic(Side::Peer);
    let address = format!("{}:7006", scene.address(Side::Subject));
    let mut client = Process::start(hold.args(["hold", &address, &count.to_string()]))?;
    client.line_with("connections", Duration::from_secs(100))?;
    // The last acknowledgements are still on their way, delayed.
    thread::sleep(Duration::from_secs(1));
    let slabs = slab_bytes()? - slabs_before;
    if scene.subject == Subject::Kernel {
        peers_share.set(Some(slabs / 2.0));
    }
    let share = peers_share.get().ok_or("without the kernel in the same run nobody knows the peer's share")?;

    let memory = slabs - share + resident()? - resident_before;
    let spent = || service.map_or_else(|| Ok(0.0), seconds_of);
    let (all_before, own_before) = (busy_seconds()?, spent()? + seconds_of(server.id())?);
    thread::sleep(Duration::from_secs_f64(scene.seconds));
    let (all, own) = (busy_seconds()? - all_before, spent()? + seconds_of(server.id())? - own_before);
    Ok(vec![
        Figure::less("memory", "B/conn", memory / f64::from(count)),
        Figure::less("node and server", "% CPU", 100.0 * own / scene.seconds),
        Figure::less("whole machine", "% CPU", 100.0 * all / scene.seconds),
    ])
}
