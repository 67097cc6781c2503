//! Random numbers for resampling: every generator is made from a seed that the caller states; nothing is hidden or global.
//! Called by [`super::interval`] and by whoever asks it for an interval.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A sequence of random numbers, the same for the same seed on every platform: ChaCha8 whose key is the seed, as eight bytes
/// with the low one first, followed by zeros.
#[derive(Clone, Debug)]
pub struct Generator(ChaCha8Rng);

impl Generator {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        Generator(ChaCha8Rng::from_seed(key))
    }

    /// Uniform in 0..n without bias (Lemire 2019, *Fast random integer generation in an interval*); 0 if `n` is 0.
    #[expect(clippy::cast_possible_truncation, reason = "the low and the high half of a product are wanted; the result is below n")]
    pub fn below(&mut self, n: usize) -> usize {
        let n = n as u64;
        loop {
            let product = u128::from(self.0.next_u64()) * u128::from(n);
            // The division is needed for one draw in 2^64 / n alone.
            let low = product as u64;
            if low >= n || low >= n.wrapping_neg().checked_rem(n).unwrap_or(0) {
                return (product >> 64) as usize;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::reference;
    use super::*;

    /// The script has ChaCha8 written out from RFC 8439 with 8 rounds.
    #[test]
    fn is_chacha_with_8_rounds() {
        for case in reference::cases("random") {
            let mut generator = Generator::new(case["seed"].as_u64().unwrap());
            let drawn: Vec<u64> = (0..20).map(|_| generator.below(1000) as u64).collect();
            assert_eq!(drawn, case["below_1000"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn is_uniform() {
        let mut generator = Generator::new(1);
        let mut counts = [0u32; 7];
        (0..70_000).for_each(|_| counts[generator.below(7)] += 1);
        // Each is binomial(70 000, 1/7): mean 10 000, sd 93; five sd is one false alarm in 250 000.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 463), "{counts:?}");
    }

    proptest! {
        #[test]
        fn stays_below(seed in any::<u64>(), n in 1usize..) {
            let (mut one, mut same) = (Generator::new(seed), Generator::new(seed));
            for _ in 0..10 {
                let drawn = one.below(n);
                prop_assert!(drawn < n);
                prop_assert_eq!(drawn, same.below(n));
            }
        }
    }
}
