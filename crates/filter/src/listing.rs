//! Programs as text: the assembly that `tcpdump -d` prints, and the numbers that people paste.
//!
//! Numbers come in two forms, which [`parse`] tells apart by their first character:
//!
//! ```text
//!   2                         2,40 0 0 12,6 0 0 96          { 0x28, 0, 0, 0x0000000c },
//!   40 0 0 12                                               { 0x6, 0, 0, 0x00000060 },
//!   6 0 0 96
//!   tcpdump -ddd              bpf_asm, iptables -m bpf      tcpdump -dd, bpf_asm -c
//! ```
//!
//! Parsing does not verify: that is for [`Program::new`](crate::Program::new).

use std::fmt;

use crate::ancillary::Ancillary;
use crate::code::*;
use crate::instruction::Instruction;
use crate::program::MAX_INSTRUCTIONS;

/// Shows a program as `tcpdump -d` does: a line for each instruction, with targets of jumps in full.
#[derive(Clone, Copy, Debug)]
pub struct Assembly<'a>(pub &'a [Instruction]);

/// Shows a program as `tcpdump -ddd` does: how many instructions, then the four numbers of each.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<'a>(pub &'a [Instruction]);

/// Why a text is no program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// The text does not begin with the number of instructions, or with a brace.
    NoCount,
    /// An instruction, counted from 0, is not four numbers that fit its fields.
    NotAnInstruction(usize),
    /// There are more or fewer instructions than the text says.
    Count {
        /// What it says.
        said: usize,
        /// What there are.
        found: usize,
    },
    /// There are more instructions than any program may have.
    TooLong,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            ParseError::NoCount => f.write_str("a filter begins with the number of its instructions, or with a brace"),
            ParseError::NotAnInstruction(at) => {
                write!(f, "instruction {at}: expected code, jt, jf and k as four numbers in range")
            }
            ParseError::Count { said, found } => write!(f, "{said} instructions announced, {found} found"),
            ParseError::TooLong => write!(f, "more than {MAX_INSTRUCTIONS} instructions"),
        }
    }
}

impl std::error::Error for ParseError {}

/// Reads a program from numbers, in either form.
pub fn parse(text: &str) -> Result<Vec<Instruction>, ParseError> {
    let text = text.trim();
    if text.starts_with('{') {
        // What stands between one brace and the next, less the separator.
        let records = text.split_inclusive('}').map(|record| record.trim_start_matches([',', ' ', '\t', '\r', '\n']));
        return records
            .filter(|record| !record.is_empty())
            .enumerate()
            .map(|(at, record)| {
                let inner = record.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
                bounded(at, inner.and_then(|inner| fields(inner.split(','))))
            })
            .collect();
    }
    let mut records = text.split(['\n', ',']).map(str::trim).filter(|record| !record.is_empty());
    let said = records.next().and_then(|count| count.parse().ok()).ok_or(ParseError::NoCount)?;
    let parsed = records.enumerate().map(|(at, record)| bounded(at, fields(record.split_whitespace())));
    let instructions = parsed.collect::<Result<Vec<_>, _>>()?;
    if instructions.len() != said {
        return Err(ParseError::Count { said, found: instructions.len() });
    }
    Ok(instructions)
}

fn bounded(at: usize, instruction: Option<Instruction>) -> Result<Instruction, ParseError> {
    if at < MAX_INSTRUCTIONS { instruction.ok_or(ParseError::NotAnInstruction(at)) } else { Err(ParseError::TooLong) }
}

/// The four fields, and nothing after them.
fn fields<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Instruction> {
    let mut next = || number(words.next()?);
    let (code, jt, jf, k) = (next()?, next()?, next()?, next()?);
    if words.next().is_some() {
        return None;
    }
    Some(Instruction { code: code.try_into().ok()?, jt: jt.try_into().ok()?, jf: jf.try_into().ok()?, k })
}

/// Decimal, or hexadecimal with its prefix. A negative constant is the word with the same bits.
fn number(word: &str) -> Option<u32> {
    let word = word.trim();
    match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        // No sign behind the prefix, which from_str_radix would take.
        Some(digits) if digits.starts_with(|c: char| c.is_ascii_hexdigit()) => u32::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None if word.starts_with('-') => word.parse::<i32>().ok().map(i32::cast_unsigned),
        None => word.parse().ok(),
    }
}

impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.0.len())?;
        self.0.iter().try_for_each(|Instruction { code, jt, jf, k }| writeln!(f, "{code} {jt} {jf} {k}"))
    }
}

