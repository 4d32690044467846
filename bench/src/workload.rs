//! What is measured: a workload is a file, and makes a list of cases, each on one wire.

mod bulk;
mod datagrams;
mod engine;
mod idle;
mod local;
mod redis;
mod request;
mod web;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::machine::busy_seconds;
use crate::scene::{Scene, Wire};
use crate::subject::Subject;

/// One measurement that every subject takes in turn.
pub struct Case {
    /// The workload it belongs to, as `--only` has it.
    pub workload: &'static str,
    /// What is done.
    pub title: String,
    /// On what, where there is a wire.
    pub wire: Option<Wire>,
    /// Whether a subject takes part.
    pub admits: fn(Subject) -> bool,
    /// What ratios are against.
    pub base: Base,
    /// Once is enough, because it takes long and varies little.
    pub once: bool,
    /// Whether it belongs to the short selection.
    pub quick: bool,
    /// Does it.
    pub measure: Measure,
}

/// Does the work of a case once.
pub type Measure = Box<dyn Fn(&Scene<'_>) -> Result<Vec<Figure>>>;

/// What a case's ratios are against.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Base {
    /// The kernel.
    Kernel,
    /// The best of the stacks that are not Sockeye, where no kernel takes part.
    BestOther,
}

/// A figure of one measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// What it is: `rate`, `p99`.
    pub name: &'static str,
    /// In what.
    pub unit: &'static str,
    /// How much.
    pub value: f64,
    /// Which way is better.
    pub better: Better,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// More of it.
    Higher,
    /// Less of it.
    Lower,
}

impl Figure {
    /// One of which more is better.
    pub fn more(name: &'static str, unit: &'static str, value: f64) -> Figure {
        Figure { name, unit, value, better: Better::Higher }
    }

    /// One of which less is better.
    pub fn less(name: &'static str, unit: &'static str, value: f64) -> Figure {
        Figure { name, unit, value, better: Better::Lower }
    }
}

/// All there is.
pub fn all() -> Vec<Case> {
    let workloads = [
        bulk::cases(),
        request::cases(),
        web::cases(),
        redis::cases(),
        datagrams::cases(),
        local::cases(),
        idle::cases(),
        engine::cases(),
    ];
    workloads.into_iter().flatten().collect()
}

/// What a traffic program or a driver says at its end.
#[derive(Debug, Deserialize)]
struct Told {
    count: f64,
    seconds: f64,
    #[serde(default)]
    sent: f64,
    latency_ns: Option<Latency>,
}

#[derive(Debug, Deserialize)]
struct Latency {
    p50: f64,
    p99: f64,
    p999: f64,
}

impl Told {
    /// From the last line of the output.
    fn read(output: &str) -> Result<Told> {
        let line = output.lines().last().unwrap_or_default();
        serde_json::from_str(line).map_err(|error| format!("no figures ({error}) in {line:?}").into())
    }

    fn rate(&self) -> f64 {
        self.count / self.seconds
    }
}

/// Does some work and says how much processor time the machine spent meanwhile.
fn busy<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let before = busy_seconds()?;
    let done = work()?;
    Ok((done, busy_seconds()? - before))
}
