//! t-SNE (van der Maaten & Hinton 2008) in two dimensions, exact, for up to a few thousand points.
//!
//! Every pair is computed, in the order of the records, so the result depends on neither threads
//! nor chance; it begins with two principal components, as scikit-learn's `init="pca"` does, and
//! takes the steps of its `method="exact"`. (The crate bhtsne, which approximates, was looked at: its
//! sums over all points depend on how threads share them.) What is held grows with the
//! square of the number of points: 4 bytes a pair.

use giveaway_nn::{Loops, vectorised};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::check_vectors;
use super::linear::squared_distance;
use super::projection::principal_components;
use crate::error::{Error, Result};

/// Points that are embedded at most: 400 MB.
pub const MOST_POINTS: usize = 10_000;

/// The usual perplexity.
pub const PERPLEXITY: f64 = 30.0;

/// Steps of the descent.
pub const STEPS: usize = 1000;
/// Steps in which attraction is exaggerated.
const EARLY_STEPS: usize = 250;
const EXAGGERATION: f32 = 12.0;
/// The least gain of a coordinate.
const LEAST_GAIN: f64 = 0.01;
/// Below this a probability counts as this; that of float64 numbers, as in scikit-learn.
const LEAST: f64 = f64::EPSILON;
const LANES: usize = 16;

/// Joint probabilities of pairs of points in the space of their vectors, points × points, which sum
/// to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Affinities {
    points: usize,
    joint: Vec<f32>,
}

impl Affinities {
    /// The number of points.
    #[must_use]
    pub fn points(&self) -> usize {
        self.points
    }

    /// Gaussian neighbourhoods whose widths give each point the same perplexity, made symmetric.
    ///
    /// A perplexity above a third of the number of other points is brought down to that.
    ///
    /// # Errors
    /// If there are more than [`MOST_POINTS`], a vector is not finite, or the perplexity is no
    /// number from 1 up.
    pub fn new(vectors: &ArrayView2<f32>, perplexity: f64) -> Result<Self> {
        check_vectors(vectors)?;
        let points = vectors.nrows();
        if points > MOST_POINTS {
            return Err(Error::usage(format!(
                "{points} points are too many for t-SNE, which compares all pairs"
            ))
            .hint(format!("take a sample of at most {MOST_POINTS}")));
        }
        if !perplexity.is_finite() || perplexity < 1.0 {
            return Err(
                Error::usage(format!("the perplexity of t-SNE is {perplexity}"))
                    .hint("it is about the number of neighbours of a point; 30 is usual"),
            );
        }
        let perplexity = perplexity
            .min(points.saturating_sub(1) as f64 / 3.0)
            .max(1.0);
        let standard = vectors.as_standard_layout();
        let values = standard
            .as_slice()
            .ok_or_else(|| Error::unexpected("vectors are not in one piece"))?;
        let width = vectors.ncols();
        let mut conditional = vec![0f32; points * points];
        conditional
            .par_chunks_mut(points.max(1))
            .enumerate()
            .for_each_init(
                || vec![0f64; points],
                |squares, (point, row)| {
                    let own = &values[point * width..(point + 1) * width];
                    for (other, square) in squares.iter_mut().enumerate() {
                        let vector = &values[other * width..(other + 1) * width];
                        *square = squared_distance(own, vector);
                    }
                    neighbourhood(point, squares, perplexity.ln());
                    for (to, &from) in row.iter_mut().zip(&*squares) {
                        *to = from as f32;
                    }
                },
            );
        // both halves are written from the same sum, so the matrix is symmetric to the bit
        let scale = 1.0 / (2.0 * points.max(1) as f64);
        let rows: Vec<Vec<f32>> = (0..points)
            .into_par_iter()
            .map(|point| {
                (0..point)
                    .map(|other| {
                        let here = f64::from(conditional[point * points + other]);
                        let there = f64::from(conditional[other * points + point]);
                        ((here + there) * scale).max(LEAST) as f32
                    })
                    .collect()
            })
            .collect();
        let mut joint = conditional;
        joint
            .par_chunks_mut(points.max(1))
            .enumerate()
            .for_each(|(point, row)| {
                for (other, to) in row.iter_mut().enumerate() {
                    *to = match other.cmp(&point) {
                        std::cmp::Ordering::Less => rows[point][other],
                        std::cmp::Ordering::Equal => 0.0,
                        std::cmp::Ordering::Greater => rows[other][point],
                    };
                }
            });
        Ok(Self { points, joint })
    }

