use giveaway_stats::random::Stream;
use ndarray::Axis;

use super::*;

/// The numbers of a line.
pub(crate) fn fields<T: std::str::FromStr>(line: &str) -> Vec<T> {
    let parse = |field: &str| field.parse().ok();
    line.split_whitespace()
        .map(|field| parse(field).unwrap())
        .collect()
}

pub(crate) fn same_bits(have: &[f64], want: &[f64]) {
    assert_eq!(have.len(), want.len());
    for (i, (have, want)) in have.iter().zip(want).enumerate() {
        assert_eq!(have.to_bits(), want.to_bits(), "{i}: {have}, not {want}");
    }
}

pub(crate) fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.unwrap().install(work)
}

/// 24 bits of splitmix64 of the place, in [0, 1).
fn uniform(row: u64, column: u64) -> f64 {
    let mut z = (row * 16 + column + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 40) as f64 / 2f64.powi(24)
}

/// Records whose values have a centre and a spread that depend on the features, and a long
/// tail above; the same as those of `conformance/attacks-quantile/generate.py`.
pub(crate) fn made_up(rows: usize) -> (Array2<f32>, Vec<f64>) {
    let mut features = Array2::zeros((rows, 6));
    let values = (0..rows)
        .map(|row| {
            let u: [f64; 10] = std::array::from_fn(|column| uniform(row as u64, column as u64));
            let kind = (4.0 * u[5]).floor();
            for column in 0..5 {
                features[[row, column]] = u[column] as f32;
            }
            features[[row, 5]] = kind as f32;
            let of_kind = f64::from(u8::from(kind > 1.5 && kind < 2.5));
            let centre = 2.0 * u[0] + 3.0 * u[1] * u[2] + of_kind;
            let noise = u[6] + u[7] + u[8] - 1.5 + 2.0 * u[9] * u[9] * u[9] * u[9];
            centre + (0.3 + 1.5 * u[3]) * noise
        })
        .collect();
    (features, values)
}

const SEED: u64 = 4;

/// Every second record is a member, with φ higher by `gap`; all others are known not to be.
fn audit(rows: usize, gap: f64) -> (Array2<f32>, Vec<f64>, Vec<bool>) {
    let (features, mut logits) = made_up(rows);
    for logit in logits.iter_mut().step_by(2) {
        *logit += gap;
    }
    let known = (0..rows).map(|row| row % 2 == 1).collect();
    (features, logits, known)
}

fn scores(rows: usize, gap: f64) -> QuantileScores {
    let (features, logits, known) = audit(rows, gap);
    score(features.view(), &logits, &known, &Boosting::default(), SEED).unwrap()
}

fn share(values: impl Iterator<Item = bool>) -> f64 {
    let values: Vec<bool> = values.collect();
    values.iter().filter(|value| **value).count() as f64 / values.len() as f64
}

#[test]
fn scores_are_above_a_threshold_exactly_where_the_logit_is_above_the_quantile() {
    let (_, logits, _) = audit(2_000, 0.5);
    let found = scores(2_000, 0.5);
    for (j, &level) in LEVELS.iter().enumerate() {
        let mut above = 0;
        for (row, &logit) in logits.iter().enumerate() {
            let by_quantile = logit > found.quantiles[[row, j]];
            assert_eq!(found.scores[row] > threshold(level), by_quantile);
            above += usize::from(by_quantile);
        }
        assert!(above > 0, "{level}");
    }
    for row in found.quantiles.rows() {
        assert!(row.windows(2).into_iter().all(|pair| pair[0] <= pair[1]));
    }
}

/// Values at quantiles, just beside them and in between; equal quantiles; no spread at all.
#[test]
fn the_normal_scale_is_monotone_and_exact_at_the_quantiles() {
    let map = |narrowest| NormalScale {
        thresholds: LEVELS.map(threshold),
        narrowest,
    };
    let cases: [[f64; 5]; 5] = [
        [0.0, 1.0, 2.0, 3.0, 5.0],
        [0.0, 1.0, 1.0, 1.0, 2.0],
        [-1.0, -1.0, 0.5, 0.5, 0.5],
        [3.0; 5],
        [1e9, 1e9 + 1e-6, 1e9 + 2e-6, 1e9 + 3e-6, 1e9 + 4e-6],
    ];
    for quantiles in cases {
        for narrowest in [0.0, 0.05, 100.0] {
            let map = map(narrowest);
            let mut logits = vec![-1e12, -5.0, 0.3, 0.7, 1.5, 4.0, 6.0, 1e12];
            for quantile in quantiles {
                logits.extend([quantile, quantile.next_up(), quantile.next_down()]);
            }
            logits.sort_by(f64::total_cmp);
            let mut before = f64::NEG_INFINITY;
            for logit in logits {
                let score = map.score(logit, &quantiles);
                assert!(score.is_finite() && score >= before, "{logit}: {score}");
                before = score;
                for (level, quantile) in LEVELS.iter().zip(quantiles) {
                    let member = logit > quantile;
                    assert_eq!(score > threshold(*level), member, "{logit}, {quantiles:?}");
                }
            }
        }
    }
    // by hand: halfway between two quantiles, and one mean width beyond the last
    let quantiles = cases[0];
    // no spread: the narrowest width there may be, and 1 where that is 0 too
    let flat = |narrowest| map(narrowest).score(4.0, &[3.0; 5]);
    assert!((flat(0.25) - threshold(0.99) - 4.0).abs() < 1e-12);
    assert!((flat(0.0) - threshold(0.99) - 1.0).abs() < 1e-12);
    let map = map(0.0);
    let halfway = 0.5 * (threshold(0.75) + threshold(0.9));
    assert!((map.score(1.5, &quantiles) - halfway).abs() < 1e-12);
    let width = 5.0 / threshold(0.99);
    let beyond = threshold(0.99) + 1.0;
    assert!((map.score(5.0 + width, &quantiles) - beyond).abs() < 1e-12);
    assert!((map.score(-width, &quantiles) + 1.0).abs() < 1e-12);
}

