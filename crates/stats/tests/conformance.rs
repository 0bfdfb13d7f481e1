//! Every statistic against values from scipy, mpmath, numpy and scikit-learn. The script
//! that made them, and the versions, are in `conformance/stats`.

use giveaway_stats::binomial::{binomial_cdf, binomial_log_pmf, binomial_pmf, binomial_sf};
use giveaway_stats::combination::combine;
use giveaway_stats::density::{normal_log_density, student_t_log_density};
use giveaway_stats::distribution::{
    beta_cdf, beta_quantile, beta_sf, chi_square_sf, digamma, normal_isf, normal_log_cdf,
    normal_log_sf, normal_sf, student_t_log_sf, student_t_sf, trigamma, trigamma_inverse,
};
use giveaway_stats::interval::{clopper_pearson, clopper_pearson_upper};
use giveaway_stats::multiplicity::{benjamini_hochberg, benjamini_yekutieli};
use giveaway_stats::one_run;
use giveaway_stats::pchip::{Pchip, pchip_p_value_sorted};
use giveaway_stats::privacy::threshold::ThresholdStrategy;
use giveaway_stats::privacy::{Counts, EpsilonLowerBound, Method, Sides, epsilon_interval};
use giveaway_stats::roc::Roc;
use giveaway_stats::summary::{mean, median, quantile, ranks, sample_variance, spearman};
use giveaway_stats::uniformity::{ks_distance, ks_super_uniform};
use giveaway_stats::variance::{fit_variance_prior, moderated};

