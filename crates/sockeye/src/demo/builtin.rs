//! A plain HTTP server and client, where the machine has no other.
//!
//! They are `std::net` programs like any: they know nothing of Sockeye, and run under `sockeye run` or not. One thread a
//! connection, HTTP/1.0, a file a request. They are for the demo's lab and no more.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path};
use std::time::Instant;

use crate::failure::Failure;
use crate::paint;

/// More of a request or reply head than this is not read.
const MAX_HEAD: u64 = 16 * 1024;

/// Serves the files of a directory until it is ended.
pub(crate) fn serve(at: SocketAddr, directory: &Path) -> Result<(), Failure> {
    let listener = TcpListener::bind(at)
        .map_err(|error| Failure::new(format!("cannot listen at {at}: {error}; is another program there?")))?;
    paint::print("Serving\n").map_err(|error| Failure::new(format!("cannot write to standard output: {error}")))?;
    for connection in listener.incoming() {
        let Ok(mut connection) = connection else { continue };
        let directory = directory.to_owned();
        let _ = std::thread::Builder::new().spawn(move || answer(&mut connection, &directory));
    }
    Ok(())
}

fn answer(connection: &mut TcpStream, directory: &Path) -> io::Result<()> {
    let mut request = String::new();
    let mut reader = BufReader::new(connection.try_clone()?.take(MAX_HEAD));
    reader.read_line(&mut request)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let name = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    match plain.then(|| File::open(directory.join(name))).and_then(Result::ok) {
        Some(mut file) => {
            let len = file.metadata()?.len();
            write!(connection, "HTTP/1.0 200 OK\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n")?;
            io::copy(&mut file, connection)?;
        }
        None => connection.write_all(b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?,
    }
    Ok(())
}

/// Fetches `http://HOST:PORT/PATH` into a file, and tells how many seconds that took.
pub(crate) fn fetch(url: &str, output: &Path) -> Result<f64, Failure> {
    let failed = |what: &str| Failure::new(format!("cannot fetch {url}: {what}; check the server"));
    let rest = url.strip_prefix("http://").ok_or_else(|| failed("not an http:// address"))?;
    let (host, path) = rest.split_once('/').ok_or_else(|| failed("no path"))?;
    let started = Instant::now();
    let mut connection = TcpStream::connect(host).map_err(|error| failed(&error.to_string()))?;
    fetch_over(&mut connection, host, path, output).map_err(|error| failed(&error.to_string()))?;
    Ok(started.elapsed().as_secs_f64())
}

fn fetch_over(connection: &mut TcpStream, host: &str, path: &str, output: &Path) -> io::Result<()> {
    write!(connection, "GET /{path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut reader = BufReader::new(connection);
    let mut status = String::new();
    reader.by_ref().take(MAX_HEAD).read_line(&mut status)?;
    if status.split(' ').nth(1) != Some("200") {
        return Err(io::Error::other(format!("the server says {:?}", status.trim())));
    }
    let mut len = None;
    loop {
        let mut line = String::new();
        if reader.by_ref().take(MAX_HEAD).read_line(&mut line)? <= 2 {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            len = value.trim().parse::<u64>().ok();
        }
    }
    let got = io::copy(&mut reader, &mut File::create(output)?)?;
    match len {
        Some(len) if len != got => Err(io::Error::other(format!("{got} of {len} bytes came"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_goes_over_and_a_path_cannot_climb() {
        let directory = std::env::temp_dir().join(format!("sockeye-builtin-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let content: Vec<u8> = (0..300_000_u32).map(|index| index as u8).collect();
        std::fs::write(directory.join("file"), &content).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let served = directory.clone();
        let server = std::thread::spawn(move || {
            for _ in 0..2 {
                let (mut connection, _) = listener.accept().unwrap();
                answer(&mut connection, &served).unwrap();
            }
        });
        let output = directory.join("output");
        fetch(&format!("http://{at}/file"), &output).unwrap();
        assert_eq!(std::fs::read(&output).unwrap(), content);
        assert!(fetch(&format!("http://{at}/../../etc/passwd"), &output).unwrap_err().to_string().contains("404"));
        server.join().unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
