//! Every kernel that this CPU has, against the definitions in f64, on shapes around the
//! sizes of vectors, tiles and panels.

use giveaway_stats::random::Stream;

use super::matrix::PANEL;
use super::*;

/// Rows in use, columns of the left operand, columns of the right.
const SHAPES: [(usize, usize, usize); 14] = [
    (1, 1, 1),
    (2, 3, 2),
    (3, 31, 5),
    (5, 32, 8),
    (6, 33, 9),
    (7, 64, 15),
    (12, 65, 16),
    (13, 5, 17),
    (14, 16, 24),
    (26, 47, 31),
    (27, 96, 32),
    (29, 13, 33),
    (40, 104, 47),
    (129, 7, 100),
];

/// What a finish makes of a sum, a bias and an output.
type Definition<'a> = &'a dyn Fn(f64, f64, f64) -> f64;

pub(super) fn random(stream: &mut Stream, rows: usize, columns: usize) -> Matrix {
    let mut matrix = Matrix::zeros(rows, columns);
    for i in 0..rows {
        for j in 0..columns {
            matrix.set(i, j, stream.normal() as f32);
        }
    }
    matrix
}

pub(super) fn at(matrix: &Matrix, row: usize, column: usize) -> f64 {
    f64::from(matrix.get(row, column))
}

pub(super) fn assert_padding_is_zero(matrix: &Matrix) {
    for (panel, lines) in matrix.panels(matrix.rows()).enumerate() {
        for (i, x) in lines.iter().flat_map(|line| line.0).enumerate() {
            let column = panel * PANEL + i % PANEL;
            assert!(
                column < matrix.columns() || x == 0.0,
                "column {column}: {x}"
            );
        }
    }
}

pub(super) fn assert_close(have: f32, want: f64, scale: f64, what: &str) {
    let difference = (f64::from(have) - want).abs();
    assert!(
        difference <= 1e-6 * scale,
        "{what}: {have} instead of {want}"
    );
}

