//! curl, wget, nginx and Python's server: large bodies, many small ones, one connection for many, many at once.

use std::fmt::Write as _;
use std::fs;

use sockeye_peers::scene::python;
use sockeye_peers::{Family, Pattern, Process, Scene, Side, in_both_families, process};

const LARGE: usize = 64 << 20;

/// Python's file server in the scene's directory.
fn python_server(scene: &Scene, side: Side, port: u16) -> Process {
    let mut command = scene.command(side, python());
    command.args(["-u", "-m", "http.server", "--bind", scene.address(side), &port.to_string()]);
    let server = Process::start(&mut command);
    scene.listens(side, port);
    server
}

fn same(scene: &Scene, seed: u64, file: &str) {
    let bytes = fs::read(scene.file(file)).unwrap();
    Pattern::check(seed, LARGE as u64, &mut &bytes[..]).unwrap_or_else(|error| panic!("{file}: {error}"));
}

pub(crate) fn curl_gets(scene: &Scene, client: Side) {
    fs::write(scene.file("large"), Pattern::bytes(1, LARGE)).unwrap();
    let _server = python_server(scene, client.other(), 8000);
    let url = format!("http://{}:8000/large", scene.host(client.other()));
    Process::start(scene.command(client, "curl").args(["-sS", "-f", "-o", "got", &url])).success();
    same(scene, 1, "got");
}

pub(crate) fn curl_puts(scene: &Scene, client: Side) {
    fs::write(scene.file("large"), Pattern::bytes(2, LARGE)).unwrap();
    let server = client.other();
    let mut serve = scene.script(server, "put_server.py", include_str!("put_server.py"));
    let _server = Process::start(serve.args([scene.address(server), "8000"]));
    scene.listens(server, 8000);
    let url = format!("http://{}:8000/stored", scene.host(server));
    Process::start(scene.command(client, "curl").args(["-sS", "-f", "-T", "large", &url])).success();
    same(scene, 2, "stored");
}

fn curl_gets_64_mib(family: Family) {
    curl_gets(&Scene::of(family), Side::Subject);
}

fn curl_puts_64_mib(family: Family) {
    curl_puts(&Scene::of(family), Side::Subject);
}

fn curl_gets_and_puts_on_tap(family: Family) {
    let scene = Scene::tap(family);
    curl_gets(&scene, Side::Subject);
    curl_puts(&scene, Side::Subject);
}

fn python_http_server_serves_64_mib(family: Family) {
    curl_gets(&Scene::of(family), Side::Peer);
}

fn python_http_server_takes_64_mib(family: Family) {
    curl_puts(&Scene::of(family), Side::Peer);
}

fn wget_gets_64_mib(family: Family) {
    let scene = Scene::of(family);
    fs::write(scene.file("large"), Pattern::bytes(3, LARGE)).unwrap();
    let _server = python_server(&scene, Side::Peer, 8000);
    let url = format!("http://{}:8000/large", scene.host(Side::Peer));
    Process::start(scene.command(Side::Subject, "wget").args(["-nv", "-O", "got", "--tries=1", &url])).success();
    same(&scene, 3, "got");
}

fn a_refused_port_is_an_error_at_once(family: Family) {
    let scene = Scene::of(family);
    let url = format!("http://{}:81/", scene.host(Side::Peer));
    let refused = Process::start(scene.command(Side::Subject, "curl").args(["-sS", &url])).finish();
    assert_eq!(refused.status.code(), Some(7), "{refused}");
    assert!(refused.errors().contains("refused") || refused.errors().contains("Failed to connect"), "{refused}");
    let url = format!("http://{}:81/", scene.host(Side::Subject));
    let refused = Process::start(scene.command(Side::Peer, "curl").args(["-sS", &url])).finish();
    assert_eq!(refused.status.code(), Some(7), "{refused}");
}

