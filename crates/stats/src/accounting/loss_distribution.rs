//! The distribution of the privacy loss, on a grid, composed with itself.
//!
//! The loss is `L = ln P(x)/Q(x)`, x from P, where P and Q are the outputs with and without
//! the record, or the other way round (add and remove are bounded separately, and the worse
//! one counts). Of all steps together `δ(ε) = E[(1 − e^{ε−L})₊]`. What makes it never too
//! small:
//!
//! - *The grid.* What lies between two grid points goes to both of them, in the shares that
//!   keep its probability under P and under Q. This is a mean-preserving spread of the ratio
//!   P/Q, which only raises δ ("connect the dots": Doroshenko, Ghazi, Kamath, Kumar and
//!   Manurangsi 2022); the error falls with the square of the interval.
//! - *The ends.* Losses above the last point count as infinite, and those below the first as
//!   the first.
//! - *The window.* Composition is cyclic. What comes round from outside only adds; what is
//!   above the window and may come round below is bounded by Chernoff and added to δ.
//! - *Rounding.* The transform is applied to the distribution tilted by e^{θL}, whose mean is
//!   near the ε in question, so that its errors are small beside the δ there, however small
//!   that is; and a bound on them is added.

use std::ops::Range;

use super::Sampled;
use super::fourier::Transform;
use crate::distribution::{normal_isf, normal_sf};

/// Grid intervals in one standard deviation of the loss of one step. The composed variance is
/// too large by at most a fraction 1/(4 · 16²), and typically by a third less.
const RESOLUTION: f64 = 16.0;

/// Grid intervals in ε itself, where they are smaller than that.
const POINTS_BELOW: f64 = 100.0;

/// Most grid points of one step.
const MOST_LOSSES: f64 = 1e6;

/// Most grid points of the window: 64 MiB for the transform and its roots.
const LONGEST_WINDOW: f64 = 2_097_152.0;

/// What infinite losses, the part above the window, and what comes round may add to δ.
const NEGLIGIBLE: f64 = 1e-10;

/// How many powers are computed from one exponential.
const BLOCK: usize = 32;

/// The logarithm of the tilted probability that may be outside the window, on either side.
const OUTSIDE: f64 = -30.0;

/// ε at δ; the noise multiplier is not 0.
pub(super) fn epsilon(sampled: &Sampled, delta: f64, transform: &mut Transform) -> f64 {
    let mut grid = Grid::new(sampled, None);
    let mut epsilon = grid.epsilon(sampled, delta, transform);
    // where ε is small beside the losses the grid may be too coarse for it
    let finer = (epsilon / POINTS_BELOW).max(grid.interval / 64.0);
    if epsilon > 0.0 && finer < 0.5 * grid.interval {
        grid.interval = finer;
        epsilon = epsilon.min(grid.epsilon(sampled, delta, transform));
    }
    epsilon
}

/// δ at ε; the noise multiplier is not 0.
pub(super) fn delta(sampled: &Sampled, epsilon: f64) -> f64 {
    Grid::new(sampled, Some(epsilon)).delta(sampled, epsilon, &mut Transform::default())
}

/// How finely losses are told apart.
struct Grid {
    interval: f64,
}

impl Grid {
    fn new(sampled: &Sampled, epsilon: Option<f64>) -> Self {
        let mut interval = deviation(sampled) / RESOLUTION;
        if let Some(epsilon) = epsilon
            && epsilon > 0.0
        {
            interval = interval.min((epsilon / POINTS_BELOW).max(interval / 64.0));
        }
        Self { interval }
    }

    fn epsilon(&mut self, sampled: &Sampled, delta: f64, transform: &mut Transform) -> f64 {
        let aim = Aim::Delta(delta);
        self.worse(sampled, delta, aim, transform, |composed| {
            composed.epsilon(delta)
        })
    }

    fn delta(&mut self, sampled: &Sampled, epsilon: f64, transform: &mut Transform) -> f64 {
        // a bound, to know which tails are negligible
        let bound = super::renyi::Curve::new(sampled, &super::renyi::orders()).delta(epsilon);
        let aim = Aim::Epsilon(epsilon);
        self.worse(sampled, bound, aim, transform, |composed| {
            composed.delta(epsilon)
        })
        .min(1.0)
    }

