//! Arms compared pair by pair: each pair is one seed, which both arms share, and enters as the difference of its two values.
//! Called by whoever says that one arm beats another, or that two do equally well.
//!
//! The test is Wilcoxon's signed-rank test (1945, *Individual comparisons by ranking methods*): if it were a matter of chance which
//! arm of a pair is which, each sign of a difference would be a fair coin. NaN is left out everywhere; a pair with a run that has
//! no value is for the caller to count. Infinite differences rank last.

use super::distribution::{normal_share, two_sided};

/// Up to this many differing pairs the distribution is exact; beyond, normal.
const EXACT: usize = 60;
/// Magnitudes that agree to this share are equal: accuracies that are whole numbers of examples differ by rounding.
const ROUNDING: f64 = 1e-9;

/// What a signed-rank test found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignedRank {
    /// Pairs that differ: those that the test is about.
    pub pairs: usize,
    /// Pairs without a difference, which are left out.
    pub zeros: usize,
    /// Sum of the ranks of positive differences; equal magnitudes share the mean of their ranks.
    pub rank_sum: f64,
    /// p-value: the chance of a rank sum at least as far from the middle, if signs were fair coins; 1 if no pair differs.
    pub two_sided: f64,
    /// The chance of a rank sum at least as large: small where differences tend to be positive.
    pub greater: f64,
    /// The chance of a rank sum at least as small: small where differences tend to be negative.
    pub less: f64,
    /// Whether the p-values are exact, given the ranks.
    pub exact: bool,
}

/// Tests whether differences tend to one side of zero. Up to 60 pairs exactly, with ties or without; beyond with the normal
/// distribution and the variance that tied ranks have, without a correction for continuity.
#[must_use]
pub fn signed_rank(differences: &[f64]) -> SignedRank {
    let (mut kept, zeros): (Vec<f64>, Vec<f64>) = differences.iter().filter(|d| !d.is_nan()).partition(|d| **d != 0.0);
    kept.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
    let ranks = doubled_ranks(&kept);
    let sum = kept.iter().zip(&ranks).filter(|(d, _)| **d > 0.0).map(|(_, rank)| *rank).sum();
    let exact = kept.len() <= EXACT;
    let (less, greater) = if exact { exact_tails(&ranks, sum) } else { normal_tails(&ranks, sum) };
    SignedRank {
        pairs: kept.len(),
        zeros: zeros.len(),
        rank_sum: sum as f64 / 2.0,
        two_sided: p_value(2.0 * less.min(greater)),
        greater: p_value(greater),
        less: p_value(less),
        exact,
    }
}

/// Sums that round to more than 1 or underflow to 0 are no probabilities of what was seen.
fn p_value(p: f64) -> f64 {
    p.clamp(f64::MIN_POSITIVE, 1.0)
}

/// Twice the rank of each difference, which is a whole number with ties, too. The magnitudes must be in order.
fn doubled_ranks(sorted: &[f64]) -> Vec<usize> {
    let mut ranks = Vec::with_capacity(sorted.len());
    while let Some(first) = sorted.get(ranks.len()).map(|d| d.abs()) {
        let start = ranks.len();
        let tied = |d: &&f64| d.abs() <= first * (1.0 + ROUNDING);
        let end = start + sorted[start..].iter().take_while(tied).count();
        // The mean of the ranks start + 1 to end.
        ranks.resize(end, start + 1 + end);
    }
    ranks
}

/// P(W ≤ sum) and P(W ≥ sum), where W adds up each rank or not by the toss of a coin: the probability of every sum, one rank
/// after another.
fn exact_tails(ranks: &[usize], sum: usize) -> (f64, f64) {
    let mut chance = vec![0.0; ranks.iter().sum::<usize>() + 1];
    chance[0] = 1.0;
    for rank in ranks {
        for total in (0..chance.len()).rev() {
            let without_it = total.checked_sub(*rank).map_or(0.0, |before| chance[before]);
            chance[total] = 0.5 * (chance[total] + without_it);
        }
    }
    (chance[..=sum].iter().sum(), chance[sum..].iter().sum())
}

/// The same from the normal distribution: the mean is half the sum of all ranks, the variance a quarter of the sum of squares.
fn normal_tails(ranks: &[usize], sum: usize) -> (f64, f64) {
    let mean = ranks.iter().sum::<usize>() as f64 / 2.0;
    let variance = ranks.iter().map(|rank| (*rank as f64).powi(2)).sum::<f64>() / 4.0;
    let z = (sum as f64 - mean) / variance.sqrt();
    (normal_share(z), normal_share(-z))
}

