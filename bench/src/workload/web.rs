//! nginx with one worker, asked by wrk with one thread: over connections that stay, and with a connection for each request.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{Base, Case, Figure, busy};
use crate::Result;
use crate::process::Process;
use crate::scene::{Scene, Side, Wire};
use crate::subject::Subject;

/// Files by their size.
const SIZES: [(usize, &str); 2] = [(100, "100 B"), (100_000, "100 KB")];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (size, words) in SIZES {
        for (connections, stay, nopush) in [
            (1, true, "off"),
            (32, true, "off"),
            (1000, true, "off"),
            (32, false, "off"),
            (1, true, "on"),
            (32, true, "on"),
            (1000, true, "on"),
        ] {
            let how = match (stay, nopush) {
                (true, "on") => "that stay with tcp_nopush",
                (true, _) => "that stay",
                (false, _) => "of one request each",
            };
            let plural = if connections == 1 { "" } else { "s" };
            cases.push(Case {
                workload: "web",
                title: format!("nginx {words} over {connections} connection{plural} {how}"),
                wire: Some(Wire::OFFLOADS),
                admits: Subject::takes_programs,
                base: Base::Kernel,
                once: false,
                quick: size == 100 && connections == 32 && nopush == "off",
                measure: Box::new(move |scene| web(scene, size, connections, stay, nopush)),
            });
        }
    }
    cases
}

fn web(scene: &Scene<'_>, size: usize, connections: u32, stay: bool, nopush: &str) -> Result<Vec<Figure>> {
    let directory = scene.file("web");
    fs::create_dir_all(&directory)?;
    // The worker may be another user than the one who made the directories.
    fs::set_permissions(scene.file(""), fs::Permissions::from_mode(0o755))?;
    fs::write(directory.join("file"), vec![b'x'; size])?;
    let configuration = scene.file("nginx.conf");
    fs::write(&configuration, self::configuration(scene, &directory.to_string_lossy(), nopush))?;

    let mut serve = scene.command(Side::Subject, "nginx");
    let server = Process::start(serve.arg("-p").arg(scene.file("")).arg("-c").arg(&configuration))?;
    scene.serves(80)?;
    let mut ask = scene.command(Side::Peer, "wrk");
    ask.args(["--threads", "1", "--connections", &connections.to_string()]);
    // It counts in whole seconds.
    ask.args(["--duration", &format!("{}s", scene.seconds.ceil())]);
    if !stay {
        ask.args(["--header", "Connection: close"]);
    }
    ask.args(["--latency", &format!("http://{}/file", scene.address(Side::Subject))]);
    let (output, busy) = busy(|| Process::run(&mut ask, scene.patience()))?;
    drop(server);

    let (requests, rate) = (number(&output, "requests in")?, after(&output, "Requests/sec:")?);
    if let Some(line) = output.lines().find(|line| line.contains("Non-2xx")) {
        return Err(format!("wrk: {}", line.trim()).into());
    }
    Ok(vec![
        Figure::more("rate", "req/s", rate.parse()?),
        Figure::less("p99", "µs", microseconds(&after(&output, "99%")?)?),
        Figure::less("CPU", "µs/req", busy * 1e6 / requests),
        Figure::less("errors", "sockets", socket_errors(&output)),
    ])
}

fn configuration(scene: &Scene<'_>, directory: &str, nopush: &str) -> String {
    let address = scene.own_address(Side::Subject);
    format!(
        "daemon off;
worker_processes 1;
pid {directory}.pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush {nopush};
    keepalive_requests 1000000000;
    open_file_cache max=16;
    client_body_temp_path {directory}.body;
    proxy_temp_path {directory}.proxy;
    fastcgi_temp_path {directory}.fastcgi;
    uwsgi_temp_path {directory}.uwsgi;
    scgi_temp_path {directory}.scgi;
    server {{ listen {address}:80 backlog=4096; root {directory}; }}
}}
"
    )
}

/// The word after a name at the beginning of a line.
fn after(output: &str, name: &str) -> Result<String> {
    let word = output.lines().find_map(|line| line.trim().strip_prefix(name)?.split_whitespace().next());
    Ok(word.ok_or_else(|| format!("no {name:?} in the output of wrk"))?.to_owned())
}

/// The number before some words.
fn number(output: &str, words: &str) -> Result<f64> {
    let line = output.lines().find_map(|line| line.split_once(words)).ok_or("wrk counted nothing")?;
    Ok(line.0.trim().parse()?)
}

/// The sum of `Socket errors: connect 0, read 1, write 0, timeout 0`; there is no such line when all went well.
fn socket_errors(output: &str) -> f64 {
    let line = output.lines().find_map(|line| line.trim().strip_prefix("Socket errors:")).unwrap_or_default();
    line.split([' ', ',']).filter_map(|word| word.parse::<f64>().ok()).fold(0.0, std::ops::Add::add)
}

/// Of `12.3us`, `4.5ms` or `1.2s`.
fn microseconds(text: &str) -> Result<f64> {
    for (unit, factor) in [("us", 1.0), ("ms", 1e3), ("s", 1e6)] {
        if let Some(number) = text.strip_suffix(unit) {
            return Ok(number.parse::<f64>()? * factor);
        }
    }
    Err(format!("{text} is no time").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "  Latency Distribution\n     50%  311.00us\n     99%    1.03ms\n  101402 requests in 1.00s, 33.27MB read\nRequests/sec: 101281.92\n";

    #[test]
    fn wrk_is_understood() {
        assert_eq!(number(OUTPUT, "requests in").ok(), Some(101_402.0));
        assert_eq!(socket_errors(OUTPUT), 0.0);
        assert_eq!(socket_errors("  Socket errors: connect 0, read 3, write 0, timeout 1"), 4.0);
        assert_eq!(after(OUTPUT, "Requests/sec:").ok().as_deref(), Some("101281.92"));
        assert_eq!(after(OUTPUT, "99%").and_then(|text| microseconds(&text)).ok(), Some(1030.0));
    }
}
