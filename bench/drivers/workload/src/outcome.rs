//! What was measured, and the line that says so.
//!
//! Latencies go into a histogram whose columns are at most 1/128 of their value wide, so that recording costs nothing and
//! keeps nothing.

use std::fmt;
use std::time::Duration;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Payload bytes.
    Bytes,
    /// Requests that were answered.
    Requests,
    /// Connections that were opened, used and closed.
    Connections,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What is counted.
    pub unit: Unit,
    /// How many.
    pub count: u64,
    /// In what time.
    pub time: Duration,
    /// How long each took, where that was asked.
    pub latency: Option<Latency>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Bytes => "bytes",
            Unit::Requests => "requests",
            Unit::Connections => "connections",
        };
        let (count, seconds) = (self.count, self.time.as_secs_f64());
        write!(f, r#"{{"unit":"{unit}","count":{count},"seconds":{seconds:.6}"#)?;
        if let Some(latency) = &self.latency {
            let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|part| latency.quantile(part));
            write!(f, r#","latency_ns":{{"p50":{p50},"p99":{p99},"p999":{p999}}}"#)?;
        }
        write!(f, "}}")
    }
}

/// Columns within a doubling.
const COLUMNS_BITS: u32 = 7;

/// Times, by how often they occurred.
#[derive(Clone, Debug)]
pub struct Latency {
    columns: Vec<u64>,
    count: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Latency { columns: vec![0; column(u64::MAX) + 1], count: 0 }
    }
}

impl Latency {
    /// One more.
    pub fn record(&mut self, time: Duration) {
        self.columns[column(time.as_nanos() as u64)] += 1;
        self.count += 1;
    }

    /// The time within which this part of all lies, in nanoseconds; 0 if there are none.
    pub fn quantile(&self, part: f64) -> u64 {
        let rank = (self.count as f64 * part).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (column, count) in self.columns.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return middle(column);
            }
        }
        0
    }
}

/// The column of a value: its highest bits behind their place.
fn column(value: u64) -> usize {
    let magnitude = (u64::BITS - value.leading_zeros()).saturating_sub(COLUMNS_BITS + 1);
    ((magnitude as usize) << COLUMNS_BITS) + (value >> magnitude) as usize
}

/// A value from the middle of a column.
fn middle(column: usize) -> u64 {
    let magnitude = (column >> COLUMNS_BITS).saturating_sub(1);
    let bits = (column - (magnitude << COLUMNS_BITS)) as u64;
    (bits << magnitude) + ((1 << magnitude) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_narrow_and_in_order() {
        let mut last = 0;
        for value in (0..100_000).chain((17..60).map(|bit| (1 << bit) + 12_345)) {
            let column = column(value);
            assert!(column >= last);
            last = column;
            assert!(middle(column).abs_diff(value) <= value / 128, "{value} became {}", middle(column));
        }
    }

    #[test]
    fn quantiles_are_of_what_was_recorded() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile(0.5), 0);
        (1..=100).for_each(|n| latency.record(Duration::from_nanos(n)));
        assert_eq!([0.5, 0.99, 0.999].map(|part| latency.quantile(part)), [50, 99, 100]);
    }

    #[test]
    fn the_line_is_json() {
        let mut latency = Latency::default();
        latency.record(Duration::from_nanos(80));
        let time = Duration::from_millis(1500);
        let outcome = Outcome { unit: Unit::Requests, count: 1, time, latency: Some(latency) };
        let line = r#"{"unit":"requests","count":1,"seconds":1.500000,"latency_ns":{"p50":80,"p99":80,"p999":80}}"#;
        assert_eq!(outcome.to_string(), line);
    }
}