/// The fewest pairs with which the two-sided test can reach `level`: all of n pairs point the same way with p = 2 / 2^n. With
/// fewer there are too few seeds to tell, whatever they show. In a family of m comparisons, Holm's correction asks the smallest
/// p-value for `level / m`; a one-sided test asks for `2 * level`. `usize::MAX` where no number is enough.
#[must_use]
pub fn least_pairs(level: f64) -> usize {
    let extremes = std::iter::successors(Some(1.0), |p: &f64| Some(p / 2.0)).take_while(|p| *p > 0.0);
    extremes.zip(1..).find(|(p, _)| *p <= level).map_or(usize::MAX, |(_, pairs)| pairs)
}

/// p-values of a family of comparisons, adjusted so that the chance of any false finding stays below the level that they are
/// compared with (Holm 1979, *A simple sequentially rejective multiple test procedure*). NaN stays NaN and doesn't count.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).filter(|i| !p_values[*i].is_nan()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let (mut adjusted, mut so_far) = (vec![f64::NAN; p_values.len()], 0.0_f64);
    for (place, i) in order.iter().enumerate() {
        so_far = so_far.max(p_values[*i] * (order.len() - place) as f64).min(1.0);
        adjusted[*i] = so_far;
    }
    adjusted
}

/// How often the first of a pair is the larger one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Superiority {
    /// (wins + ties / 2) / pairs.
    pub probability: f64,
    pub low: f64,
    pub high: f64,
    /// Positive differences.
    pub wins: usize,
    /// Differences of zero.
    pub ties: usize,
    pub pairs: usize,
}

/// The probability that the first of a pair is the larger one, with Wilson's score interval (1927, *Probable inference*). `None`
/// without a pair, or for a confidence that is not in (0, 1).
#[must_use]
pub fn superiority(differences: &[f64], confidence: f64) -> Option<Superiority> {
    let count = |condition: fn(f64) -> bool| differences.iter().filter(|d| condition(**d)).count();
    let (wins, ties, losses) = (count(|d| d > 0.0), count(|d| d == 0.0), count(|d| d < 0.0));
    let pairs = wins + ties + losses;
    if pairs == 0 || !(confidence > 0.0 && confidence < 1.0) {
        return None;
    }
    let (n, z) = (pairs as f64, two_sided(confidence));
    let probability = (wins as f64 + ties as f64 / 2.0) / n;
    let shrunk = 1.0 + z * z / n;
    let center = (probability + z * z / (2.0 * n)) / shrunk;
    let half = z / shrunk * (probability * (1.0 - probability) / n + z * z / (4.0 * n * n)).sqrt();
    // Rounding must not exclude the ends: all wins have 1 as their upper limit.
    let (low, high) = ((center - half).max(0.0).min(probability), (center + half).min(1.0).max(probability));
    Some(Superiority { probability, low, high, wins, ties, pairs })
}

