//! The buckets of histograms: the same for all, so that they can be compared.

use std::time::Duration;

/// Upper bounds of the buckets but the last, in microseconds: from below what a function that says hello
/// takes to the default limit of `wall`.
const MICROS: [u64; 17] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

/// Buckets, with the one for what is over every bound.
pub(crate) const BUCKETS: usize = MICROS.len() + 1;

/// Upper bounds of the buckets, in seconds.
pub(crate) const BOUNDS: [f64; BUCKETS] = {
    let mut bounds = [f64::MAX; BUCKETS];
    let mut at = 0;
    while at < MICROS.len() {
        bounds[at] = MICROS[at] as f64 / 1e6;
        at += 1;
    }
    bounds
};

/// The bucket that `time` is in: the first whose bound is not below it.
pub(super) fn bucket(time: Duration) -> usize {
    let nanos = time.as_nanos();
    MICROS.partition_point(|bound| u128::from(*bound) * 1_000 < nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        for (micros, expected) in [
            (0, 0),
            (100, 0),
            (101, 1),
            (30_000_000, 16),
            (40_000_000, 17),
        ] {
            assert_eq!(bucket(Duration::from_micros(micros)), expected, "{micros}");
        }
        assert_eq!(bucket(Duration::from_nanos(100_001)), 1);
        assert!(BOUNDS.is_sorted());
    }
}
