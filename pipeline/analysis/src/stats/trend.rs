//! How a curve levels off: the exponential y = a + b exp(-c x) or the power law y = a + b x^-c, whichever is nearer.
//! Called by the table of convergence, with a curve that falls, such as a loss; one that rises is turned over by the caller.
//!
//! Least squares, separable: for a given c, a and b are a straight line's, so that c alone is searched for (Golub & Pereyra 1973,
//! *The differentiation of pseudo-inverses and nonlinear least squares problems whose variables separate*). A power of x is an
//! exponential of ln x: one search does both.

/// Fewer points than this say nothing about three parameters.
pub const LEAST: usize = 5;

/// A rate below this, over the whole range, is a straight line as far as one can see.
const STRAIGHT: f64 = 0.01;
/// A rate above this, over the first gap, is a single high point before a level.
const SUDDEN: f64 = 10.0;
/// Places of the first search, by factors of 10.
const PER_DECADE: f64 = 8.0;

/// The shape of a [`Fit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// y = a + b exp(-c x)
    Exponential,
    /// y = a + b x^-c
    Power,
}

/// A curve through points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    pub shape: Shape,
    /// The level that it tends to.
    pub a: f64,
    /// How far above that it starts: at x = 0 an exponential, at x = 1 a power law. Positive.
    pub b: f64,
    /// The rate: an exponential halves its distance every ln 2 / c, a power law with every factor 2^(1/c). Positive.
    pub c: f64,
    /// Sum of the squared distances from the points.
    pub squares: f64,
    /// The share of the variance that it explains.
    pub r_squared: f64,
}

impl Fit {
    /// The curve at `x`.
    #[must_use]
    pub fn at(&self, x: f64) -> f64 {
        self.a
            + self.b
                * match self.shape {
                    Shape::Exponential => (-self.c * x).exp(),
                    Shape::Power => x.powf(-self.c),
                }
    }
}

/// Both shapes through the same points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// The one with fewer squares; both have three parameters.
    pub better: Fit,
    /// `None` if that shape doesn't fit.
    pub other: Option<Fit>,
}

/// Fits both shapes to points (x, y) with x > 0, in any order, several at the same x or not; others are left out. `None` if
/// fewer than [`LEAST`] different x are left, or neither shape fits: the points rise, or fall in a straight line or faster and
/// faster, or are level but for the first, and have no rate of either kind.
#[must_use]
pub fn trend(points: &[(f64, f64)]) -> Option<Trend> {
    match (fit(Shape::Exponential, points), fit(Shape::Power, points)) {
        (Some(one), Some(two)) if two.squares < one.squares => Some(Trend { better: two, other: Some(one) }),
        (Some(one), two) => Some(Trend { better: one, other: two }),
        (None, two) => two.map(|better| Trend { better, other: None }),
    }
}

/// Fits one shape, as [`trend`] does both.
#[must_use]
pub fn fit(shape: Shape, points: &[(f64, f64)]) -> Option<Fit> {
    let mut points: Vec<(f64, f64)> = points.iter().filter(|(x, y)| *x > 0.0 && x.is_finite() && y.is_finite()).copied().collect();
    points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    if points.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq()).count() < LEAST {
        return None;
    }
    // From the first point on, so that the exponential is 1 there, whatever x counts from.
    let start = points[0].0;
    let place = |x: f64| match shape {
        Shape::Exponential => x - start,
        Shape::Power => (x / start).ln(),
    };
    let mut curve = Curve { u: points.iter().map(|(x, _)| place(*x)).collect(), y: points.iter().map(|(_, y)| *y).collect(), g: vec![] };
    let c = curve.rate()?;
    let line = curve.line(c);
    let mean = curve.y.iter().sum::<f64>() / curve.y.len() as f64;
    let variance: f64 = curve.y.iter().map(|y| (y - mean).powi(2)).sum();
    let b = match shape {
        Shape::Exponential => line.b * (c * start).exp(),
        Shape::Power => line.b * start.powf(c),
    };
    let falls = line.b > 0.0 && b.is_finite();
    falls.then(|| Fit { shape, a: line.a, b, c, squares: line.squares, r_squared: 1.0 - line.squares / variance })
}

/// Points at `u`, the first at 0, and room for exp(-c u).
struct Curve {
    u: Vec<f64>,
    y: Vec<f64>,
    g: Vec<f64>,
}

struct Line {
    a: f64,
    b: f64,
    squares: f64,
}

impl Curve {
    /// The line through the points (exp(-c u), y).
    fn line(&mut self, c: f64) -> Line {
        self.g.clear();
        // Less 1, so that small rates keep their digits.
        self.g.extend(self.u.iter().map(|u| (-c * u).exp_m1()));
        let n = self.u.len() as f64;
        let (mean_g, mean_y) = (self.g.iter().sum::<f64>() / n, self.y.iter().sum::<f64>() / n);
        let both = || self.g.iter().zip(&self.y);
        let (gg, gy) = both().fold((0.0, 0.0), |(gg, gy), (g, y)| (gg + (g - mean_g).powi(2), gy + (g - mean_g) * (y - mean_y)));
        let b = if gg > 0.0 { gy / gg } else { 0.0 };
        let squares = both().map(|(g, y)| (y - mean_y - b * (g - mean_g)).powi(2)).sum();
        Line { a: mean_y - b * (mean_g + 1.0), b, squares }
    }

