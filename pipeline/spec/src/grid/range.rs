//! Evenly spaced axis values.

/// `points` values from `from` to `to`, evenly spaced on a linear or a logarithmic scale.
///
/// The ends are exact. The values between are rounded, so that they read well, can be written down elsewhere in the file
/// (`[[exclude]]`, `[[when]]`) and don't depend on a platform's `pow`: to six significant digits, on a logarithmic scale to
/// three unless six give a whole number or the values stand too close together for three.
pub(super) fn spaced(from: f64, to: f64, points: u32, log: bool) -> Vec<f64> {
    let last = points.saturating_sub(1);
    let factor = (to / from).powf(1.0 / f64::from(last.max(1)));
    let coarse = log && (factor.ln().abs() > 0.02);
    (0..points)
        .map(|i| match i {
            0 => from,
            i if i == last => to,
            i => {
                let t = f64::from(i) / f64::from(last);
                let x = if log { (from.ln() + t * (to.ln() - from.ln())).exp() } else { from + t * (to - from) };
                let fine = rounded(x, 6);
                if coarse && fine.fract() != 0.0 { rounded(x, 3) } else { fine }
            }
        })
        .collect()
}

fn rounded(x: f64, digits: usize) -> f64 {
    format!("{x:.*e}", digits - 1).parse().unwrap_or(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn log_and_linear_values() {
        let half_decades = spaced(1e-4, 10.0, 11, true);
        let expected = [1e-4, 3.16e-4, 1e-3, 3.16e-3, 1e-2, 3.16e-2, 0.1, 0.316, 1.0, 3.16, 10.0];
        assert_eq!(half_decades, expected);
        let powers: Vec<f64> = (0..13).map(|i| 2f64.powi(i)).collect();
        assert_eq!(spaced(1.0, 4096.0, 13, true), powers);
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
