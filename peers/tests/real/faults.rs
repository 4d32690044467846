//! What breaks: programs and the link. Afterwards each time the rest serves on.

use std::io::Write;

use rustix::process::Signal;
use sockeye_peers::{Family, Pattern, Process, Scene, Side, Subject, in_both_families, subject, wait_for};

/// Starts an endless stream from `sender` to the other side, and returns when it flows.
pub(crate) fn endless(scene: &Scene, sender: Side) -> (Process, Process) {
    let receiver = sender.other();
    let listen = format!("TCP{}-LISTEN:7000,bind={},reuseaddr", scene.version(), scene.host(receiver));
    let received = scene.file("received");
    std::fs::write(&received, b"").unwrap();
    let into = format!("OPEN:{},append", received.display());
    let receiving = Process::start(scene.command(receiver, "socat").args(["-u", &listen, &into]));
    scene.listens(receiver, 7000);
    let connect = format!("TCP{}:{}:7000", scene.version(), scene.host(receiver));
    let sending = Process::start(scene.command(sender, "socat").args(["-u", "/dev/zero", &connect]));
    wait_for("the stream to flow", || (received.metadata().unwrap().len() > 1 << 20).then_some(()));
    (sending, receiving)
}

pub(crate) fn gone(scene: &Scene) {
    if subject() == Subject::Sockeye {
        wait_for("the sockets to go", || {
            scene.sockets().iter().all(|socket| socket.state.starts_with("TIME")).then_some(())
        });
    }
}

fn a_sender_killed_in_mid_transfer_is_seen_by_the_peer(family: Family) {
    let scene = Scene::of(family);
    let (sending, receiving) = endless(&scene, Side::Subject);
    sending.signal(Signal::KILL);
    sending.finish();
    receiving.finish();
    gone(&scene);
    scene.serves_on();
}

fn a_receiver_killed_in_mid_transfer_is_seen_by_the_peer(family: Family) {
    the_sender_notices_that_the_receiver_was_killed(family, Side::Peer);
}

fn a_reset_by_the_peer_reaches_the_program(family: Family) {
    the_sender_notices_that_the_receiver_was_killed(family, Side::Subject);
}

fn the_sender_notices_that_the_receiver_was_killed(family: Family, sender: Side) {
    let scene = Scene::of(family);
    let (sending, receiving) = endless(&scene, sender);
    receiving.signal(Signal::KILL);
    receiving.finish();
    let broken = sending.finish();
    assert!(!broken.status.success(), "the sender noticed nothing: {broken}");
    gone(&scene);
    scene.serves_on();
}

fn a_link_that_goes_down_and_up_again_loses_no_byte(family: Family) {
    let scene = Scene::of(family);
    let mut listen = scene.command(Side::Peer, "nc");
    let at = scene.address(Side::Peer);
    let serving = Process::start(listen.args(["-l", at, "7000"]));
    scene.listens(Side::Peer, 7000);
    let mut connect = scene.command(Side::Subject, "nc");
    let (sending, mut input) = Process::start_with_input(connect.args(["-N", at, "7000"]));
    let all = Pattern::bytes(1, 8 << 20);
    let (before, after) = all.split_at(4 << 20);
    input.write_all(before).unwrap();
    wait_for("the first half", || (serving.heard() == before.len()).then_some(()));
    scene.subject_host().down(scene.interface()).unwrap();
    // So much that it cannot all be in the pipe: the stack has something to send while the link is down.
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            input.write_all(after).unwrap();
            drop(input);
        });
        assert!(sending.is_running());
        scene.subject_host().up(scene.interface()).unwrap();
        writing.join().unwrap();
    });
    sending.success();
    let heard = serving.success().stdout;
    Pattern::check(1, all.len() as u64, &mut &heard[..]).unwrap();
    scene.serves_on();
}

#[test]
fn a_programs_exit_code_is_passed_on() {
    let scene = Scene::new();
    for code in [0, 1, 42] {
        let mut command = scene.command(Side::Subject, "sh");
        let ended = Process::start(command.args(["-c", &format!("exit {code}")])).finish();
        assert_eq!(ended.status.code(), Some(code), "{ended}");
    }
}

in_both_families! {
    a_sender_killed_in_mid_transfer_is_seen_by_the_peer
    a_receiver_killed_in_mid_transfer_is_seen_by_the_peer
    a_reset_by_the_peer_reaches_the_program
    a_link_that_goes_down_and_up_again_loses_no_byte
}