/// The rows of a reference file, without its header.
fn rows(name: &str) -> Vec<Vec<String>> {
    let path = format!(
        "{}/../../conformance/stats/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).expect(&path);
    let rows: Vec<Vec<String>> = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').map(str::to_owned).collect())
        .collect();
    assert!(!rows.is_empty(), "{path} has no values");
    rows
}

/// The rows of a file that holds one number in each field.
fn numbers<const N: usize>(name: &str) -> Vec<[f64; N]> {
    rows(name)
        .iter()
        .map(|row| {
            let values: Vec<f64> = row.iter().map(|field| number(field)).collect();
            values.try_into().expect("as many fields as are compared")
        })
        .collect()
}

fn number(field: &str) -> f64 {
    field.parse().expect("a number")
}

fn list(field: &str) -> Vec<f64> {
    field.split_whitespace().map(number).collect()
}

/// Remembers the worst relative error of one function.
struct Worst {
    what: &'static str,
    error: f64,
    at: String,
}

impl Worst {
    fn new(what: &'static str) -> Self {
        Self {
            what,
            error: 0.0,
            at: String::new(),
        }
    }

    fn compare(&mut self, ours: f64, theirs: f64, at: &[f64]) {
        let difference = (ours - theirs).abs();
        let error = if difference == 0.0 {
            0.0
        } else {
            difference / theirs.abs()
        };
        if error.is_nan() || error > self.error {
            self.error = error;
            self.at = format!("{at:?}: {ours:e}, not {theirs:e}");
        }
    }

    #[track_caller]
    fn at_most(&self, limit: f64) {
        assert!(
            self.error <= limit,
            "{}: relative error {:e} at {}",
            self.what,
            self.error,
            self.at
        );
    }
}

#[track_caller]
fn close(ours: f64, theirs: f64, tolerance: f64) {
    assert!(
        (ours - theirs).abs() <= tolerance,
        "{ours:e}, not {theirs:e}"
    );
}

#[test]
fn normal_tails() {
    let (mut tail, mut log) = (Worst::new("normal_sf"), Worst::new("normal_log_sf"));
    for [z, sf, log_sf] in numbers("normal.csv") {
        if sf > 1e-300 {
            tail.compare(normal_sf(z), sf, &[z]);
        }
        log.compare(normal_log_sf(z), log_sf, &[z]);
        log.compare(normal_log_cdf(-z), log_sf, &[z]);
    }
    tail.at_most(1e-12);
    log.at_most(1e-12);
    let mut inverse = Worst::new("normal_isf");
    for [p, z] in numbers("normal_isf.csv") {
        if z.abs() < 1e-9 {
            close(normal_isf(p), 0.0, 1e-15);
        } else {
            inverse.compare(normal_isf(p), z, &[p]);
        }
    }
    inverse.at_most(1e-12);
}

#[test]
fn student_t_tails() {
    let (mut tail, mut log) = (Worst::new("student_t_sf"), Worst::new("student_t_log_sf"));
    for [t, df, sf, log_sf] in numbers("student_t.csv") {
        if sf > 1e-300 {
            tail.compare(student_t_sf(t, df), sf, &[t, df]);
        }
        log.compare(student_t_log_sf(t, df), log_sf, &[t, df]);
    }
    tail.at_most(1e-11);
    log.at_most(1e-11);
}

#[test]
fn chi_square_tails() {
    let mut worst = Worst::new("chi_square_sf");
    for [x, df, sf] in numbers("chi_square.csv") {
        worst.compare(chi_square_sf(x, df), sf, &[x, df]);
    }
    worst.at_most(1e-11);
}

#[test]
fn beta_tails_and_quantiles() {
    let (mut lower, mut upper) = (Worst::new("beta_cdf"), Worst::new("beta_sf"));
    let mut quantiles = Worst::new("beta_quantile");
    for [x, a, b, cdf, sf] in numbers("beta.csv") {
        lower.compare(beta_cdf(x, a, b), cdf, &[x, a, b]);
        upper.compare(beta_sf(x, a, b), sf, &[x, a, b]);
        // closer to 1, p itself no longer says which x it came from
        if cdf < 0.9999 {
            quantiles.compare(beta_quantile(cdf, a, b), x, &[cdf, a, b]);
        }
    }
    lower.at_most(1e-10);
    upper.at_most(1e-10);
    quantiles.at_most(1e-10);
}

#[test]
fn derivatives_of_log_gamma() {
    let (mut first, mut second) = (Worst::new("digamma"), Worst::new("trigamma"));
    let mut inverse = Worst::new("trigamma_inverse");
    for [x, psi, psi_prime] in numbers("polygamma.csv") {
        first.compare(digamma(x), psi, &[x]);
        second.compare(trigamma(x), psi_prime, &[x]);
        inverse.compare(trigamma_inverse(psi_prime), x, &[psi_prime]);
    }
    first.at_most(1e-12);
    second.at_most(1e-12);
    inverse.at_most(1e-12);
}

#[test]
fn clopper_pearson_intervals() {
    let mut worst = Worst::new("clopper_pearson");
    let reference = numbers("clopper_pearson.csv");
    assert!(reference.len() > 100);
    for [trials, successes, level, lower, upper] in reference {
        let (n, k) = (trials as u64, successes as u64);
        let interval = clopper_pearson(k, n, level);
        let at = [trials, successes, level];
        worst.compare(interval.lower, lower, &at);
        worst.compare(interval.upper, upper, &at);
        // the one-sided bound at the level that leaves as much on that side
        let one_sided = clopper_pearson_upper(k, n, 0.5 * (1.0 + level));
        worst.compare(one_sided, upper, &at);
    }
    worst.at_most(1e-9);
}

#[test]
fn pchip_equals_scipy_inside_and_is_nothing_outside() {
    for row in rows("pchip.csv") {
        let (x, y) = (list(&row[1]), list(&row[2]));
        let pchip = Pchip::new(&x, &y).unwrap();
        let scale = y.iter().fold(1.0, |largest: f64, v| largest.max(v.abs()));
        let (at, value) = (list(&row[3]), list(&row[4]));
        assert!(at.len() == value.len() && at.len() > x.len());
        for (at, value) in at.into_iter().zip(value) {
            close(pchip.evaluate(at).unwrap(), value, 1e-12 * scale);
        }
        assert_eq!(pchip.evaluate(x[0] - 1e-9), None);
        assert_eq!(pchip.evaluate(x[x.len() - 1] + 1e-6), None);
        assert_eq!(pchip.evaluate(f64::NAN), None);
    }
}

#[test]
fn pchip_p_values_equal_scipys() {
    for row in rows("pchip_p_value.csv") {
        let null = list(&row[0]);
        for (at, p) in list(&row[1]).into_iter().zip(list(&row[2])) {
            close(pchip_p_value_sorted(&null, at), p, 1e-12);
        }
    }
}

#[test]
fn adjusted_p_values() {
    for row in rows("multiplicity.csv") {
        let p = list(&row[0]);
        for (ours, theirs) in [
            (benjamini_hochberg(&p).unwrap(), list(&row[1])),
            (benjamini_yekutieli(&p).unwrap(), list(&row[2])),
        ] {
            assert_eq!(ours.len(), theirs.len());
            for (ours, theirs) in ours.into_iter().zip(theirs) {
                close(ours, theirs, 1e-13);
            }
        }
    }
}

#[test]
fn roc_equals_scikit_learn() {
    for row in rows("roc.csv") {
        let is_member: Vec<bool> = list(&row[1]).iter().map(|&m| m > 0.5).collect();
        let roc = Roc::new(&list(&row[0]), &is_member).unwrap();
        close(roc.auc(), number(&row[2]), 1e-13);
        let (fpr, tpr) = (list(&row[3]), list(&row[4]));
        assert_eq!(roc.points().len(), fpr.len());
        for ((point, fpr), tpr) in roc.points().iter().zip(fpr).zip(tpr) {
            close(point.fpr, fpr, 1e-15);
            close(point.tpr, tpr, 1e-15);
        }
        for (f, expected) in [0.5, 0.1, 0.01, 0.001].into_iter().zip(list(&row[5])) {
            match roc.tpr_at_fpr(f) {
                None => assert!(expected.is_nan()),
                Some(tpr) => close(tpr, expected, 1e-15),
            }
        }
        close(roc.advantage(), number(&row[6]), 1e-14);
    }
}

#[test]
fn kolmogorov_smirnov() {
    let mut worst = Worst::new("ks_super_uniform");
    for row in rows("kolmogorov.csv") {
        let p = list(&row[0]);
        close(ks_distance(&p).unwrap(), number(&row[1]), 1e-14);
        let test = ks_super_uniform(&p).unwrap();
        close(test.statistic, number(&row[2]), 1e-14);
        worst.compare(test.p_value, number(&row[3]), &[p.len() as f64]);
    }
    worst.at_most(1e-10);
}

#[test]
fn moderated_variances() {
    let mut infinite = 0;
    for row in rows("variances.csv") {
        let (variances, df) = (list(&row[0]), list(&row[1]));
        let prior = fit_variance_prior(&variances, &df).unwrap();
        let d0 = number(&row[2]);
        if d0.is_infinite() {
            infinite += 1;
            assert!(prior.degrees_of_freedom.is_infinite());
        } else {
            close(prior.degrees_of_freedom / d0, 1.0, 1e-9);
        }
        close(prior.variance / number(&row[3]), 1.0, 1e-9);
        for ((s2, df), theirs) in variances.into_iter().zip(df).zip(list(&row[4])) {
            close(moderated(s2, df, prior).variance / theirs, 1.0, 1e-9);
        }
    }
    assert_eq!(infinite, 1);
}

#[test]
fn summaries() {
    for row in rows("summary.csv") {
        let (x, y) = (list(&row[0]), list(&row[1]));
        close(mean(&x).unwrap(), number(&row[2]), 1e-14);
        close(sample_variance(&x).unwrap(), number(&row[3]), 1e-14);
        close(median(&x).unwrap(), number(&row[4]), 1e-14);
        let mut sorted = x.clone();
        sorted.sort_by(f64::total_cmp);
        for (q, theirs) in list(&row[5]).into_iter().zip(list(&row[6])) {
            close(quantile(&sorted, q).unwrap(), theirs, 1e-14);
        }
        assert_eq!(ranks(&x), list(&row[7]));
        close(spearman(&x, &y).unwrap().unwrap(), number(&row[8]), 1e-14);
    }
}

#[test]
fn log_densities() {
    // the argument itself is rounded: a relative error in x - mean of this size is no
    // error of the density
    let mut normal = Worst::new("normal_log_density");
    for [x, mean, sd, log] in numbers("normal_density.csv") {
        normal.compare(normal_log_density(x, mean, sd), log, &[x, mean, sd]);
    }
    normal.at_most(1e-12);
    let mut student = Worst::new("student_t_log_density");
    for [x, df, location, scale, log] in numbers("student_t_density.csv") {
        let ours = student_t_log_density(x, df, location, scale);
        student.compare(ours, log, &[x, df, location, scale]);
    }
    student.at_most(1e-12);
}

#[test]
fn binomial_probabilities() {
    let mut log = Worst::new("binomial_log_pmf");
    let (mut lower, mut upper) = (Worst::new("binomial_cdf"), Worst::new("binomial_sf"));
    for [k, n, p, log_pmf, cdf, sf] in numbers("binomial.csv") {
        let at = [k, n, p];
        let (k, n) = (k as u64, n as u64);
        log.compare(binomial_log_pmf(k, n, p), log_pmf, &at);
        if cdf > 1e-300 {
            lower.compare(binomial_cdf(k, n, p), cdf, &at);
        }
        if sf > 1e-300 {
            upper.compare(binomial_sf(k, n, p), sf, &at);
        }
        close(binomial_pmf(k, n, p), log_pmf.exp(), 1e-9);
    }
    log.at_most(1e-10);
    lower.at_most(1e-10);
    upper.at_most(1e-10);
}

#[test]
fn combined_p_values() {
    let (mut worst, mut fishers) = (Worst::new("combine"), 0);
    for row in rows("combination.csv") {
        let (p, correlations) = (list(&row[0]), list(&row[1]));
        let combined = combine(&p, &correlations, number(&row[2])).unwrap();
        let at = [p.len() as f64];
        worst.compare(combined.statistic, number(&row[3]), &at);
        worst.compare(combined.scale, number(&row[4]), &at);
        worst.compare(combined.degrees_of_freedom, number(&row[5]), &at);
        worst.compare(combined.p_value, number(&row[6]), &at);
        let fisher = number(&row[7]);
        if !fisher.is_nan() {
            fishers += 1;
            worst.compare(combined.p_value, fisher, &at);
        }
    }
    worst.at_most(1e-10);
    assert!(fishers >= 6);
}

#[test]
fn epsilon_bounds_and_intervals() {
    for row in rows("privacy.csv") {
        let (method, tolerance) = match row[0].as_str() {
            "clopper-pearson" => (Method::ClopperPearson, 1e-8),
            "jeffreys" => (Method::Jeffreys, 1e-8),
            "joint-beta" => (Method::JointBeta, 1e-8),
            other => panic!("{other}"),
        };
        let values: Vec<f64> = row[1..].iter().map(|field| number(field)).collect();
        let counts = Counts {
            true_positives: values[0] as u64,
            false_negatives: values[1] as u64,
            false_positives: values[2] as u64,
            true_negatives: values[3] as u64,
        };
        let (delta, alpha) = (values[4], values[5]);
        let compare = |ours: f64, theirs: f64, what: &str| {
            assert!(
                ours.total_cmp(&theirs).is_eq() || (ours - theirs).abs() <= tolerance,
                "{what} of {row:?}: {ours}"
            );
        };
        let interval = epsilon_interval(counts, method, delta, alpha).unwrap();
        compare(interval.lower, values[6], "lower end");
        compare(interval.upper, values[7], "upper end");
        for (sides, theirs) in [(Sides::One, values[8]), (Sides::Both, values[9])] {
            let bound = EpsilonLowerBound {
                method,
                delta,
                alpha,
                sides,
            };
            if !theirs.is_nan() {
                compare(bound.of_counts(counts).unwrap(), theirs, "bound");
            }
        }
    }
}

#[test]
fn one_run_audits() {
    let mut positive = 0;
    for [m, r, v, delta, significance, bound, p_low, p_middle, p_high] in numbers("one_run.csv") {
        let (m, r, v) = (m as u64, r as u64, v as u64);
        let ours = one_run::epsilon_lower_bound(m, r, v, significance, delta).unwrap();
        close(ours, bound, 1e-8);
        positive += usize::from(bound > 0.0);
        for (epsilon, theirs) in [(0.1, p_low), (1.0, p_middle), (3.0, p_high)] {
            let ours = one_run::p_value(m, r, v, epsilon, delta).unwrap();
            close(ours, theirs, 1e-9 * theirs + 1e-300);
        }
    }
    assert!(positive > 20);
}

/// Significance .05; the thresholds of the hull, with what `jax_privacy` divides by, and
/// one explicit threshold.
#[test]
fn bounds_equal_those_of_jax_privacy() {
    for row in rows("jax_privacy.csv") {
        let (members, others) = (list(&row[0]), list(&row[1]));
        let explicit = ThresholdStrategy::Explicit(number(&row[2]));
        let frontier = ThresholdStrategy::BonferroniFrontier;
        let delta = number(&row[3]);
        for (strategy, theirs) in [(&frontier, &row[4]), (&explicit, &row[5])] {
            let ours = one_run::from_thresholds(&members, &others, strategy, 0.05, delta).unwrap();
            close(ours.epsilon, number(theirs), 2e-6);
        }
        for (strategy, sides, theirs) in [
            (&frontier, Sides::One, &row[6]),
            (&frontier, Sides::Both, &row[7]),
            (&explicit, Sides::One, &row[8]),
        ] {
            let bound = EpsilonLowerBound {
                method: Method::ClopperPearson,
                delta,
                alpha: 0.05,
                sides,
            };
            let ours = bound.of_scores(&members, &others, strategy).unwrap();
            close(ours.epsilon, number(theirs), 1e-9);
        }
    }
}