    fn row(&self, point: usize) -> &[f32] {
        &self.joint[point * self.points..(point + 1) * self.points]
    }
}

/// Squared distances of a point become probabilities with the wanted entropy: the precision is
/// searched by bisection.
fn neighbourhood(point: usize, squares: &mut [f64], entropy: f64) {
    const TRIES: usize = 100;
    const NEAR: f64 = 1e-5;
    // with the nearest at 0, the exponentials of far points need not all vanish
    let nearest = squares
        .iter()
        .enumerate()
        .filter(|&(other, _)| other != point)
        .fold(f64::INFINITY, |least, (_, &square)| least.min(square));
    let (mut low, mut high) = (0.0f64, f64::INFINITY);
    let mut precision = 1.0f64;
    let weight = |square: f64, precision: f64| (-(square - nearest) * precision).exp();
    for _ in 0..TRIES {
        let (mut sum, mut moment) = (0.0f64, 0.0f64);
        for (other, &square) in squares.iter().enumerate() {
            if other != point {
                let weight = weight(square, precision);
                sum += weight;
                moment += weight * (square - nearest);
            }
        }
        if sum <= 0.0 {
            break; // no other point
        }
        let found = sum.ln() + precision * moment / sum;
        if (found - entropy).abs() <= NEAR {
            break;
        }
        if found > entropy {
            low = precision;
            precision = if high.is_finite() {
                f64::midpoint(low, high)
            } else {
                2.0 * precision
            };
        } else {
            high = precision;
            precision = f64::midpoint(low, high);
        }
    }
    let mut sum = 0.0;
    for (other, square) in squares.iter_mut().enumerate() {
        *square = if other == point {
            0.0
        } else {
            weight(*square, precision)
        };
        sum += *square;
    }
    if sum > 0.0 {
        for weight in squares {
            *weight /= sum;
        }
    }
}

/// A map of points.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// Places of the points, points × 2.
    pub points: Array2<f64>,
    /// The Kullback–Leibler divergence that is left, in nats.
    pub divergence: f64,
}

/// Embeds vectors, points × columns, in two dimensions; `step` is told of every step of a thousand.
///
/// # Errors
/// As [`Affinities::new`].
pub fn embed(
    vectors: &ArrayView2<f32>,
    perplexity: f64,
    step: impl Fn(u64) + Sync,
) -> Result<Embedding> {
    let affinities = Affinities::new(vectors, perplexity)?;
    let start = principal_components(vectors, 2)?.coordinates;
    let points = affinities.points;
    // as scikit-learn: both coordinates by the deviation of the first
    let mean = start.iter().step_by(start.ncols().max(1)).sum::<f64>() / points.max(1) as f64;
    let square: f64 = (0..points)
        .filter(|_| start.ncols() > 0)
        .map(|point| (start[[point, 0]] - mean).powi(2))
        .sum();
    let deviation = (square / points.max(1) as f64).sqrt();
    let scale = if deviation > 0.0 {
        1e-4 / deviation
    } else {
        0.0
    };
    let start = |point, axis| start.get((point, axis)).map_or(0.0, |x| x * scale);
    descend_from(&affinities, start, step)
}

/// The thousand steps from a start, a function of point and axis.
fn descend_from(
    affinities: &Affinities,
    start: impl Fn(usize, usize) -> f64,
    step: impl Fn(u64) + Sync,
) -> Result<Embedding> {
    let points = affinities.points;
    let mut places = Places::new(points, start);
    let rate = (points as f64 / f64::from(EXAGGERATION) / 4.0).max(50.0);
    for number in 0..STEPS {
        let early = number < EARLY_STEPS;
        if number == EARLY_STEPS {
            // scikit-learn begins the second phase at rest
            places.rest();
        }
        places.descend(
            affinities,
            if early { EXAGGERATION } else { 1.0 },
            if early { 0.5 } else { 0.8 },
            rate,
        );
        step(1);
    }
    let points = places.to_array();
    let divergence = kl_divergence(affinities, &points.view())?;
    Ok(Embedding { points, divergence })
}

/// Places and momenta of the points.
struct Places {
    at: [Vec<f64>; 2],
    update: [Vec<f64>; 2],
    gain: [Vec<f64>; 2],
}

/// What pulls and pushes a point: attraction, unnormalised repulsion, sum of the kernel.
struct Forces {
    attraction: [f64; 2],
    repulsion: [f64; 2],
    kernel: f64,
}

