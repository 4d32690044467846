//! Much data over a bad wire: 2 % of the frames are lost, 2 % come twice, 2 % are overtaken, in each direction.

use std::thread;
use std::time::Duration;

use sockeye_peers::wire::Impairments;
use sockeye_peers::{Family, Medium, Pattern, Process, Scene, Setup, Side, Subject, in_both_families, subject};

const BAD: Impairments = Impairments { loss: 2, duplicate: 2, reorder: 2 };
/// A lossy gibibyte is slow work for any sender; a longer patience than usual.
const PATIENCE: Duration = Duration::from_secs(900);

/// 1 GiB for the node; less suffices to know that the test is right, and in the family of which only the headers differ.
/// `LOSSY_MIB` says otherwise.
fn length(family: Family) -> u64 {
    let usual = if subject() == Subject::Kernel || family == Family::V6 { 64 } else { 1024 };
    std::env::var("LOSSY_MIB").map_or(usual, |text| text.parse().expect("LOSSY_MIB is a number")) << 20
}

fn sends(family: Family, sender: Side) {
    let scene = Scene::with(Setup { medium: Medium::Bad(BAD), family, ..Setup::default() });
    let (length, receiver) = (length(family), sender.other());
    let listen = format!("TCP{}-LISTEN:7000,bind={}", scene.version(), scene.host(receiver));
    let (receiving, mut heard) =
        Process::start_with_output(scene.command(receiver, "socat").args(["-u", "-b262144", "-d", &listen, "-"]));
    scene.listens(receiver, 7000);
    let connect = format!("TCP{}:{}:7000", scene.version(), scene.host(receiver));
    let (sending, mut input) =
        Process::start_with_input(scene.command(sender, "socat").args(["-u", "-b262144", "-d", "-", &connect]));
    let checked = thread::scope(|scope| {
        let writing = scope.spawn(move || Pattern::write(5, length, &mut input));
        let checked = Pattern::check(5, length, &mut heard);
        drop(heard);
        (checked, writing.join().expect("the writer does not panic"))
    });
    assert!(matches!(checked, (Ok(()), Ok(()))), "{checked:?}");
    sending.finish_within(PATIENCE).success();
    receiving.finish_within(PATIENCE).success();
}

fn much_arrives_from_the_subject_over_a_bad_wire(family: Family) {
    sends(family, Side::Subject);
}

fn much_arrives_at_the_subject_over_a_bad_wire(family: Family) {
    sends(family, Side::Peer);
}

in_both_families! {
    much_arrives_from_the_subject_over_a_bad_wire
    much_arrives_at_the_subject_over_a_bad_wire
}
