//! From bytes to the numbers that a network sees.

use crate::kernel::vectorized;

/// Mean and standard deviation of bytes on a scale of 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moments {
    pub mean: f64,
    pub deviation: f64,
}

/// Moments over all bytes and over those of each channel.
#[derive(Debug)]
pub(super) struct Statistics {
    pub all: Moments,
    channels: Vec<Moments>,
}

impl Statistics {
    /// From exact integer sums, so that they don't depend on an order.
    pub(super) fn new(bytes: &[u8], channels: usize) -> Self {
        let mut counts = vec![[0u64; 256]; channels];
        for example in bytes.chunks_exact(channels) {
            for (count, byte) in counts.iter_mut().zip(example) {
                count[usize::from(*byte)] += 1;
            }
        }
        let mut all = [0u64; 256];
        for count in &counts {
            all.iter_mut().zip(count).for_each(|(all, n)| *all += n);
        }
        Statistics { all: moments(&all), channels: counts.iter().map(moments).collect() }
    }

    /// `unit`: from 0 to 1; `channel`: mean 0 and deviation 1 in each channel; else mean 0 and deviation 1 over all.
    pub(super) fn scale(&self, normalize: &str) -> Scale {
        let factors = match normalize {
            "unit" => vec![factors(Moments { mean: 0.0, deviation: 1.0 })],
            "channel" => self.channels.iter().copied().map(factors).collect(),
            _ => vec![factors(self.all)],
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a byte's mean")]
        let mean_byte = (self.all.mean * 255.0).round() as u8;
        Scale { factors, mean_byte }
    }
}

/// Moments of bytes from how often each value occurs.
fn moments(counts: &[u64; 256]) -> Moments {
    let (mut n, mut sum, mut squares) = (0u64, 0u64, 0u64);
    for (value, count) in (0u64..).zip(counts) {
        n += count;
        sum += value * count;
        squares += value * value * count;
    }
    let n = n.max(1) as f64;
    let mean = sum as f64 / n;
    let variance = (squares as f64 / n - mean * mean).max(0.0);
    // One colour only has no deviation to divide by.
    let deviation = if variance > 0.0 { variance.sqrt() } else { 255.0 };
    Moments { mean: mean / 255.0, deviation: deviation / 255.0 }
}

#[expect(clippy::cast_possible_truncation, reason = "numbers in single precision are meant")]
fn factors(of: Moments) -> (f32, f32) {
    ((1.0 / (255.0 * of.deviation)) as f32, (-of.mean / of.deviation) as f32)
}

/// What each byte is multiplied by, and what is added then: one pair for all, or one per channel.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    factors: Vec<(f32, f32)>,
    /// The training part's mean, as a byte.
    pub mean_byte: u8,
}

impl Scale {
    /// Writes numbers for bytes.
    pub(crate) fn apply(&self, bytes: &[u8], numbers: &mut [f32]) {
        if let [(scale, shift)] = self.factors[..] {
            vectorized(
                #[inline(always)]
                || {
                    for (number, byte) in numbers.iter_mut().zip(bytes) {
                        *number = f32::from(*byte) * scale + shift;
                    }
                },
            );
            return;
        }
        let channels = self.factors.len();
        for (numbers, bytes) in numbers.chunks_exact_mut(channels).zip(bytes.chunks_exact(channels)) {
            for ((number, byte), (scale, shift)) in numbers.iter_mut().zip(bytes).zip(&self.factors) {
                *number = f32::from(*byte) * scale + shift;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_have_their_mean_and_deviation() {
        // Two pixels of two channels. Over all: mean (0+100+50+200)/4 = 87.5; first channel: mean 25, deviation 25.
        let bytes = [0u8, 100, 50, 200];
        let of = Statistics::new(&bytes, 2);
        let numbers = |how: &str| {
            let mut out = [0f32; 4];
            of.scale(how).apply(&bytes, &mut out);
            out
        };
        let close = |a: [f32; 4], b: [f32; 4]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(close(numbers("unit"), [0.0, 100.0 / 255.0, 50.0 / 255.0, 200.0 / 255.0]));
        assert!(close(numbers("channel"), [-1.0, -1.0, 1.0, 1.0]));
        let standard = numbers("standard");
        assert!(standard.iter().sum::<f32>().abs() < 1e-5 && (standard.iter().map(|x| x * x).sum::<f32>() - 4.0).abs() < 1e-5);
        assert_eq!(of.scale("standard").mean_byte, 88);
        assert!((Statistics::new(&[7, 7], 1).all.deviation - 1.0).abs() < 1e-12);
    }
}
