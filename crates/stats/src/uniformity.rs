//! Are p-values uniform, and are they at least super-uniform?

use crate::error::{InputError, check};
use crate::special::{deviance, stirling_remainder};
use std::f64::consts::PI;

/// Above this many values the tail of D⁺ is taken from its expansion, whose error is then
/// far below a percent of the tail.
const MOST_EXACT: usize = 100_000;

/// Kolmogorov's distance between the values and U(0, 1): the largest gap, in either
/// direction, between the empirical distribution function and the diagonal.
///
/// # Errors
/// No values, or one that is NaN or outside [0, 1].
pub fn ks_distance(p: &[f64]) -> Result<f64, InputError> {
    let sorted = sorted(p)?;
    let n = sorted.len() as f64;
    Ok(sorted.iter().enumerate().fold(0.0, |gap: f64, (i, &x)| {
        gap.max((i + 1) as f64 / n - x).max(x - i as f64 / n)
    }))
}

/// A one-sided Kolmogorov–Smirnov test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SuperUniformity {
    /// D⁺, the largest excess of the empirical distribution function over the diagonal.
    pub statistic: f64,
    /// The probability of at least this excess for independent uniform values.
    pub p_value: f64,
}

/// Tests "P[p ≤ u] ≤ u for every u" (valid p-values) for independent `p`. A small
/// p-value says that small p-values occur too often. Exact (Birnbaum and Tingey 1951) up
/// to 100,000 values. Under the hypothesis with ties or strict super-uniformity the test
/// is conservative.
///
/// # Errors
/// No values, or one that is NaN or outside [0, 1].
pub fn ks_super_uniform(p: &[f64]) -> Result<SuperUniformity, InputError> {
    let sorted = sorted(p)?;
    let n = sorted.len();
    let statistic = sorted.iter().enumerate().fold(0.0, |excess: f64, (i, &x)| {
        excess.max((i + 1) as f64 / n as f64 - x)
    });
    Ok(SuperUniformity {
        statistic,
        p_value: smirnov_sf(n, statistic),
    })
}

fn sorted(p: &[f64]) -> Result<Vec<f64>, InputError> {
    if p.is_empty() {
        return Err(InputError::TooFew {
            argument: "p",
            found: 0,
            needed: 1,
        });
    }
    check("p", p, "in [0, 1]", |value| (0.0..=1.0).contains(&value))?;
    let mut sorted = p.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    Ok(sorted)
}

/// `P[D⁺ >= d]` for n independent uniform values.
fn smirnov_sf(n: usize, d: f64) -> f64 {
    if d <= 0.0 {
        return 1.0;
    }
    if d >= 1.0 {
        return 0.0;
    }
    let size = n as f64;
    if n > MOST_EXACT {
        let scaled = 6.0 * size * d + 1.0;
        return (-scaled * scaled / (18.0 * size)).exp();
    }
    // d Σ_j C(n, j) (d + j/n)^(j-1) (1 - d - j/n)^(n-j) over j < n(1-d): all terms are
    // positive, so nothing cancels. j = 0 is apart because it has no Stirling form.
    let mut sum = (size * (-d).ln_1p()).exp();
    for j in 1..n {
        let count = j as f64;
        let rest = size - count;
        let u = d + count / size;
        let v = rest / size - d;
        if v <= 0.0 {
            break;
        }
        // C(n, j) u^j v^(n-j), as a binomial probability by Loader's form: u + v = 1
        let ln_probability = stirling_remainder(size)
            - stirling_remainder(count)
            - stirling_remainder(rest)
            - deviance(count, size * u)
            - deviance(rest, size * v)
            + 0.5 * (size / (2.0 * PI * count * rest)).ln();
        sum += d / u * ln_probability.exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn bad_input_is_an_error() {
        assert!(ks_distance(&[]).is_err());
        assert!(ks_super_uniform(&[0.5, f64::NAN]).is_err());
        assert!(ks_super_uniform(&[0.5, 1.5]).is_err());
    }

    #[test]
    fn distance_of_one_value() {
        assert!((ks_distance(&[0.3]).unwrap() - 0.7).abs() < 1e-15);
        // with one value, P[D+ >= d] = P[1 - U >= d] = 1 - d
        let test = ks_super_uniform(&[0.3]).unwrap();
        assert!((test.statistic - 0.7).abs() < 1e-15 && (test.p_value - 0.3).abs() < 1e-15);
    }

    #[test]
    fn large_values_are_no_evidence_and_small_ones_are() {
        let large: Vec<f64> = (0..100)
            .map(|i| (f64::from(i) / 100.0).sqrt().max(0.01))
            .collect();
        assert!(ks_super_uniform(&large).unwrap().p_value > 0.5);
        let small: Vec<f64> = (0..100).map(|i| (f64::from(i) / 100.0).powi(2)).collect();
        assert!(ks_super_uniform(&small).unwrap().p_value < 1e-4);
    }

    /// The exact sum against simulation: the p-value of uniform draws is uniform.
    #[test]
    fn the_test_has_its_level() {
        let mut stream = Stream::new(3, "ks", 0);
        let mut rejected = 0u32;
        for _ in 0..4000 {
            let draws: Vec<f64> = (0..20).map(|_| stream.uniform()).collect();
            rejected += u32::from(ks_super_uniform(&draws).unwrap().p_value <= 0.1);
        }
        // binomial mean 400, standard deviation 19
        assert!((320..480).contains(&rejected), "{rejected}");
    }

    #[test]
    fn the_expansion_joins_the_exact_sum() {
        let d = 1.2 / (MOST_EXACT as f64).sqrt();
        let exact = smirnov_sf(MOST_EXACT, d);
        let expansion = smirnov_sf(MOST_EXACT + 1, d);
        assert!(
            (exact / expansion - 1.0).abs() < 1e-4,
            "{exact} {expansion}"
        );
    }
}
