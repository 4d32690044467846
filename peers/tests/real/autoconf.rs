//! A host of IPv6 that configures itself: beside a router (radvd, on the peer's kernel) and beside a kernel that wants the
//! same address.

use rustix::process::Signal;
use serde_json::Value;
use sockeye_peers::{PEER, Process, Scene, Setup, Side, Subject, subject, wait_for};

pub(crate) const ROUTER: &str = "2001:db8:9::1";
/// Behind the router.
pub(crate) const BEYOND: &str = "2001:db8:99::1";
pub(crate) const NETWORK: &str = "2001:db8:9:";

/// What a host says of an address.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Own {
    address: String,
    duplicate: bool,
    tentative: bool,
}

impl Own {
    /// Whether it is this one.
    pub(crate) fn is(&self, address: &str) -> bool {
        self.address == address
    }

    /// Whether it is this one, and somebody else's.
    pub(crate) fn is_given_up(&self, address: &str) -> bool {
        self.address == address && self.duplicate
    }
}

/// The addresses of IPv6 that the kernel of a side has on its end of the wire.
pub(crate) fn kernels(scene: &Scene, side: Side) -> Vec<Own> {
    let host = if side == Side::Peer { scene.peer() } else { scene.subject_host() };
    let mut ask = host.command("ip");
    let said = Process::start(ask.args(["-6", "-j", "address", "show", "dev", "veth0"])).success();
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    let flag = |own: &Value, name: &str| own[name].as_bool().unwrap_or(false);
    let all = said[0]["addr_info"].as_array().cloned().unwrap_or_default();
    let own = |own: &Value| Own {
        address: own["local"].as_str().unwrap_or_default().to_owned(),
        duplicate: flag(own, "dadfailed"),
        tentative: flag(own, "tentative"),
    };
    all.iter().map(own).collect()
}

/// The subject's.
pub(crate) fn subjects(scene: &Scene) -> Vec<Own> {
    if subject() == Subject::Kernel {
        return kernels(scene, Side::Subject);
    }
    let shown = scene.show("addresses");
    let on_wire = shown.as_array().unwrap().iter().filter(|own| own["interface"] == "veth0");
    let own = |own: &Value| Own {
        address: own["address"].as_str().unwrap().split('/').next().unwrap().to_owned(),
        duplicate: own["state"] == "duplicated",
        tentative: own["state"] == "tentative" || own["state"] == "optimistic",
    };
    on_wire.map(own).filter(|own| own.address.contains(':')).collect()
}

/// The first address that begins like this and is the host's own.
pub(crate) fn settled(own: Vec<Own>, beginning: &str) -> Option<String> {
    own.into_iter().find(|own| own.address.starts_with(beginning) && !own.tentative).map(|own| own.address)
}

fn subjects_default_routes(scene: &Scene) -> usize {
    if subject() == Subject::Kernel {
        let mut ask = scene.subject_host().command("ip");
        let said = Process::start(ask.args(["-6", "route", "show", "default"])).success();
        return said.text().lines().filter(|line| line.starts_with("default")).count();
    }
    let routes = scene.show("routes");
    let advertised = |route: &&Value| route["destination"] == "default" && route["origin"] == "router";
    routes.as_array().unwrap().iter().filter(advertised).count()
}

/// radvd on the peer, with a prefix of its own.
pub(crate) fn router(scene: &Scene) -> Process {
    let peer = scene.peer();
    peer.sysctl("ipv6/conf/all/forwarding", "1").unwrap();
    for (interface, address) in [("veth0", ROUTER), ("lo", BEYOND)] {
        let mut give = peer.command("ip");
        Process::start(give.args(["address", "add", &format!("{address}/64"), "dev", interface, "nodad"])).success();
    }
    let file = scene.file("radvd.conf");
    let text = "interface veth0 {
        AdvSendAdvert on; AdvCurHopLimit 77; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; AdvLinkMTU 1400;
        prefix 2001:db8:9::/64 { AdvValidLifetime 600; AdvPreferredLifetime 300; };
        RDNSS 2001:db8:9::1 { AdvRDNSSLifetime 60; };
    };";
    std::fs::write(&file, text).unwrap();
    wait_for("the router's own address", || settled(kernels(scene, Side::Peer), "fe80:"));
    let mut serve = peer.command("radvd");
    let pid = scene.file("radvd.pid");
    serve.arg("-n").arg("-C").arg(&file).arg("-p").arg(&pid).args(["-m", "stderr", "-d", "1"]);
    Process::start(&mut serve)
}

