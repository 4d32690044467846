//! What breaks: programs, the node, the link, the words at the command line and on the control socket. Afterwards each
//! time the rest serves on.

use std::io::Write;

use rustix::process::Signal;
use sockeye_peers::scene::{python, sockeye_path};
use sockeye_peers::{Finished, PEER, Pattern, Process, SUBJECT, Scene, Side, Subject, subject, wait_for};

/// Starts an endless stream from `sender` to the other side, and returns when it flows.
fn endless(scene: &Scene, sender: Side) -> (Process, Process) {
    let receiver = sender.other();
    let listen = format!("TCP4-LISTEN:7000,bind={},reuseaddr", receiver.address());
    let received = scene.file("received");
    std::fs::write(&received, b"").unwrap();
    let into = format!("OPEN:{},append", received.display());
    let receiving = Process::start(scene.command(receiver, "socat").args(["-u", &listen, &into]));
    scene.listens(receiver, 7000);
    let connect = format!("TCP4:{}:7000", receiver.address());
    let sending = Process::start(scene.command(sender, "socat").args(["-u", "/dev/zero", &connect]));
    wait_for("the stream to flow", || (received.metadata().unwrap().len() > 1 << 20).then_some(()));
    (sending, receiving)
}

fn gone(scene: &Scene) {
    if subject() == Subject::Sockeye {
        wait_for("the sockets to go", || {
            scene.sockets().iter().all(|socket| socket.state.starts_with("TIME")).then_some(())
        });
    }
}

#[test]
fn a_sender_killed_in_mid_transfer_is_seen_by_the_peer() {
    let scene = Scene::new();
    let (sending, receiving) = endless(&scene, Side::Subject);
    sending.signal(Signal::KILL);
    sending.finish();
    receiving.finish();
    gone(&scene);
    scene.serves_on();
}

#[test]
fn a_receiver_killed_in_mid_transfer_is_seen_by_the_peer() {
    let scene = Scene::new();
    let (sending, receiving) = endless(&scene, Side::Peer);
    receiving.signal(Signal::KILL);
    receiving.finish();
    let broken = sending.finish();
    assert!(!broken.status.success(), "the sender noticed nothing: {broken}");
    gone(&scene);
    scene.serves_on();
}

#[test]
fn a_reset_by_the_peer_reaches_the_program() {
    let scene = Scene::new();
    let (sending, receiving) = endless(&scene, Side::Subject);
    receiving.signal(Signal::KILL);
    receiving.finish();
    let broken = sending.finish();
    assert!(!broken.status.success(), "the sender noticed nothing: {broken}");
    gone(&scene);
    scene.serves_on();
}

#[test]
fn programs_get_an_error_when_the_node_is_killed() {
    if subject() == Subject::Kernel {
        return;
    }
    let mut scene = Scene::new();
    // One that sends, one that receives, one that waits for somebody to connect.
    let (sending, _receiving) = endless(&scene, Side::Subject);
    let mut listen = scene.command(Side::Peer, "nc");
    let (_silent, _input) = Process::start_with_input(listen.args(["-l", PEER, "7001"]));
    scene.listens(Side::Peer, 7001);
    let url = format!("http://{PEER}:7001/");
    let fetching = Process::start(scene.command(Side::Subject, "curl").args(["-sS", &url]));
    let mut accept = scene.command(Side::Subject, "nc");
    let (accepting, _more) = Process::start_with_input(accept.args(["-l", SUBJECT, "7002"]));
    scene.listens(Side::Subject, 7002);

    let node = scene.take_node();
    node.signal(Signal::KILL);
    node.finish();
    for (program, what) in [(sending, "sends"), (fetching, "receives"), (accepting, "accepts")] {
        let ended = program.finish();
        assert!(!ended.status.success(), "the program that {what} noticed nothing: {ended}");
    }
    let refused = Process::start(scene.command(Side::Subject, "curl").args(["-sS", &url])).finish();
    assert!(!refused.status.success(), "{refused}");
    assert_eq!(refused.errors().trim().lines().count(), 1, "{refused}");

    // What the dead one left at the control path is in nobody's way.
    let next = scene.start_node();
    scene.serves_on();
    assert!(scene.sockeye(&["down"]).status.success());
    next.success();
}

#[test]
fn a_node_stops_when_told() {
    if subject() == Subject::Kernel {
        return;
    }
    let mut scene = Scene::new();
    let node = scene.take_node();
    scene.sockeye(&["down"]).success();
    node.success();
    assert!(!scene.control().exists(), "the control socket was left");
    let node = scene.start_node();
    node.signal(Signal::TERM);
    node.finish();
    let gone = scene.sockeye(&["show", "sockets"]);
    assert_eq!(gone.status.code(), Some(1), "{gone}");
    one_line(&gone);
}

#[test]
fn a_link_that_goes_down_and_up_again_loses_no_byte() {
    let scene = Scene::new();
    let mut listen = scene.command(Side::Peer, "nc");
    let serving = Process::start(listen.args(["-l", PEER, "7000"]));
    scene.listens(Side::Peer, 7000);
    let mut connect = scene.command(Side::Subject, "nc");
    let (sending, mut input) = Process::start_with_input(connect.args(["-N", PEER, "7000"]));
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
fn garbage_on_the_control_socket_is_nobody_elses_trouble() {
    if subject() == Subject::Kernel {
        return;
    }
    let scene = Scene::new();
    let mut garbage = scene.peer().command(python());
    Process::start(garbage.args(["-c", include_str!("garbage.py")]).arg(scene.control())).success();
    scene.serves_on();
    gone(&scene);
}

fn one_line(ended: &Finished) {
    let errors = ended.errors();
    assert_eq!(errors.trim_end().lines().count(), 1, "{ended}");
    assert!(!errors.contains("panicked"), "{ended}");
}

#[test]
fn wrong_command_lines_are_told_in_one_line() {
    if subject() == Subject::Kernel {
        return;
    }
    let wrong: &[&[&str]] = &[
        &["frobnicate"],
        &["up", "-i"],
        &["up", "-i", "veth0", "-a", "10.9.0.2/33"],
        &["up", "-i", "veth0", "-a", "10.9.0.256/24"],
        &["up", "-i", "veth0", "-a", "10.9.0.2/24", "--driver", "carrier-pigeon"],
        &["up", "-i", "veth0", "-a", "10.9.0.2/24", "--mac", "ff:ff"],
        &["up", "-i", "veth0", "-a", "10.9.0.2/24", "-g", "nowhere"],
        &["run"],
        &["run", "--"],
        &["show", "weather"],
        &["show"],
        &["down", "now"],
        &["show", "sockets", "--control"],
    ];
    let lab = sockeye_lab::Lab::new().unwrap();
    let host = lab.host("alone").unwrap();
    for arguments in wrong {
        let ended = Process::start(host.command(&sockeye_path()).args(*arguments)).finish();
        assert_eq!(ended.status.code(), Some(2), "{ended}");
        one_line(&ended);
    }
    let failing: &[&[&str]] = &[
        &["show", "sockets", "--control", "/nonexistent/socket"],
        &["down", "--control", "/nonexistent/socket"],
        &["run", "--control", "/nonexistent/socket", "--", "true"],
        &["up", "-i", "nosuch0", "-a", "10.9.0.2/24", "--control", "/tmp/sockeye-nosuch"],
    ];
    for arguments in failing {
        let ended = Process::start(host.command(&sockeye_path()).args(*arguments)).finish();
        assert_eq!(ended.status.code(), Some(1), "{ended}");
        one_line(&ended);
    }
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