    /// The larger value of the two directions; makes the grid coarser until it fits.
    fn worse(
        &mut self,
        sampled: &Sampled,
        delta: f64,
        aim: Aim,
        transform: &mut Transform,
        value: impl Fn(&Composed) -> f64,
    ) -> f64 {
        // beyond 1e-200 densities are no numbers any more, and nobody asks
        let tail = (NEGLIGIBLE * delta / sampled.steps as f64).clamp(1e-200, 0.1);
        loop {
            let directions = both_directions(sampled, &mut self.interval, tail);
            let mut worst = 0.0_f64;
            let mut too_long = 1.0_f64;
            for losses in &directions {
                match Composed::new(losses, sampled.steps, aim, transform) {
                    Ok(composed) => {
                        let value = value(&composed);
                        // what is no number vouches for nothing
                        worst = worst.max(if value.is_nan() { f64::INFINITY } else { value });
                    }
                    Err(TooLong(factor)) => too_long = too_long.max(factor),
                }
            }
            if too_long <= 1.0 {
                return worst;
            }
            self.interval *= 1.1 * too_long;
        }
    }
}

#[expect(
    clippy::cast_possible_wrap,
    reason = "lengths are some millions at most"
)]
fn signed(length: usize) -> i64 {
    length as i64
}

/// The loss at the output x, where the clip is 1.
fn loss(sampled: &Sampled, x: f64) -> f64 {
    let variance = sampled.noise_multiplier * sampled.noise_multiplier;
    let exponent = (2.0 * x - 1.0) / (2.0 * variance);
    if exponent > 500.0 || sampled.rate >= 1.0 {
        return exponent + sampled.rate.ln();
    }
    (sampled.rate * exponent.exp_m1()).ln_1p()
}

/// The standard deviation of the loss of one step with the record, roughly: the grid's
/// interval is measured by it, and nothing else depends on it.
fn deviation(sampled: &Sampled) -> f64 {
    let noise = sampled.noise_multiplier;
    let step = noise / 16.0;
    let points = ((1.0 + 20.0 * noise) / step).clamp(1.0, 1e5);
    let step = (1.0 + 20.0 * noise) / points;
    let (mut total, mut mean, mut square) = (0.0, 0.0, 0.0);
    for i in 0..points as usize {
        let x = -10.0 * noise + (i as f64 + 0.5) * step;
        let density = |shift: f64| (-0.5 * ((x - shift) / noise).powi(2)).exp();
        let density = (1.0 - sampled.rate) * density(0.0) + sampled.rate * density(1.0);
        let loss = loss(sampled, x);
        total += density;
        mean += density * loss;
        square += density * loss * loss;
    }
    mean /= total;
    (square / total - mean * mean).max(f64::MIN_POSITIVE).sqrt()
}

/// A distribution of the loss of one step: probabilities of the multiples of an interval.
#[derive(Debug)]
struct Losses {
    interval: f64,
    /// The first probability is that of this multiple.
    first: i64,
    probabilities: Vec<f64>,
    /// Probability of an infinite loss.
    infinite: f64,
}

/// Nodes and weights of Gauss and Legendre's rule on [−1, 1].
const NODES: [(f64, f64); 4] = [
    (-0.861_136_311_594_052_6, 0.347_854_845_137_453_85),
    (-0.339_981_043_584_856_26, 0.652_145_154_862_546_1),
    (0.339_981_043_584_856_26, 0.652_145_154_862_546_1),
    (0.861_136_311_594_052_6, 0.347_854_845_137_453_85),
];

/// A grid point of the loss, and where on the line of outputs it is.
#[derive(Clone, Copy)]
struct Edge {
    /// The loss there, of the direction in which the record is removed.
    loss: f64,
    /// The ratio of the Gaussians with and without the record there; below 0 where no output
    /// has so small a loss.
    ratio: f64,
    /// The output, in standard deviations; −∞ where there is none.
    z: f64,
    /// The tail beyond it, away from 0, of the Gaussian without the record, and that of the
    /// one with it (away from its mean).
    tails: [f64; 2],
}

