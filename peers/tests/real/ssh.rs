//! OpenSSH and rsync, with the node as the one that is logged in to and as the one that logs in: a command, files, a forwarded port, a directory.
//!
//! sshd is a program that locks itself in: the child that talks to strangers has another root directory and user, and gave up system calls.

use std::fs;
use std::io::Write;

use sockeye_lab::Command;
use sockeye_peers::scene::python;
use sockeye_peers::{Family, Pattern, Process, Scene, Side, in_both_families};

const LARGE: usize = 4 << 20;
const PORT: u16 = 2200;

/// A server with keys and a configuration of its own, and somebody who may log in.
struct Login {
    scene: Scene,
    server: Side,
    _serving: Process,
}

impl Login {
    fn to(server: Side, family: Family) -> Login {
        let scene = Scene::of(family);
        for key in ["host", "key"] {
            let mut make = scene.peer().command("ssh-keygen");
            Process::start(make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(scene.file(key))).success();
        }
        let [host, known] = ["host", "key.pub"].map(|name| scene.file(name).display().to_string());
        let address = scene.address(server);
        let lines = [
            format!("ListenAddress {}:{PORT}", scene.host(server)),
            format!("HostKey {host}\nAuthorizedKeysFile {known}\nPidFile none"),
            "UsePAM no\nStrictModes no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n".to_owned(),
        ];
        fs::write(scene.file("server"), lines.join("\n")).unwrap();
        let identity = fs::read_to_string(scene.file("host.pub")).unwrap();
        fs::write(scene.file("known"), format!("[{address}]:{PORT} {identity}")).unwrap();
        let lines = [
            format!("Port {PORT}\nIdentityFile {}\nIdentitiesOnly yes", scene.file("key").display()),
            format!("UserKnownHostsFile {}\nStrictHostKeyChecking yes\nBatchMode yes\n", scene.file("known").display()),
        ];
        fs::write(scene.file("client"), lines.join("\n")).unwrap();
        // Where the child for strangers is locked in: an empty directory, which the system's service makes at its start.
        fs::create_dir_all("/run/sshd").unwrap();
        let mut serve = scene.command(server, "/usr/sbin/sshd");
        let mut serving = Process::start(serve.args(["-D", "-e", "-f"]).arg(scene.file("server")));
        serving.line_with("Server listening");
        Login { scene, server, _serving: serving }
    }

    fn client(&self, program: &str) -> Command {
        let mut command = self.scene.command(self.server.other(), program);
        command.arg("-F").arg(self.scene.file("client"));
        command
    }

    /// A path of the server's, as scp and rsync write it.
    fn there(&self, name: &str) -> String {
        format!("root@{}:{}", self.scene.host(self.server), self.scene.file(name).display())
    }