impl fmt::Display for Assembly<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(at, instruction)| line(f, at, instruction))
    }
}

fn line(f: &mut fmt::Formatter<'_>, at: usize, instruction: &Instruction) -> fmt::Result {
    let Instruction { code, jt, jf, k } = *instruction;
    let (name, operand) = (mnemonic(code), operand(at, code, k));
    if code & 0x07 == JMP && code & 0xf0 != JA {
        let target = |skip: u8| at + 1 + usize::from(skip);
        writeln!(f, "({at:03}) {name:<8} {operand:<16} jt {}\tjf {}", target(jt), target(jf))
    } else {
        writeln!(f, "({at:03}) {name:<8} {operand}")
    }
}

fn mnemonic(code: u16) -> &'static str {
    const SIZES: [&str; 3] = ["ld", "ldh", "ldb"];
    const OPERATIONS: [&str; 11] = ["add", "sub", "mul", "div", "or", "and", "lsh", "rsh", "neg", "mod", "xor"];
    const JUMPS: [&str; 5] = ["ja", "jeq", "jgt", "jge", "jset"];
    match Kind::of(code) {
        Kind::Absolute | Kind::Indirect => SIZES[usize::from(code & 0x18) >> 3],
        Kind::LoadImmediate | Kind::LoadLength | Kind::LoadMemory => {
            if code & 0x07 == LD {
                "ld"
            } else {
                "ldx"
            }
        }
        Kind::HeaderLength => "ldxb",
        Kind::Store => {
            if code == ST {
                "st"
            } else {
                "stx"
            }
        }
        Kind::Arithmetic | Kind::ArithmeticX | Kind::Negate => OPERATIONS[usize::from(code) >> 4],
        Kind::Jump | Kind::Compare | Kind::CompareX => JUMPS[usize::from(code) >> 4],
        Kind::Return | Kind::ReturnA => "ret",
        Kind::Move => {
            if code == MISC | TAX {
                "tax"
            } else {
                "txa"
            }
        }
        Kind::Unknown => "unimp",
    }
}

fn operand(at: usize, code: u16, k: u32) -> String {
    let signed = k.cast_signed();
    match Kind::of(code) {
        Kind::Absolute => match Ancillary::at(k) {
            Some(ancillary) => format!("[{}]", ancillary.name()),
            None => format!("[{signed}]"),
        },
        Kind::Indirect => format!("[x + {signed}]"),
        Kind::LoadImmediate | Kind::Compare => format!("#{k:#x}"),
        Kind::LoadLength => "#pktlen".to_owned(),
        Kind::LoadMemory | Kind::Store => format!("M[{signed}]"),
        Kind::HeaderLength => format!("4*([{signed}]&0xf)"),
        // Masks read best as such.
        Kind::Arithmetic if matches!(code & 0xf0, AND | OR | XOR) => format!("#{k:#x}"),
        Kind::Arithmetic | Kind::Return => format!("#{signed}"),
        Kind::ArithmeticX | Kind::CompareX => "x".to_owned(),
        Kind::Jump => format!("{}", at as i64 + 1 + i64::from(signed)),
        Kind::Negate | Kind::ReturnA | Kind::Move => String::new(),
        Kind::Unknown => format!("{code:#x}"),
    }
}

/// Codes that are shown alike.
enum Kind {
    Absolute,
    Indirect,
    LoadImmediate,
    LoadLength,
    LoadMemory,
    HeaderLength,
    Store,
    Arithmetic,
    ArithmeticX,
    Negate,
    Jump,
    Compare,
    CompareX,
    Return,
    ReturnA,
    Move,
    Unknown,
}