/// The loss of removing a record and that of adding one. Makes the interval larger if it would
/// need too many points; losses of removing with a probability below `tail` are infinite.
fn both_directions(sampled: &Sampled, interval: &mut f64, tail: f64) -> [Losses; 2] {
    let (rate, noise) = (sampled.rate, sampled.noise_multiplier);
    let z = normal_isf(tail);
    let highest = loss(sampled, 1.0 + noise * z);
    // no loss is below ln(1 − q); without sampling there is no such bound
    let lowest = (-rate).ln_1p().max(loss(sampled, -noise * z));
    *interval = interval.max((highest - lowest) / MOST_LOSSES);
    let h = *interval;
    let first = (lowest / h).floor() as i64;
    let last = ((highest / h).ceil() as i64).max(first + 1);

    let edge = |j: i64| {
        let loss = j as f64 * h;
        let excess = loss.exp_m1() / rate;
        let (ratio, ln_ratio) = if rate < 1.0 {
            (1.0 + excess, excess.ln_1p())
        } else {
            (loss.exp(), loss)
        };
        let z = if ratio > 0.0 {
            noise * ln_ratio + 0.5 / noise
        } else {
            f64::NEG_INFINITY
        };
        let tails = [normal_sf(z.abs()), normal_sf((z - 1.0 / noise).abs())];
        Edge {
            loss,
            ratio,
            z,
            tails,
        }
    };
    let points = (last - first + 1) as usize;
    let mut removed = vec![0.0; points];
    let mut added = vec![0.0; points];
    let mut low = edge(first);
    // below the first point there is something only without sampling
    let below = [0, 1].map(|i| lower_tail(&low, i, noise));
    removed[0] += (1.0 - rate) * below[0] + rate * below[1];
    for i in 0..points - 1 {
        let high = edge(first + signed(i) + 1);
        let cell = Cell::new(rate, noise, &low, &high);
        let share = 1.0 / -(-h).exp_m1();
        let upper = (cell.above_low * share).clamp(0.0, cell.with);
        removed[i] += cell.with - upper;
        removed[i + 1] += upper;
        // the loss of adding is the negative one: its upper end is `low`
        let upper = (cell.below_high * (-high.loss).exp() * share).clamp(0.0, cell.without);
        added[points - 2 - i] += cell.without - upper;
        added[points - 1 - i] += upper;
        low = high;
    }
    let above = [0, 1].map(|i| upper_tail(&low, i, noise));
    added[0] += above[0];
    [
        Losses {
            interval: h,
            first,
            probabilities: removed,
            infinite: (1.0 - rate) * above[0] + rate * above[1],
        },
        Losses {
            interval: h,
            first: -last,
            probabilities: added,
            infinite: below[0],
        },
    ]
}

fn lower_tail(edge: &Edge, with: usize, noise: f64) -> f64 {
    let centred = edge.z - with as f64 / noise;
    if centred <= 0.0 {
        edge.tails[with]
    } else {
        1.0 - edge.tails[with]
    }
}

fn upper_tail(edge: &Edge, with: usize, noise: f64) -> f64 {
    let centred = edge.z - with as f64 / noise;
    if centred >= 0.0 {
        edge.tails[with]
    } else {
        1.0 - edge.tails[with]
    }
}

/// What lies between two grid points.
struct Cell {
    /// Its probability with the record in the data (the mixture).
    with: f64,
    /// Its probability without (the Gaussian at 0).
    without: f64,
    /// `with − e^{loss at low} · without`, without cancellation.
    above_low: f64,
    /// `e^{loss at high} · without − with`, likewise.
    below_high: f64,
}

impl Cell {
    fn new(rate: f64, noise: f64, low: &Edge, high: &Edge) -> Self {
        let width = high.z - low.z;
        if width < 0.25 && width < 0.25 * noise {
            return Self::narrow(rate, noise, low, high);
        }
        // e^loss is (1 − q) + q · ratio
        let without = between(low, high, 0, noise);
        let drawn = between(low, high, 1, noise);
        Self {
            with: (1.0 - rate) * without + rate * drawn,
            without,
            above_low: rate * (drawn - low.ratio * without),
            below_high: rate * (high.ratio * without - drawn),
        }
    }

