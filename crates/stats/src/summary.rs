//! Means, quantiles and ranks of a list of numbers.

use crate::error::{InputError, check_lengths};

/// Arithmetic mean; `None` for an empty list.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Variance with divisor n-1, in two passes; `None` for fewer than two values.
#[must_use]
pub fn sample_variance(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let centre = mean(values)?;
    let squares: f64 = values.iter().map(|v| (v - centre) * (v - centre)).sum();
    Some(squares / (values.len() - 1) as f64)
}

/// Quantile of values sorted upwards, by linear interpolation between order statistics
/// (numpy's default, Hyndman and Fan's type 7). `None` for an empty list or q outside
/// [0, 1].
#[must_use]
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    if sorted.is_empty() || !(0.0..=1.0).contains(&q) {
        return None;
    }
    let position = q * (sorted.len() - 1) as f64;
    let below = (position.floor() as usize).min(sorted.len() - 1);
    let above = (below + 1).min(sorted.len() - 1);
    let share = position - below as f64;
    let (low, high) = (sorted[below], sorted[above]);
    // equal neighbours, infinite ones included, need no interpolation
    if share == 0.0 || low.total_cmp(&high).is_eq() {
        return Some(low);
    }
    // from the nearer end, so that the answer never leaves the two values
    Some(if share < 0.5 {
        low + (high - low) * share
    } else {
        high - (high - low) * (1.0 - share)
    })
}

/// Median, the mean of the middle two for an even count; `None` for an empty list or
/// one that holds a NaN.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    if values.iter().any(|v| v.is_nan()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, 0.5)
}

/// Ranks from 1, tied values sharing the mean of their ranks. NaN sorts last (or first,
/// with its sign set) and ties with nothing but its own bits.
#[must_use]
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| (values[i] + 0.0).total_cmp(&(values[j] + 0.0)));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        // adding +0 makes -0 and 0 one value
        let value = values[order[start]] + 0.0;
        let length = order[start..]
            .iter()
            .take_while(|&&i| (values[i] + 0.0).total_cmp(&value).is_eq())
            .count();
        let shared = start as f64 + 0.5 * (length as f64 + 1.0);
        for &i in &order[start..start + length] {
            ranks[i] = shared;
        }
        start += length;
    }
    ranks
}

/// Spearman's rank correlation, ties by mean ranks; `Ok(None)` where one list is
/// constant, for which it is not defined.
///
/// # Errors
/// Lists of different lengths, fewer than two values, or a NaN.
pub fn spearman(x: &[f64], y: &[f64]) -> Result<Option<f64>, InputError> {
    check_lengths(("x", "y"), (x.len(), y.len()))?;
    if x.len() < 2 {
        return Err(InputError::TooFew {
            argument: "x",
            found: x.len(),
            needed: 2,
        });
    }
    crate::error::check("x", x, "a number", |v| !v.is_nan())?;
    crate::error::check("y", y, "a number", |v| !v.is_nan())?;
    let centre = 0.5 * (x.len() as f64 + 1.0);
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (a, b) in ranks(x).into_iter().zip(ranks(y)) {
        let (a, b) = (a - centre, b - centre);
        xx += a * a;
        yy += b * b;
        xy += a * b;
    }
    if xx == 0.0 || yy == 0.0 {
        return Ok(None);
    }
    Ok(Some((xy / (xx.sqrt() * yy.sqrt())).clamp(-1.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_lists() {
        assert!(mean(&[]).is_none() && sample_variance(&[1.0]).is_none());
        assert!(median(&[f64::NAN]).is_none() && quantile(&[1.0], 1.5).is_none());
        assert!((sample_variance(&[1.0, 2.0, 4.0]).unwrap() - 7.0 / 3.0).abs() < 1e-15);
        assert!((median(&[3.0, 1.0, 2.0, 10.0]).unwrap() - 2.5).abs() < 1e-15);
        let infinite = [1.0, f64::INFINITY, f64::INFINITY];
        assert!(quantile(&infinite, 0.75).unwrap().is_infinite());
    }

    #[test]
    fn ties_share_their_mean_rank() {
        assert_eq!(
            ranks(&[2.0, -0.0, 0.0, 5.0, 2.0, 2.0]),
            vec![4.0, 1.5, 1.5, 6.0, 4.0, 4.0]
        );
    }

    #[test]
    fn spearman_of_a_constant_is_undefined_and_bad_input_is_an_error() {
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), Ok(None));
        assert!(spearman(&[1.0], &[1.0]).is_err());
        assert!(spearman(&[1.0, 2.0], &[1.0]).is_err());
        assert!(spearman(&[1.0, f64::NAN], &[1.0, 2.0]).is_err());
        let reversed = spearman(&[1.0, 2.0, 3.0], &[9.0, 4.0, 1.0])
            .unwrap()
            .unwrap();
        assert!((reversed + 1.0).abs() < 1e-15);
    }
}
