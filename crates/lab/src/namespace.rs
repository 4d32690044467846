//! An anonymous network namespace, held by a descriptor.
//!
//! A thread unshares its network, opens its own `/proc/thread-self/ns/net`, and ends: the descriptor keeps the namespace
//! alive. Later threads enter it with setns. A thread that has entered never goes back; it ends there. So the caller's
//! own thread, which may belong to a test harness or an event loop, is never moved.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace. It lives while a clone of this or a process inside does.
#[derive(Clone, Debug)]
pub struct Namespace(Arc<File>);

impl Namespace {
    /// A new one, with nothing in it but a loopback that is down.
    pub fn new() -> io::Result<Namespace> {
        on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Namespace::current()
        })?
    }

    /// The namespace of the calling thread.
    pub fn current() -> io::Result<Namespace> {
        Ok(Namespace(Arc::new(File::open("/proc/thread-self/ns/net")?)))
    }

    /// Runs `body` on a thread inside and waits for it. A panic in `body` goes on in the caller.
    pub fn enter<T: Send>(&self, body: impl FnOnce() -> T + Send) -> io::Result<T> {
        on_a_thread(|| {
            setns(self, CloneFlags::CLONE_NEWNET)?;
            Ok(body())
        })?
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn on_a_thread<T: Send>(body: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let worker = thread::Builder::new().name("lab".into()).spawn_scoped(scope, body)?;
        worker.join().map_or_else(|panic| resume_unwind(panic), Ok)
    })
}
