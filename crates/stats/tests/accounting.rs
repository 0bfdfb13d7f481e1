//! Privacy accounting against dp-accounting, prv-accountant and mpmath. The script that made
//! the values, and the versions, are in `conformance/privacy`.
#![expect(clippy::unwrap_used, reason = "a test may fail this way")]

use giveaway_stats::accounting::{Accountant, NOISE_TOLERANCE, Sampled, noise_for, renyi};

/// The rows of a reference file, without its header.
fn rows<const N: usize>(name: &str) -> Vec<[f64; N]> {
    let path = format!(
        "{}/../../conformance/privacy/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).expect(&path);
    let row = |line: &str| {
        let values: Vec<f64> = line.split(',').map(|x| x.parse().unwrap()).collect();
        values.try_into().expect("as many fields as are compared")
    };
    let rows: Vec<[f64; N]> = text.lines().skip(1).map(row).collect();
    assert!(!rows.is_empty(), "{path} has no values");
    rows
}

/// The orders that the script gives to dp-accounting.
fn their_orders() -> Vec<f64> {
    let mut orders: Vec<f64> = (1..100).map(|i| 1.0 + f64::from(i) / 10.0).collect();
    orders.extend((11..64).map(f64::from));
    orders.extend([128.0, 256.0, 512.0, 1024.0]);
    orders
}

fn sampled(rate: f64, noise: f64, steps: f64) -> Sampled {
    Sampled::new(rate, noise, steps as u64).unwrap()
}

/// Khalil and others (2025): batches of 128 of 157,859 records, 200 epochs, noise 1.
#[test]
fn the_published_epsilon() {
    let case = sampled(128.0 / 157_859.0, 1.0, 246_800.0);
    let epsilon = case.epsilon(1.0 / 157_859.0, Accountant::Renyi).unwrap();
    // published with three decimals, rounded up as an upper bound has to be
    assert_eq!(
        format!("{:.3}", (epsilon * 1000.0).ceil() / 1000.0),
        "2.378"
    );
    let tighter = case
        .epsilon(1.0 / 157_859.0, Accountant::LossDistribution)
        .unwrap();
    assert!(tighter < epsilon && tighter > 2.18, "{tighter}");
}

/// mpmath, from the definition. Of fractional orders the moment A is known to 1e-13 of itself,
/// and ln A may be smaller than that.
#[test]
fn divergences_of_one_step() {
    let mut fractional = 0;
    for [rate, noise, order, theirs] in rows("renyi_orders.csv") {
        let ours = renyi::divergence(&sampled(rate, noise, 1.0), order).unwrap();
        let (ours, theirs) = (ours * (order - 1.0), theirs * (order - 1.0));
        let tolerance = if order.fract() == 0.0 {
            1e-11 * theirs
        } else {
            fractional += 1;
            1e-13 + 1e-11 * theirs
        };
        let what = format!("rate {rate}, noise {noise}, order {order}: {ours:e}, not {theirs:e}");
        assert!((ours - theirs).abs() <= tolerance, "{what}");
    }
    assert!(fractional > 200);
}

/// With the same orders ε is that of the definition, always, and within 1 % of dp-accounting's
/// where that is right. It ends its series of fractional orders early; where many steps add up
/// what is left out (at ε above 10) its ε is too large, and there ours has to be smaller.
#[test]
fn renyi_epsilons_equal_those_of_dp_accounting() {
    let orders = their_orders();
    let (mut all, mut right) = (0, 0);
    for [rate, noise, steps, delta, theirs, definition] in rows("renyi.csv") {
        let case = sampled(rate, noise, steps);
        let ours = renyi::epsilon(&case, delta, &orders).unwrap();
        let what = format!("{case:?}, {delta:e}: {ours}, not {theirs} ({definition})");
        // more orders can only help
        let finer = case.epsilon(delta, Accountant::Renyi).unwrap();
        assert!(finer <= ours, "{what}: {finer}");
        if ours <= 0.0 {
            // where the total variation is below δ no order has to say so
            let all = steps * renyi::divergence(&case, 1.1).unwrap();
            let nothing = -(-all).exp_m1() <= delta * delta;
            assert!(definition <= 0.0 || nothing, "{what}");
            continue;
        }
        all += 1;
        assert!((ours - definition).abs() <= 1e-8 * definition, "{what}");
        if theirs <= 1.005 * definition {
            right += 1;
            assert!((ours - theirs).abs() <= 0.01 * theirs, "{what}");
        } else {
            assert!(ours < theirs && ours > 10.0, "{what}");
        }
    }
    assert!(all > 340 && right > 280, "{right} of {all}");
}

#[test]
fn plain_gaussians() {
    for [noise, steps, epsilon, delta] in rows("gaussian.csv") {
        let case = sampled(1.0, noise, steps);
        let ours = case.delta(epsilon, Accountant::LossDistribution).unwrap();
        let what = format!("{case:?}, {epsilon}: {ours:e}, not {delta:e}");
        // the tails' logarithms are up to some thousands, and their difference is wanted
        assert!((ours - delta).abs() <= 1e-9 * delta, "{what}");
        let renyi = case.delta(epsilon, Accountant::Renyi).unwrap();
        assert!(renyi >= delta, "{what}");
        if delta > 1e-300 && delta < 0.999 {
            let back = case.epsilon(delta, Accountant::LossDistribution).unwrap();
            assert!(
                (back - epsilon).abs() <= 1e-9 * epsilon.max(1e-3),
                "{what}: {back}"
            );
        }
    }
}

/// Never below what is surely too small, and within 1 % of dp-accounting; where its grid is
/// coarse beside ε itself it is above, and so has only to be no smaller.
#[test]
fn loss_distributions_against_those_of_dp_accounting() {
    let (mut compared, mut bounded) = (0, 0);
    for row in rows("loss_distribution.csv") {
        let [
            rate,
            noise,
            steps,
            delta,
            interval,
            theirs,
            _,
            optimistic,
            prv,
        ] = row;
        let case = sampled(rate, noise, steps);
        let ours = case.epsilon(delta, Accountant::LossDistribution).unwrap();
        let what = format!(
            "{case:?}, {delta:e}: {ours}, not {theirs} (interval {interval:e}) \
             [{optimistic}, {prv}]"
        );
        for lower in [optimistic, prv] {
            if lower.is_finite() && lower > 0.0 {
                bounded += 1;
                assert!(ours >= lower * (1.0 - 1e-9), "{what}");
            }
        }
        if theirs >= 50.0 * interval {
            compared += 1;
            assert!((ours - theirs).abs() <= 0.01 * theirs, "{what}");
        } else {
            assert!(ours <= theirs + interval, "{what}");
        }
    }
    assert!(compared > 100 && bounded > 100, "{compared} {bounded}");
}

/// Each may be above the smallest noise by its tolerance, and by its grid.
#[test]
fn noise_equals_that_of_dp_accounting() {
    for [rate, steps, epsilon, delta, renyi, loss] in rows("noise.csv") {
        for (accountant, theirs) in [
            (Accountant::Renyi, renyi),
            (Accountant::LossDistribution, loss),
        ] {
            let ours = noise_for(epsilon, delta, rate, steps as u64, accountant).unwrap();
            let what = format!("{rate}, {steps}, {epsilon}, {delta:e}: {ours}, not {theirs}");
            assert!((ours / theirs - 1.0).abs() < 0.01, "{accountant:?} {what}");
            let epsilon_of = |noise: f64| {
                let case = sampled(rate, noise, steps);
                case.epsilon(delta, accountant).unwrap()
            };
            assert!(epsilon_of(ours) <= epsilon, "{what}");
            let less = ours / (1.0 + 1.01 * NOISE_TOLERANCE);
            assert!(epsilon_of(less) > epsilon, "{what}");
        }
    }
}
