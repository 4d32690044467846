//! From a graph of tests to instructions.
//!
//! Nodes become code in the order of the graph, each by loading its value into A and comparing it. What A holds at a node's
//! end is known, and so is whether X holds the length of an IPv4 header; where all ways to a node agree that A holds its value
//! already, it is not loaded again.
//!
//! A conditional jump reaches 255 instructions far. Where a target is further, the jump leads to an unconditional one that
//! is put behind it; as that moves what follows, it is repeated until all targets are in reach.

use super::condition::{Base, Value};
use super::graph::{ACCEPT, Graph, Node, REJECT};
use crate::code::*;
use crate::instruction::Instruction;
use crate::program::MAX_INSTRUCTIONS;

/// What the registers hold.
#[derive(Clone, Copy, Default, PartialEq)]
struct State<'a> {
    a: Option<&'a Value>,
    /// X is the length of the IPv4 header that begins here.
    x: Option<u32>,
}

/// The code of a node: what to compute, how to compare, and which of its ways need a jump of their own.
struct Block {
    number: usize,
    statements: Vec<Instruction>,
    compare: u16,
    k: u32,
    far: [bool; 2],
}

/// A program that keeps so many bytes of a frame that the graph accepts. `None` when it would be too large.
pub(super) fn emit(graph: &Graph<'_>, keep: u32) -> Option<Vec<Instruction>> {
    let ends = [Instruction::statement(RET | K, keep), Instruction::statement(RET | K, 0)];
    match graph.root {
        ACCEPT => return Some(vec![ends[0]]),
        REJECT => return Some(vec![ends[1]]),
        _ => {}
    }
    let mut blocks = blocks(graph);
    loop {
        let (starts, len) = place(graph, &blocks);
        if len > MAX_INSTRUCTIONS {
            return None;
        }
        if !lengthen(graph, &mut blocks, &starts) {
            let mut program = Vec::with_capacity(len);
            blocks.iter().for_each(|block| write(graph, block, &starts, &mut program));
            program.extend(ends);
            return Some(program);
        }
    }
}

fn blocks(graph: &Graph<'_>) -> Vec<Block> {
    let order = graph.reached();
    // What the registers hold where a node begins; the outer `None` before any way to it is met.
    let mut states: Vec<Option<State>> = vec![None; graph.root + 1];
    states[graph.root] = Some(State::default());
    let mut blocks = Vec::with_capacity(order.len());
    for number in order {
        let node = graph.node(number);
        let mut code = Code { statements: Vec::new(), state: states[number].unwrap_or_default(), cells: 0 };
        let (operand, k) = code.compute(node);
        for next in [node.holds, node.fails] {
            let agreed = match states[next] {
                None => code.state,
                Some(other) => State {
                    a: other.a.filter(|value| Some(*value) == code.state.a),
                    x: other.x.filter(|at| Some(*at) == code.state.x),
                },
            };
            states[next] = Some(agreed);
        }
        let compare = JMP | node.test | operand;
        blocks.push(Block { number, statements: code.statements, compare, k, far: [false; 2] });
    }
    blocks
}

/// Where each node begins, by its number, and how long all is.
fn place(graph: &Graph<'_>, blocks: &[Block]) -> (Vec<usize>, usize) {
    let mut starts = vec![0; graph.root + 1];
    let mut at = 0;
    for block in blocks {
        starts[block.number] = at;
        at += block.len();
    }
    (starts[ACCEPT], starts[REJECT]) = (at, at + 1);
    (starts, at + 2)
}

/// Gives far targets a jump of their own. Whether there were any without.
fn lengthen(graph: &Graph<'_>, blocks: &mut [Block], starts: &[usize]) -> bool {
    let mut changed = false;
    for block in blocks {
        let node = graph.node(block.number);
        let after = starts[block.number] + block.statements.len() + 1;
        for (way, target) in [node.holds, node.fails].into_iter().enumerate() {
            if !block.far[way] && starts[target] - after > usize::from(u8::MAX) {
                block.far[way] = true;
                changed = true;
            }
        }
    }
    changed
}

