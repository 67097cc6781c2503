//! Evenly spaced axis values.

/// `points` values from `from` to `to`, evenly spaced on a linear or a logarithmic scale.
///
/// The ends are exact. The values between are rounded to six significant digits, so that they can be written down
/// elsewhere in the file (`[[exclude]]`, `[[when]]`) and don't depend on a platform's `pow`.
pub(super) fn spaced(from: f64, to: f64, points: u32, log: bool) -> Vec<f64> {
    let last = points.saturating_sub(1);
    (0..points)
        .map(|i| match i {
            0 => from,
            i if i == last => to,
            i => {
                let t = f64::from(i) / f64::from(last);
                let x = if log { (from.ln() + t * (to.ln() - from.ln())).exp() } else { from + t * (to - from) };
                six_digits(x)
            }
        })
        .collect()
}

fn six_digits(x: f64) -> f64 {
    format!("{x:.5e}").parse().unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn log_and_linear_values() {
        let half_decades = spaced(1e-4, 10.0, 11, true);
        let expected =
            [1e-4, 3.16228e-4, 1e-3, 3.16228e-3, 1e-2, 3.16228e-2, 0.1, 0.316228, 1.0, 3.16228, 10.0];
        assert_eq!(half_decades, expected);
        assert_eq!(spaced(0.0, 1.0, 5, false), [0.0, 0.25, 0.5, 0.75, 1.0]);
    }

    proptest! {
        #[test]
        fn ends_are_exact_and_values_ascend(a in 1e-9f64..1e3, factor in 1.01f64..1e6, n in 2u32..200, log: bool) {
            let b = a * factor;
            let v = spaced(a, b, n, log);
            prop_assert_eq!((v.len(), v[0], v[v.len() - 1]), (n as usize, a, b));
            // Six digits tell neighbours apart as long as they differ by more than one in a million.
            let step = if log { factor.powf(1.0 / f64::from(n)) - 1.0 } else { (factor - 1.0) / f64::from(n) / factor };
            if step > 1e-5 {
                prop_assert!(v.windows(2).all(|w| w[0] < w[1]));
            }
        }
    }
}