impl Kind {
    fn of(code: u16) -> Kind {
        let (operation, is_x) = (code & 0xf0, code & X != 0);
        match code & 0x07 {
            _ if code > 0xff => Kind::Unknown,
            LD if code & 0x18 == 0x18 => Kind::Unknown,
            LD if code & 0xe0 == ABS => Kind::Absolute,
            LD if code & 0xe0 == IND => Kind::Indirect,
            _ if matches!(code, 0x00 | LDX) => Kind::LoadImmediate,
            _ if code == LD | LEN || code == LDX | LEN => Kind::LoadLength,
            _ if code == LD | MEM || code == LDX | MEM => Kind::LoadMemory,
            _ if code == LDX | B | MSH => Kind::HeaderLength,
            _ if matches!(code, ST | STX) => Kind::Store,
            ALU if code == ALU | NEG => Kind::Negate,
            ALU if operation > XOR || operation == NEG => Kind::Unknown,
            ALU if is_x => Kind::ArithmeticX,
            ALU => Kind::Arithmetic,
            JMP if code == JMP | JA => Kind::Jump,
            JMP if operation > JSET || operation == JA => Kind::Unknown,
            JMP if is_x => Kind::CompareX,
            JMP => Kind::Compare,
            _ if code == RET | K => Kind::Return,
            _ if code == RET | A => Kind::ReturnA,
            _ if code == MISC | TAX || code == MISC | TXA => Kind::Move,
            _ => Kind::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// tcpdump -ddd 'ip and udp dst port 53 and vlan_pcp = 1' would be long; this has one of each shape.
    const NUMBERS: &str = "12\n40 0 0 12\n21 0 9 2048\n48 0 0 4294963248\n177 0 0 14\n72 0 0 16\n37 0 5 1023\n84 0 0 240\n2 0 0 3\n96 0 0 3\n5 0 0 0\n22 0 0 0\n6 0 0 0\n";
    const ASSEMBLY: &str = "\
(000) ldh      [12]
(001) jeq      #0x800           jt 2\tjf 11
(002) ldb      [vlanp]
(003) ldxb     4*([14]&0xf)
(004) ldh      [x + 16]
(005) jgt      #0x3ff           jt 6\tjf 11
(006) and      #0xf0
(007) st       M[3]
(008) ld       M[3]
(009) ja       10
(010) ret      
(011) ret      #0
";

    #[test]
    fn assembly_is_what_tcpdump_prints() {
        let program = parse(NUMBERS).unwrap();
        assert_eq!(Assembly(&program).to_string(), ASSEMBLY);
        let odd = [
            Instruction::statement(LD | H | IND, -2_i32 as u32),
            Instruction::statement(ALU | ADD | K, u32::MAX),
            Instruction::statement(ALU | XOR | X, 0),
            Instruction::statement(LDX | W | LEN, 0),
            Instruction::statement(0x55, 7),
            Instruction::statement(0x1234, 7),
            Instruction::statement(0x18, 7),
        ];
        let expected = "\
(000) ldh      [x + -2]
(001) add      #-1
(002) xor      x
(003) ldx      #pktlen
(004) unimp    0x55             jt 5\tjf 5
(005) unimp    0x1234
(006) unimp    0x18
";
        assert_eq!(Assembly(&odd).to_string(), expected);
    }

    #[test]
    fn all_forms_of_numbers_are_the_same_program() {
        let program = parse(NUMBERS).unwrap();
        assert_eq!(Numbers(&program).to_string(), NUMBERS);
        assert_eq!(parse(&NUMBERS.replace('\n', ",")).unwrap(), program);
        let braces: String = program
            .iter()
            .map(|Instruction { code, jt, jf, k }| format!("{{ {code:#x},  {jt}, {jf}, {k:#010x} }},\n"))
            .collect();
        assert_eq!(parse(&braces).unwrap(), program);
        assert_eq!(parse("1,6 0 0 -1").unwrap(), [Instruction::statement(RET | K, u32::MAX)]);
    }

    #[test]
    fn what_is_no_program_is_refused_with_its_place() {
        assert_eq!(parse(""), Err(ParseError::NoCount));
        assert_eq!(parse("tcp port 80"), Err(ParseError::NoCount));
        assert_eq!(parse("2\n6 0 0 1"), Err(ParseError::Count { said: 2, found: 1 }));
        assert_eq!(parse("1\n6 0 0 1\n6 0 0 1"), Err(ParseError::Count { said: 1, found: 2 }));
        for bad in
            ["6 0 0", "6 0 0 0 0", "65536 0 0 0", "6 256 0 0", "6 0 -1 0", "6 0 0 4294967296", "6 0 0 0x", "6 0 0 0x+1"]
        {
            assert_eq!(parse(&format!("2\n6 0 0 1\n{bad}")), Err(ParseError::NotAnInstruction(1)), "{bad}");
        }
        for bad in ["{ 6, 0, 0 }", "{ 6, 0, 0, 1", "{ 6, 0, 0, 1 } x", "{{ 6, 0, 0, 1 }}", "{ 6 0 0 1 }"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse(&"{6,0,0,0},".repeat(4097)), Err(ParseError::TooLong));
    }
}
