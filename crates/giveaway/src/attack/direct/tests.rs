use super::*;
use crate::membership::Design;
use crate::signals::Accuracy;
use giveaway_stats::empirical::ecdf_p_value;
use ndarray::Array2;
use std::f64::consts::LN_2;

const LEFT_OUT: [LeftOut; 2] = [LeftOut::Nobody, LeftOut::Model(5)];

fn all(units: usize) -> Vec<u32> {
    (0..units as u32).collect()
}

/// Signals without any effect of membership; the scaled logit falls with the loss.
fn noise(units: usize, models: usize, draw: impl Fn(&mut Stream) -> f64) -> Signals {
    let mut stream = Stream::new(77, "noise", 0);
    let logit = Array2::from_shape_fn((units, models), |_| draw(&mut stream) as f32);
    Signals::from_arrays(&logit.mapv(|z| (-z).exp().ln_1p()), &logit)
}

fn target(loss: Vec<f32>, scaled_logit: Vec<f32>) -> ModelSignals {
    ModelSignals {
        loss,
        scaled_logit,
        accuracy: Accuracy::default(),
    }
}

fn close(a: f64, b: f64) -> bool {
    (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * b.abs()
}

/// The definitions of methods, section 1.3, from a unit's OUT losses and scaled logits.
fn by_definition(
    null: Null,
    losses: &[f64],
    logits: &[f64],
    prior: Option<(VariancePrior, f64)>,
    left_out: usize,
    target: &ModelSignals,
    unit: usize,
) -> f64 {
    let loss = f64::from(target.loss[unit]);
    let k = losses.len() as f64;
    if losses.len() < null.models_needed() {
        return f64::NAN;
    }
    match null {
        Null::Ecdf => ecdf_p_value(losses, loss),
        Null::Pchip => {
            let mut sorted = losses.to_vec();
            sorted.sort_by(f64::total_cmp);
            pchip_p_value_sorted(&sorted, loss)
        }
        Null::T => {
            let (mean, mut variance) = mean_and_variance(logits);
            let mut freedom = k - 1.0;
            if losses.len() + left_out < FEW_MODELS
                && let Some((prior, all)) = prior
            {
                let shrunk = moderated(variance, freedom, prior);
                (variance, freedom) = (shrunk.variance, shrunk.degrees_of_freedom.min(all));
            }
            if variance == 0.0 {
                return ecdf_p_value(losses, loss);
            }
            let logit = f64::from(target.scaled_logit[unit]);
            student_t_sf(
                (logit - mean) / (variance * (1.0 + 1.0 / k)).sqrt(),
                freedom,
            )
        }
    }
}

fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let k = values.len() as f64;
    let mean = values.iter().sum::<f64>() / k;
    let squares: f64 = values.iter().map(|z| (z - mean).powi(2)).sum();
    (mean, squares / (k - 1.0))
}

/// The OUT models of a unit among `models`, without those in `without`.
fn out_models(
    membership: &Membership,
    models: Range<usize>,
    unit: usize,
    without: &[usize],
) -> Vec<usize> {
    models
        .filter(|m| !membership.is_in(*m, unit) && !without.contains(m))
        .collect()
}

/// The prior of the units' variances, where some unit has few OUT models.
fn prior_by_definition(out: &[Vec<usize>], signals: &Signals) -> Option<(VariancePrior, f64)> {
    let tested: Vec<(f64, f64)> = out
        .iter()
        .enumerate()
        .filter(|(_, models)| models.len() >= 2)
        .map(|(unit, models)| {
            let logits: Vec<f64> = models
                .iter()
                .map(|&m| f64::from(signals.scaled_logits(unit)[m]))
                .collect();
            (mean_and_variance(&logits).1, models.len() as f64 - 1.0)
        })
        .collect();
    let (variances, freedoms): (Vec<f64>, Vec<f64>) = tested.into_iter().unzip();
    let prior = fit_variance_prior(&variances, &freedoms).ok()?;
    Some((prior, freedoms.iter().sum()))
}

fn p_by_definition(
    null: Null,
    signals: &Signals,
    out: &[Vec<usize>],
    left_out: usize,
    target: &ModelSignals,
) -> Vec<f64> {
    let prior = prior_by_definition(out, signals);
    out.iter()
        .enumerate()
        .map(|(unit, models)| {
            let of = |values: &[f32]| -> Vec<f64> {
                models.iter().map(|&m| f64::from(values[m])).collect()
            };
            by_definition(
                null,
                &of(signals.losses(unit)),
                &of(signals.scaled_logits(unit)),
                prior,
                left_out,
                target,
                unit,
            )
        })
        .collect()
}

