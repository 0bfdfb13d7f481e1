//! Shape-preserving piecewise cubic interpolation (Fritsch and Carlson 1980, slopes of
//! Fritsch and Butland 1984), and the p-value that the paper takes from it.
//!
//! The interpolant never leaves the range of the two knots it lies between, and rises
//! where they rise. It is never extrapolated: outside the knots a cubic says nothing.

use crate::empirical::{ecdf_p_value_sorted, ecdf_p_value_sorted_without, p_from_count};
use crate::error::{InputError, check, check_lengths};

/// A piecewise cubic through given knots.
#[derive(Clone, Debug)]
pub struct Pchip {
    x: Vec<f64>,
    y: Vec<f64>,
    slopes: Vec<f64>,
}

impl Pchip {
    /// The interpolant through (`x[i]`, `y[i]`).
    ///
    /// # Errors
    /// Lengths that differ, fewer than two knots, a value that is not finite, or `x` not
    /// strictly increasing.
    pub fn new(x: &[f64], y: &[f64]) -> Result<Self, InputError> {
        check_lengths(("x", "y"), (x.len(), y.len()))?;
        if x.len() < 2 {
            return Err(InputError::TooFew {
                argument: "x",
                found: x.len(),
                needed: 2,
            });
        }
        check("x", x, "finite", f64::is_finite)?;
        check("y", y, "finite", f64::is_finite)?;
        if let Some(before) = x.windows(2).position(|pair| pair[0] >= pair[1]) {
            return Err(InputError::NotIncreasing {
                argument: "x",
                index: before + 1,
            });
        }
        let last = x.len() - 1;
        let knot = |i: usize| Knot { x: x[i], y: y[i] };
        let slopes = (0..=last)
            .map(|i| {
                if last == 1 {
                    Piece::between(knot(0), knot(1)).secant
                } else if i == 0 {
                    end_slope(
                        Piece::between(knot(0), knot(1)),
                        Piece::between(knot(1), knot(2)),
                    )
                } else if i == last {
                    end_slope(
                        Piece::between(knot(last - 1), knot(last)),
                        Piece::between(knot(last - 2), knot(last - 1)),
                    )
                } else {
                    inner_slope(
                        Piece::between(knot(i - 1), knot(i)),
                        Piece::between(knot(i), knot(i + 1)),
                    )
                }
            })
            .collect();
        Ok(Self {
            x: x.to_vec(),
            y: y.to_vec(),
            slopes,
        })
    }

    /// The value at `x`; `None` outside the knots (and for a NaN).
    #[must_use]
    pub fn evaluate(&self, x: f64) -> Option<f64> {
        let last = self.x.len() - 1;
        if x.is_nan() || x < self.x[0] || x > self.x[last] {
            return None;
        }
        let left = self.x.partition_point(|&knot| knot <= x) - 1;
        if left == last {
            // the knot itself, not its piece rounded
            return Some(self.y[last]);
        }
        Some(cubic(
            Knot {
                x: self.x[left],
                y: self.y[left],
            },
            Piece::between(
                Knot {
                    x: self.x[left],
                    y: self.y[left],
                },
                Knot {
                    x: self.x[left + 1],
                    y: self.y[left + 1],
                },
            ),
            self.slopes[left],
            self.slopes[left + 1],
            x,
        ))
    }
}

#[derive(Clone, Copy)]
struct Knot {
    x: f64,
    y: f64,
}

/// The width and the secant slope between two neighbouring knots.
#[derive(Clone, Copy)]
struct Piece {
    width: f64,
    secant: f64,
}

impl Piece {
    #[inline]
    fn between(left: Knot, right: Knot) -> Self {
        let width = right.x - left.x;
        Self {
            width,
            secant: (right.y - left.y) / width,
        }
    }
}

/// Slope at a knot between two pieces: a weighted harmonic mean of the secants, and flat
/// where they differ in sign or one of them is flat.
#[inline]
fn inner_slope(left: Piece, right: Piece) -> f64 {
    if left.secant == 0.0 || right.secant == 0.0 || opposite(left.secant, right.secant) {
        return 0.0;
    }
    let w_left = 2.0 * right.width + left.width;
    let w_right = right.width + 2.0 * left.width;
    (w_left + w_right) / (w_left / left.secant + w_right / right.secant)
}

/// Slope at an end: the three-point formula, held to the sign of the outer secant and to
/// three times its size.
#[inline]
fn end_slope(outer: Piece, inner: Piece) -> f64 {
    let slope = ((2.0 * outer.width + inner.width) * outer.secant - outer.width * inner.secant)
        / (outer.width + inner.width);
    if outer.secant == 0.0 || slope == 0.0 || opposite(slope, outer.secant) {
        0.0
    } else if (inner.secant == 0.0 || opposite(outer.secant, inner.secant))
        && slope.abs() > 3.0 * outer.secant.abs()
    {
        3.0 * outer.secant
    } else {
        slope
    }
}