    fn is_whole(&self, seed: u64, name: &str) {
        let bytes = fs::read(self.scene.file(name)).unwrap();
        Pattern::check(seed, LARGE as u64, &mut &bytes[..]).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    fn runs_a_command(&self) {
        let address = self.scene.address(self.server);
        let mut ask = self.client("ssh");
        let said = Process::start(ask.args([&format!("root@{address}"), "echo $SSH_CONNECTION; exit 7"])).finish();
        let ends = said.text();
        let ends: Vec<&str> = ends.split_whitespace().collect();
        assert_eq!(said.status.code(), Some(7), "{said}");
        assert!(
            matches!(ends[..], [from, _, to, "2200"] if from == self.scene.address(self.server.other()) && to == address),
            "{said}"
        );
    }

    /// The server gives a session an environment of its own; what runs there is where the server is.
    fn runs_a_program_there(&self) {
        let (there, here) = (self.server, self.server.other());
        let mut serve = self.scene.command(here, "socat");
        let at = format!("TCP{}-LISTEN:7002,bind={}", self.scene.version(), self.scene.host(here));
        let _serving = Process::start(serve.args([at.as_str(), "SYSTEM:true"]));
        self.scene.listens(here, 7002);
        let script = "import socket, sys\nprint(socket.create_connection((sys.argv[1], 7002)).getsockname()[0])";
        fs::write(self.scene.file("asks.py"), script).unwrap();
        let line = format!("{} {} {}", python(), self.scene.file("asks.py").display(), self.scene.address(here));
        let mut ask = self.client("ssh");
        let said = Process::start(ask.args([&format!("root@{}", self.scene.address(there)), &line])).success();
        assert_eq!(said.text().trim(), self.scene.address(there), "{said}");
    }

    fn carries_files(&self) {
        fs::write(self.scene.file("one"), Pattern::bytes(1, LARGE)).unwrap();
        Process::start(self.client("scp").args(["-q", "one", &self.there("two")])).success();
        self.is_whole(1, "two");
        Process::start(self.client("scp").args(["-q", &self.there("two"), "three"])).success();
        self.is_whole(1, "three");
        let (getting, mut input) =
            Process::start_with_input(self.client("sftp").args(["-q", "-b", "-", &self.there("")]));
        input.write_all(b"get two four\nput four five\n").unwrap();
        drop(input);
        getting.success();
        self.is_whole(1, "four");
        self.is_whole(1, "five");
    }

    /// A connection here leads to whom the server connects to.
    fn forwards_a_port(&self) {
        let mut behind = self.scene.command(self.server, "socat");
        let _behind = Process::start(behind.args(["-t30", "TCP4-LISTEN:7001,bind=127.0.0.1", "PIPE"]));
        self.scene.listens(self.server, 7001);
        let mut forward = self.client("ssh");
        forward.args(["-N", "-o", "ExitOnForwardFailure=yes", "-L", "127.0.0.1:7000:127.0.0.1:7001"]);
        let _forwarding = Process::start(forward.arg(format!("root@{}", self.scene.address(self.server))));
        self.scene.listens(self.server.other(), 7000);
        let mut talk = self.scene.command(self.server.other(), "socat");
        let (talking, mut input) = Process::start_with_input(talk.args(["-t30", "-", "TCP4:127.0.0.1:7000"]));
        let said = Pattern::bytes(2, LARGE);
        input.write_all(&said).unwrap();
        drop(input);
        assert!(talking.success().stdout == said, "what was forwarded is not what was said");
    }

    fn carries_a_directory(&self) {
        let shell = format!("ssh -F {}", self.scene.file("client").display());
        let mut copy = self.scene.command(self.server.other(), "rsync");
        Process::start(copy.args(["-a", "-e", &shell, "tree", &self.there("copy/")])).success();
        same_trees(&self.scene, "copy/tree");
    }
}

/// Files and directories, one of them large.
fn plant(scene: &Scene) {
    fs::create_dir_all(scene.file("tree/branch")).unwrap();
    fs::create_dir_all(scene.file("copy")).unwrap();
    fs::write(scene.file("tree/large"), Pattern::bytes(3, LARGE)).unwrap();
    for leaf in 0..50 {
        fs::write(scene.file(&format!("tree/branch/{leaf}")), format!("leaf {leaf}")).unwrap();
    }
}

fn same_trees(scene: &Scene, copy: &str) {
    let mut compare = scene.peer().command("diff");
    Process::start(compare.arg("-r").arg(scene.file("tree")).arg(scene.file(copy))).success();
}

fn ssh_to_here(family: Family) {
    let login = Login::to(Side::Subject, family);
    login.runs_a_command();
    login.runs_a_program_there();
    login.carries_files();
    login.forwards_a_port();
}

fn ssh_from_here(family: Family) {
    let login = Login::to(Side::Peer, family);
    login.runs_a_command();
    login.runs_a_program_there();
    login.carries_files();
    login.forwards_a_port();
}

/// By its own protocol, and over ssh.
fn rsync_copies_directories(family: Family) {
    for server in [Side::Subject, Side::Peer] {
        let login = Login::to(server, family);
        let scene = &login.scene;
        plant(scene);
        login.carries_a_directory();
        let module = scene.make_directory("module");
        let lines =
            format!("use chroot = yes\nuid = 0\ngid = 0\n[files]\npath = {}\nread only = no\n", module.display());
        fs::write(scene.file("rsyncd"), lines).unwrap();
        let mut serve = scene.command(server, "rsync");
        serve.args(["--daemon", "--no-detach", "--port=8730", "--address", scene.address(server), "--config"]);
        let _serving = Process::start(serve.arg(scene.file("rsyncd")));
        scene.listens(server, 8730);
        let there = format!("rsync://{}:8730/files/", scene.host(server));
        let rsync = |from: &str, to: &str| {
            let mut copy = scene.command(server.other(), "rsync");
            Process::start(copy.args(["-a", from, to])).success();
        };
        rsync("tree", &there);
        same_trees(scene, "module/tree");
        rsync(&format!("{there}tree/"), "back");
        same_trees(scene, "back");
        // What is there already is not sent once more.
        fs::write(scene.file("tree/branch/7"), "another leaf").unwrap();
        rsync("tree", &there);
        same_trees(scene, "module/tree");
    }
}

in_both_families! {
    ssh_to_here
    ssh_from_here
    rsync_copies_directories
}
