//! What a handful of measurements say: their middle, and how far they lie apart.

use serde::{Deserialize, Serialize};

/// The median of some samples, and their spread.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Summary {
    /// The middle one; between the two in the middle where there are two.
    pub median: f64,
    /// Half the distance of the largest from the smallest, as a share of the median.
    pub spread: f64,
    /// All, in the order of their coming.
    pub samples: Vec<f64>,
}

impl Summary {
    /// Of nothing there is none.
    pub fn of(samples: &[f64]) -> Option<Summary> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (first, last) = (sorted.first()?, sorted.last()?);
        let median = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        let spread = if median == 0.0 { 0.0 } else { (last - first) / 2.0 / median };
        Some(Summary { median, spread, samples: samples.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn the_middle_is_not_moved_by_one_that_is_far_off() {
        let Some(summary) = Summary::of(&[10.0, 1000.0, 12.0]) else { panic!("three samples have a median") };
        assert_eq!((summary.median, summary.spread), (12.0, 41.25));
        assert_eq!(summary.samples, [10.0, 1000.0, 12.0]);
    }

    #[test]
    fn two_have_their_middle_between_them_and_none_have_none() {
        assert_eq!(Summary::of(&[2.0, 1.0]).map(|summary| summary.median), Some(1.5));
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[0.0]).map(|summary| summary.spread), Some(0.0));
    }
}