/// The p-value of the claim that differences lie within `margin` of zero: two one-sided signed-rank tests (Schuirmann 1987,
/// *A comparison of the two one-sided tests procedure and the power approach*) of the differences being above `-margin` and below
/// `margin`; the larger p-value counts. A large one is no evidence that they differ. `None` unless the margin is positive.
#[must_use]
pub fn equivalence(differences: &[f64], margin: f64) -> Option<f64> {
    if !(margin > 0.0 && margin.is_finite()) {
        return None;
    }
    let shifted = |by: f64| -> Vec<f64> {
        // A difference of just the margin is neither within nor beyond, though it may round to either side.
        differences.iter().map(|d| d + by).map(|d| if d.abs() <= ROUNDING * margin { 0.0 } else { d }).collect()
    };
    Some(signed_rank(&shifted(margin)).greater.max(signed_rank(&shifted(-margin)).less))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::reference::{self, near, number, numbers};
    use super::*;

    /// scipy's `wilcoxon` without ties, all 2^n signs by `permutation_test` or written out with them, its normal approximation
    /// beyond 60 pairs.
    #[test]
    fn signed_ranks_agree_with_scipy() {
        for case in reference::cases("signed_rank") {
            let (x, found) = (numbers(&case["x"]), signed_rank(&numbers(&case["x"])));
            near(found.two_sided, number(&case["two_sided"]), 1e-10);
            near(found.greater, number(&case["greater"]), 1e-10);
            near(found.less, number(&case["less"]), 1e-10);
            near(found.rank_sum, number(&case["rank_sum"]), 1e-10);
            assert_eq!((found.exact, found.pairs + found.zeros), (found.pairs <= 60, x.len()));
        }
    }

    #[test]
    fn pairs_without_a_difference_say_nothing() {
        let nothing = SignedRank { pairs: 0, zeros: 0, rank_sum: 0.0, two_sided: 1.0, greater: 1.0, less: 1.0, exact: true };
        assert_eq!(signed_rank(&[]), nothing);
        assert_eq!(signed_rank(&[0.0, -0.0, f64::NAN]), SignedRank { zeros: 2, ..nothing });
        let some = signed_rank(&[1.0, 2.0, f64::NAN, 0.0, -3.0]);
        assert_eq!(some, SignedRank { zeros: 1, ..signed_rank(&[1.0, 2.0, -3.0]) });
    }

    /// Differences of accuracies, all of three examples in 10 000, and of runs that diverged.
    #[test]
    fn rounding_makes_no_ranks_and_infinities_have_some() {
        let of = |a: f64| (a + 3.0) / 10_000.0 - a / 10_000.0;
        assert_eq!(doubled_ranks(&[of(9123.0), -of(7.0), of(0.0), of(5555.0), 0.001]), [5, 5, 5, 5, 10]);
        assert_eq!(doubled_ranks(&[1.0, f64::INFINITY, f64::NEG_INFINITY]), [2, 5, 5]);
    }

    #[test]
    fn fewest_pairs() {
        assert_eq!([1.0, 0.5, 0.1, 0.05, 0.05 / 10.0, 0.0, f64::NAN].map(least_pairs), [1, 2, 5, 6, 9, usize::MAX, usize::MAX]);
        for level in [0.2, 0.05, 0.01, 0.05 / 45.0] {
            let extreme = |n| signed_rank(&(1..=n).map(|d| d as f64).collect::<Vec<_>>()).two_sided;
            assert!(extreme(least_pairs(level)) <= level && extreme(least_pairs(level) - 1) > level);
        }
    }

    #[test]
    fn holm_agrees_with_statsmodels() {
        for case in reference::cases("holm") {
            let found = holm(&numbers(&case["p"]));
            found.iter().zip(numbers(&case["adjusted"])).for_each(|(found, expected)| near(*found, expected, 1e-14));
        }
        assert!(holm(&[]).is_empty());
        let left_out = holm(&[f64::NAN, 0.01, 0.04]);
        assert!(left_out[0].is_nan() && left_out[1..] == [0.02, 0.04]);
    }

    #[test]
    fn superiority_agrees_with_statsmodels() {
        for case in reference::cases("superiority") {
            let found = superiority(&numbers(&case["x"]), number(&case["confidence"])).unwrap();
            near(found.probability, number(&case["probability"]), 1e-14);
            near(found.low, number(&case["low"]), 1e-10);
            near(found.high, number(&case["high"]), 1e-10);
        }
        assert_eq!((superiority(&[], 0.95), superiority(&[f64::NAN], 0.95), superiority(&[1.0], 1.0)), (None, None, None));
    }

    #[test]
    fn equivalence_agrees_with_scipy() {
        for case in reference::cases("equivalence") {
            near(equivalence(&numbers(&case["x"]), number(&case["margin"])).unwrap(), number(&case["p"]), 1e-12);
        }
        assert_eq!((equivalence(&[0.0], 0.0), equivalence(&[0.0], f64::INFINITY), equivalence(&[], 1.0)), (None, None, Some(1.0)));
        // Five pairs within the margin are just enough, and one on its edge is no pair.
        assert_eq!(equivalence(&[0.0; 5], 1.0), Some(1.0 / 32.0));
        assert_eq!(equivalence(&[0.0, 0.0, 0.0, 0.0, 0.3], 0.1 * 3.0), Some(1.0 / 16.0));
    }

    proptest! {
        #[test]
        fn p_values_hold_for_any_differences(x in prop::collection::vec((-4i8..5).prop_map(f64::from), 0..80), margin in 0.1..6.0f64) {
            let (found, turned) = (signed_rank(&x), signed_rank(&x.iter().map(|x| -x).collect::<Vec<_>>()));
            for p in [found.two_sided, found.greater, found.less, equivalence(&x, margin).unwrap()] {
                prop_assert!(p > 0.0 && p <= 1.0);
            }
            prop_assert!(found.two_sided >= found.greater.min(found.less));
            prop_assert!((found.greater - turned.less).abs() < 1e-12 && (found.two_sided - turned.two_sided).abs() < 1e-12);
            if let Some(found) = superiority(&x, 0.95) {
                prop_assert!(0.0 <= found.low && found.low <= found.probability && found.probability <= found.high && found.high <= 1.0);
            }
        }

        #[test]
        fn holm_keeps_the_order_and_only_raises(p in prop::collection::vec(0.0..1.0f64, 1..20)) {
            let adjusted = holm(&p);
            for (i, a) in adjusted.iter().enumerate() {
                prop_assert!(*a >= p[i] && *a <= 1.0);
                prop_assert!((0..p.len()).all(|j| p[j] < p[i] || adjusted[j] >= *a));
            }
        }
    }
}