impl Places {
    fn new(points: usize, start: impl Fn(usize, usize) -> f64) -> Self {
        let axis = |axis| (0..points).map(|point| start(point, axis)).collect();
        let filled = |value| [vec![value; points], vec![value; points]];
        Self {
            at: [axis(0), axis(1)],
            update: filled(0.0),
            gain: filled(1.0),
        }
    }

    /// Forgets momenta and gains.
    fn rest(&mut self) {
        for axis in 0..2 {
            self.update[axis].fill(0.0);
            self.gain[axis].fill(1.0);
        }
    }

    fn to_array(&self) -> Array2<f64> {
        Array2::from_shape_fn((self.at[0].len(), 2), |(point, axis)| self.at[axis][point])
    }

    /// One step down the gradient of the divergence,
    /// `4 Σ_j (e p_ij - q_ij) (y_i - y_j) / (1 + |y_i - y_j|²)`.
    fn descend(&mut self, affinities: &Affinities, exaggeration: f32, momentum: f64, rate: f64) {
        let single = [0, 1].map(|axis| {
            let at: &[f64] = &self.at[axis];
            at.iter().map(|&x| x as f32).collect::<Vec<f32>>()
        });
        let forces: Vec<Forces> = (0..affinities.points)
            .into_par_iter()
            .map(|point| {
                vectorised(Row {
                    at: [single[0][point], single[1][point]],
                    x: &single[0],
                    y: &single[1],
                    joint: affinities.row(point),
                })
            })
            .collect();
        let kernel: f64 = forces.iter().map(|force| force.kernel).sum();
        let kernel = kernel.max(f64::MIN_POSITIVE);
        for axis in 0..2 {
            let state = self.at[axis]
                .iter_mut()
                .zip(&mut self.update[axis])
                .zip(&mut self.gain[axis]);
            for (((at, update), gain), force) in state.zip(&forces) {
                let gradient = 4.0
                    * (f64::from(exaggeration) * force.attraction[axis]
                        - force.repulsion[axis] / kernel);
                *gain = if *update * gradient < 0.0 {
                    *gain + 0.2
                } else {
                    (*gain * 0.8).max(LEAST_GAIN)
                };
                *update = momentum * *update - rate * *gain * gradient;
                *at += *update;
            }
        }
    }
}

/// The sums over all points for one of them.
struct Row<'a> {
    at: [f32; 2],
    x: &'a [f32],
    y: &'a [f32],
    joint: &'a [f32],
}

impl Loops for Row<'_> {
    type Output = Forces;

    #[inline(always)]
    fn run(self) -> Forces {
        /// Points after which sums go on in float64.
        const PIECE: usize = 32 * LANES;
        let mut total = [0f64; 5];
        let pieces = self.x.chunks(PIECE).zip(self.y.chunks(PIECE));
        for ((x, y), p) in pieces.zip(self.joint.chunks(PIECE)) {
            let mut sums = [[0f32; LANES]; 5];
            let (xs, rest_x) = x.as_chunks::<LANES>();
            let (ys, rest_y) = y.as_chunks::<LANES>();
            let (ps, rest_p) = p.as_chunks::<LANES>();
            let mut one = |lane: usize, x: f32, y: f32, p: f32| {
                let (dx, dy) = (self.at[0] - x, self.at[1] - y);
                let kernel = 1.0 / (1.0 + dx * dx + dy * dy);
                let pull = p * kernel;
                let push = kernel * kernel;
                sums[0][lane] += pull * dx;
                sums[1][lane] += pull * dy;
                sums[2][lane] += push * dx;
                sums[3][lane] += push * dy;
                sums[4][lane] += kernel;
            };
            for ((x, y), p) in xs.iter().zip(ys).zip(ps) {
                for lane in 0..LANES {
                    one(lane, x[lane], y[lane], p[lane]);
                }
            }
            for (lane, ((&x, &y), &p)) in rest_x.iter().zip(rest_y).zip(rest_p).enumerate() {
                one(lane, x, y, p);
            }
            for (total, sums) in total.iter_mut().zip(&sums) {
                *total += sums.iter().map(|&sum| f64::from(sum)).sum::<f64>();
            }
        }
        Forces {
            attraction: [total[0], total[1]],
            repulsion: [total[2], total[3]],
            // the point itself is at distance 0 and adds 1
            kernel: total[4] - 1.0,
        }
    }
}