/// nginx with two workers; the files are of sizes around what fits a segment, a buffer and a window.
fn nginx(scene: &Scene) -> (Process, Vec<(String, usize)>) {
    let root = scene.make_directory("root");
    let sizes = [0, 1, 1447, 1448, 1449, 4096, 16_384, 65_535, 65_536, 65_537, 200_000, 1 << 20];
    let files: Vec<(String, usize)> =
        (0..120).map(|number| (format!("file{number}"), sizes[number % sizes.len()])).collect();
    for (number, (name, size)) in files.iter().enumerate() {
        fs::write(root.join(name), Pattern::bytes(number as u64, *size)).unwrap();
    }

    let configuration = format!(
        "user root; daemon off; worker_processes 2; pid nginx.pid; error_log stderr;
         events {{ worker_connections 512; }}
         http {{ access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;
                 uwsgi_temp_path t4; scgi_temp_path t5; sendfile on;
                 server {{ listen {}:8080; root root; keepalive_requests 100000; }} }}",
        scene.host(Side::Subject)
    );
    fs::write(scene.file("nginx.conf"), configuration).unwrap();
    let directory = scene.file("");
    let mut command = scene.command(Side::Subject, "nginx");
    command.arg("-p").arg(&directory).arg("-c").arg(directory.join("nginx.conf")).args(["-e", "stderr"]);
    let server = Process::start(&mut command);
    scene.listens(Side::Subject, 8080);
    (server, files)
}

/// Fetches all files with the peer's curl, with `options`, and compares; returns what it wrote, a connection count a line.
fn fetch(scene: &Scene, files: &[(String, usize)], options: &[&str]) -> u32 {
    let mut list = String::new();
    for (name, _) in files {
        let host = scene.host(Side::Subject);
        writeln!(list, "url = \"http://{host}:8080/{name}\"\noutput = \"got-{name}\"").unwrap();
    }
    fs::write(scene.file("list"), list).unwrap();
    let mut command = scene.command(Side::Peer, "curl");
    command.args(["-sS", "-f", "--max-time", "50", "-w", "%{num_connects}\\n", "-K", "list"]).args(options);
    let done = Process::start(&mut command).success();
    for (number, (name, size)) in files.iter().enumerate() {
        let got = fs::read(scene.file(&format!("got-{name}"))).unwrap_or_default();
        let right = Pattern::check(number as u64, *size as u64, &mut &got[..]);
        right.unwrap_or_else(|error| panic!("{name}: {error}"));
        let _ = fs::remove_file(scene.file(&format!("got-{name}")));
    }
    done.text().lines().map(|line| line.parse::<u32>().unwrap()).sum()
}

fn nginx_keeps_a_connection_alive_for_many_files(family: Family) {
    let scene = Scene::of(family);
    let (_server, files) = nginx(&scene);
    assert_eq!(fetch(&scene, &files, &[]), 1, "curl had to connect again");
}

fn nginx_serves_many_at_once(family: Family) {
    let scene = Scene::of(family);
    let (_server, files) = nginx(&scene);
    // Without "immediate", curl waits to see whether one connection is enough for all, and sometimes it is.
    let connections = fetch(&scene, &files, &["-Z", "--parallel-immediate", "--parallel-max", "40"]);
    assert!(connections >= 40, "only {connections} connections were opened");
}

fn nginx_serves_many_programs_at_once_and_stops_in_good_order(family: Family) {
    process::require("xargs");
    let scene = Scene::of(family);
    let (server, files) = nginx(&scene);
    let names: String = files.iter().map(|(name, _)| format!("{name}\n")).collect();
    let mut command = scene.command(Side::Peer, "xargs");
    let url = format!("http://{}:8080/{{}}", scene.host(Side::Subject));
    command.args(["-P", "16", "-I", "{}", "curl", "-sS", "-f", "--max-time", "50", "-o", "got-{}", &url]);
    let (fetching, mut input) = Process::start_with_input(&mut command);
    std::io::Write::write_all(&mut input, names.as_bytes()).unwrap();
    drop(input);
    fetching.success();
    for (number, (name, size)) in files.iter().enumerate() {
        let got = fs::read(scene.file(&format!("got-{name}"))).unwrap_or_default();
        let right = Pattern::check(number as u64, *size as u64, &mut &got[..]);
        right.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    server.signal(rustix::process::Signal::TERM);
    server.success();
}

in_both_families! {
    curl_gets_64_mib
    curl_puts_64_mib
    curl_gets_and_puts_on_tap
    python_http_server_serves_64_mib
    python_http_server_takes_64_mib
    wget_gets_64_mib
    a_refused_port_is_an_error_at_once
    nginx_keeps_a_connection_alive_for_many_files
    nginx_serves_many_at_once
    nginx_serves_many_programs_at_once_and_stops_in_good_order
}
