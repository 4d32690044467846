//! `ioctl`, as far as sockets need it.
//!
//! How much is there to read, and whether reading has reached the urgent mark, a stream's pair knows itself. How much is still to be sent only the
//! node knows. Questions about interfaces go to the node, whose interfaces they are about, and not to the kernel.

use crate::datagram;
use crate::exchange::{self, Along, NONSENSE};
use crate::memory;
use crate::names::{self, identity};
use crate::sys::{Errno, answer};
use crate::{interpose, real};
use libc::{c_int, c_ulong, c_void};
use sockeye_control::{Kind, Reply, Request, SocketName};

/// `TIOCINQ`, `SIOCINQ`.
const FIONREAD: c_ulong = 0x541b;
/// `TIOCOUTQ`.
const SIOCOUTQ: c_ulong = 0x5411;
const SIOCATMARK: c_ulong = 0x8905;
/// When the last packet came: two times, in the program's form.
const SIOCGSTAMP: c_ulong = 0x8906;
const SIOCGSTAMPNS: c_ulong = 0x8907;
/// Routes and interfaces: the argument is a `struct ifreq` in most, which the node may read and write.
const SIOCADDRT: c_ulong = 0x890b;
const SIOCGIFCONF: c_ulong = 0x8912;
const LAST: c_ulong = 0x89ff;
const IFREQ_LEN: usize = 40;

interpose! {
    /// `ioctl(2)`. In C it takes a variable list of arguments, of which the kernel takes one.
    fn ioctl(fd: c_int, command: c_ulong, argument: *mut c_void) -> c_int {
        // Compared as the kernel does, in 32 bits: programs pass negative numbers.
        let number = command & 0xffff_ffff;
        let ours = match number {
            FIONREAD | SIOCOUTQ | SIOCGSTAMP | SIOCGSTAMPNS | SIOCADDRT..=LAST => identity(fd),
            _ => None,
        };
        match ours {
            // The node's own byte does not count.
            Some(_) if number == FIONREAD && names::is_fresh(fd) => answer(memory::write(argument, &[0; 4]).map(|()| 0)),
            Some(socket) if !(number == FIONREAD && socket.kind == Kind::Stream) => {
                answer(ask(fd, socket, number, argument).map(|()| 0))
            }
            // SAFETY: the program's own arguments, as they came.
            _ => unsafe { real::ioctl(fd, command, argument) },
        }
    }
}

fn ask(fd: c_int, socket: SocketName, command: c_ulong, argument: *mut c_void) -> Result<(), Errno> {
    const _: () = assert!(SIOCATMARK < SIOCGSTAMP, "the pair answers it");
    if command == FIONREAD {
        let len = datagram::next_len(fd)?;
        return memory::write(argument, &(len as c_int).to_ne_bytes());
    }
    let mut request = [0; IFREQ_LEN];
    let value = match command {
        SIOCOUTQ | SIOCGSTAMP | SIOCGSTAMPNS | SIOCGIFCONF => &[],
        _ => {
            memory::read(argument, &mut request)?;
            request.as_slice()
        }
    };
    let request = Request::Ioctl { id: socket.id, command: command as u32, argument: value };
    match exchange::ask(&request, Along::socket(fd), &mut exchange::buffer())?.reply {
        Reply::Value(result) => memory::write(argument, result),
        Reply::Done => Ok(()),
        _ => Err(NONSENSE),
    }
}