    /// By quadrature: differences of tails would cancel.
    fn narrow(rate: f64, noise: f64, low: &Edge, high: &Edge) -> Self {
        let half = 0.5 * (high.z - low.z);
        let middle = 0.5 * (high.z + low.z);
        let scale = half / (2.0 * std::f64::consts::PI).sqrt();
        let (mut without, mut above, mut below) = (0.0, 0.0, 0.0);
        for (node, weight) in NODES {
            let z = middle + half * node;
            let density = weight * (-0.5 * z * z).exp();
            without += density;
            above += density * (half * (1.0 + node) / noise).exp_m1();
            below -= density * (half * (node - 1.0) / noise).exp_m1();
        }
        without *= scale;
        let above_low = rate * low.ratio * above * scale;
        let below_high = rate * high.ratio * below * scale;
        Self {
            with: low.loss.exp() * without + above_low,
            without,
            above_low,
            below_high,
        }
    }
}

/// The probability between two edges, of the Gaussian without (0) or with (1) the record.
fn between(low: &Edge, high: &Edge, with: usize, noise: f64) -> f64 {
    let mean = with as f64 / noise;
    let (a, b) = (low.tails[with], high.tails[with]);
    if low.z >= mean {
        a - b
    } else if high.z <= mean {
        b - a
    } else {
        1.0 - a - b
    }
}

/// `ln E[e^{θL}]` of the finite losses, and its first two derivatives.
#[derive(Clone, Copy, Debug)]
struct Cumulant {
    value: f64,
    mean: f64,
    variance: f64,
}

impl Losses {
    fn loss(&self, index: usize) -> f64 {
        (self.first + signed(index)) as f64 * self.interval
    }

    fn last(&self) -> f64 {
        self.loss(self.probabilities.len() - 1)
    }

    /// The loss with the largest power e^{θL}: in units of it none overflows.
    fn reference(&self, theta: f64) -> f64 {
        if theta > 0.0 {
            self.last()
        } else {
            self.loss(0)
        }
    }

    fn cumulant(&self, theta: f64) -> Cumulant {
        let reference = self.reference(theta);
        // powers go on by multiplication for a while, which is faster than exponentials
        let factor = (theta * self.interval).exp();
        let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
        for (block, probabilities) in self.probabilities.chunks(BLOCK).enumerate() {
            let start = self.loss(block * BLOCK);
            let mut power = (theta * (start - reference)).exp();
            let (mut mass, mut steps, mut squares) = (0.0, 0.0, 0.0);
            for (i, &probability) in probabilities.iter().enumerate() {
                let (tilted, i) = (probability * power, i as f64);
                mass += tilted;
                steps += tilted * i;
                squares += tilted * i * i;
                power *= factor;
            }
            let h = self.interval;
            sum += mass;
            first += mass * start + steps * h;
            second += mass * start * start + h * (2.0 * start * steps + h * squares);
        }
        let mean = first / sum;
        Cumulant {
            value: theta * reference + sum.ln(),
            mean,
            variance: (second / sum - mean * mean).max(0.0),
        }
    }

    /// A tilt of at least `floor` at which `decreasing`, a function of it, its cumulant, has
    /// the value `target` to within `tolerance`; the given one where it is below it already,
    /// and none where it is not reached. `sign` is that of the way to go.
    fn tilt(
        &self,
        from: f64,
        sign: f64,
        target: f64,
        tolerance: f64,
        decreasing: impl Fn(f64, Cumulant) -> f64,
    ) -> Option<(f64, Cumulant)> {
        let at = |distance: f64| {
            let theta = from + sign * distance;
            let cumulant = self.cumulant(theta);
            (theta, cumulant, decreasing(theta, cumulant))
        };
        let (theta, cumulant, value) = at(0.0);
        if value <= target + tolerance {
            return Some((theta, cumulant));
        }
        // a Gaussian would fall by T v θ²/2; the interval is doubled from there
        let mut low = 0.0;
        let mut high = 0.5 / cumulant.variance.max(f64::MIN_POSITIVE).sqrt();
        let mut best = loop {
            let (theta, cumulant, value) = at(high);
            if (value - target).abs() <= tolerance {
                return Some((theta, cumulant));
            }
            if value < target {
                break (theta, cumulant);
            }
            if sign * theta * self.interval > 50.0 {
                return None;
            }
            low = high;
            high *= 2.0;
        };
        for _ in 0..60 {
            let middle = if low > 0.0 && high / low > 4.0 {
                (low * high).sqrt()
            } else {
                f64::midpoint(low, high)
            };
            let (theta, cumulant, value) = at(middle);
            if value <= target {
                best = (theta, cumulant);
                high = middle;
            } else {
                low = middle;
            }
            if (value - target).abs() <= tolerance {
                return Some((theta, cumulant));
            }
            if high - low <= 1e-12 * high {
                break;
            }
        }
        Some(best)
    }
}