#[test]
fn products_and_their_finishes() {
    let mut stream = Stream::new(1, "products", 0);
    for kernel in Kernel::available() {
        for (rows, depth, columns) in SHAPES {
            // more rows than are in use, as for the last batch of an epoch
            let left = random(&mut stream, rows + 3, depth);
            let right = random(&mut stream, depth, columns);
            let bias = random(&mut stream, 1, columns);
            let outputs = random(&mut stream, rows + 3, columns);
            let finishes: [(Finish, Definition); 5] = [
                (Finish::Bias(&bias), &|x, b, _| x + b),
                (Finish::BiasRelu(&bias), &|x, b, _| (x + b).max(0.0)),
                (Finish::BiasTanh(&bias), &|x, b, _| (x + b).tanh()),
                (Finish::ReluDerivative(&outputs), &|x, _, h| {
                    if h > 0.0 { x } else { 0.0 }
                }),
                (
                    Finish::TanhDerivative {
                        outputs: &outputs,
                        scale: 0.5,
                    },
                    &|x, _, h| x * (1.0 - 0.25 * h * h),
                ),
            ];
            for (number, (finish, definition)) in finishes.into_iter().enumerate() {
                let before = random(&mut stream, rows + 3, columns);
                let mut to = before.clone();
                kernel
                    .alone()
                    .multiply(rows, &left, &right, finish, &mut to);
                assert_padding_is_zero(&to);
                let what = format!("{kernel}, {rows} × {depth} × {columns}, finish {number}");
                for i in 0..rows {
                    for j in 0..columns {
                        let terms = (0..depth).map(|k| at(&left, i, k) * at(&right, k, j));
                        let (sum, size) =
                            terms.fold((0.0, 1.0), |(sum, size), x| (sum + x, size + x.abs()));
                        let h = at(&outputs, i, j);
                        let want = definition(sum, at(&bias, 0, j), h);
                        assert_close(to.get(i, j), want, size * (1.0 + h * h), &what);
                    }
                }
                for i in rows..rows + 3 {
                    for j in 0..columns {
                        assert_eq!(to.get(i, j).to_bits(), before.get(i, j).to_bits(), "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn transposes() {
    let mut stream = Stream::new(2, "transposes", 0);
    for kernel in Kernel::available() {
        for (rows, columns, _) in SHAPES {
            let from = random(&mut stream, rows, columns);
            let mut to = Matrix::zeros(columns, rows);
            kernel.alone().transpose(&from, &mut to);
            assert_padding_is_zero(&to);
            for i in 0..rows {
                for j in 0..columns {
                    assert_eq!(to.get(j, i).to_bits(), from.get(i, j).to_bits());
                }
            }
        }
    }
}

#[test]
fn gathers() {
    let mut stream = Stream::new(3, "gathers", 0);
    for kernel in Kernel::available() {
        for (rows, columns, _) in SHAPES {
            let features =
                ndarray::Array2::from_shape_fn((50, columns), |_| stream.normal() as f32);
            let examples = crate::Examples::new(features.view(), &[0; 50], 2).unwrap();
            let picked: Vec<u32> = (0..rows).map(|_| stream.below(50) as u32).collect();
            let mut to = Matrix::zeros(rows + 1, columns);
            kernel
                .alone()
                .gather(examples.lines(), examples.lines_per_row(), &picked, &mut to);
            assert_padding_is_zero(&to);
            for (i, &row) in picked.iter().enumerate() {
                for j in 0..columns {
                    assert_eq!(
                        to.get(i, j).to_bits(),
                        features[[row as usize, j]].to_bits()
                    );
                }
            }
        }
    }
}

#[test]
fn steps() {
    let mut stream = Stream::new(4, "steps", 0);
    let steps = [
        Step::Adam {
            beta1: 0.9,
            beta2: 0.99,
            rate: 0.1,
            epsilon: 1e-3,
            l2: 0.1,
            keep: 0.75,
        },
        Step::Sgd {
            momentum: 0.8,
            nesterov: false,
            rate: 0.1,
            l2: 0.1,
        },
        Step::Sgd {
            momentum: 0.8,
            nesterov: true,
            rate: 0.1,
            l2: 0.0,
        },
    ];
    for kernel in Kernel::available() {
        for (rows, inputs, outputs) in SHAPES {
            for step in steps {
                let x = random(&mut stream, rows + 3, inputs);
                let deltas = random(&mut stream, rows + 3, outputs);
                let mut parameters = |count| {
                    let mut second = random(&mut stream, count, outputs);
                    for i in 0..count {
                        for j in 0..outputs {
                            second.set(i, j, second.get(i, j).abs());
                        }
                    }
                    Parameters {
                        value: random(&mut stream, count, outputs),
                        first: random(&mut stream, count, outputs),
                        second,
                    }
                };
                let (mut weights, mut biases) = (parameters(inputs), parameters(1));
                let before = [weights.clone(), biases.clone()];
                kernel
                    .alone()
                    .step_weights(rows, &x, &deltas, &mut weights, &step);
                kernel.step_biases(rows, &deltas, &mut biases, &step);
                let gradients: [&dyn Fn(usize, usize) -> f64; 2] = [
                    &|i, j| (0..rows).map(|k| at(&x, k, i) * at(&deltas, k, j)).sum(),
                    &|_, j| (0..rows).map(|k| at(&deltas, k, j)).sum(),
                ];
                for ((before, after), gradient) in
                    before.iter().zip([weights, biases]).zip(gradients)
                {
                    let what = format!("{kernel}, {rows} × {inputs} × {outputs}, {step:?}");
                    assert_padding_is_zero(&after.value);
                    for i in 0..after.value.rows() {
                        for j in 0..outputs {
                            let now = [&before.value, &before.first, &before.second]
                                .map(|matrix| at(matrix, i, j));
                            let want = step_by_definition(&step, now, gradient(i, j));
                            let scale = 1.0 + rows as f64;
                            assert_close(after.value.get(i, j), want[0], scale, &what);
                            assert_close(after.first.get(i, j), want[1], scale, &what);
                            let scale = scale * scale * 10.0;
                            assert_close(after.second.get(i, j), want[2], scale, &what);
                        }
                    }
                }
            }
        }
    }
}

/// Value, first and second moment after the step.
fn step_by_definition(step: &Step, [value, first, second]: [f64; 3], gradient: f64) -> [f64; 3] {
    match *step {
        Step::Adam {
            beta1,
            beta2,
            rate,
            epsilon,
            l2,
            keep,
        } => {
            let [beta1, beta2, rate, epsilon, l2, keep] =
                [beta1, beta2, rate, epsilon, l2, keep].map(f64::from);
            let gradient = gradient + l2 * value;
            let first = beta1 * first + (1.0 - beta1) * gradient;
            let second = beta2 * second + (1.0 - beta2) * gradient * gradient;
            [
                keep * value - rate * first / (second.sqrt() + epsilon),
                first,
                second,
            ]
        }
        Step::Sgd {
            momentum,
            nesterov,
            rate,
            l2,
        } => {
            let [momentum, rate, l2] = [momentum, rate, l2].map(f64::from);
            let gradient = gradient + l2 * value;
            let velocity = momentum * first + gradient;
            let direction = if nesterov {
                gradient + momentum * velocity
            } else {
                velocity
            };
            [value - rate * direction, velocity, second]
        }
    }
}

#[test]
fn softmax_losses_and_gradients() {
    let mut stream = Stream::new(5, "softmax", 0);
    for kernel in Kernel::available() {
        for (rows, _, classes) in SHAPES {
            for (spread, smoothing) in [(1.0f32, 0.0f32), (1.0, 0.3), (30.0, 0.0), (30.0, 0.1)] {
                let mut logits = random(&mut stream, rows + 3, classes);
                for i in 0..rows {
                    for j in 0..classes {
                        logits.set(i, j, logits.get(i, j) * spread);
                    }
                }
                let labels: Vec<u32> = (0..rows).map(|_| stream.below(classes) as u32).collect();
                let mut soft = random(&mut stream, rows + 3, classes);
                for i in 0..rows {
                    let sum: f64 = (0..classes).map(|j| at(&soft, i, j).abs()).sum();
                    for j in 0..classes {
                        soft.set(i, j, (at(&soft, i, j).abs() / sum) as f32);
                    }
                }
                let weights: Vec<f32> = (0..rows).map(|_| stream.uniform() as f32).collect();
                for (soft, weights) in [
                    (None, None),
                    (Some(&soft), None),
                    (None, Some(&weights[..])),
                    (Some(&soft), Some(&weights[..])),
                ] {
                    let targets = Targets {
                        labels: &labels,
                        soft,
                        weights,
                    };
                    check_softmax(kernel, &logits, targets, smoothing);
                }
            }
        }
    }
}

fn check_softmax(kernel: Kernel, logits: &Matrix, targets: Targets, smoothing: f32) {
    let (rows, classes) = (targets.labels.len(), logits.columns());
    let mut gradients = logits.clone();
    let loss = kernel.softmax(
        logits,
        targets,
        smoothing,
        1.0 / rows as f32,
        &mut gradients,
    );
    assert_padding_is_zero(&gradients);
    let what = format!("{kernel}, {rows} × {classes}, {smoothing}");
    let smoothing = f64::from(smoothing);
    let mut total = 0.0;
    for (i, &label) in targets.labels.iter().enumerate() {
        let row: Vec<f64> = (0..classes).map(|j| at(logits, i, j)).collect();
        let largest = row.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = row.iter().map(|x| (x - largest).exp()).sum();
        let weight = targets.weights.map_or(1.0, |weights| f64::from(weights[i]));
        for (j, x) in row.iter().enumerate() {
            let own = match targets.soft {
                Some(soft) => at(soft, i, j),
                None if j == label as usize => 1.0,
                None => 0.0,
            };
            let target = (1.0 - smoothing) * own + smoothing / classes as f64;
            let probability = (x - largest).exp() / sum;
            total -= weight * target * (x - largest - sum.ln());
            let want = weight * (probability - target) / rows as f64;
            assert_close(gradients.get(i, j), want, 1.0 / rows as f64, &what);
        }
    }
    assert!(
        (loss.sum - total).abs() < 1e-6 * (total + 10.0 * rows as f64),
        "{what}: {} instead of {total}",
        loss.sum
    );
}

#[test]
fn a_logit_that_is_not_finite_shows_in_the_loss() {
    for kernel in Kernel::available() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for column in [0, 1, 18] {
                let mut logits = Matrix::zeros(2, 19);
                logits.set(1, column, bad);
                let mut gradients = Matrix::zeros(2, 19);
                let targets = Targets {
                    labels: &[2, 2],
                    soft: None,
                    weights: None,
                };
                let loss = kernel.softmax(&logits, targets, 0.0, 0.5, &mut gradients);
                assert!(!loss.sum.is_finite(), "{kernel}, {bad}, column {column}");
            }
        }
    }
}

#[test]
fn tanh_is_exact_to_a_few_units_in_the_last_place() {
    let count = 4001;
    let mut row = Matrix::zeros(1, count);
    for j in 0..count {
        // from 1e-30 to 1e2 of either sign, and 0
        let size = 10f64.powf(-30.0 + 32.0 * (j / 2) as f64 / 2000.0);
        let x = if j % 2 == 0 { size } else { -size };
        row.set(0, j, if j == 0 { 0.0 } else { x as f32 });
    }
    let zeros = Matrix::zeros(1, count);
    let zero = Matrix::zeros(1, 1);
    for kernel in Kernel::available() {
        let mut to = Matrix::zeros(1, count);
        kernel
            .alone()
            .multiply(1, &zero, &zeros, Finish::BiasTanh(&row), &mut to);
        for j in 0..count {
            let want = at(&row, 0, j).tanh();
            let error = (at(&to, 0, j) - want).abs();
            assert!(
                error <= 4e-7 * want.abs(),
                "{kernel}: {want}, off by {error}"
            );
        }
        // NaN is not hidden by either activation
        let mut bias = Matrix::zeros(1, 1);
        bias.set(0, 0, f32::NAN);
        for finish in [Finish::BiasTanh(&bias), Finish::BiasRelu(&bias)] {
            let mut to = Matrix::zeros(1, 1);
            kernel.alone().multiply(1, &zero, &zero, finish, &mut to);
            assert!(to.get(0, 0).is_nan(), "{kernel}");
        }
    }
}

#[test]
fn moments_without_gradient_fade_and_never_become_subnormal() {
    let adam = Step::Adam {
        beta1: 0.9,
        beta2: 0.9,
        rate: 1e-3,
        epsilon: 1e-8,
        l2: 0.0,
        keep: 1.0,
    };
    let sgd = Step::Sgd {
        momentum: 0.9,
        nesterov: true,
        rate: 0.1,
        l2: 1.0,
    };
    let mut x = Matrix::zeros(1, 20);
    let mut deltas = Matrix::zeros(1, 20);
    for (i, exponent) in (0..20).enumerate() {
        x.set(0, i, 10f32.powi(-exponent));
        deltas.set(0, i, 10f32.powi(-exponent));
    }
    let none = Matrix::zeros(1, 20);
    for kernel in Kernel::available() {
        for step in [adam, sgd] {
            let mut weights = Parameters::zeros(20, 20, true);
            kernel
                .alone()
                .step_weights(1, &x, &deltas, &mut weights, &step);
            for _ in 0..1500 {
                kernel
                    .alone()
                    .step_weights(1, &x, &none, &mut weights, &step);
                for matrix in [&weights.value, &weights.first, &weights.second] {
                    for i in 0..20 {
                        for j in 0..20 {
                            assert!(!matrix.get(i, j).is_subnormal(), "{kernel}");
                        }
                    }
                }
            }
            for matrix in [&weights.first, &weights.second] {
                for i in 0..20 {
                    for j in 0..20 {
                        assert!(matrix.get(i, j).abs() < 1e-34, "{kernel}");
                    }
                }
            }
        }
    }
}

#[test]
fn passes_over_lines() {
    let mut stream = Stream::new(12, "passes", 0);
    let mut lines = || -> Vec<Line> {
        let mut line = || Line(std::array::from_fn(|_| stream.normal() as f32));
        (0..5).map(|_| line()).collect()
    };
    let (from, before) = (lines(), lines());
    let check = |kernel: Kernel, to: &[Line], want: &dyn Fn(f64, f64) -> f64| {
        for (i, line) in to.iter().enumerate() {
            for (lane, have) in line.0.iter().enumerate() {
                let (x, y) = (f64::from(from[i].0[lane]), f64::from(before[i].0[lane]));
                let what = format!("{kernel}, line {i}, lane {lane}");
                assert_close(*have, want(x, y), 1.0 + x.abs() + y.abs(), &what);
            }
        }
    };
    for kernel in Kernel::available() {
        let run = |pass: &dyn Fn(&mut [Line])| {
            let mut to = before.clone();
            pass(&mut to);
            to
        };
        check(kernel, &run(&|to| kernel.add(&from, to)), &|x, y| x + y);
        check(kernel, &run(&|to| kernel.scale(&from, to)), &|x, y| x * y);
        let activated = |after| run(&|to| kernel.activate(after, to));
        check(kernel, &activated(After::Nothing), &|_, y| y);
        check(kernel, &activated(After::Relu), &|_, y| y.max(0.0));
        check(kernel, &activated(After::Tanh), &|_, y| y.tanh());
        let sloped = |after| run(&|to| kernel.times_slope(after, (&from, 0.25), to));
        check(kernel, &sloped(After::Nothing), &|_, y| y);
        let relu = |x: f64, y: f64| if x > 0.0 { y } else { 0.0 };
        check(kernel, &sloped(After::Relu), &relu);
        let tanh = |x: f64, y: f64| y * (1.0 - (0.25 * x).powi(2));
        check(kernel, &sloped(After::Tanh), &tanh);
    }
}