/// Both ways a connection, between an address of the subject's and one of the peer's.
fn converse(scene: &Scene, subjects: &str, peers: &str) {
    for (client, server, address) in [(Side::Subject, Side::Peer, peers), (Side::Peer, Side::Subject, subjects)] {
        let mut listen = scene.command(server, "nc");
        let (serving, mut input) = Process::start_with_input(listen.args(["-6", "-l", "-N", address, "7100"]));
        scene.listens(server, 7100);
        std::io::Write::write_all(&mut input, b"well").unwrap();
        drop(input);
        let mut fetch = scene.command(client, "nc");
        assert_eq!(Process::start(fetch.args(["-6", "-d", "-w", "20", address, "7100"])).success().text(), "well");
        serving.success();
    }
}

#[test]
fn a_router_gives_a_prefix_and_takes_itself_away() {
    let scene = Scene::new();
    let radvd = router(&scene);
    let own = wait_for("an address of the router's prefix", || settled(subjects(&scene), NETWORK));
    assert_eq!(subjects_default_routes(&scene), 1);
    let ping = |size: &str| {
        let mut ping = scene.command(Side::Peer, "ping");
        Process::start(ping.args(["-6", "-n", "-c", "2", "-i", "0.2", "-s", size, &own])).success();
    };
    ping("56");
    // Larger than the link's MTU as the router has it: in fragments.
    ping("1390");
    converse(&scene, &own, BEYOND);
    // As far as routers say that packets shall go.
    let _watcher = Process::start(
        scene.script(Side::Peer, "options_peer.py", include_str!("options_peer.py")).arg(scene.interface()),
    );
    scene.listens(Side::Peer, 7000);
    let mut hops = scene.script(Side::Subject, "hops.py", include_str!("hops.py"));
    Process::start(hops.args([PEER, BEYOND, "77"])).success();
    // Who ends says so.
    radvd.signal(Signal::TERM);
    wait_for("the default route's end", || (subjects_default_routes(&scene) == 0).then_some(()));
    assert_eq!(settled(subjects(&scene), NETWORK), Some(own), "the address lives on");
}

/// Temporary addresses beside the stable one (RFC 8981): shown as such, and the ones that strangers see, unless a program prefers
/// otherwise (RFC 5014).
#[test]
fn temporary_addresses_are_what_strangers_see() {
    let mut scene = Scene::new();
    match subject() {
        Subject::Sockeye => {
            let file = scene.file("node.toml");
            std::fs::write(&file, "[ipv6]\ntemporary = true\n").unwrap();
            scene.replace_node(&["-c", file.to_str().unwrap()]);
        }
        Subject::Kernel => scene.subject_host().sysctl("ipv6/conf/veth0/use_tempaddr", "2").unwrap(),
    }
    let _radvd = router(&scene);
    let shown = || {
        let mut ask = scene.command(Side::Subject, "ip");
        let said = Process::start(ask.args(["-6", "-j", "address", "show", "dev", "veth0"])).success();
        let said: Value = serde_json::from_slice(&said.stdout).unwrap();
        let all = said[0]["addr_info"].as_array().cloned().unwrap_or_default();
        let of = |temporary: bool| {
            let is = |own: &&Value| {
                let ours = own["local"].as_str().is_some_and(|address| address.starts_with(NETWORK));
                let usable = own["tentative"] != true && own["dynamic"] == true;
                ours && usable && (own["temporary"] == true) == temporary
            };
            all.iter().find(is).and_then(|own| own["local"].as_str()).map(str::to_owned)
        };
        of(true).zip(of(false))
    };
    let (temporary, stable) = wait_for("a temporary address", shown);
    let _watcher = Process::start(
        scene.script(Side::Peer, "options_peer.py", include_str!("options_peer.py")).arg(scene.interface()),
    );
    scene.listens(Side::Peer, 7000);
    let mut ask = scene.script(Side::Subject, "preferences.py", include_str!("preferences.py"));
    Process::start(ask.args([PEER, BEYOND, &temporary, &stable])).success();
}