/// On normal noise the t null holds with few models, whether the tested units are too few
/// to lend each other a prior (moderation by two gave p < .001 in 8 of 1,000) or not.
#[test]
fn the_t_null_holds_with_few_models_and_few_units() {
    for (units, models) in [(2usize, 6usize), (3, 10), (6, 6), (12, 6), (30, 12)] {
        let mut small = [0u32; 2];
        let repetitions = 30_000 / units as u64;
        for repetition in 0..repetitions {
            let mut stream = Stream::new(repetition, "few units", units as u64);
            let logit = Array2::from_shape_fn((units, models), |_| stream.normal() as f32);
            let signals = Signals::from_arrays(&logit.mapv(|z| -z), &logit);
            let membership =
                Membership::draw(Design::Halves, models, units, &all(units), 0, repetition)
                    .unwrap();
            let observed: Vec<f32> = (0..units).map(|_| stream.normal() as f32).collect();
            let target = target(observed.iter().map(|z| -z).collect(), observed);
            let candidates = all(units);
            let inference = DirectInference::new(&signals, &membership, &candidates, 0..models);
            for p in inference.p_values(Null::T, &target, LeftOut::Nobody) {
                small[0] += u32::from(p < 0.01);
                small[1] += u32::from(p < 0.001);
            }
        }
        let trials = (repetitions * units as u64) as f64;
        for (count, level) in small.into_iter().zip([0.01, 0.001]) {
            // 3.7 standard errors: one chance in 10,000
            let most = level + 3.7 * (level / trials).sqrt();
            let rate = f64::from(count) / trials;
            assert!(
                rate < most,
                "{units} units, {models} models: {rate} at {level}"
            );
        }
    }
}

/// Who is tested beside a unit matters (for the moderated variance), who is a candidate does not.
#[test]
fn tested_units_lend_each_other_their_prior_and_nobody_else() {
    let membership = Membership::draw(Design::Halves, 16, 40, &all(40), 0, 3).unwrap();
    let mut signals = noise(40, 16, Stream::normal);
    // The tested units vary ten times as much as the others.
    let tested: Vec<usize> = (0..40).step_by(4).collect();
    let logit = Array2::from_shape_fn((40, 16), |(unit, model)| {
        let z = signals.scaled_logits(unit)[model];
        if unit % 4 == 0 { 10.0 * z } else { z }
    });
    signals = Signals::from_arrays(&logit.mapv(|z| (-z).exp().ln_1p()), &logit);
    let target = target(vec![0.1; 40], vec![5.0; 40]);
    let everybody = all(40);
    let among_all = DirectInference::new(&signals, &membership, &everybody, 0..16);
    let subset: Vec<u32> = tested.iter().map(|&unit| unit as u32).collect();
    let alone = DirectInference::new(&signals, &membership, &subset, 0..16);
    for left_out in LEFT_OUT {
        let of_tested = among_all.p_values_of(&tested, Null::T, &target, left_out);
        assert_eq!(of_tested, alone.p_values(Null::T, &target, left_out));
        let beside_all = among_all.p_values(Null::T, &target, left_out);
        assert!(
            tested
                .iter()
                .zip(&of_tested)
                .any(|(&unit, &p)| !close(beside_all[unit], p))
        );
    }
}

