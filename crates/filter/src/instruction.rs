//! One instruction in the form that crosses every boundary: `struct sock_filter`, eight bytes.

/// An instruction as a program gives it, verified or not. Which of the fields mean anything is up to the code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// What to do, of the numbers in [`code`](crate::code).
    pub code: u16,
    /// How many instructions a conditional jump skips when its condition holds.
    pub jt: u8,
    /// How many it skips when it does not hold.
    pub jf: u8,
    /// The constant: an operand, an offset, a word of memory, a distance.
    pub k: u32,
}

impl Instruction {
    /// Bytes of `struct sock_filter`.
    pub const LEN: usize = 8;

    /// An instruction that does not branch; the kernel's `BPF_STMT`.
    pub const fn statement(code: u16, k: u32) -> Instruction {
        Instruction { code, jt: 0, jf: 0, k }
    }

    /// A conditional jump; the kernel's `BPF_JUMP`.
    pub const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
        Instruction { code, jt, jf, k }
    }

    /// From the eight bytes of a `struct sock_filter` in the machine's byte order.
    pub const fn from_ne_bytes([c0, c1, jt, jf, k0, k1, k2, k3]: [u8; Instruction::LEN]) -> Instruction {
        Instruction { code: u16::from_ne_bytes([c0, c1]), jt, jf, k: u32::from_ne_bytes([k0, k1, k2, k3]) }
    }

    /// The eight bytes of a `struct sock_filter` in the machine's byte order.
    pub const fn to_ne_bytes(self) -> [u8; Instruction::LEN] {
        let ([c0, c1], [k0, k1, k2, k3]) = (self.code.to_ne_bytes(), self.k.to_ne_bytes());
        [c0, c1, self.jt, self.jf, k0, k1, k2, k3]
    }
}
