//! Rings for frames to send: what the peer sees of them, and what is refused, as the kernel refuses it.

use sockeye_peers::{Process, Scene, Side};

/// What the peer tells of the frames that a function of `transmit_ring.py` sends.
fn sent(name: &str) -> Vec<String> {
    let scene = Scene::new();
    let peer = watch(&scene);
    ask(&scene, Side::Subject, name);
    let told = peer.success().text();
    told.lines().skip(1).map(str::to_owned).collect()
}

fn ask(scene: &Scene, side: Side, name: &str) -> String {
    let mut script = scene.script(side, "transmit_ring.py", include_str!("transmit_ring.py"));
    Process::start(script.arg(name)).success().text()
}

fn watch(scene: &Scene) -> Process {
    let mut script = scene.script(Side::Peer, "transmit_ring_peer.py", include_str!("transmit_ring_peer.py"));
    let mut peer = Process::start(&mut script);
    peer.line_with("ready");
    peer
}

fn whole(number: u32, length: usize) -> String {
    format!("{number} {length} whole")
}

#[test]
fn geometries_are_judged_as_the_kernel_judges_them() {
    let scene = Scene::new();
    let judged = [Side::Subject, Side::Peer].map(|side| ask(&scene, side, "geometries"));
    let [ours, kernels] = judged.each_ref().map(|text| text.lines().collect::<Vec<_>>());
    assert!(kernels.iter().filter(|line| line.ends_with("done")).count() > 25);
    for (ours, kernels) in ours.iter().zip(&kernels) {
        assert_eq!(ours, kernels);
    }
    assert_eq!(ours.len(), kernels.len());
}

#[test]
fn a_ring_stands_beside_one_that_has_frames() {
    assert_eq!(sent("beside_what_has_arrived"), (0..4).map(|number| whole(number, 60)).collect::<Vec<_>>());
}

#[test]
fn frames_leave_in_all_versions() {
    let expected: Vec<_> = (0..6 * 8 * 3).map(|number| whole(number, [60, 22, 1514][number as usize % 3])).collect();
    assert_eq!(sent("in_all_versions"), expected);
}

#[test]
fn what_cannot_be_sent_is_marked_or_passed_over() {
    let expected: Vec<_> = (0..3)
        .flat_map(|_| [1, 4, 3, 1, 4, 3, 1, 4, 3, 1, 4, 3, 5, 8, 10, 11, 12])
        .map(|number| whole(number, 60))
        .collect();
    let told = sent("what_cannot_be_sent");
    assert_eq!(told, expected);
}

#[test]
fn frames_stand_where_the_program_says() {
    assert_eq!(sent("offsets"), vec![whole(1, 60); 12]);
}

#[test]
fn link_headers_are_made() {
    let expected: Vec<_> = (0..3).flat_map(|_| [whole(2, 60), whole(3, 1514)]).collect();
    assert_eq!(sent("without_link_header"), expected);
}

#[test]
fn what_is_left_to_the_device_is_done() {
    let expected: Vec<_> =
        (0..3).flat_map(|_| ["datagram 142 right".to_owned(), "datagram 162 right".to_owned(), whole(3, 60)]).collect();
    assert_eq!(sent("virtual_headers"), expected);
}

#[test]
fn a_long_ring_is_sent_by_who_waits_and_by_who_does_not() {
    assert_eq!(sent("many"), (0..6 * 1024).map(|number| whole(number, 1000)).collect::<Vec<_>>());
}

#[test]
fn trafgen_sends_by_its_ring() {
    let scene = Scene::new();
    let packets = scene.file("packets.cfg");
    let frame = "{ fill(0xff, 6), 2, 0, 0, 0, 0, 7, const16(0x88b5), const32(5), const32(60), seqinc(5, 38) }";
    let last = "{ fill(0xff, 6), 2, 0, 0, 0, 0, 7, const16(0x88b5), fill(0xff, 4), const32(22), fill(0, 38) }";
    let peer = watch(&scene);
    for (packet, count) in [(frame, "3000"), (last, "1")] {
        std::fs::write(&packets, packet).unwrap();
        let mut command = scene.command(Side::Subject, "trafgen");
        let run = command.args(["--in"]).arg(&packets).args(["--out", "veth0", "--num", count, "--cpus", "1"]);
        let told = Process::start(run.arg("--no-sock-mem")).success().text();
        assert!(told.contains(&format!("{count} packets outgoing")), "{told}");
    }
    let told = peer.success().text();
    assert_eq!(told.lines().filter(|line| *line == "5 60 whole").count(), 3000, "{told}");
}