/// The Kullback–Leibler divergence of an embedding, points × 2, from the affinities: what t-SNE
/// minimises, exactly, in nats.
///
/// # Errors
/// If the numbers of points differ.
pub fn kl_divergence(affinities: &Affinities, embedding: &ArrayView2<f64>) -> Result<f64> {
    let points = affinities.points;
    if embedding.nrows() != points {
        return Err(Error::unexpected(format!(
            "{} places of {points} points",
            embedding.nrows()
        )));
    }
    let kernel = |i: usize, j: usize| {
        let away = &embedding.row(i) - &embedding.row(j);
        1.0 / (1.0 + away.dot(&away))
    };
    let sums: Vec<f64> = (0..points)
        .into_par_iter()
        .map(|i| (0..points).filter(|&j| j != i).map(|j| kernel(i, j)).sum())
        .collect();
    let total: f64 = sums.iter().sum();
    let parts: Vec<f64> = (0..points)
        .into_par_iter()
        .map(|i| {
            let row = affinities.row(i);
            (0..points)
                .filter(|&j| j != i)
                .map(|j| {
                    let p = f64::from(row[j]);
                    p * (p.max(LEAST) / (kernel(i, j) / total).max(LEAST)).ln()
                })
                .sum()
        })
        .collect();
    Ok(parts.iter().sum())
}

/// Trustworthiness of an embedding (Venna & Kaski 2001), 0 to 1, as scikit-learn computes it: how
/// little the k nearest in the embedding are far in the space of the vectors, by rank.
///
/// `NaN` where there are fewer than two points.
///
/// # Errors
/// If the numbers of points differ, k is 0 or not below half the number of points, or a vector is
/// not finite.
pub fn trustworthiness(
    vectors: &ArrayView2<f32>,
    embedding: &ArrayView2<f64>,
    k: usize,
) -> Result<f64> {
    check_vectors(vectors)?;
    let (points, width) = vectors.dim();
    if points < 2 {
        return Ok(f64::NAN);
    }
    if embedding.nrows() != points || k == 0 || 2 * k >= points {
        return Err(Error::unexpected(format!(
            "trustworthiness: {} places of {points} points, {k} neighbours",
            embedding.nrows()
        )));
    }
    let standard = vectors.as_standard_layout();
    let values = standard
        .as_slice()
        .ok_or_else(|| Error::unexpected("vectors are not in one piece"))?;
    let penalties: Vec<u64> = (0..points)
        .into_par_iter()
        .map(|point| {
            let own = &values[point * width..(point + 1) * width];
            let far: Vec<f64> = (0..points)
                .map(|other| squared_distance(own, &values[other * width..(other + 1) * width]))
                .collect();
            let mut near: Vec<(f64, usize)> = (0..points)
                .filter(|&other| other != point)
                .map(|other| {
                    let away = &embedding.row(point) - &embedding.row(other);
                    (away.dot(&away), other)
                })
                .collect();
            near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            near[..k]
                .iter()
                .map(|&(_, neighbour)| {
                    let nearer = (0..points)
                        .filter(|&other| other != point)
                        .filter(|&other| (far[other], other) < (far[neighbour], neighbour))
                        .count();
                    (nearer + 1).saturating_sub(k) as u64
                })
                .sum()
        })
        .collect();
    let penalty: u64 = penalties.iter().sum();
    let (n, k) = (points as f64, k as f64);
    Ok(1.0 - penalty as f64 * 2.0 / (n * k * (2.0 * n - 3.0 * k - 1.0)))
}

#[cfg(test)]
mod tests {
    use super::super::reference::{Reference, normal, with_threads};
    use super::*;
    use ndarray::Axis;

    fn every_third(reference: &Reference) -> Array2<f32> {
        let chosen: Vec<usize> = (0..reference.labels.len()).step_by(3).collect();
        reference.vectors.select(Axis(0), &chosen)
    }

    /// Starts whose mean is compared.
    const STARTS: u64 = 6;

