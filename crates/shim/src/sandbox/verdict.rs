//! What a filter of system calls says to one.
//!
//! It is a program of classic BPF over `struct seccomp_data`: the call's number, the architecture, where it comes from, and six arguments. The kernel
//! verifies it when it is set, and runs it for each call; here it is run for calls that are not being made, on the machine that runs the filters of
//! sockets ([`sockeye_filter`]): to that the structure is a packet of words. It is the one place where the shim uses the heap, at a moment that a program chooses for itself.
//!
//! # Standards
//!
//! seccomp(2); `linux/bpf_common.h`, `linux/seccomp.h`.

use crate::memory;
use crate::sys::Errno;
use libc::{c_long, sock_filter, sock_fprog};
use sockeye_filter::{Instruction, Metadata, Packet, Program};

/// `struct seccomp_data`, as words of 32 bits.
const WORDS: usize = 16;
/// `AUDIT_ARCH_*` of this machine.
const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") {
    0xc000_003e
} else if cfg!(target_arch = "aarch64") {
    0xc000_00b7
} else if cfg!(target_arch = "riscv64") {
    0xc000_00f3
} else {
    0
};

/// A filter, where the kernel would take it.
pub(super) struct Filter(Program);

impl Filter {
    /// The one that is there, in the program's memory.
    pub(super) fn at(filter: *const sock_fprog) -> Result<Filter, Errno> {
        let sock_fprog { len, filter, .. } = memory::read_value(filter)?;
        let mut code = vec![sock_filter { code: 0, jt: 0, jf: 0, k: 0 }; len.into()];
        memory::read_array(filter, &mut code)?;
        Filter::new(&code).ok_or(Errno(libc::EINVAL))
    }

    fn new(code: &[sock_filter]) -> Option<Filter> {
        let code = code.iter().map(|&sock_filter { code, jt, jf, k }| Instruction { code, jt, jf, k });
        Program::new(&code.collect::<Vec<_>>()).ok().map(Filter)
    }

    /// Whether a call with these first arguments would be made.
    pub(super) fn allows(&self, number: c_long, arguments: [u64; 3]) -> bool {
        const ACTION: u32 = 0xffff_0000;
        let mut words = [0; WORDS];
        (words[0], words[1]) = (number as u32, ARCHITECTURE);
        for (at, argument) in arguments.into_iter().enumerate() {
            // The low half first, where this machine has it.
            let halves = [argument as u32, (argument >> 32) as u32];
            words[4 + 2 * at] = if cfg!(target_endian = "little") { halves[0] } else { halves[1] };
            words[5 + 2 * at] = if cfg!(target_endian = "little") { halves[1] } else { halves[0] };
        }
        // Of packets words are read in the network's byte order.
        let bytes = words.map(u32::to_be_bytes);
        let metadata = Metadata::default();
        let action = self.0.run(&Packet::new(bytes.as_flattened(), &metadata)) & ACTION;
        matches!(action, libc::SECCOMP_RET_ALLOW | libc::SECCOMP_RET_LOG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;

    fn statement(code: u16, k: u32) -> sock_filter {
        sock_filter { code, jt: 0, jf: 0, k }
    }

    fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
        sock_filter { code, jt, jf, k }
    }

    fn allows(list: &[sock_filter], number: c_long, arguments: [u64; 3]) -> bool {
        Filter::new(list).is_some_and(|filter| filter.allows(number, arguments))
    }

    #[test]
    fn numbers_and_arguments_decide() {
        // Any sendmsg; getsockopt of level 1 on this machine; nothing else.
        let list = [
            statement(0x20, 4),
            jump(0x15, ARCHITECTURE, 0, 8),
            statement(0x20, 0),
            jump(0x15, libc::SYS_sendmsg as u32, 5, 0),
            jump(0x15, libc::SYS_getsockopt as u32, 0, 5),
            statement(0x20, 24),
            jump(0x15, 1, 0, 3),
            statement(0x20, 28),
            jump(0x15, 0, 0, 1),
            statement(0x06, ALLOW),
            statement(0x06, KILL),
        ];
        assert!(allows(&list, libc::SYS_sendmsg, [3, 1 << 46, 0]));
        assert!(allows(&list, libc::SYS_getsockopt, [3, 1, 57]));
        assert!(!allows(&list, libc::SYS_getsockopt, [3, 6, 57]));
        assert!(!allows(&list, libc::SYS_getsockopt, [3, 1 << 32 | 1, 57]));
        assert!(!allows(&list, libc::SYS_getsockname, [3, 0, 0]));
    }

    #[test]
    fn what_computes_is_followed() {
        // A = ((number + 2) * 3 ^ 1) kept and loaded again, and compared in X.
        let number = 45u32;
        let result = ((number + 2) * 3) ^ 1;
        let mut list = vec![
            statement(0x20, 0),
            statement(0x04, 2),
            statement(0x24, 3),
            statement(0xa4, 1),
            statement(0x02, 7),
            statement(0x00, result),
            statement(0x07, 0),
            statement(0x60, 7),
            jump(0x1d, 0, 0, 1),
            statement(0x06, ALLOW),
            statement(0x06, libc::SECCOMP_RET_ERRNO | 1),
        ];
        assert!(allows(&list, number.into(), [0; 3]));
        assert!(!allows(&list, 46, [0; 3]));
        // Never the kernel's: it runs out.
        list.truncate(9);
        assert!(!allows(&list, number.into(), [0; 3]));
        assert!(!allows(&[statement(0x20, 4096)], 1, [0; 3]));
    }
}