    /// The rate with the fewest squares; `None` where they are fewest at an end of the range.
    fn rate(&mut self) -> Option<f64> {
        let (span, gap) = (*self.u.last()?, *self.u.iter().find(|u| **u > 0.0)?);
        let (low, high) = ((STRAIGHT / span).ln(), (SUDDEN / gap).ln());
        let count = (PER_DECADE * (high - low) / std::f64::consts::LN_10).ceil();
        let step = (high - low) / count;
        let places = std::iter::successors(Some(low), |place| Some(place + step)).take_while(|place| *place < high + step / 2.0);
        let squares: Vec<(f64, f64)> = places.map(|place| (place, self.line(place.exp()).squares)).collect();
        let best = squares.iter().enumerate().min_by(|(_, a), (_, b)| a.1.total_cmp(&b.1))?.0;
        if best == 0 || best + 1 == squares.len() {
            return None;
        }
        Some(self.golden_section(squares[best - 1].0, squares[best + 1].0).exp())
    }

    /// The place between two with the fewest squares, as a logarithm of a rate (Kiefer 1953, *Sequential minimax search*).
    fn golden_section(&mut self, mut low: f64, mut high: f64) -> f64 {
        let part = 2.0 / (1.0 + 5f64.sqrt());
        let mut squares = |place: f64| self.line(place.exp()).squares;
        let (mut left, mut right) = (high - part * (high - low), low + part * (high - low));
        let (mut at_left, mut at_right) = (squares(left), squares(right));
        while high - low > 1e-10 {
            if at_left <= at_right {
                (high, right, at_right) = (right, left, at_left);
                left = high - part * (high - low);
                at_left = squares(left);
            } else {
                (low, left, at_left) = (left, right, at_right);
                right = low + part * (high - low);
                at_right = squares(right);
            }
        }
        f64::midpoint(low, high)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::reference::{self, near, number, numbers};
    use super::*;

    fn points(x: impl Iterator<Item = f64>, y: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        x.map(|x| (x, y(x))).collect()
    }

    #[test]
    fn agree_with_curve_fit() {
        for case in reference::cases("trend") {
            let points: Vec<(f64, f64)> = numbers(&case["x"]).into_iter().zip(numbers(&case["y"])).collect();
            let found = trend(&points).unwrap();
            for fit in [Some(found.better), found.other].into_iter().flatten() {
                let name = if fit.shape == Shape::Exponential { "exponential" } else { "power" };
                let expected = numbers(&case[name]["parameters"]);
                [fit.a, fit.b, fit.c].iter().zip(expected).for_each(|(found, expected)| near(*found, expected, 1e-5));
                near(fit.r_squared, number(&case[name]["r_squared"]), 1e-9);
                assert_eq!(fit.shape == found.better.shape, case["better"] == name, "{found:?}");
            }
        }
    }

    #[test]
    fn curves_without_a_rate_have_no_trend() {
        let x = || (1..=20).map(f64::from);
        let without = [
            points(x(), |x| x),
            points(x(), |_| 1.0),
            points(x(), |x| -x * x),
            points(x(), |x| if x < 2.0 { 1.0 } else { 0.0 }),
            points(x().take(4), |x| 1.0 / x),
            points(x(), |x| if x < 5.0 { 1.0 / x } else { f64::NAN }),
            vec![(1.0, 2.0); 20],
            vec![],
        ];
        for points in without {
            assert_eq!(trend(&points), None, "{points:?}");
        }
    }

    proptest! {
        #[test]
        fn find_what_was_put_in(a in -2.0..2.0f64, b in 0.1..5.0f64, half in 3.0..40.0f64, c in 0.2..2.0f64) {
            let rate = 2f64.ln() / half;
            let exponential = trend(&points((1..=60).map(f64::from), |x| a + b * (-rate * x).exp())).unwrap().better;
            prop_assert_eq!(exponential.shape, Shape::Exponential);
            let power = trend(&points((1..=60).map(f64::from), |x| a + b * x.powf(-c))).unwrap().better;
            prop_assert_eq!(power.shape, Shape::Power);
            for (fit, c) in [(exponential, rate), (power, c)] {
                near(fit.c, c, 1e-5);
                near(fit.a, a, 1e-4);
                near(fit.b, b, 1e-4);
                prop_assert!(fit.r_squared > 1.0 - 1e-9);
                near(fit.at(7.0), if fit.shape == Shape::Power { a + b * 7f64.powf(-c) } else { a + b * (-rate * 7.0).exp() }, 1e-6);
            }
        }

        #[test]
        fn any_points_have_bounded_fits(y in prop::collection::vec(-5.0..5.0f64, 0..30)) {
            let points: Vec<(f64, f64)> = y.iter().zip(0..).map(|(y, x)| (f64::from(x), *y)).collect();
            if let Some(found) = trend(&points) {
                prop_assert!(found.better.b > 0.0 && found.better.c > 0.0 && (-1e-9..=1.0).contains(&found.better.r_squared));
                prop_assert!(found.other.is_none_or(|other| other.squares >= found.better.squares));
            }
        }
    }
}
