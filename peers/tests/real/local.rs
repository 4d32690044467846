//! Two programs on one host that connect to each other. On a node their bytes go past it; nothing else may differ.
//!
//! Each check is a function of the same name in `local.py`. It holds for the kernel, for the node, and for a node without the shortcut.

use std::io::Write;
use std::thread;

use sockeye_peers::{Family, Pattern, Process, Scene, Side, Subject, in_both_families, subject, wait_for};

const MUCH: usize = 32 << 20;

fn run(scene: &Scene, names: &[&str]) {
    let mut script = scene.script(Side::Subject, "local.py", include_str!("local.py"));
    Process::start(script.arg(scene.address(Side::Subject)).args(names)).success();
}

fn check(family: Family, name: &str) {
    let scene = Scene::of(family);
    run(&scene, &[name]);
    if subject() == Subject::Sockeye {
        let counters = scene.counters();
        assert!(counters["sockets.connections_local"] > 0, "{name} made no connection past the node");
        nothing_is_left(&scene);
    }
}

/// Nobody holds an end of a connection within the node.
fn nothing_is_left(scene: &Scene) {
    wait_for("the end of all connections", || {
        let queues = scene.show("queues");
        let row = queues.as_array().unwrap().iter().find(|row| row["queue"] == "local ends").unwrap();
        (row["entries"] == 0).then_some(())
    });
}

macro_rules! checks {
    ($($name:ident)*) => {
        $(
            fn $name(family: Family) {
                check(family, stringify!($name));
            }
        )*

        /// All of them again, by packets on the node's loopback.
        fn without_the_shortcut(family: Family) {
            let mut scene = Scene::of(family);
            scene.replace_node(&["--no-local-shortcut"]);
            run(&scene, &[$(stringify!($name)),*]);
            if subject() == Subject::Sockeye {
                assert_eq!(scene.counters()["sockets.connections_local"], 0);
            }
        }

        in_both_families! { without_the_shortcut two_programs $($name)* }
    };
}

checks! {
    addresses
    ports_are_held
    many_one_after_the_other
    what_is_told
    options_are_kept
    buffers_are_bounded
    half_close
    a_close_is_an_end
    a_reset
    what_was_sent_before_a_reset
    a_write_to_who_has_closed
    nobody_listens
    connect_without_blocking
    accepted_without_blocking
    a_full_queue
    a_listener_that_goes
    many_processes
    another_holder
    urgent
    much_both_ways
}

/// Two programs that know nothing of each other: a server and a client, much both ways, seen from outside.
fn two_programs(family: Family) {
    let scene = Scene::of(family);
    let mut listen = scene.command(Side::Subject, "nc");
    let (serving, mut to_server) =
        Process::start_with_input(listen.args([&format!("-{}", scene.version()), "-l", "-N", "7000"]));
    scene.listens(Side::Subject, 7000);
    let mut connect = scene.command(Side::Subject, "nc");
    let (asking, mut to_client) = Process::start_with_input(connect.args(["-N", scene.address(Side::Subject), "7000"]));
    to_client.write_all(b"hello").unwrap();
    wait_for("the first bytes", || (serving.heard() == 5).then_some(()));
    if subject() == Subject::Sockeye {
        let shown = scene.show("sockets");
        let rows: Vec<_> = shown.as_array().unwrap().iter().filter(|row| row["state"] == "ESTAB").collect();
        assert_eq!(rows.len(), 2, "{shown}");
        for (one, other) in [(rows[0], rows[1]), (rows[1], rows[0])] {
            assert_eq!(one["local"], other["peer"], "{shown}");
            assert_eq!(one["socket"], other["peer_socket"], "{shown}");
            assert_eq!(one["program"], "nc", "{shown}");
        }
        assert_ne!(rows[0]["pid"], rows[1]["pid"], "{shown}");
    }
    thread::scope(|scope| {
        scope.spawn(|| to_server.write_all(&Pattern::bytes(1, MUCH)).unwrap());
        scope.spawn(|| to_client.write_all(&Pattern::bytes(2, MUCH)).unwrap());
        wait_for("all of the one stream", || (serving.heard() >= 5 + MUCH).then_some(()));
        wait_for("all of the other stream", || (asking.heard() >= MUCH).then_some(()));
    });
    if subject() == Subject::Sockeye {
        let counters = scene.counters();
        let segments = counters["stack.tcp_segments_received"] + counters["stack.tcp_segments_sent"];
        assert_eq!(segments, 0, "the bytes were to go past the node");
    }
    drop((to_server, to_client));
    let heard = serving.success().stdout;
    assert_eq!(&heard[..5], b"hello");
    Pattern::check(2, MUCH as u64, &mut &heard[5..]).unwrap();
    Pattern::check(1, MUCH as u64, &mut &asking.success().stdout[..]).unwrap();
    if subject() == Subject::Sockeye {
        nothing_is_left(&scene);
    }
}