fn write(graph: &Graph<'_>, block: &Block, starts: &[usize], program: &mut Vec<Instruction>) {
    let node = graph.node(block.number);
    program.extend(&block.statements);
    let after = program.len() + 1;
    let targets = [starts[node.holds], starts[node.fails]];
    // The jumps of their own stand right behind, that of the first way first.
    let mut jumps = Vec::new();
    let [jt, jf] = [0, 1].map(|way| {
        if !block.far[way] {
            return (targets[way] - after) as u8;
        }
        jumps.push(targets[way]);
        jumps.len() as u8 - 1
    });
    program.push(Instruction::jump(block.compare, block.k, jt, jf));
    for target in jumps {
        let distance = target - program.len() - 1;
        program.push(Instruction::statement(JMP | JA, distance as u32));
    }
}

impl Block {
    fn len(&self) -> usize {
        self.statements.len() + 1 + self.far.into_iter().filter(|far| *far).count()
    }
}

/// Statements, and what the registers hold after them.
struct Code<'a> {
    statements: Vec<Instruction>,
    state: State<'a>,
    /// Words of scratch memory in use.
    cells: u32,
}

impl<'a> Code<'a> {
    fn push(&mut self, code: u16, k: u32) {
        self.statements.push(Instruction::statement(code, k));
    }

    /// Brings a node's left value into A. The operand to compare it with, `K` or `X`, and the constant.
    fn compute(&mut self, node: &Node<'a>) -> (u16, u32) {
        match node.right {
            Value::Constant(k) => {
                self.load(node.left);
                (K, *k)
            }
            right => {
                self.load_both(node.left, right);
                (X, 0)
            }
        }
    }

    /// A value into A.
    fn load(&mut self, value: &'a Value) {
        if self.state.a == Some(value) {
            return;
        }
        match value {
            Value::Constant(k) => self.push(LD | IMM, *k),
            Value::Length => self.push(LD | W | LEN, 0),
            Value::Load { size, from, index } => self.load_bytes(*size, *from, index),
            Value::Negate(inner) => {
                self.load(inner);
                self.push(ALU | NEG, 0);
            }
            Value::Binary(operation, left, right) => match **right {
                Value::Constant(k) => {
                    self.load(left);
                    self.push(ALU | operation | K, k);
                }
                _ => {
                    self.load_both(left, right);
                    self.push(ALU | operation | X, 0);
                }
            },
        }
        self.state.a = Some(value);
    }

    /// One value into A, another into X. The one that needs more memory goes first, while there is most; so a value of n
    /// parts needs no more than about log2(n) words.
    fn load_both(&mut self, left: &'a Value, right: &'a Value) {
        let cell = self.cells;
        let left_first = words(left) > words(right);
        let (first, second) = if left_first { (left, right) } else { (right, left) };
        self.load(first);
        self.push(ST, cell);
        self.cells += 1;
        self.load(second);
        self.cells -= 1;
        if left_first {
            self.push(MISC | TAX, 0);
            self.push(LD | MEM, cell);
        } else {
            self.push(LDX | MEM, cell);
        }
        self.state = State { a: Some(left), x: None };
    }

    fn load_bytes(&mut self, size: u16, from: Base, index: &'a Value) {
        match (from, index) {
            (Base::Start(at), Value::Constant(k)) => self.push(LD | size | ABS, at + k),
            (Base::AfterIpv4(at), Value::Constant(k)) => {
                if self.state.x != Some(at) {
                    self.push(LDX | B | MSH, at);
                    self.state.x = Some(at);
                }
                self.push(LD | size | IND, at + k);
            }
            (Base::Start(at) | Base::AfterIpv4(at), index) => {
                self.load(index);
                if matches!(from, Base::AfterIpv4(_)) {
                    self.push(LDX | B | MSH, at);
                    self.push(ALU | ADD | X, 0);
                }
                self.push(MISC | TAX, 0);
                self.state.x = None;
                self.push(LD | size | IND, at);
            }
        }
    }
}

/// Words of memory that it takes to compute a value.
fn words(value: &Value) -> u32 {
    match value {
        Value::Constant(_) | Value::Length => 0,
        Value::Load { index, .. } => words(index),
        Value::Negate(inner) => words(inner),
        Value::Binary(_, left, right) if matches!(**right, Value::Constant(_)) => words(left),
        Value::Binary(_, left, right) => {
            let (left, right) = (words(left), words(right));
            left.max(right).max(left.min(right) + 1)
        }
    }
}
