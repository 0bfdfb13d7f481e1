//! Values that papers and the tests of other projects give.

use giveaway::attack::evidence::Scalar;
use giveaway::attack::lira::{self, Variance};
use giveaway::attack::moments::moments;
use giveaway::attack::outputs::RowReader;
use giveaway_stats::combination::combine;
use giveaway_stats::distribution::normal_isf;
use giveaway_stats::one_run;
use giveaway_stats::privacy::threshold::ThresholdStrategy;
use giveaway_stats::privacy::{Counts, Method, epsilon_interval};
use giveaway_stats::roc::{Roc, ppv};

use crate::{Failure, Row};

/// A row for each source.
///
/// # Errors
/// If something cannot be computed at all.
pub fn rows() -> Result<Vec<Row>, Failure> {
    Ok(vec![
        signals(),
        log_densities(),
        membership_test()?,
        positive_predictive_value(),
        one_run()?,
        joint_beta()?,
        kost()?,
    ])
}

/// A number as it is printed with so many decimals.
fn rounded(x: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (x * scale).round() / scale
}

/// Canaries whose scores are evenly spaced normal quantiles, members moved by a shift.
fn one_run() -> Result<Row, Failure> {
    let mut row = Row::new(
        "one-run audit",
        "jax_privacy, auditing_test.py (its digits)",
    );
    let count = 10_000;
    let scores = |shift: f64| -> Vec<f64> {
        let quantile = |i: u32| shift - normal_isf((f64::from(i) + 0.5) / f64::from(count));
        (0..count).map(quantile).collect()
    };
    for (shift, expected, decimals) in
        [(1.0, 1.133_46, 5), (2.0, 2.311_945, 6), (4.0, 4.395_568, 6)]
    {
        row.cases += 1;
        let strategy = ThresholdStrategy::BonferroniFrontier;
        let bound = one_run::from_thresholds(&scores(shift), &scores(0.0), &strategy, 0.05, 1e-6)?;
        row.compare(rounded(bound.epsilon, decimals), expected, || {
            format!("shift {shift}")
        });
    }
    Ok(row)
}

/// The published ends, .145 and 6.399, are those of a coarse integration.
fn joint_beta() -> Result<Row, Failure> {
    let mut row = Row::new(
        "joint-beta interval of ε",
        "privacy-estimates, integrated by scipy (6 decimals)",
    );
    let counts = Counts {
        true_positives: 487,
        false_negatives: 0,
        false_positives: 512,
        true_negatives: 1,
    };
    row.cases += 1;
    let found = epsilon_interval(counts, Method::JointBeta, 1e-5, 0.1)?;
    row.compare(rounded(found.lower, 6), 0.143_895, || "lower".to_owned());
    row.compare(rounded(found.upper, 6), 6.415_596, || "upper".to_owned());
    Ok(row)
}

/// Correlation 0 is Fisher's method; 1 with equal p gives p back.
fn kost() -> Result<Row, Failure> {
    let mut row = Row::new(
        "combination of p-values",
        "Kost and McDermott 2002, identities",
    );
    row.cases += 2;
    let identity = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let fisher = combine(&[0.01, 0.2, 0.3], &identity, 1e-9)?.p_value;
    // the tail of χ² with 6 degrees of freedom in closed form
    let product = 0.01f64 * 0.2 * 0.3;
    let x = -product.ln();
    row.compare(fisher, product * (1.0 + x + 0.5 * x * x), || {
        "Fisher".to_owned()
    });
    let same = combine(&[0.03; 3], &[1.0; 9], 1e-9)?.p_value;
    row.compare(same, 0.03, || "equal p, correlation 1".to_owned());
    Ok(row)
}

/// Confidence, loss and scaled logit of two rows of logits.
fn signals() -> Row {
    let mut row = Row::new("signals of logits", "methods, section 0 (8 digits)");
    let reader = RowReader {
        logits: true,
        temperature: 1.0,
        clamp: 1e-300,
    };
    for (logits, label, [confidence, loss, phi]) in [
        (
            [1.0, 2.0, -3.0],
            1,
            [0.727_475_16, 0.318_175_43, 0.981_850_09],
        ),
        (
            [-1.0, 1.0, 0.0],
            2,
            [0.244_728_47, 1.407_605_96, -1.126_928_02],
        ),
    ] {
        row.cases += 1;
        let found = reader.scaled_logit(&logits, label);
        row.compare(found, phi, || format!("φ of {logits:?}"));
        row.compare(Scalar::ScaledLogit.loss(found), loss, || {
            format!("loss of {logits:?}")
        });
        row.compare(Scalar::ScaledLogit.confidence(found), confidence, || {
            format!("confidence of {logits:?}")
        });
    }
    row
}

/// The Gaussian -ln density with population variance: the building block of LiRA. There the
/// attack on signal 1 has the OUT samples below; ours is the difference to an IN side of
/// known density.
fn log_densities() -> Row {
    let mut row = Row::new(
        "-ln normal density",
        "TensorFlow Privacy, advanced_mia_test.py (8 digits)",
    );
    for (x, samples, expected) in [
        (1.0, [-1.0, 1.0], 1.418_938_53),
        (0.0, [0.0, 2.0], 1.418_938_53),
        (0.0, [0.0, 20.0], 3.721_523_63),
    ] {
        row.cases += 1;
        // The IN side is a standard normal around x, whose -ln density there is ln √(2π).
        let rows = [[x - 1.0], [x + 1.0], [samples[0]], [samples[1]]];
        let inside = [[true], [true], [false], [false]];
        let of_sides = moments(
            &rows.each_ref().map(|row| &row[..]),
            &inside.each_ref().map(|row| &row[..]),
            1,
            |x| x,
        );
        let ratio = lira::online(&[x], &of_sides, Variance::PerRecord)[0];
        let ours = ratio + 0.5 * (2.0 * std::f64::consts::PI).ln();
        row.compare(ours, expected, || format!("{x} among {samples:?}"));
    }
    row
}

fn membership_test() -> Result<Row, Failure> {
    let mut row = Row::new("AUC of six losses and six", "TensorFlow Privacy (2 digits)");
    let losses = [0.1, 0.2, 1.3, 0.4, 0.5, 0.6, 1.1, 1.2, 1.3, 0.4, 1.5, 1.6];
    let scores = losses.map(|loss: f64| -loss);
    let is_member: Vec<bool> = (0..12).map(|i| i < 6).collect();
    row.cases += 1;
    // 30 of 36 pairs
    row.compare(Roc::new(&scores, &is_member)?.auc(), 30.0 / 36.0, || {
        "AUC".to_owned()
    });
    Ok(row)
}

/// PPV at TPR .9 and FPR .01.
fn positive_predictive_value() -> Row {
    let mut row = Row::new("PPV", "Long et al. 2018, by its formula");
    for (prior, expected) in [(0.01, 0.009 / (0.009 + 0.0099)), (0.5, 0.45 / 0.455)] {
        row.cases += 1;
        let ours = ppv(0.9, 0.01, prior).unwrap_or(f64::NAN);
        row.compare(ours, expected, || format!("prior {prior}"));
    }
    row
}
