//! The discrete Fourier transform of real sequences whose length is a power of two, as far as
//! raising a probability distribution to a power needs it. The spectrum stays in the order in
//! which the butterflies leave it.

/// A complex number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Complex {
    re: f64,
    im: f64,
}

impl Complex {
    fn plus(self, other: Self) -> Self {
        Self {
            re: self.re + other.re,
            im: self.im + other.im,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            re: self.re - other.re,
            im: self.im - other.im,
        }
    }

    fn times(self, other: Self) -> Self {
        Self {
            re: self.re * other.re - self.im * other.im,
            im: self.re * other.im + self.im * other.re,
        }
    }

    fn conjugate(self) -> Self {
        Self {
            re: self.re,
            im: -self.im,
        }
    }

    /// To a power that is not negative, and the modulus of the result. By logarithm and
    /// angle, whose rounding errors the power multiplies; that of repeated squaring grows alike.
    fn power(self, exponent: f64) -> (Self, f64) {
        let modulus = (0.5 * exponent * (self.re * self.re + self.im * self.im).ln()).exp();
        if modulus == 0.0 {
            return (Self::default(), 0.0);
        }
        let (sin, cos) = (exponent * self.im.atan2(self.re)).sin_cos();
        let power = Self {
            re: modulus * cos,
            im: modulus * sin,
        };
        (power, modulus)
    }
}

/// Memory and roots of unity, kept between uses.
#[derive(Debug, Default)]
pub(super) struct Transform {
    /// For each half length 1, 2, 4, …, from its index on, so many roots `e^{−πi j/half}`.
    roots: Vec<Complex>,
    values: Vec<Complex>,
}

impl Transform {
    /// The `exponent`-fold cyclic convolution of a sequence, whose length is a power of two,
    /// with itself, in its place; and the mean modulus of its spectrum, which bounds what
    /// rounding does to it.
    pub(super) fn self_convolve(&mut self, sequence: &mut [f64], exponent: u64) -> f64 {
        let length = sequence.len();
        assert!(length.is_power_of_two());
        self.prepare(length);
        let mut values = std::mem::take(&mut self.values);
        values.clear();
        values.extend(sequence.iter().map(|&re| Complex { re, im: 0.0 }));
        self.forward(&mut values);
        let total = power_spectrum(&mut values, exponent as f64);
        self.backward(&mut values);
        let scale = 1.0 / length as f64;
        for (to, value) in sequence.iter_mut().zip(&values) {
            *to = value.re * scale;
        }
        self.values = values;
        total * scale
    }

    fn prepare(&mut self, length: usize) {
        if self.roots.len() >= length {
            return;
        }
        self.roots = vec![Complex::default(); length];
        let mut half = 1;
        while half < length {
            for j in 0..half {
                let angle = -std::f64::consts::PI * j as f64 / half as f64;
                let (im, re) = angle.sin_cos();
                self.roots[half + j] = Complex { re, im };
            }
            half *= 2;
        }
    }

    /// From natural to bit-reversed order.
    fn forward(&self, values: &mut [Complex]) {
        let mut half = values.len() / 2;
        while half > 0 {
            let roots = &self.roots[half..2 * half];
            for block in values.chunks_exact_mut(2 * half) {
                let (low, high) = block.split_at_mut(half);
                for ((low, high), root) in low.iter_mut().zip(high).zip(roots) {
                    let difference = low.minus(*high);
                    *low = low.plus(*high);
                    *high = difference.times(*root);
                }
            }
            half /= 2;
        }
    }

    /// From bit-reversed to natural order, without the factor of one over the length.
    fn backward(&self, values: &mut [Complex]) {
        let mut half = 1;
        while half < values.len() {
            let roots = &self.roots[half..2 * half];
            for block in values.chunks_exact_mut(2 * half) {
                let (low, high) = block.split_at_mut(half);
                for ((low, high), root) in low.iter_mut().zip(high).zip(roots) {
                    let turned = high.times(root.conjugate());
                    *high = low.minus(turned);
                    *low = low.plus(turned);
                }
            }
            half *= 2;
        }
    }
}

/// Raises the spectrum of a real sequence, in bit-reversed order, to a power; the sum of the
/// moduli.
///
/// Opposite frequencies are conjugate. In this order they mirror each other within each of the
/// blocks [1, 2), [2, 4), [4, 8), …
fn power_spectrum(values: &mut [Complex], exponent: f64) -> f64 {
    let mut total = 0.0;
    for value in values.iter_mut().take(2) {
        let modulus;
        (*value, modulus) = value.power(exponent);
        total += modulus;
    }
    let mut start = 2;
    while start < values.len() {
        let (low, high) = values[start..2 * start].split_at_mut(start / 2);
        for (value, mirrored) in low.iter_mut().zip(high.iter_mut().rev()) {
            let modulus;
            (*value, modulus) = value.power(exponent);
            *mirrored = value.conjugate();
            total += 2.0 * modulus;
        }
        start *= 2;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// By the definition.
    fn convolve(a: &[f64], b: &[f64]) -> Vec<f64> {
        let mut product = vec![0.0; a.len()];
        for (i, x) in a.iter().enumerate() {
            for (j, y) in b.iter().enumerate() {
                product[(i + j) % a.len()] += x * y;
            }
        }
        product
    }

    #[test]
    fn a_sequence_convolved_with_itself() {
        let mut stream = Stream::new(1, "fourier", 0);
        let mut transform = Transform::default();
        // a shorter one after a longer one uses the roots that are there
        for length in [1_u32, 2, 4, 8, 64, 256, 32] {
            let sequence: Vec<f64> = (0..length)
                .map(|_| stream.uniform() / f64::from(length))
                .collect();
            let mut expected = sequence.clone();
            for exponent in 1..=5 {
                let mut ours = sequence.clone();
                transform.self_convolve(&mut ours, exponent);
                for (x, y) in ours.iter().zip(&expected) {
                    assert!((x - y).abs() < 1e-15, "{length}, {exponent}: {x} {y}");
                }
                expected = convolve(&expected, &sequence);
            }
        }
    }

    #[test]
    fn the_mean_modulus_is_that_of_the_spectrum() {
        // all frequencies of a single 1 have modulus 1, those of a constant vanish but one
        let mut transform = Transform::default();
        let mut one = [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert!((transform.self_convolve(&mut one, 3) - 1.0).abs() < 1e-15);
        assert!((one[3] - 1.0).abs() < 1e-15);
        let mut constant = [0.125; 8];
        assert!((transform.self_convolve(&mut constant, 3) - 0.125).abs() < 1e-15);
    }
}