#[test]
fn p_values_are_uniform_for_non_members_and_quantiles_about_right() {
    let rows = 8_000;
    let (_, logits, known) = audit(rows, 0.0);
    let found = scores(rows, 0.0);
    for non_members in [true, false] {
        // with no gap, members are as non-members that were not known
        let chosen: Vec<usize> = (0..rows).filter(|&row| known[row] == non_members).collect();
        for (j, level) in LEVELS.iter().enumerate() {
            let above = share(
                chosen
                    .iter()
                    .map(|&row| logits[row] > found.quantiles[[row, j]]),
            );
            let alpha = 1.0 - level;
            // boosted quantiles are optimistic, as the module says
            let deviation = (alpha * level / chosen.len() as f64).sqrt();
            assert!(above > alpha - 4.0 * deviation, "{level}: {above}");
            assert!(above < 1.15 * alpha + 0.015, "{level}: {above}");
        }
        for alpha in [0.01, 0.05, 0.2, 0.5] {
            let small = share(chosen.iter().map(|&row| found.p_values[row] <= alpha));
            let deviation = (alpha * (1.0 - alpha) / chosen.len() as f64).sqrt();
            assert!(small < alpha + 4.0 * deviation, "{alpha}: {small}");
            assert!(small > alpha - 4.0 * deviation - 0.003, "{alpha}: {small}");
        }
    }
}

/// What the features explain is not taken for membership, and so more members are found.
#[test]
fn features_help_to_find_members() {
    let rows = 6_000;
    let (_, logits, known) = audit(rows, 0.6);
    let found = scores(rows, 0.6);
    let members_found = |values: &[f64]| {
        let mut null: Vec<f64> = (0..rows).filter(|&r| known[r]).map(|r| values[r]).collect();
        null.sort_by(f64::total_cmp);
        let cut = quantile(&null, 0.95).unwrap();
        share((0..rows).filter(|&r| !known[r]).map(|r| values[r] > cut))
    };
    let (with, without) = (members_found(&found.scores), members_found(&logits));
    assert!(
        with > 1.3 * without,
        "{with} with features, {without} without"
    );
}

/// The fit of each record, made again from its definition.
#[test]
fn a_record_is_scored_by_non_members_of_other_folds_alone() {
    let rows = 700;
    let (features, logits, known) = audit(rows, 0.5);
    let found = scores(rows, 0.5);
    let folds = folds(&features.view(), &logits, SEED);
    let binned = Binned::new(&features.view());
    for fold in 0..FOLDS {
        let chosen = |row: &u32| folds[*row as usize] as usize == fold;
        let (inside, outside): (Vec<u32>, Vec<u32>) = (0..rows as u32).partition(chosen);
        assert!(inside.len() > rows / 8, "fold {fold}: {}", inside.len());
        let fitted: Vec<u32> = outside
            .into_iter()
            .filter(|&row| known[row as usize])
            .collect();
        let forests =
            LEVELS.map(|level| Forest::fit(&binned, &logits, &fitted, level, &Boosting::default()));
        for &row in &inside {
            let mut want = forests.each_ref().map(|f| f.predict(&binned, &[row])[0]);
            want.sort_by(f64::total_cmp);
            same_bits(&found.quantiles.row(row as usize).to_vec(), &want);
            // p-values from their definition
            let row = row as usize;
            let null = inside.iter().filter(|&&other| known[other as usize]);
            let others = null.filter(|&&other| other as usize != row);
            let others: Vec<f64> = others.map(|&other| found.scores[other as usize]).collect();
            let as_high = others.iter().filter(|&&x| x >= found.scores[row]).count();
            let p = (1 + as_high) as f64 / (1 + others.len()) as f64;
            same_bits(&[found.p_values[row]], &[p]);
        }
    }
}

