//! Traffic over sockets of the standard library: an unmodified program, to be run on the kernel or on a node.
//!
//! `traffic serve ADDRESS` is the far end of all the others. Every connection has a thread that blocks in its calls, which is
//! the way with the fewest system calls, so what is measured is the stack and not an event loop:
//!
//! | port | |
//! |---|---|
//! | 7001 | reads and drops until the end, then closes |
//! | 7002 | writes until the other closes |
//! | 7003 | sends back what it reads |
//! | 7004 | reads 64 bytes, answers 64, closes |
//! | 7005 | UDP: counts; TCP: tells the count |
//! | 7006 to 7009 | writes one byte, then keeps the connection open |
//!
//! A driver of another stack understands the same verbs. Each ends with one line of JSON:
//! `{"unit":"bytes","count":N,"seconds":S}`, and `"latency_ns":{"p50":..,"p99":..,"p999":..}` where there is one.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

const USAGE: &str = "traffic serve ADDRESS
traffic send|receive ADDRESS:PORT SECONDS [FLOWS]
traffic request ADDRESS:PORT SIZE SECONDS
traffic connect ADDRESS:PORT SECONDS
traffic datagrams ADDRESS:PORT SIZE RATE SECONDS     RATE 0: as many as go
traffic hold ADDRESS:PORT COUNT                      until standard input ends; over 4 ports";

const BLOCK: usize = 128 * 1024;
const EXCHANGE: usize = 64;
const HOLD_PORTS: u16 = 4;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    match words[..] {
        ["serve", address] => serve(address),
        ["send", to, seconds] => send(to.parse()?, seconds.parse()?, 1),
        ["send", to, seconds, flows] => send(to.parse()?, seconds.parse()?, flows.parse()?),
        ["receive", from, seconds] => receive(from.parse()?, seconds.parse()?, 1),
        ["receive", from, seconds, flows] => receive(from.parse()?, seconds.parse()?, flows.parse()?),
        ["request", to, size, seconds] => request(to.parse()?, size.parse()?, seconds.parse()?),
        ["connect", to, seconds] => connect(to.parse()?, seconds.parse()?),
        ["datagrams", to, size, rate, seconds] => {
            datagrams(to.parse()?, size.parse()?, rate.parse()?, seconds.parse()?)
        }
        ["hold", to, count] => hold(to.parse()?, count.parse()?),
        _ => Err(USAGE.into()),
    }
}

fn serve(address: &str) -> Result<()> {
    let address = address.parse()?;
    listen(SocketAddr::new(address, 7001), |stream| thread_for(move || sink(stream)))?;
    listen(SocketAddr::new(address, 7002), |stream| thread_for(move || source(stream)))?;
    listen(SocketAddr::new(address, 7003), |stream| thread_for(move || echo(stream)))?;
    // One after the other in the thread that accepts: a thread for each would be what is measured.
    listen(SocketAddr::new(address, 7004), |stream| {
        // Whoever resets its connection has measured enough.
        let _ = answer(stream);
    })?;
    for port in 7006..7006 + HOLD_PORTS {
        let mut held = Vec::new();
        listen(SocketAddr::new(address, port), move |mut stream| {
            if stream.write_all(b"k").is_ok() {
                held.push(stream);
            }
        })?;
    }
    let socket = UdpSocket::bind(SocketAddr::new(address, 7005))?;
    let count = Arc::new(AtomicU64::new(0));
    let told = count.clone();
    listen(SocketAddr::new(address, 7005), move |mut stream| {
        let _ = stream.write_all(told.load(Ordering::Relaxed).to_string().as_bytes());
    })?;
    println!("ready");
    let mut buffer = [0; 2048];
    loop {
        if socket.recv(&mut buffer).is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Accepts on a thread.
fn listen(address: SocketAddr, mut each: impl FnMut(TcpStream) + Send + 'static) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    thread::spawn(move || {
        loop {
            match listener.accept() {
                Ok((stream, _)) => each(stream),
                Err(error) => {
                    eprintln!("traffic: accept on {address}: {error}");
                    std::process::exit(1);
                }
            }
        }
    });
    Ok(())
}

fn thread_for(work: impl FnOnce() -> io::Result<()> + Send + 'static) {
    thread::spawn(move || {
        // The other end decides when it has enough, by a reset if it likes.
        let _ = work();
    });
}

fn sink(mut stream: TcpStream) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    while stream.read(&mut block)? > 0 {}
    Ok(())
}

fn source(mut stream: TcpStream) -> io::Result<()> {
    let block = vec![0; BLOCK];
    loop {
        stream.write_all(&block)?;
    }
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut block = vec![0; BLOCK];
    loop {
        match stream.read(&mut block)? {
            0 => return Ok(()),
            count => stream.write_all(&block[..count])?,
        }
    }
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut block = [0; EXCHANGE];
    stream.read_exact(&mut block)?;
    stream.write_all(&block)
}

