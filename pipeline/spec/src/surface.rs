//! Analytic surfaces z = f(x, y) that optimizers descend on: their heights and gradients.

use crate::config::{Config, Missing};

/// A function of x and y that is bounded below.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Surface {
    /// x² − y² + y⁴/2: a saddle at the origin, minima of −1/2 at (0, ±1).
    Saddle,
    /// x³ − 3xy² + (x² + y²)²: a monkey saddle at the origin, where the curvature vanishes too; three minima of −27/256 at distance
    /// 3/4.
    MonkeySaddle,
    /// (1 − x)² + 100 (y − x²)²: a curved valley; minimum 0 at (1, 1) (Rosenbrock 1960).
    Rosenbrock,
    /// Flat, with steep walls; minimum 0 at (3, 1/2) (Beale 1958).
    Beale,
    /// (x² + κy²) / 2 with condition number κ; minimum 0 at the origin.
    Quadratic { condition: f64 },
}

impl Surface {
    /// The surface of a configuration.
    ///
    /// # Errors
    /// When the configuration names none; not for one that a grid file produced.
    pub fn new(config: &Config) -> Result<Self, Missing> {
        let name = config.text("surface")?;
        Surface::named(name, config.float_or("condition", 1.0)).ok_or_else(|| Missing("surface".into()))
    }

    /// The surface with a name of [`crate::vocabulary::SURFACES`].
    pub fn named(name: &str, condition: f64) -> Option<Self> {
        Some(match name {
            "saddle" => Surface::Saddle,
            "monkey-saddle" => Surface::MonkeySaddle,
            "rosenbrock" => Surface::Rosenbrock,
            "beale" => Surface::Beale,
            "quadratic" => Surface::Quadratic { condition },
            _ => return None,
        })
    }

    /// Where it is lowest.
    pub fn minima(self) -> Vec<[f64; 2]> {
        let side = 0.75 * 0.75f64.sqrt();
        match self {
            Surface::Saddle => vec![[0.0, 1.0], [0.0, -1.0]],
            Surface::MonkeySaddle => vec![[-0.75, 0.0], [0.375, side], [0.375, -side]],
            Surface::Rosenbrock => vec![[1.0, 1.0]],
            Surface::Beale => vec![[3.0, 0.5]],
            Surface::Quadratic { .. } => vec![[0.0, 0.0]],
        }
    }

    /// f(x, y)
    pub fn height(self, [x, y]: [f64; 2]) -> f64 {
        match self {
            Surface::Saddle => x * x - y * y + y.powi(4) / 2.0,
            Surface::MonkeySaddle => x * (x * x - 3.0 * y * y) + (x * x + y * y).powi(2),
            Surface::Rosenbrock => (1.0 - x).powi(2) + 100.0 * (y - x * x).powi(2),
            Surface::Beale => beale_terms(x, y).iter().map(|t| t * t).sum(),
            Surface::Quadratic { condition } => f64::midpoint(x * x, condition * y * y),
        }
    }

    /// (∂f/∂x, ∂f/∂y)
    pub fn gradient(self, [x, y]: [f64; 2]) -> [f64; 2] {
        match self {
            Surface::Saddle => [2.0 * x, 2.0 * y * (y * y - 1.0)],
            Surface::MonkeySaddle => {
                let square = 4.0 * (x * x + y * y);
                [3.0 * (x * x - y * y) + square * x, -6.0 * x * y + square * y]
            }
            Surface::Rosenbrock => {
                let valley = y - x * x;
                [-2.0 * (1.0 - x) - 400.0 * x * valley, 200.0 * valley]
            }
            Surface::Beale => {
                let [a, b, c] = beale_terms(x, y);
                let dx = 2.0 * (a * (y - 1.0) + b * (y * y - 1.0) + c * (y.powi(3) - 1.0));
                [dx, 2.0 * x * (a + 2.0 * b * y + 3.0 * c * y * y)]
            }
            Surface::Quadratic { condition } => [x, condition * y],
        }
    }
}

/// Beale's function is the sum of these, squared.
fn beale_terms(x: f64, y: f64) -> [f64; 3] {
    [1.5 - x + x * y, 2.25 - x + x * y * y, 2.625 - x + x * y.powi(3)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vocabulary::SURFACES;

    fn all() -> impl Iterator<Item = Surface> {
        SURFACES.into_iter().map(|name| Surface::named(name, 30.0).unwrap())
    }

    #[test]
    fn minima_and_saddles_are_where_they_are_said_to_be() {
        let is_flat = |s: Surface, at| s.gradient(at).iter().all(|g| g.abs() < 1e-12);
        let minima = [
            (Surface::Saddle, [0.0, 1.0], -0.5),
            (Surface::MonkeySaddle, [-0.75, 0.0], -27.0 / 256.0),
            (Surface::MonkeySaddle, [0.375, 0.75 * 0.75f64.sqrt()], -27.0 / 256.0),
            (Surface::Rosenbrock, [1.0, 1.0], 0.0),
            (Surface::Beale, [3.0, 0.5], 0.0),
            (Surface::Quadratic { condition: 30.0 }, [0.0, 0.0], 0.0),
        ];
        for (surface, at, height) in minima {
            assert!(is_flat(surface, at) && (surface.height(at) - height).abs() < 1e-15, "{surface:?}");
            for (dx, dy) in [(1e-3, 0.0), (-1e-3, 0.0), (0.0, 1e-3), (0.0, -1e-3)] {
                assert!(surface.height([at[0] + dx, at[1] + dy]) > height, "{surface:?}");
            }
        }
        for surface in all() {
            assert!(surface.minima().into_iter().all(|at| is_flat(surface, at)), "{surface:?}");
        }
        assert!(is_flat(Surface::Saddle, [0.0; 2]) && is_flat(Surface::MonkeySaddle, [0.0; 2]));
        // Beale's function at the origin: 1.5² + 2.25² + 2.625².
        assert!((Surface::Beale.height([0.0; 2]) - 14.203_125).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn gradients_are_the_slopes(x in -2.0f64..2.0, y in -2.0f64..2.0) {
            let h = 1e-5;
            for surface in all() {
                let slope = |dx: f64, dy: f64| (surface.height([x + dx, y + dy]) - surface.height([x - dx, y - dy])) / (2.0 * h);
                let [gx, gy] = surface.gradient([x, y]);
                let close = |a: f64, b: f64| (a - b).abs() < 1e-5 * (1.0 + a.abs());
                prop_assert!(close(gx, slope(h, 0.0)) && close(gy, slope(0.0, h)), "{surface:?} at {x} {y}");
            }
        }
    }
}
