//! An expression as a graph of tests, of which each leads to one of two others, or to the end.
//!
//! The graph is built from its end: the test of `a and b` is that of `a`, which leads to that of `b` where `a` holds, and
//! to the end where it does not. Equal tests with equal ways on are one node. Every edge leads to a node with a lower number, so
//! a walk by falling numbers meets each node after all that lead to it.
//!
//! Then known answers are used. What a test has said holds on the way on from it: where all ways to a node agree on
//! an answer, the node knows it, too. An edge to a test whose answer is known by then goes past it. The value of a test that is
//! gone past was loaded before, on the same way, so nothing that could fail is left out. Tests that have become equal by
//! that, because they differed only in where they led, become one again.

use std::collections::HashMap;

use super::condition::{Condition, Value};
use crate::code::*;

/// The end that drops a frame.
pub(super) const REJECT: usize = 0;
/// The end that keeps a frame.
pub(super) const ACCEPT: usize = 1;

/// More than a program can have instructions for.
const MAX_NODES: usize = 4096;
/// Answers that a node remembers, the latest.
const MAX_FACTS: usize = 64;
/// How often the whole graph is gone through; after two or three times there is seldom anything left to do.
const MAX_ROUNDS: usize = 8;

/// Tests, numbered from 2.
#[derive(Debug)]
pub(super) struct Graph<'a> {
    nodes: Vec<Node<'a>>,
    /// The first to ask.
    pub(super) root: usize,
}

/// A comparison by `JEQ`, `JGT`, `JGE` or `JSET`, and where to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node<'a> {
    pub(super) test: u16,
    pub(super) left: &'a Value,
    pub(super) right: &'a Value,
    pub(super) holds: usize,
    pub(super) fails: usize,
}

/// A comparison with a constant, and its answer.
#[derive(Clone, Copy, PartialEq)]
struct Fact<'a> {
    value: &'a Value,
    test: u16,
    constant: u32,
    answer: bool,
}

impl<'a> Graph<'a> {
    /// `None` when it would have too many nodes.
    pub(super) fn new(condition: &'a Condition) -> Option<Graph<'a>> {
        let mut builder = Builder { nodes: Vec::new(), known: HashMap::new() };
        let root = builder.build(condition, ACCEPT, REJECT)?;
        let mut graph = Graph { nodes: builder.nodes, root };
        for _ in 0..MAX_ROUNDS {
            if !graph.shorten() {
                break;
            }
            graph.merge();
        }
        Some(graph)
    }

    /// The node of a number that is no end.
    pub(super) fn node(&self, number: usize) -> &Node<'a> {
        &self.nodes[number - 2]
    }

    /// The numbers of all nodes that can be reached, each after those that lead to it.
    pub(super) fn reached(&self) -> Vec<usize> {
        let mut reached = vec![false; self.nodes.len() + 2];
        reached[self.root] = true;
        for number in (2..reached.len()).rev().filter(|number| *number <= self.root) {
            if reached[number] {
                let Node { holds, fails, .. } = *self.node(number);
                reached[holds] = true;
                reached[fails] = true;
            }
        }
        (2..reached.len()).rev().filter(|number| reached[*number]).collect()
    }

    /// Lets edges go past tests with known answers. Whether there were any.
    fn shorten(&mut self) -> bool {
        let mut changed = false;
        // What all ways to a node agree on; `None` before the first way is met.
        let mut facts: Vec<Option<Vec<Fact<'a>>>> = vec![None; self.nodes.len() + 2];
        facts[self.root] = Some(Vec::new());
        for number in self.reached() {
            let here = facts[number].take().unwrap_or_default();
            let node = *self.node(number);
            for answer in [true, false] {
                let mut known = here.clone();
                if let Value::Constant(constant) = *node.right {
                    known.truncate(MAX_FACTS - 1);
                    known.insert(0, Fact { value: node.left, test: node.test, constant, answer });
                }
                let old = if answer { node.holds } else { node.fails };
                let new = self.past_known(old, &known);
                changed |= new != old;
                let edge = &mut self.nodes[number - 2];
                if answer {
                    edge.holds = new;
                } else {
                    edge.fails = new;
                }
                match &mut facts[new] {
                    Some(agreed) => agreed.retain(|fact| known.contains(fact)),
                    none => *none = Some(known),
                }
            }
        }
        changed
    }

    /// Makes one of nodes that have become equal: the lowest. One that drops the frame whatever it finds is that end itself;
    /// if its load failed, that would drop the frame as well.
    fn merge(&mut self) {
        let mut known = HashMap::new();
        let mut instead: Vec<usize> = (0..self.nodes.len() + 2).collect();
        for (index, node) in self.nodes.iter_mut().enumerate() {
            (node.holds, node.fails) = (instead[node.holds], instead[node.fails]);
            let drops = node.holds == REJECT && node.fails == REJECT;
            instead[index + 2] = if drops { REJECT } else { *known.entry(*node).or_insert(index + 2) };
        }
        self.root = instead[self.root];
    }

    fn past_known(&self, mut number: usize, facts: &[Fact<'a>]) -> usize {
        while number > ACCEPT {
            let node = self.node(number);
            let Value::Constant(constant) = *node.right else { break };
            let about = facts.iter().filter(|fact| fact.value == node.left);
            let Some(answer) = about.filter_map(|fact| fact.answers(node.test, constant)).next() else { break };
            number = if answer { node.holds } else { node.fails };
        }
        number
    }
}

impl Fact<'_> {
    /// What it says of another test of the same value.
    fn answers(&self, test: u16, constant: u32) -> Option<bool> {
        if self.test == JEQ && self.answer {
            return Some(match test {
                JEQ => self.constant == constant,
                JGT => self.constant > constant,
                JGE => self.constant >= constant,
                _ => self.constant & constant != 0,
            });
        }
        (self.test == test && self.constant == constant).then_some(self.answer)
    }
}

struct Builder<'a> {
    nodes: Vec<Node<'a>>,
    known: HashMap<Node<'a>, usize>,
}

impl<'a> Builder<'a> {
    /// The number of the first node of a condition that leads to these two.
    fn build(&mut self, condition: &'a Condition, holds: usize, fails: usize) -> Option<usize> {
        match condition {
            Condition::Constant(true) => Some(holds),
            Condition::Constant(false) => Some(fails),
            Condition::Not(inner) => self.build(inner, fails, holds),
            Condition::And(first, second) => {
                let second = self.build(second, holds, fails)?;
                self.build(first, second, fails)
            }
            Condition::Or(first, second) => {
                let second = self.build(second, holds, fails)?;
                self.build(first, holds, second)
            }
            Condition::Test(test, left, right) => self.node(Node { test: *test, left, right, holds, fails }),
        }
    }

    fn node(&mut self, node: Node<'a>) -> Option<usize> {
        if let Some(number) = self.known.get(&node) {
            return Some(*number);
        }
        if self.nodes.len() == MAX_NODES {
            return None;
        }
        self.nodes.push(node);
        let number = self.nodes.len() + 1;
        self.known.insert(node, number);
        Some(number)
    }
}
