//! p-values from an empirical null: how many of the null's values lie as far left as
//! the one observed.
//!
//! `p = (1 + #{null <= observed}) / (k + 1)` counts the observed value among the null's
//! own. If observed and null are exchangeable, `P[p <= u] <= u` for every u, whatever
//! their distribution and however many ties (methods 1.3). The smallest p is 1/(k+1).
//!
//! What cannot be compared counts against a discovery: a NaN in an unsorted null counts
//! as "as far left", an observed NaN gives 1, and an empty null gives 1.

/// Left-tail p-value of `observed` among the values of `null`, in any order.
#[must_use]
pub fn ecdf_p_value(null: &[f64], observed: f64) -> f64 {
    let above = null.iter().filter(|&&value| value > observed).count();
    p_from_count(null.len() - above, null.len())
}

/// [`ecdf_p_value`] of a null that is sorted upwards and free of NaN: a binary search.
#[must_use]
pub fn ecdf_p_value_sorted(null_sorted: &[f64], observed: f64) -> f64 {
    if observed.is_nan() {
        return 1.0;
    }
    let count = null_sorted.partition_point(|&value| value <= observed);
    p_from_count(count, null_sorted.len())
}

/// [`ecdf_p_value_sorted`] as if the value at `index_left_out` had been removed.
/// An index beyond the end removes nothing.
#[must_use]
pub fn ecdf_p_value_sorted_without(
    null_sorted: &[f64],
    index_left_out: usize,
    observed: f64,
) -> f64 {
    if index_left_out >= null_sorted.len() {
        return ecdf_p_value_sorted(null_sorted, observed);
    }
    if observed.is_nan() {
        return 1.0;
    }
    let count = null_sorted.partition_point(|&value| value <= observed);
    p_from_count(
        count - usize::from(index_left_out < count),
        null_sorted.len() - 1,
    )
}

/// The p-value where `count` of `k` null values are as far left as the one observed:
/// `(1 + count) / (k + 1)`.
#[must_use]
pub fn ecdf_p_value_of_count(count: usize, k: usize) -> f64 {
    p_from_count(count, k)
}

/// `(1 + count) / (k + 1)`.
pub(crate) fn p_from_count(count: usize, k: usize) -> f64 {
    (1 + count) as f64 / (k + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A list with many ties, sorted, and something observed that often ties too.
    fn null_and_observed() -> impl Strategy<Value = (Vec<f64>, f64)> {
        (
            prop::collection::vec((0i32..12).prop_map(f64::from), 1..40),
            (-1i32..14).prop_map(f64::from),
        )
            .prop_map(|(mut null, observed)| {
                null.sort_by(f64::total_cmp);
                (null, observed)
            })
    }

    #[test]
    fn ties_count_and_nothing_falls_below_the_floor() {
        let null = [3.0, 1.0, 2.0, 2.0];
        assert!((ecdf_p_value(&null, 0.0) - 0.2).abs() < 1e-15);
        assert!((ecdf_p_value(&null, 2.0) - 0.8).abs() < 1e-15);
        assert!((ecdf_p_value(&null, 9.0) - 1.0).abs() < 1e-15);
        assert!((ecdf_p_value(&[], 9.0) - 1.0).abs() < 1e-15);
        assert!((ecdf_p_value(&null, f64::NAN) - 1.0).abs() < 1e-15);
        assert!((ecdf_p_value_sorted(&[1.0, 2.0], f64::NAN) - 1.0).abs() < 1e-15);
        assert!((ecdf_p_value(&[f64::NAN, 5.0], 1.0) - 2.0 / 3.0).abs() < 1e-15);
    }

    /// Exchangeability says that each of the k+1 values is the observed one with equal
    /// probability. Enumerate them all: the share with p <= u may not exceed u, for
    /// every level u that p can take; and without ties it is u exactly.
    #[test]
    fn super_uniform_under_exchangeability_by_enumeration() {
        let check = |pool: &[f64], distinct: bool| {
            let p_values: Vec<f64> = (0..pool.len())
                .map(|i| {
                    let mut null = pool.to_vec();
                    let observed = null.remove(i);
                    ecdf_p_value(&null, observed)
                })
                .collect();
            for level in 1..=pool.len() {
                let u = level as f64 / pool.len() as f64;
                let hits = p_values.iter().filter(|&&p| p <= u + 1e-12).count();
                if distinct {
                    assert_eq!(hits, level);
                } else {
                    assert!(hits <= level, "{pool:?}: {hits} of {level}");
                }
            }
        };
        check(&[0.3, -1.0, 7.0, 2.5, 2.4, 100.0], true);
        // every multiset of five values from three: all patterns of ties
        for code in 0..3usize.pow(5) {
            let pool: Vec<f64> = (0..5u32)
                .map(|digit| (code / 3usize.pow(digit) % 3) as f64)
                .collect();
            check(&pool, false);
        }
    }

    proptest! {
        #[test]
        fn sorted_equals_unsorted((null, observed) in null_and_observed()) {
            prop_assert_eq!(
                ecdf_p_value(&null, observed).to_bits(),
                ecdf_p_value_sorted(&null, observed).to_bits()
            );
        }

        #[test]
        fn without_equals_removing((null, observed) in null_and_observed(), at in 0usize..50) {
            let mut removed = null.clone();
            if at < removed.len() {
                removed.remove(at);
            }
            prop_assert_eq!(
                ecdf_p_value_sorted(&removed, observed).to_bits(),
                ecdf_p_value_sorted_without(&null, at, observed).to_bits()
            );
        }

        #[test]
        fn rises_with_the_observed((null, observed) in null_and_observed()) {
            prop_assert!(ecdf_p_value(&null, observed) <= ecdf_p_value(&null, observed + 1.0));
        }
    }
}
