//! Random bits fast enough for dropout.

use giveaway_stats::random::Stream;

use super::matrix::{LINE, Line};
use super::simd::Simd;
use super::{Kernel, Task};

/// As many generators as a line has numbers, side by side, so that they vectorise: each is
/// xoshiro128++ (Blackman and Vigna 2021), its 128 bits of state taken from a stream.
///
/// They draw the same bits with every instruction set. A dense layer takes microseconds for
/// a batch, in which `Stream` itself (`ChaCha`) would take longer to draw than the layer to
/// compute.
#[derive(Clone, Debug)]
pub(crate) struct Generator {
    state: [[u32; LINE]; 4],
}

impl Generator {
    pub(crate) fn new(stream: &mut Stream) -> Self {
        let mut state = [[0; LINE]; 4];
        for x in state.iter_mut().flatten() {
            *x = stream.next_u32();
        }
        Self { state }
    }

    /// 32 random bits from each generator.
    #[inline(always)]
    fn draw(&mut self) -> [u32; LINE] {
        let [a, b, c, d] = &mut self.state;
        let mut drawn = [0; LINE];
        for i in 0..LINE {
            drawn[i] = a[i].wrapping_add(d[i]).rotate_left(7).wrapping_add(a[i]);
            let shifted = b[i] << 9;
            c[i] ^= a[i];
            d[i] ^= b[i];
            b[i] ^= c[i];
            a[i] ^= d[i];
            c[i] ^= shifted;
            d[i] = d[i].rotate_left(11);
        }
        drawn
    }
}

impl Kernel {
    /// Makes each number 0 if its 32 random bits are below `threshold`, and else `other`.
    pub(crate) fn draw_mask(
        self,
        generator: &mut Generator,
        threshold: u32,
        other: f32,
        to: &mut [Line],
    ) {
        self.run(DrawMask {
            generator,
            threshold,
            other,
            to,
        });
    }
}

struct DrawMask<'a> {
    generator: &'a mut Generator,
    threshold: u32,
    other: f32,
    to: &'a mut [Line],
}

impl Task for DrawMask<'_> {
    type Output = ();

    // Whole numbers, which `Simd` does not have: the compiler makes vectors of them, in the
    // instruction set of the function that this is inlined into.
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let mut generator = self.generator.clone();
        for line in self.to {
            let drawn = generator.draw();
            for (value, drawn) in line.0.iter_mut().zip(drawn) {
                *value = if drawn < self.threshold {
                    0.0
                } else {
                    self.other
                };
            }
        }
        *self.generator = generator;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_the_definition() {
        // One generator by its definition, on whole words, with its own state for each lane.
        let mut generator = Generator::new(&mut Stream::new(5, "generator", 0));
        let mut stream = Stream::new(5, "generator", 0);
        let words: Vec<u32> = (0..4 * LINE).map(|_| stream.next_u32()).collect();
        let mut states: Vec<[u32; 4]> = (0..LINE)
            .map(|lane| std::array::from_fn(|word| words[word * LINE + lane]))
            .collect();
        for _ in 0..100 {
            let drawn = generator.draw();
            for (state, drawn) in states.iter_mut().zip(drawn) {
                assert_eq!(drawn, xoshiro(state));
            }
        }
        // the first numbers from the state 1, 2, 3, 4 are published with the `rand` project's
        // xoshiro128++ (its reference test)
        let mut state = [1, 2, 3, 4];
        let have: [u32; 10] = std::array::from_fn(|_| xoshiro(&mut state));
        let want = [
            641,
            1_573_767,
            3_222_811_527,
            3_517_856_514,
            836_907_274,
            4_247_214_768,
            3_867_114_732,
            1_355_841_295,
            495_546_011,
            621_204_420,
        ];
        assert_eq!(have, want);
    }

    fn xoshiro(s: &mut [u32; 4]) -> u32 {
        let result = (s[0].wrapping_add(s[3])).rotate_left(7).wrapping_add(s[0]);
        let t = s[1] << 9;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(11);
        result
    }

    #[test]
    fn masks_have_the_rate_in_every_place_and_no_dependence_between_places_or_lines() {
        let lines = 40_000;
        for kernel in Kernel::available() {
            for rate in [0.1, 0.5, 0.9] {
                let mut generator = Generator::new(&mut Stream::new(5, "masks", 0));
                let mut mask = vec![Line::ZERO; lines];
                let threshold = (rate * 2f64.powi(32)) as u32;
                kernel.draw_mask(&mut generator, threshold, 3.0, &mut mask);
                let zero = |line: usize, lane: usize| f64::from(u8::from(mask[line].0[lane] < 1.0));
                assert!(
                    mask.iter()
                        .flat_map(|line| line.0)
                        .all(|x| x == 0.0 || (x - 3.0).abs() < 1e-6)
                );
                let deviation = (rate * (1.0 - rate) / lines as f64).sqrt();
                for lane in 0..LINE {
                    let share = (0..lines).map(|line| zero(line, lane)).sum::<f64>() / lines as f64;
                    assert!((share - rate).abs() < 5.0 * deviation, "{rate}: {share}");
                }
                // the correlation of each place with others in the same line and the next two
                for (a, b, later) in (0..LINE)
                    .flat_map(|a| (0..LINE).map(move |b| (a, b)))
                    .flat_map(|(a, b)| (0..3).map(move |later| (a, b, later)))
                    .filter(|&(a, b, later)| later > 0 || a < b)
                {
                    let products = (0..lines - later)
                        .map(|line| (zero(line, a) - rate) * (zero(line + later, b) - rate));
                    let correlation = products.sum::<f64>() / lines as f64 / (rate * (1.0 - rate));
                    assert!(
                        correlation.abs() < 5.5 / (lines as f64).sqrt(),
                        "{a} {b} {later}: {correlation}"
                    );
                }
            }
        }
    }
}