#[test]
fn what_members_score_changes_nothing_for_others() {
    let (features, logits, known) = audit(700, 0.5);
    let before = scores(700, 0.5);
    let mut changed = logits.clone();
    for logit in changed.iter_mut().step_by(2) {
        *logit = 3.0 - 5.0 * *logit;
    }
    let boosting = Boosting::default();
    let after = score(features.view(), &changed, &known, &boosting, SEED).unwrap();
    for row in (1..700).step_by(2) {
        same_bits(&[after.scores[row]], &[before.scores[row]]);
        same_bits(&[after.p_values[row]], &[before.p_values[row]]);
    }
    assert_ne!(after.scores[0].to_bits(), before.scores[0].to_bits());
}

#[test]
fn permuted_records_have_permuted_scores_whatever_the_threads() {
    let (features, logits, known) = audit(900, 0.5);
    let want = scores(900, 0.5);
    let mut order: Vec<usize> = (0..900).collect();
    Stream::new(2, "order", 0).shuffle(&mut order);
    let features = features.select(Axis(0), &order);
    let logits: Vec<f64> = order.iter().map(|&row| logits[row]).collect();
    let known: Vec<bool> = order.iter().map(|&row| known[row]).collect();
    for threads in [1, 2, 3] {
        let have = with_threads(threads, || {
            score(features.view(), &logits, &known, &Boosting::default(), SEED).unwrap()
        });
        for (new, &old) in order.iter().enumerate() {
            same_bits(&[have.scores[new]], &[want.scores[old]]);
            same_bits(&[have.p_values[new]], &[want.p_values[old]]);
        }
        assert_eq!(have.quantiles, want.quantiles.select(Axis(0), &order));
    }
}

#[test]
fn equal_signals_and_constant_features_have_answers() {
    let (features, _, known) = audit(400, 0.0);
    let boosting = Boosting::default();
    let mut logits = vec![2.0; 400];
    logits[0] = 3.5;
    let found = score(features.view(), &logits, &known, &boosting, SEED).unwrap();
    assert!((found.scores[0] - threshold(0.99) - 1.5).abs() < 1e-12);
    assert!(found.scores[1..].iter().all(|score| score.abs() < 1e-12));
    assert!(found.p_values[1..].iter().all(|p| *p >= 1.0));
    // every record alike but for φ: the quantiles of all others
    let constant = Array2::ones((400, 2));
    let (_, logits, _) = audit(400, 0.0);
    let found = score(constant.view(), &logits, &known, &boosting, SEED).unwrap();
    let folds = folds(&constant.view(), &logits, SEED);
    for row in 0..400 {
        let others = (0..400).filter(|&other| known[other] && folds[other] != folds[row]);
        let mut others: Vec<f64> = others.map(|other| logits[other]).collect();
        others.sort_by(f64::total_cmp);
        for (j, &level) in LEVELS.iter().enumerate() {
            let want = quantile(&others, level).unwrap();
            assert!((found.quantiles[[row, j]] - want).abs() < 1e-12);
        }
    }
}

#[test]
fn bad_input_is_refused() {
    let (features, logits, known) = audit(400, 0.0);
    let boosting = Boosting::default();
    let message = |features: &Array2<f32>, logits: &[f64], known: &[bool], boosting: &Boosting| {
        let error = score(features.view(), logits, known, boosting, SEED).unwrap_err();
        assert!(error.hint_text().is_some());
        error.to_string()
    };
    let refused = message(&features, &logits[1..], &known, &boosting);
    assert!(
        refused.contains("400 records, 399 scaled logits"),
        "{refused}"
    );
    let refused = message(&features, &logits, &known[2..], &boosting);
    assert!(refused.contains("398 marks"), "{refused}");
    let refused = message(&Array2::zeros((400, 0)), &logits, &known, &boosting);
    assert!(refused.contains("400 records × 0 features"), "{refused}");
    let mut bad = logits.clone();
    bad[17] = f64::INFINITY;
    let refused = message(&features, &bad, &known, &boosting);
    assert!(refused.contains("logit of record 17 is inf"), "{refused}");
    let mut bad = features.clone();
    bad[[5, 2]] = f32::NAN;
    let refused = message(&bad, &logits, &known, &boosting);
    assert!(
        refused.contains("feature 2 of record 5 is NaN"),
        "{refused}"
    );
    let few: Vec<bool> = (0..400).map(|row| row < 90).collect();
    let refused = message(&features, &logits, &few, &boosting);
    assert!(refused.contains("of 90 known non-members"), "{refused}");
    let refused = message(
        &Array2::ones((400, 1)),
        &[1.0; 400],
        &[true; 400],
        &boosting,
    );
    assert!(refused.contains("only 0 are left"), "{refused}");
    for learning_rate in [0.0, 1.5, f64::NAN] {
        let boosting = Boosting {
            learning_rate,
            ..Boosting::default()
        };
        let refused = message(&features, &logits, &known, &boosting);
        assert!(refused.contains("learning_rate"), "{refused}");
    }
}
