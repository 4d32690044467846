//! What a filter of system calls says to one.
//!
//! It is a program of classic BPF over `struct seccomp_data`: the call's number, the architecture, where it comes from, and six arguments. The kernel
//! verifies it (`seccomp_check_filter`) when it is set, and runs it for each call; here it is run for calls that are not being made. One
//! that does what the kernel would not let it do allows nothing.
//!
//! # Standards
//!
//! seccomp(2); `linux/bpf_common.h`, `linux/seccomp.h`.

use crate::memory;
use crate::sys::Errno;
use libc::{c_long, sock_filter, sock_fprog};

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

const CLASS: u16 = 0x07;
const LD: u16 = 0x00;
const LDX: u16 = 0x01;
const ST: u16 = 0x02;
const STX: u16 = 0x03;
const ALU: u16 = 0x04;
const JMP: u16 = 0x05;
const RET: u16 = 0x06;
const MODE: u16 = 0xe0;
const IMM: u16 = 0x00;
const ABS: u16 = 0x20;
const MEM: u16 = 0x60;
const LEN: u16 = 0x80;
const OPERATION: u16 = 0xf0;
const FROM_X: u16 = 0x08;
const RET_A: u16 = 0x10;
const TXA: u16 = 0x80;

/// A filter, where the program has it.
pub(super) struct Filter {
    code: *const sock_filter,
    len: usize,
}

impl Filter {
    /// The one that is there.
    pub(super) fn at(filter: *const sock_fprog) -> Result<Filter, Errno> {
        let sock_fprog { len, filter, .. } = memory::read_value(filter)?;
        let len = usize::from(len);
        memory::check_readable(filter.cast(), len * size_of::<sock_filter>())?;
        Ok(Filter { code: filter, len })
    }

    /// Whether a call with these first arguments would be made.
    pub(super) fn allows(&self, number: c_long, arguments: [u64; 3]) -> bool {
        const ACTION: u32 = 0xffff_0000;
        let mut data = [0; WORDS];
        (data[0], data[1]) = (number as u32, ARCHITECTURE);
        for (at, argument) in arguments.into_iter().enumerate() {
            // The low half first, where this machine has it.
            let halves = [argument as u32, (argument >> 32) as u32];
            data[4 + 2 * at] = if cfg!(target_endian = "little") { halves[0] } else { halves[1] };
            data[5 + 2 * at] = if cfg!(target_endian = "little") { halves[1] } else { halves[0] };
        }
        let action = self.run(&data).map(|verdict| verdict & ACTION);
        matches!(action, Some(libc::SECCOMP_RET_ALLOW | libc::SECCOMP_RET_LOG))
    }

    fn instruction(&self, at: usize) -> Option<sock_filter> {
        // SAFETY: as many could be read there, and the program waits for the call that is about them.
        (at < self.len).then(|| unsafe { self.code.wrapping_add(at).read_unaligned() })
    }

    /// Jumps only go forward, so there are at most as many steps as instructions.
    fn run(&self, data: &[u32; WORDS]) -> Option<u32> {
        let (mut a, mut x, mut memory) = (0u32, 0u32, [0u32; 16]);
        let mut at = 0;
        loop {
            let sock_filter { code, jt, jf, k } = self.instruction(at)?;
            at += 1;
            let operand = if code & FROM_X == 0 { k } else { x };
            match code & CLASS {
                class @ (LD | LDX) => {
                    let loaded = match code & MODE {
                        IMM => k,
                        ABS => *data.get(k as usize / 4)?,
                        MEM => *memory.get(k as usize)?,
                        LEN => 4 * WORDS as u32,
                        _ => return None,
                    };
                    *(if class == LD { &mut a } else { &mut x }) = loaded;
                }
                ST => *memory.get_mut(k as usize)? = a,
                STX => *memory.get_mut(k as usize)? = x,
                ALU => {
                    a = match code & OPERATION {
                        0x00 => a.wrapping_add(operand),
                        0x10 => a.wrapping_sub(operand),
                        0x20 => a.wrapping_mul(operand),
                        // The kernel ends the program with 0 for a divisor of 0.
                        0x30 => a.checked_div(operand)?,
                        0x40 => a | operand,
                        0x50 => a & operand,
                        0x60 => a.wrapping_shl(operand),
                        0x70 => a.wrapping_shr(operand),
                        0x80 => a.wrapping_neg(),
                        0xa0 => a ^ operand,
                        _ => return None,
                    }
                }
                JMP => {
                    let holds = match code & OPERATION {
                        0x00 => {
                            at = at.checked_add(k as usize)?;
                            continue;
                        }
                        0x10 => a == operand,
                        0x20 => a > operand,
                        0x30 => a >= operand,
                        0x40 => a & operand != 0,
                        _ => return None,
                    };
                    at += usize::from(if holds { jt } else { jf });
                }
                RET => return Some(if code & RET_A == 0 { k } else { a }),
                // Of the class of the rest, moving between the two.
                _ if code & TXA == 0 => x = a,
                _ => a = x,
            }
        }
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
        Filter { code: list.as_ptr(), len: list.len() }.allows(number, arguments)
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