/// Unlike `max`, leaves what is no number as it is.
fn at_least_zero(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}

/// What the composed distribution is computed for.
#[derive(Clone, Copy, Debug)]
enum Aim {
    Epsilon(f64),
    Delta(f64),
}

/// The window would have so many times more points than it may.
struct TooLong(f64);

/// The losses of all steps together, around the ε in question.
struct Composed {
    interval: f64,
    /// The multiple of the interval that the first probability belongs to.
    first: i128,
    /// Tilted probabilities, none too small.
    tilted: Vec<f64>,
    theta: f64,
    /// The loss at which the tilt leaves the probabilities as they are …
    centre: f64,
    /// … beside this factor, given by its logarithm.
    ln_scale: f64,
    /// What δ has beside: infinite losses and those above the window.
    beside: f64,
}

impl Composed {
    fn new(
        losses: &Losses,
        steps: u64,
        aim: Aim,
        transform: &mut Transform,
    ) -> Result<Self, TooLong> {
        let times = steps as f64;
        let h = losses.interval;
        let infinite = -(times * (-losses.infinite).ln_1p()).exp_m1();
        let nothing = Self {
            interval: h,
            first: 0,
            tilted: Vec::new(),
            theta: 0.0,
            centre: 0.0,
            ln_scale: 0.0,
            beside: infinite,
        };
        // Chernoff's bound on the probability of a loss above the tilted mean, as a logarithm
        let chernoff = |theta: f64, c: Cumulant| times * (c.value - theta * c.mean);
        let (found, floor) = match aim {
            Aim::Epsilon(epsilon) if epsilon >= times * losses.last() => return Ok(nothing),
            Aim::Epsilon(epsilon) => {
                let near = 0.1 * (times * losses.cumulant(0.0).variance).sqrt();
                let found = losses.tilt(0.0, 1.0, -epsilon, near, |_, c| -times * c.mean);
                let ln_bound = found.map_or(0.0, |(theta, c)| chernoff(theta, c));
                // the bound is above δ itself by a power of the deviation
                (found, ln_bound + NEGLIGIBLE.ln() - 12.0)
            }
            Aim::Delta(delta) => {
                // δ is below the bound by about θ (1 + θ) √(2π T v), a saddle point says
                let near = |theta: f64, c: Cumulant| {
                    let deviation = (times * c.variance).sqrt();
                    let factor = theta * (1.0 + theta) * deviation * 2.5;
                    chernoff(theta, c) - factor.max(1.0).ln()
                };
                let found = losses.tilt(0.0, 1.0, delta.ln(), 0.3, near);
                (found, delta.ln() + NEGLIGIBLE.ln())
            }
        };
        // not reached: all that is there is below, or at the largest loss
        let (theta, centred) = found.unwrap_or_else(|| (0.0, losses.cumulant(0.0)));
        // the window ends where hardly anything is left, tilted as it is and as it was
        let highest = times * losses.last();
        let upper = |tilt: f64, c: Cumulant| {
            let of_tilted = times * (c.value - centred.value - (tilt - theta) * c.mean);
            (of_tilted - OUTSIDE).max(chernoff(tilt, c) - floor)
        };
        let (high, above) = match losses.tilt(theta, 1.0, 0.0, 1.0, upper) {
            // the bound holds for the mean of any tilt
            Some((beyond, c)) => (times * c.mean, chernoff(beyond, c).exp()),
            None => (highest, 0.0),
        };
        let lower =
            |psi: f64, c: Cumulant| times * (c.value - centred.value + (theta - psi) * c.mean);
        let low = match losses.tilt(theta, -1.0, OUTSIDE, 1.0, lower) {
            Some((_, c)) => times * c.mean,
            None => times * losses.loss(0),
        };
        let points = (high - low) / h + 4.0;
        if points > LONGEST_WINDOW {
            return Err(TooLong(points / LONGEST_WINDOW));
        }
        let length = (points.ceil() as usize).next_power_of_two();
        let last = (high / h).ceil() as i128 + 1;
        let first = last - i128::from(signed(length)) + 1;

        // centred, so that the spectrum hardly turns where it is large
        let shift = (centred.mean / h).round() as i64;
        let mut sequence = vec![0.0; length];
        let place = |index: i64| index.rem_euclid(signed(length)) as usize;
        let mut sum = 0.0;
        let reference = losses.reference(theta);
        for (i, &probability) in losses.probabilities.iter().enumerate() {
            let tilted = probability * (theta * (losses.loss(i) - reference)).exp();
            sequence[place(losses.first + signed(i) - shift)] += tilted;
            sum += tilted;
        }
        let normalised = 1.0 / sum;
        for x in &mut sequence {
            *x *= normalised;
        }
        let modulus = transform.self_convolve(&mut sequence, steps);
        // each frequency is off by a few roundings for each level of butterflies, the power
        // multiplies that by the steps; the way back adds as much again
        let levels = f64::from(length.ilog2() + 1);
        let error = 4.0 * levels * (times + 1.0) * f64::EPSILON * modulus;
        let composed_shift = i128::from(shift) * i128::from(steps);
        let offset = (first - composed_shift).rem_euclid(i128::from(signed(length))) as usize;
        sequence.rotate_left(offset);
        for x in &mut sequence {
            *x = x.max(0.0) + error;
        }
        let centre = times * centred.mean;
        Ok(Self {
            first,
            tilted: sequence,
            theta,
            centre,
            ln_scale: times * (theta * reference + sum.ln()) - theta * centre,
            beside: infinite + above,
            ..nothing
        })
    }

