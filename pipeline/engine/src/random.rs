//! Portable random streams: the same seed gives the same numbers on every platform, and each purpose has its own stream.
//!
//! A stream is ChaCha8 keyed with SHA-256 of its purpose and seed; `index` (an epoch, a parameter) selects one of 2^64
//! independent sub-streams, so that the order of epoch 7 is known without drawing epochs 1 to 6. Everything is made from
//! integers and exactly rounded operations; candle's own CPU generator can't be seeded and is not used.

use std::f64::consts::TAU;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// What a stream is for. Drawing more for one purpose never shifts another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// Initial weights; index = parameter.
    Init,
    /// Order of the examples; index = epoch.
    Shuffle,
    /// Which training examples are held out for validation.
    Split,
    /// Which examples of a source without a test part become one; index = class.
    TestSplit,
    /// Noise on the gradient of a surface; index = step.
    GradientNoise,
    /// Random matrices.
    Matrix,
    /// Synthetic examples.
    Examples,
    /// What is done to a training example before it is learned from; index = examples trained on before this one.
    Augment,
    /// Which numbers the layer of this number drops; index = examples trained on before this one.
    Dropout(u64),
}

/// A sequence of random numbers.
pub(crate) struct Stream(ChaCha8Rng);

impl Stream {
    pub(crate) fn new(purpose: Purpose, seed: u64, index: u64) -> Self {
        let name = match purpose {
            Purpose::Init => "init",
            Purpose::Shuffle => "shuffle",
            Purpose::Split => "split",
            Purpose::TestSplit => "test split",
            Purpose::GradientNoise => "gradient noise",
            Purpose::Matrix => "matrix",
            Purpose::Examples => "examples",
            Purpose::Augment => "augment",
            Purpose::Dropout(_) => "dropout",
        };
        let mut key = Sha256::new().chain_update(b"pipeline stream 1\0").chain_update(name).chain_update(seed.to_le_bytes());
        if let Purpose::Dropout(layer) = purpose {
            key.update(layer.to_le_bytes());
        }
        let mut rng = ChaCha8Rng::from_seed(key.finalize().into());
        rng.set_stream(index);
        Stream(rng)
    }

    /// Uniform in [0, 1), 53 random bits.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Fills `to` with `value` and, each with probability `rate` (to 32 bits), zeros.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is in 0 to 1")]
    pub(crate) fn drop_out<T: Copy>(&mut self, rate: f64, zero: T, value: T, to: &mut [T]) {
        let below = (rate * (1u64 << 32) as f64).round() as u64;
        for to in to {
            *to = if u64::from(self.0.next_u32()) < below { zero } else { value };
        }
    }

    /// Uniform in 0..n without bias (Lemire 2019, *Fast random integer generation in an interval*); `n` must be positive.
    #[expect(clippy::cast_possible_truncation, reason = "the low and the high half of a product are wanted")]
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        let threshold = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.0.next_u64()) * u128::from(n);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// Two independent standard normal numbers (Box & Muller 1958).
    pub(crate) fn normal_pair(&mut self) -> [f64; 2] {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let (sin, cos) = (TAU * self.unit()).sin_cos();
        [radius * cos, radius * sin]
    }

    /// A random order of 0..n (Fisher–Yates).
    pub(crate) fn permutation(&mut self, n: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n).collect();
        for i in (1..order.len()).rev() {
            let j = usize::try_from(self.below(i as u64 + 1)).unwrap_or(i);
            order.swap(i, j);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_portable_and_independent() {
        // From tests/reference/streams.py: SHA-256 from hashlib, ChaCha8 written out from RFC 8439 with 8 rounds.
        let mut a = Stream::new(Purpose::Shuffle, 7, 3);
        assert_eq!([a.0.next_u64(), a.0.next_u64()], STREAM_7_3);
        let mut b = Stream::new(Purpose::Init, 7, 3);
        assert_ne!(b.0.next_u64(), STREAM_7_3[0]);
    }
    const STREAM_7_3: [u64; 2] = [0x4aa8_d1ee_6708_fc7f, 0xa3b4_1117_d580_fa18];

    #[test]
    fn masks_are_portable_and_keep_their_share() {
        // From tests/reference/streams.py.
        let mut mask = [9u8; 24];
        Stream::new(Purpose::Dropout(5), 7, 3).drop_out(0.3, 0, 1, &mut mask);
        assert_eq!(mask, [0, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 1, 1, 1]);
        for rate in [0.0, 0.1, 0.5, 0.9] {
            let mut mask = vec![9u32; 40_000];
            Stream::new(Purpose::Dropout(0), 0, 0).drop_out(rate, 0, 1, &mut mask);
            let (share, sd) = (f64::from(mask.iter().sum::<u32>()) / 40_000.0, (rate * (1.0 - rate) / 40_000.0).sqrt());
            assert!((share - (1.0 - rate)).abs() <= 5.0 * sd, "{share} at a rate of {rate}");
        }
    }

    #[test]
    fn permutations_hold_every_index_once_and_are_uniform() {
        let mut counts = [[0u32; 5]; 5];
        for index in 0..5000 {
            let p = Stream::new(Purpose::Shuffle, 1, index).permutation(5);
            let mut sorted = p.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4]);
            for (place, value) in p.iter().enumerate() {
                counts[place][*value as usize] += 1;
            }
        }
        // Each of 25 cells is binomial(5000, 1/5): mean 1000, sd 28; five sd is one false alarm in 70 000.
        assert!(counts.iter().flatten().all(|c| c.abs_diff(1000) < 142), "{counts:?}");
    }

    #[test]
    fn unit_numbers_stay_below_one() {
        let mut s = Stream::new(Purpose::Init, 0, 0);
        let mean = (0..10_000).map(|_| s.unit()).inspect(|u| assert!((0.0..1.0).contains(u))).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.015, "{mean}");
    }
}
