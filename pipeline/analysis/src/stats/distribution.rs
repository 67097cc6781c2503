//! The distributions that intervals and tests stand on, from `statrs`.
//! Called by the other modules of statistics; every argument gives a number, and nothing panics.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// P(Z ≤ z) of the standard normal distribution.
pub(super) fn normal_share(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

/// The z with P(Z ≤ z) = `p`; infinite at 0 and 1.
pub(super) fn normal_quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p.clamp(0.0, 1.0))
}

/// The z with P(-z ≤ Z ≤ z) = `confidence`.
pub(super) fn two_sided(confidence: f64) -> f64 {
    normal_quantile(f64::midpoint(1.0, confidence))
}

/// The same of Student's distribution with `freedom` degrees of freedom.
pub(super) fn two_sided_student(confidence: f64, freedom: f64) -> f64 {
    // Fails for a freedom that isn't positive, which has no distribution.
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |t| t.inverse_cdf(f64::midpoint(1.0, confidence).clamp(0.0, 1.0)))
}
