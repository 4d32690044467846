//! The table `[icmp]` of a node's file: which errors it sends, and how many.

use serde::Deserialize;
use sockeye_stack::{ErrorRates, Rate};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    ports: Option<bool>,
    per_second: Option<u32>,
    at_once: Option<u32>,
    each_per_second: Option<u32>,
    each_at_once: Option<u32>,
}

impl Table {
    /// What the stack is told, where the file says it.
    pub(super) fn apply(self, rates: &mut ErrorRates) {
        let Table { ports, per_second, at_once, each_per_second, each_at_once } = self;
        let change = |rate: &mut Rate, sustained: Option<u32>, burst: Option<u32>| {
            rate.sustained = sustained.unwrap_or(rate.sustained);
            rate.burst = burst.unwrap_or(rate.burst);
        };
        rates.ports = ports.unwrap_or(rates.ports);
        change(&mut rates.all, per_second, at_once);
        change(&mut rates.each, each_per_second, each_at_once);
    }
}