    fn loss(&self, index: usize) -> f64 {
        (self.first + i128::from(signed(index))) as f64 * self.interval
    }

    /// The indices of losses above ε whose weight is a number.
    fn above(&self, epsilon: f64) -> Range<usize> {
        // untilting multiplies by up to e^{θ (centre − ε)}
        let from = if self.theta > 0.0 {
            epsilon.max(self.centre - 600.0 / self.theta)
        } else {
            epsilon
        };
        let from = ((from / self.interval).floor() - self.first as f64 + 1.0).max(0.0) as usize;
        from.min(self.tilted.len())..self.tilted.len()
    }

    /// The probability at an index, in units of e^`ln_scale`.
    fn probability(&self, index: usize) -> f64 {
        self.tilted[index] * (self.theta * (self.centre - self.loss(index))).exp()
    }

    fn delta(&self, epsilon: f64) -> f64 {
        let of = |index: usize| -(epsilon - self.loss(index)).exp_m1() * self.probability(index);
        let sum: f64 = self.above(epsilon).rev().map(of).sum();
        (self.ln_scale + sum.ln()).exp() + self.beside
    }

    /// The smallest ε of at least 0 with this δ, from the top down: `δ(ε) = A − e^ε B` between
    /// two grid points, with sums over all above. Infinite if what is beside it is too much.
    fn epsilon(&self, delta: f64) -> f64 {
        if self.beside >= delta {
            return f64::INFINITY;
        }
        let target = ((delta - self.beside).ln() - self.ln_scale).exp();
        // B in units of e^{−reference}
        let reference = self.centre;
        let (mut a, mut b) = (0.0, 0.0);
        let usable = self.above(0.0);
        for index in usable.clone().rev() {
            let loss = self.loss(index);
            if a - b * (loss - reference).exp() > target {
                // it is between this point and the one above it
                return at_least_zero(reference + ((a - target) / b).ln());
            }
            let probability = self.probability(index);
            a += probability;
            b += probability * (reference - loss).exp();
        }
        let lowest = self.loss(usable.start) - self.interval;
        if a - b * (lowest.max(0.0) - reference).exp() > target {
            return at_least_zero(reference + ((a - target) / b).ln());
        }
        // at the lower end of the window, an ε too large at worst
        lowest.max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::gaussian;
    use super::*;

    fn sampled(rate: f64, noise: f64, steps: u64) -> Sampled {
        Sampled::new(rate, noise, steps).unwrap()
    }

    /// Without sampling the exact curve is known, and the grid, which the accountant does not
    /// need there, has to be above it and close.
    #[test]
    fn the_grid_is_above_the_exact_gaussian_and_close() {
        let mut transform = Transform::default();
        for noise in [0.3, 0.7, 1.0, 3.0, 30.0] {
            for steps in [1, 2, 7, 100, 10_000] {
                let case = sampled(1.0, noise, steps);
                for delta in [1e-100, 1e-20, 1e-10, 1e-5, 1e-3, 0.1] {
                    let exact = gaussian::epsilon(case.distance(), delta);
                    if exact > 2000.0 {
                        continue;
                    }
                    let grid = epsilon(&case, delta, &mut transform);
                    let what = format!("{noise}, {steps}, {delta:e}: {grid} and {exact}");
                    assert!(grid >= exact, "{what}");
                    assert!(grid <= 1.003 * exact + 1e-12, "{what}");
                    if exact == 0.0 {
                        continue;
                    }
                    let grid = super::delta(&case, exact);
                    assert!(grid >= delta * (1.0 - 1e-9), "{what}: {grid:e}");
                    assert!(
                        grid.ln() <= delta.ln() * (1.0 - 0.02) + 0.01,
                        "{what}: {grid:e}"
                    );
                }
            }
        }
    }

    /// A grid is never below a finer one: the first is a spread of the second.
    #[test]
    fn a_coarser_grid_is_never_below_a_finer_one() {
        let mut transform = Transform::default();
        for (rate, noise, steps) in [(0.01, 0.6, 50), (0.2, 1.5, 300), (1e-3, 1.0, 5000)] {
            let case = sampled(rate, noise, steps);
            let mut interval = deviation(&case) / 32.0;
            let mut before = 0.0;
            for _ in 0..5 {
                let epsilon = Grid { interval }.epsilon(&case, 1e-6, &mut transform);
                assert!(epsilon >= before, "{rate}: {epsilon} < {before}");
                before = epsilon;
                interval *= 2.0;
            }
        }
    }

    /// What the spread has to keep: both measures' probabilities.
    #[test]
    fn the_grid_keeps_the_probabilities_of_both_measures() {
        for (rate, noise) in [(1e-4, 0.5), (0.01, 1.0), (0.3, 3.0), (0.999, 0.8)] {
            let case = sampled(rate, noise, 1);
            let mut interval = deviation(&case) / RESOLUTION;
            let [removed, added] = both_directions(&case, &mut interval, 1e-20);
            for (losses, least_loss) in [(&removed, (-rate).ln_1p()), (&added, f64::NEG_INFINITY)] {
                let total: f64 = losses.probabilities.iter().sum();
                assert!((total + losses.infinite - 1.0).abs() < 1e-11);
                assert!(losses.probabilities.iter().all(|&p| p >= 0.0));
                // the other measure has e^{−L} times as much
                let other = losses.cumulant(-1.0).value.exp();
                assert!((other - 1.0).abs() < 1e-11, "{rate}, {noise}: {other}");
                assert!(losses.loss(0) > least_loss - interval);
            }
        }
    }

    /// Brute force: the sum over all pairs of losses of two steps.
    #[test]
    fn two_steps_by_brute_force() {
        let case = sampled(0.05, 0.9, 2);
        let mut interval = 0.01;
        let directions = both_directions(&case, &mut interval, 1e-14);
        for losses in &directions {
            for target in [0.05, 0.3, 1.0, 3.0] {
                let mut expected = 1.0 - (1.0 - losses.infinite).powi(2);
                for (i, p) in losses.probabilities.iter().enumerate() {
                    for (j, q) in losses.probabilities.iter().enumerate() {
                        let loss = losses.loss(i) + losses.loss(j);
                        if loss > target {
                            expected -= p * q * (target - loss).exp_m1();
                        }
                    }
                }
                let aim = Aim::Epsilon(target);
                let composed = Composed::new(losses, 2, aim, &mut Transform::default());
                let ours = composed.ok().unwrap().delta(target);
                assert!(ours >= expected * (1.0 - 1e-9), "{ours:e} {expected:e}");
                assert!(
                    ours <= expected * (1.0 + 1e-6) + 1e-25,
                    "{ours:e} {expected:e}"
                );
            }
        }
    }

    #[test]
    fn memory_is_bounded_and_the_bound_holds_where_the_grid_has_to_be_coarse() {
        let case = sampled(0.01, 1.0, 100_000_000_000);
        let ours = epsilon(&case, 1e-6, &mut Transform::default());
        let renyi = super::super::renyi::Curve::new(&case, &[1.01, 1.001]).epsilon(1e-6);
        assert!(ours.is_finite() && ours > 0.9 * renyi, "{ours} {renyi}");
    }
}