/// Whether two non-zero numbers differ in sign.
#[inline]
fn opposite(a: f64, b: f64) -> bool {
    (a < 0.0) != (b < 0.0)
}

/// The cubic with the given end values and end slopes, at `x`.
#[inline]
fn cubic(left: Knot, piece: Piece, slope_left: f64, slope_right: f64, x: f64) -> f64 {
    let bend = (slope_left + slope_right - 2.0 * piece.secant) / piece.width;
    let cube = bend / piece.width;
    let square = (piece.secant - slope_left) / piece.width - bend;
    let s = x - left.x;
    left.y + s * (slope_left + s * (square + s * cube))
}

/// Left-tail p-value of `observed` under the paper's smooth null: the piecewise cubic
/// through the knots (`L_(j)`, j/k) at the distinct values of the null, the highest j at
/// a tie. Strictly left of the smallest value it is 1/(k+1), right of the largest 1, and
/// nowhere below 1/(k+1). A null with one distinct value falls back to
/// [`ecdf_p_value_sorted`]; so does a piece with an infinite end. An observed NaN gives 1.
///
/// `null_sorted` is sorted upwards and free of NaN. Only the piece that holds `observed`
/// is computed: a binary search, four knots, no allocation.
///
/// No guarantee holds in finite samples.
#[must_use]
pub fn pchip_p_value_sorted(null_sorted: &[f64], observed: f64) -> f64 {
    smooth_p_value(null_sorted.len(), |i| null_sorted[i], observed)
        .unwrap_or_else(|| ecdf_p_value_sorted(null_sorted, observed))
}

/// [`pchip_p_value_sorted`] as if the value at `index_left_out` had been removed: the
/// same to the bit. An index beyond the end removes nothing.
#[must_use]
pub fn pchip_p_value_sorted_without(
    null_sorted: &[f64],
    index_left_out: usize,
    observed: f64,
) -> f64 {
    if index_left_out >= null_sorted.len() {
        return pchip_p_value_sorted(null_sorted, observed);
    }
    smooth_p_value(
        null_sorted.len() - 1,
        |i| null_sorted[i + usize::from(i >= index_left_out)],
        observed,
    )
    .unwrap_or_else(|| ecdf_p_value_sorted_without(null_sorted, index_left_out, observed))
}