/// Against scipy's t.sf, with the variance moderated below ten OUT models;
/// `conformance/audit/generate.py` made the values.
#[test]
fn the_t_null_is_that_of_scipy() {
    let path = format!(
        "{}/../../conformance/audit/t.csv",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .skip(1)
        .map(|l| l.split(',').collect())
        .collect();
    let mut groups: Vec<&str> = rows.iter().map(|r| r[0]).collect();
    groups.dedup();
    assert_eq!(groups.len(), 7);
    for group in groups {
        let of: Vec<&Vec<&str>> = rows.iter().filter(|r| r[0] == group).collect();
        let phi: Vec<Vec<f32>> = of
            .iter()
            .map(|r| {
                r[1].split(' ')
                    .map(|number| number.parse().unwrap())
                    .collect()
            })
            .collect();
        let k = phi[0].len();
        let units = of.len();
        let membership = Membership::draw(Design::Halves, 2 * k, units, &all(units), 0, 1).unwrap();
        // IN models hold what would spoil everything; OUT models hold the sample in order.
        let mut logit = Array2::from_elem((units, 2 * k), 1e6f32);
        for unit in 0..units {
            let out = out_models(&membership, 0..2 * k, unit, &[]);
            assert_eq!(out.len(), k);
            for (&model, &z) in out.iter().zip(&phi[unit]) {
                logit[[unit, model]] = z;
            }
        }
        let signals = Signals::from_arrays(&logit.mapv(|z| -z), &logit);
        let observed: Vec<f32> = of.iter().map(|r| r[2].parse().unwrap()).collect();
        let target = target(observed.iter().map(|z| -z).collect(), observed);
        let candidates = all(units);
        let p = DirectInference::new(&signals, &membership, &candidates, 0..2 * k).p_values(
            Null::T,
            &target,
            LeftOut::Nobody,
        );
        for (unit, row) in of.iter().enumerate() {
            let expected: f64 = row[3].parse().unwrap();
            assert!(
                close(p[unit], expected),
                "group {group}, unit {unit}: {} instead of {expected}",
                p[unit]
            );
        }
    }
}

/// With 12 models per half (6 OUT, and 5 without the pair, so moderated) and with 40;
/// losses with many ties and without.
#[test]
fn leaving_a_pair_out_is_computing_without_it() {
    let units = 60;
    for models in [24, 80] {
        let membership =
            Membership::draw(Design::Halves, models, units, &all(units), 0, 3).unwrap();
        let candidates = all(units);
        for tied in [false, true] {
            let signals = noise(units, models, |s| {
                let z = 2.0 * s.normal();
                if tied { z.round() } else { z }
            });
            for half in membership.halves() {
                let inference =
                    DirectInference::new(&signals, &membership, &candidates, half.clone());
                for model in half.clone() {
                    let complement = membership.complement(model).unwrap();
                    let out: Vec<Vec<usize>> = (0..units)
                        .map(|unit| {
                            out_models(&membership, half.clone(), unit, &[model, complement])
                        })
                        .collect();
                    // whatever its membership, every unit keeps the same number
                    assert!(out.iter().all(|o| o.len() == models / 4 - 1));
                    let target = signals.of_model(model);
                    for null in Null::EVERY {
                        let p = inference.p_values(null, &target, LeftOut::Model(model));
                        let expected = p_by_definition(null, &signals, &out, 1, &target);
                        for unit in 0..units {
                            assert!(
                                close(p[unit], expected[unit]),
                                "{null:?} {model} {unit}: {} {}",
                                p[unit],
                                expected[unit]
                            );
                        }
                    }
                }
            }
        }
    }
}

/// Without complements a non-member loses the model that plays the target, and a member
/// another OUT model: the p-value is that of some sample with one model fewer.
#[test]
fn without_complements_every_unit_loses_one_model() {
    let (units, models) = (50, 40);
    let membership = Membership::draw(Design::Share, models, units, &all(units), 20, 3).unwrap();
    let candidates = all(units);
    let signals = noise(units, models, Stream::normal);
    let inference = DirectInference::new(&signals, &membership, &candidates, 0..models);
    for model in 0..models {
        let target = signals.of_model(model);
        for null in Null::EVERY {
            let p = inference.p_values(null, &target, LeftOut::Model(model));
            for unit in 0..units {
                let whole = out_models(&membership, 0..models, unit, &[]);
                assert!(whole.len() > FEW_MODELS, "no moderation here");
                let leavers = if membership.is_in(model, unit) {
                    whole
                } else {
                    vec![model]
                };
                let possible = leavers.iter().any(|&leaver| {
                    let out = out_models(&membership, 0..models, unit, &[leaver]);
                    let of = |values: &[f32]| -> Vec<f64> {
                        out.iter().map(|&m| f64::from(values[m])).collect()
                    };
                    let expected = by_definition(
                        null,
                        &of(signals.losses(unit)),
                        &of(signals.scaled_logits(unit)),
                        None,
                        1,
                        &target,
                        unit,
                    );
                    close(p[unit], expected)
                });
                assert!(possible, "{null:?}, model {model}, unit {unit}");
            }
        }
    }
}

#[test]
fn permuting_records_permutes_p_values() {
    let (units, models) = (90, 40);
    let mut place = all(units);
    Stream::new(9, "places", 0).shuffle(&mut place);
    for design in [Design::Halves, Design::Share] {
        let draw =
            |eligible: &[u32]| Membership::draw(design, models, units, eligible, 45, 4).unwrap();
        let (plain, moved) = (draw(&all(units)), draw(&place));
        for unit in 0..units {
            assert!(
                (0..models)
                    .all(|m| { plain.is_in(m, unit) == moved.is_in(m, place[unit] as usize) })
            );
        }
        for tied in [false, true] {
            let signals = noise(units, models, |s| {
                let z = s.normal();
                if tied { z.round() } else { z }
            });
            let rearranged = |row: &dyn Fn(usize) -> Vec<f32>| {
                let mut values = Array2::zeros((units, models));
                for unit in 0..units {
                    for (slot, value) in values
                        .row_mut(place[unit] as usize)
                        .iter_mut()
                        .zip(row(unit))
                    {
                        *slot = value;
                    }
                }
                values
            };
            let permuted = Signals::from_arrays(
                &rearranged(&|unit| signals.losses(unit).to_vec()),
                &rearranged(&|unit| signals.scaled_logits(unit).to_vec()),
            );
            let candidates = all(units);
            let a = DirectInference::new(&signals, &plain, &candidates, 0..20);
            let b = DirectInference::new(&permuted, &moved, &candidates, 0..20);
            for null in Null::EVERY {
                for left_out in LEFT_OUT {
                    let p = a.p_values(null, &signals.of_model(5), left_out);
                    let q = b.p_values(null, &permuted.of_model(5), left_out);
                    for unit in 0..units {
                        assert_eq!(
                            p[unit].to_bits(),
                            q[place[unit] as usize].to_bits(),
                            "{design:?} {null:?} {left_out:?} {unit}"
                        );
                    }
                }
            }
        }
    }
}

/// A channel that shows labels only gives every model one of two losses. Every record
/// gets a p-value all the same, by ranks where the OUT models agree.
#[test]
fn ties_give_every_record_a_p_value() {
    let (units, models) = (64, 62);
    let membership = Membership::draw(Design::Halves, models, units, &all(units), 0, 3).unwrap();
    let candidates = all(units);
    // All alike, all but one or two alike, and one of two values at random.
    for (errors, wrong, right) in [
        (0.0, -LN_2, LN_2),
        (0.02, -LN_2, LN_2),
        (0.02, -1.386_294_4, 2.944_439),
        (0.98, -1.386_294_4, 2.944_439),
        (0.5, -1.386_294_4, 2.944_439),
    ] {
        let signals = noise(units, models, |s| {
            if s.uniform() < errors { wrong } else { right }
        });
        let inference = DirectInference::new(&signals, &membership, &candidates, 0..models);
        for model in 0..models {
            let complement = membership.complement(model).unwrap();
            let out: Vec<Vec<usize>> = (0..units)
                .map(|u| out_models(&membership, 0..models, u, &[model, complement]))
                .collect();
            let target = signals.of_model(model);
            for null in Null::EVERY {
                let p = inference.p_values(null, &target, LeftOut::Model(model));
                let expected = p_by_definition(null, &signals, &out, 1, &target);
                for unit in 0..units {
                    assert!(p[unit] > 0.0 && p[unit] <= 1.0, "{null:?}: {}", p[unit]);
                    assert!(
                        close(p[unit], expected[unit]),
                        "{null:?}, model {model}, unit {unit}, errors {errors}: {} instead of {}",
                        p[unit],
                        expected[unit]
                    );
                }
            }
        }
        let all_alike = errors == 0.0;
        if all_alike {
            for null in Null::EVERY {
                let p = inference.p_values(null, &signals.of_model(0), LeftOut::Nobody);
                assert!(p.iter().all(|&p| p == 1.0), "{null:?}");
            }
        }
    }
}

#[test]
fn too_few_models_is_said_and_not_hidden() {
    let membership = Membership::draw(Design::Halves, 4, 6, &all(6), 0, 3).unwrap();
    let signals = noise(6, 4, Stream::normal);
    let candidates = all(6);
    let inference = DirectInference::new(&signals, &membership, &candidates, 0..4);
    let p = |null| inference.p_values(null, &signals.of_model(0), LeftOut::Model(0));
    assert!(
        p(Null::T).iter().all(|p| p.is_nan()),
        "one OUT model is left"
    );
    assert!(p(Null::Ecdf).iter().all(|p| !p.is_nan()));
    assert!(p(Null::Pchip).iter().all(|p| !p.is_nan()));
}