/// Counts what the far end has read: the clock stops when it closes, after the last byte.
fn send(to: SocketAddr, seconds: f64, flows: usize) -> Result<()> {
    flow("bytes", flows, move || {
        let mut stream = TcpStream::connect(to)?;
        let (block, began, mut count) = (vec![0; BLOCK], Instant::now(), 0);
        while began.elapsed().as_secs_f64() < seconds {
            stream.write_all(&block)?;
            count += BLOCK as u64;
        }
        stream.shutdown(Shutdown::Write)?;
        stream
            .read_exact(&mut [0])
            .err()
            .filter(|error| error.kind() != io::ErrorKind::UnexpectedEof)
            .map_or(Ok(count), Err)
    })
}

fn receive(from: SocketAddr, seconds: f64, flows: usize) -> Result<()> {
    flow("bytes", flows, move || {
        let mut stream = TcpStream::connect(from)?;
        let (mut block, began, mut total) = (vec![0; BLOCK], Instant::now(), 0);
        while began.elapsed().as_secs_f64() < seconds {
            match stream.read(&mut block)? {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                count => total += count as u64,
            }
        }
        Ok(total)
    })
}

/// Runs flows side by side and tells their sum.
fn flow(unit: &str, flows: usize, work: impl Fn() -> io::Result<u64> + Send + Sync) -> Result<()> {
    let began = Instant::now();
    let counts: Vec<io::Result<u64>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..flows).map(|_| scope.spawn(&work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("a flow panicked"))))
            .collect()
    });
    let count = counts.into_iter().sum::<io::Result<u64>>()?;
    tell(unit, count, began.elapsed(), "");
    Ok(())
}

fn request(to: SocketAddr, size: usize, seconds: f64) -> Result<()> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    let (mut block, mut latencies) = (vec![0; size], Vec::new());
    let began = Instant::now();
    let mut asked = began;
    while asked.duration_since(began).as_secs_f64() < seconds {
        stream.write_all(&block)?;
        stream.read_exact(&mut block)?;
        let answered = Instant::now();
        latencies.push(answered.duration_since(asked).as_nanos() as u64);
        asked = answered;
    }
    let seconds = began.elapsed();
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    let latency = format!(r#","latency_ns":{{"p50":{},"p99":{},"p999":{}}}"#, at(0.5), at(0.99), at(0.999));
    tell("requests", latencies.len() as u64, seconds, &latency);
    Ok(())
}

fn connect(to: SocketAddr, seconds: f64) -> Result<()> {
    let (mut block, mut count, began) = ([0; EXCHANGE], 0, Instant::now());
    while began.elapsed().as_secs_f64() < seconds {
        let mut stream = TcpStream::connect(to)?;
        stream.write_all(&block)?;
        stream.read_exact(&mut block)?;
        // The end: the server closes first, and so TIME-WAIT is its.
        if stream.read(&mut block)? != 0 {
            return Err("the server did not close".into());
        }
        count += 1;
    }
    tell("connections", count, began.elapsed(), "");
    Ok(())
}

/// Sends datagrams at a rate; the far end tells how many it got.
fn datagrams(to: SocketAddr, size: usize, rate: u64, seconds: f64) -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(to)?;
    let before = received(to)?;
    let (block, began, mut sent) = (vec![0; size], Instant::now(), 0_u64);
    loop {
        let elapsed = began.elapsed().as_secs_f64();
        if elapsed >= seconds {
            break;
        }
        let due = if rate == 0 { sent + 64 } else { (elapsed * rate as f64) as u64 };
        if due <= sent {
            thread::sleep(Duration::from_micros(100));
        }
        while sent < due {
            match socket.send(&block) {
                Ok(_) => sent += 1,
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    let elapsed = began.elapsed();
    // What is still under way counts as well.
    let mut count = received(to)?;
    loop {
        thread::sleep(Duration::from_millis(50));
        match received(to)? {
            same if same == count => break,
            more => count = more,
        }
    }
    tell("datagrams", count - before, elapsed, &format!(r#","sent":{sent}"#));
    Ok(())
}

fn received(from: SocketAddr) -> Result<u64> {
    let mut text = String::new();
    TcpStream::connect(from)?.read_to_string(&mut text)?;
    Ok(text.parse()?)
}

/// Opens connections, sees each accepted, and holds them until standard input ends. A thread a port: one waits while others work.
fn hold(to: SocketAddr, count: usize) -> Result<()> {
    let began = Instant::now();
    let share = count.div_ceil(usize::from(HOLD_PORTS));
    let open = |port: u16, first: usize| -> io::Result<Vec<TcpStream>> {
        (first..count.min(first + share))
            .map(|_| {
                let mut stream = TcpStream::connect((to.ip(), port))?;
                stream.read_exact(&mut [0])?;
                Ok(stream)
            })
            .collect()
    };
    let held = thread::scope(|scope| -> Result<Vec<_>> {
        let places = (to.port()..).zip((0..count).step_by(share));
        let threads: Vec<_> = places.map(|(port, first)| scope.spawn(move || open(port, first))).collect();
        threads.into_iter().map(|thread| Ok(thread.join().map_err(|_| "a thread panicked")??)).collect()
    })?;
    tell("connections", count as u64, began.elapsed(), "");
    io::stdin().read_to_end(&mut Vec::new())?;
    drop(held);
    Ok(())
}

fn tell(unit: &str, count: u64, elapsed: Duration, more: &str) {
    println!(r#"{{"unit":"{unit}","count":{count},"seconds":{:.6}{more}}}"#, elapsed.as_secs_f64());
}