    #[test]
    fn agrees_with_scikit_learn() {
        for reference in Reference::both() {
            let vectors = every_third(&reference);
            let theirs = reference.values("embedding of all of every third");
            let theirs = Array2::from_shape_vec((vectors.nrows(), 2), theirs.to_vec()).unwrap();
            let affinities = Affinities::new(&vectors.view(), PERPLEXITY).unwrap();
            let total: f64 = affinities.joint.iter().map(|&p| f64::from(p)).sum();
            assert!((total - 1.0).abs() < 1e-5, "{total}");
            let divergence = kl_divergence(&affinities, &theirs.view()).unwrap();
            let expected = reference.values("divergence")[0];
            assert!(
                (divergence / expected - 1.0).abs() < 1e-3,
                "{divergence} {expected}"
            );

            let ours = embed(&vectors.view(), PERPLEXITY, |_| {}).unwrap();
            // The descent is chaotic: a thousandth added to the start moves the end by several per
            // cent, scikit-learn's as well. So means over starts are compared, and the one
            // from the very start with the range of scikit-learn's.
            let theirs_by_start = reference.values("divergence by start");
            let worst = theirs_by_start.iter().copied().fold(0.0, f64::max);
            assert!(ours.divergence < worst, "{} {worst}", ours.divergence);
            let components = principal_components(&vectors.view(), 2)
                .unwrap()
                .coordinates;
            let deviation = components.column(0).std(0.0);
            let by_start: Vec<f64> = (0..STARTS)
                .map(|number| {
                    let noise = normal(vectors.nrows(), 2, number);
                    let start = |point, axis| {
                        let factor = 1.0 + 1e-3 * f64::from(noise[[point, axis]]);
                        1e-4 / deviation * components[[point, axis]] * factor
                    };
                    let found = descend_from(&affinities, start, |_| {}).unwrap();
                    found.divergence
                })
                .collect();
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
            let (our_mean, their_mean) = (mean(&by_start), mean(theirs_by_start));
            assert!(our_mean < 1.05 * their_mean, "{our_mean} {their_mean}");
            for (k, &trust) in [5, 12]
                .into_iter()
                .zip(reference.values("trustworthiness of 5 and 12"))
            {
                let same = trustworthiness(&vectors.view(), &theirs.view(), k).unwrap();
                assert!((same - trust).abs() < 1e-9, "{same} {trust}");
                let found = trustworthiness(&vectors.view(), &ours.points.view(), k).unwrap();
                assert!(found > trust - 0.01, "{found} {trust}");
            }
        }
    }

    #[test]
    fn does_not_depend_on_threads() {
        let vectors = normal(150, 6, 1);
        let run = || embed(&vectors.view(), 12.0, |_| {}).unwrap();
        assert_eq!(with_threads(1, run), with_threads(3, run));
    }

    /// The gradient is that of the divergence: differences of the divergence say so.
    #[test]
    fn steps_go_down_the_gradient() {
        let vectors = normal(40, 4, 2);
        let affinities = Affinities::new(&vectors.view(), 8.0).unwrap();
        let start = normal(40, 2, 3).mapv(f64::from);
        let mut places = Places::new(40, |point, axis| start[[point, axis]]);
        // momentum 0 and a gain of 0.8: the step is -0.8 × rate × gradient
        places.descend(&affinities, 1.0, 0.0, 1.0);
        for (point, axis) in [(0, 0), (7, 1), (39, 0)] {
            let moved = |by: f64| {
                let mut at = start.clone();
                at[[point, axis]] += by;
                kl_divergence(&affinities, &at.view()).unwrap()
            };
            let slope = (moved(1e-4) - moved(-1e-4)) / 2e-4;
            let step = places.at[axis][point] - start[[point, axis]];
            assert!((step + 0.8 * slope).abs() < 1e-5, "{step} {slope}");
        }
    }

    /// Copies, few points, a perplexity that is too large: defined, and nothing is `NaN`.
    #[test]
    fn degenerate_inputs_are_defined() {
        let finite = |vectors: Array2<f32>| {
            let found = embed(&vectors.view(), 30.0, |_| {}).unwrap();
            assert!(found.points.iter().all(|x| x.is_finite()));
            assert!(found.divergence.is_finite());
            found.points.nrows()
        };
        assert_eq!(finite(normal(5, 3, 1)), 5);
        assert_eq!(finite(normal(2, 3, 1)), 2);
        assert_eq!(finite(normal(1, 3, 1)), 1);
        assert_eq!(finite(Array2::zeros((0, 3))), 0);
        assert_eq!(finite(Array2::from_elem((50, 3), 1.0)), 50);
        assert_eq!(finite(normal(50, 1, 2)), 50);
        let mut copies = normal(60, 3, 3);
        for record in 20..60 {
            let first = copies.row(0).to_owned();
            copies.row_mut(record).assign(&first);
        }
        assert_eq!(finite(copies), 60);
        let vectors = normal(20, 2, 4);
        assert!(embed(&vectors.view(), f64::NAN, |_| {}).is_err());
        assert!(embed(&vectors.view(), 0.5, |_| {}).is_err());
        let places = vectors.mapv(f64::from);
        assert!(trustworthiness(&vectors.view(), &places.view(), 10).is_err());
        let same = trustworthiness(&vectors.view(), &places.view(), 9).unwrap();
        assert!((same - 1.0).abs() < 1e-12);
    }
}