/// Both ways round: the subject wants what the kernel has, and the kernel what the subject has.
#[test]
fn an_address_that_the_other_has_is_found_out() {
    let mut scene = Scene::new();
    add(&scene, Side::Peer, "fd09::7/64", &["nodad"]);
    match subject() {
        Subject::Sockeye => scene.replace_node(&["-a", "fd09::7/64", "-a", "fd09::2/64"]),
        Subject::Kernel => {
            for address in ["fd09::7/64", "fd09::2/64"] {
                add(&scene, Side::Subject, address, &[]);
            }
        }
    }
    wait_for("the end of the question", || {
        let own = subjects(&scene);
        let duplicate = own.iter().any(|own| own.address == "fd09::7" && own.duplicate);
        let ours = own.iter().any(|own| own.address == "fd09::2" && !own.duplicate && !own.tentative);
        (duplicate && ours).then_some(())
    });
    // It asks until it is answered: who is asked may be busy for longer than one question waits.
    scene.peer().sysctl("ipv6/conf/veth0/dad_transmits", "60").unwrap();
    add(&scene, Side::Peer, "fd09::2/64", &[]);
    wait_for("the kernel's finding", || {
        kernels(&scene, Side::Peer).into_iter().find(|own| own.address == "fd09::2" && own.duplicate)
    });
}

/// Gives an address to the kernel of a side.
fn add(scene: &Scene, side: Side, address: &str, more: &[&str]) {
    let host = if side == Side::Peer { scene.peer() } else { scene.subject_host() };
    let mut add = host.command("ip");
    Process::start(add.args(["-6", "address", "add", address, "dev", "veth0"]).args(more)).success();
}

/// ndisc6(8) and rdisc6(8) on the peer.
#[test]
fn the_tools_of_discovery_find_a_host_and_no_router() {
    let scene = Scene::with(Setup { ipv6: true, ..Setup::default() });
    let own = wait_for("the subject's own address", || settled(subjects(&scene), "fe80:"));
    for address in [&own, Side::Subject.address6()] {
        let mut ask = scene.command(Side::Peer, "ndisc6");
        let found = Process::start(ask.args(["-q", "-r", "30", address, "veth0"])).success();
        assert_eq!(found.text().trim().matches(':').count(), 5, "{found}");
    }
    let mut ask = scene.command(Side::Peer, "rdisc6");
    let none = Process::start(ask.args(["-1", "-r", "1", "-w", "200", "veth0"])).finish();
    assert_eq!(none.status.code(), Some(2), "{none}");
}

/// Addresses of the link, with the link as their scope.
#[test]
fn addresses_of_the_link_name_their_link() {
    let scene = Scene::new();
    let theirs = wait_for("the peer's own address", || settled(kernels(&scene, Side::Peer), "fe80:"));
    let own = wait_for("the subject's own address", || settled(subjects(&scene), "fe80:"));
    let mut ping = scene.command(Side::Peer, "ping");
    Process::start(ping.args(["-6", "-n", "-c", "2", "-i", "0.2", &format!("{own}%veth0")])).success();
    let index = match subject() {
        Subject::Sockeye => "2".to_owned(),
        Subject::Kernel => {
            let mut ask = scene.subject_host().command("ip");
            let said = Process::start(ask.args(["-j", "link", "show", "dev", "veth0"])).success();
            serde_json::from_slice::<Value>(&said.stdout).unwrap()[0]["ifindex"].to_string()
        }
    };
    let _echo = Process::start(&mut scene.script(Side::Peer, "ipv6_peer.py", include_str!("ipv6_peer.py")));
    scene.listens(Side::Peer, 7000);
    scene.is_bound(Side::Peer, 7001);
    let mut script = scene.script(Side::Subject, "scope.py", include_str!("scope.py"));
    Process::start(script.args([&own, &theirs, &index])).success();
}

/// What the router says of name servers, as rdnssd hears it: from the kernel, or by a raw socket.
#[test]
fn rdnssd_learns_name_servers() {
    let scene = Scene::new();
    let [learnt, hook, pid] = ["learnt", "hook", "pid"].map(|name| scene.file(name));
    let mut listen = scene.command(Side::Subject, "rdnssd");
    listen.args(["-f", "-u", "root", "-H"]).arg(&hook).arg("-r").arg(&learnt).arg("-p").arg(&pid);
    let _listening = Process::start(&mut listen);
    let _radvd = router(&scene);
    let text = wait_for("a name server", || std::fs::read_to_string(&learnt).ok().filter(|text| !text.is_empty()));
    assert_eq!(text.trim(), format!("nameserver {ROUTER}"));
}