/// The p-value for the sorted null `value(0..k)`; `None` where the cubic does not apply.
#[inline]
fn smooth_p_value(k: usize, value: impl Fn(usize) -> f64, observed: f64) -> Option<f64> {
    if k == 0 || observed.is_nan() || value(0).total_cmp(&value(k - 1)).is_eq() {
        return None;
    }
    // how many values are <= observed
    let (mut low, mut high) = (0, k);
    while low < high {
        let middle = usize::midpoint(low, high);
        if value(middle) <= observed {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let count = low;
    let floor = p_from_count(0, k);
    if count == 0 {
        return Some(floor);
    }
    if count == k {
        return Some(1.0);
    }
    // A knot is named by its count: its value is value(count - 1).
    let knot = |count: usize| Knot {
        x: value(count - 1),
        y: count as f64 / k as f64,
    };
    let next_count = |count: usize| {
        let tied = value(count);
        let mut end = count + 1;
        while end < k && value(end) <= tied {
            end += 1;
        }
        end
    };
    let previous_count = |count: usize| {
        let tied = value(count - 1);
        let mut end = count - 1;
        while end > 0 && value(end - 1) >= tied {
            end -= 1;
        }
        end
    };
    let left = knot(count);
    let right_count = next_count(count);
    let right = knot(right_count);
    let piece = Piece::between(left, right);
    let before = match previous_count(count) {
        0 => None,
        earlier => Some(Piece::between(knot(earlier), left)),
    };
    let after = (right_count < k).then(|| Piece::between(right, knot(next_count(right_count))));
    let (slope_left, slope_right) = match (before, after) {
        (None, None) => (piece.secant, piece.secant),
        (None, Some(after)) => (end_slope(piece, after), inner_slope(piece, after)),
        (Some(before), None) => (inner_slope(before, piece), end_slope(piece, before)),
        (Some(before), Some(after)) => (inner_slope(before, piece), inner_slope(piece, after)),
    };
    let p = cubic(left, piece, slope_left, slope_right, observed);
    // an infinite knot leaves NaN
    (!p.is_nan()).then(|| p.clamp(floor, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bad_knots_are_errors() {
        assert!(Pchip::new(&[0.0], &[1.0]).is_err());
        assert!(Pchip::new(&[0.0, 1.0], &[1.0]).is_err());
        assert!(Pchip::new(&[0.0, f64::NAN], &[1.0, 2.0]).is_err());
        assert!(Pchip::new(&[0.0, 1.0], &[1.0, f64::INFINITY]).is_err());
        let error = Pchip::new(&[0.0, 1.0, 1.0], &[1.0, 2.0, 3.0]).unwrap_err();
        assert_eq!(
            error,
            InputError::NotIncreasing {
                argument: "x",
                index: 2
            }
        );
    }

    #[test]
    fn ends_of_the_null() {
        let null = [1.0, 2.0, 4.0];
        assert!((pchip_p_value_sorted(&null, 0.99) - 0.25).abs() < 1e-15);
        assert!((pchip_p_value_sorted(&null, 1.0) - 1.0 / 3.0).abs() < 1e-15);
        assert!((pchip_p_value_sorted(&null, 4.0) - 1.0).abs() < 1e-15);
        assert!((pchip_p_value_sorted(&null, 99.0) - 1.0).abs() < 1e-15);
        assert!((pchip_p_value_sorted(&null, f64::NAN) - 1.0).abs() < 1e-15);
        assert!((pchip_p_value_sorted(&[], 0.0) - 1.0).abs() < 1e-15);
    }

    #[test]
    fn one_distinct_value_and_infinite_values_fall_back_to_counting() {
        let tied = [2.0, 2.0, 2.0];
        assert!((pchip_p_value_sorted(&tied, 1.0) - 0.25).abs() < 1e-15);
        assert!((pchip_p_value_sorted(&tied, 2.0) - 1.0).abs() < 1e-15);
        let infinite = [f64::NEG_INFINITY, 1.0, 2.0, f64::INFINITY, f64::INFINITY];
        for observed in [-5.0, 1.0, 1.5, 2.0, 3.0] {
            let p = pchip_p_value_sorted(&infinite, observed);
            assert!((1.0 / 6.0..=1.0).contains(&p), "{observed}: {p}");
        }
    }

    /// A sorted null, with ties or without.
    fn null() -> impl Strategy<Value = Vec<f64>> {
        prop_oneof![
            prop::collection::vec((0i32..8).prop_map(f64::from), 1..25),
            prop::collection::vec(0.0..8.0, 1..25),
        ]
        .prop_map(|mut null: Vec<f64>| {
            null.sort_by(f64::total_cmp);
            null
        })
    }

    proptest! {
        /// The local evaluation is the whole interpolant, to the bit.
        #[test]
        fn local_equals_whole(null in null(), observed in -1.0..9.0) {
            let k = null.len() as f64;
            let mut knots: Vec<(f64, f64)> = Vec::new();
            for (before, &value) in null.iter().enumerate() {
                let share = (before + 1) as f64 / k;
                match knots.last_mut() {
                    Some(last) if last.0 >= value => last.1 = share,
                    _ => knots.push((value, share)),
                }
            }
            let (x, y): (Vec<f64>, Vec<f64>) = knots.into_iter().unzip();
            if x.len() >= 2 {
                let floor = 1.0 / (k + 1.0);
                let whole = Pchip::new(&x, &y).unwrap();
                for at in null.iter().copied().chain([observed]) {
                    let expected = match whole.evaluate(at) {
                        Some(p) => p.clamp(floor, 1.0),
                        None if at < x[0] => floor,
                        None => 1.0,
                    };
                    prop_assert_eq!(pchip_p_value_sorted(&null, at).to_bits(), expected.to_bits());
                }
            } else {
                prop_assert_eq!(
                    pchip_p_value_sorted(&null, observed).to_bits(),
                    ecdf_p_value_sorted(&null, observed).to_bits()
                );
            }
        }

        #[test]
        fn without_equals_removing(null in null(), at in 0usize..30, observed in -1.0..9.0) {
            let mut removed = null.clone();
            if at < removed.len() {
                removed.remove(at);
            }
            for observed in null.iter().copied().chain([observed]) {
                prop_assert_eq!(
                    pchip_p_value_sorted(&removed, observed).to_bits(),
                    pchip_p_value_sorted_without(&null, at, observed).to_bits()
                );
            }
        }

        #[test]
        fn rises_with_the_observed_and_keeps_its_range(null in null(), a in -1.0..9.0, b in -1.0..9.0) {
            let floor = 1.0 / (null.len() as f64 + 1.0);
            let (a, b) = if a < b { (a, b) } else { (b, a) };
            let (p_a, p_b) = (pchip_p_value_sorted(&null, a), pchip_p_value_sorted(&null, b));
            prop_assert!(p_a <= p_b + 1e-12, "{p_a} {p_b}");
            prop_assert!(floor <= p_a && p_b <= 1.0);
        }
    }
}
