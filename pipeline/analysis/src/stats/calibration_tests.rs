//! Whether what intervals and tests promise holds in simulated studies, where the truth is known.
//! `cargo test --release --workspace coverage -- --ignored --nocapture` prints the tables of docs/statistics.md: a cell holds how
//! often the truth was within the interval, and in brackets how often it was above and below.

use std::fmt::Write as _;

use super::distribution::{normal_quantile, normal_share};
use super::paired::{equivalence, holm, signed_rank, superiority};
use super::survival::Survival;
use super::{Generator, bca, interquartile_mean, mean};

/// What values are drawn from, by its quantiles.
#[derive(Clone, Copy, PartialEq)]
enum Population {
    Normal,
    Exponential,
    Lognormal,
}

use Population::{Exponential, Lognormal, Normal};

impl Population {
    fn draw(self, generator: &mut Generator) -> f64 {
        // Between 0 and 1, neither included.
        let p = (generator.below(1 << 53) as f64 + 0.5) / 2f64.powi(53);
        match self {
            Normal => normal_quantile(p),
            Exponential => -p.ln(),
            Lognormal => normal_quantile(p).exp(),
        }
    }

    fn mean(self) -> f64 {
        match self {
            Normal => 0.0,
            Exponential => 1.0,
            Lognormal => 0.5f64.exp(),
        }
    }

    /// The mean between the quartiles: twice the integral of the quantile function from 1/4 to 3/4.
    fn interquartile_mean(self) -> f64 {
        let quartile = normal_quantile(0.75);
        match self {
            Normal => 0.0,
            // The integral of -ln p is p (1 - ln p).
            Exponential => 2.0 * (0.75 * (1.0 - 0.75f64.ln()) - 0.25 * (1.0 - 0.25f64.ln())),
            // The density times e^z is that of a normal distribution around 1.
            Lognormal => 2.0 * self.mean() * (normal_share(quartile - 1.0) - normal_share(-quartile - 1.0)),
        }
    }
}

fn draws(population: Population, n: usize, generator: &mut Generator) -> Vec<f64> {
    (0..n).map(|_| population.draw(generator)).collect()
}

/// The shares of simulations in which the truth was within, above and below the 95 % interval.
fn coverage(population: Population, statistic: Statistic, n: usize, simulations: usize) -> [f64; 3] {
    let generator = &mut Generator::new(1);
    let mut counts = [0; 3];
    for _ in 0..simulations {
        let (low, high) = statistic.interval(&draws(population, n, generator), generator);
        let truth = statistic.truth(population);
        let side = if truth > high { 1 } else { 2 * usize::from(truth < low) };
        counts[side] += 1;
    }
    counts.map(|count| f64::from(count) / simulations as f64)
}

#[derive(Clone, Copy, Debug)]
enum Statistic {
    Mean,
    InterquartileMean,
    /// Of times of which those beyond the 70 % quantile are not lived to see.
    SurvivalMedian,
    /// That a value is above the upper quartile.
    Superiority,
}

impl Statistic {
    fn truth(self, population: Population) -> f64 {
        match self {
            Statistic::Mean => population.mean(),
            Statistic::InterquartileMean => population.interquartile_mean(),
            Statistic::SurvivalMedian => 2f64.ln(),
            Statistic::Superiority => 0.25,
        }
    }

    fn interval(self, values: &[f64], generator: &mut Generator) -> (f64, f64) {
        match self {
            Statistic::Mean => bca(values, mean, 0.95, generator).map(|found| (found.low, found.high)),
            Statistic::InterquartileMean => bca(values, interquartile_mean, 0.95, generator).map(|found| (found.low, found.high)),
            Statistic::SurvivalMedian => {
                let limit = -0.3f64.ln();
                let observations: Vec<(f64, bool)> = values.iter().map(|time| (time.min(limit), *time < limit)).collect();
                Survival::new(&observations, 0.95).unwrap().median().interval.map(|found| (found.low, found.high))
            }
            Statistic::Superiority => {
                let above: Vec<f64> = values.iter().map(|value| value - 4f64.ln()).collect();
                superiority(&above, 0.95).map(|found| (found.low, found.high))
            }
        }
        .unwrap()
    }
}

/// Two standard errors of a share that was simulated.
fn twice_error(share: f64, simulations: usize) -> f64 {
    2.0 * (share * (1.0 - share) / simulations as f64).sqrt()
}

/// Within two points of 95 %, and twice the error of the simulation.
#[test]
fn intervals_of_20_values_hold_the_truth() {
    const SIMULATIONS: usize = 600;
    for statistic in [Statistic::Mean, Statistic::InterquartileMean] {
        for population in [Normal, Exponential] {
            let [within, ..] = coverage(population, statistic, 20, SIMULATIONS);
            assert!((within - 0.95).abs() <= 0.02 + twice_error(0.95, SIMULATIONS), "{within} for {statistic:?}");
        }
    }
}

#[test]
#[ignore = "prints a table for docs/statistics.md; takes minutes"]
fn coverage_of_intervals() {
    const SIMULATIONS: usize = 10_000;
    let mut table = String::from("| statistic | values | n = 5 | n = 10 | n = 20 |\n|---|---|---|---|---|\n");
    let mut row = |name: &str, statistic, kind: &str, population| {
        let cells = [5, 10, 20].map(|n| {
            let [within, above, below] = coverage(population, statistic, n, SIMULATIONS).map(|share| 100.0 * share);
            format!("{within:.1} % ({above:.1}, {below:.1})")
        });
        writeln!(table, "| {name} | {kind} | {} |", cells.join(" | ")).unwrap();
    };
    for (kind, population) in [("normal", Normal), ("exponential", Exponential), ("lognormal", Lognormal)] {
        row("mean", Statistic::Mean, kind, population);
        row("interquartile mean", Statistic::InterquartileMean, kind, population);
    }
    row("Kaplan–Meier median, 30 % censored", Statistic::SurvivalMedian, "exponential", Exponential);
    row("probability of superiority of 1/4", Statistic::Superiority, "exponential", Exponential);
    println!("{table}");
}

/// The share of studies in which any two of `arms` that differ in their noise alone are told apart at 0.05: each seed has an
/// effect that all arms share, and each run a noise as large.
fn told_apart(arms: usize, seeds: usize, studies: usize) -> f64 {
    let generator = &mut Generator::new(2);
    let mut found = 0;
    for _ in 0..studies {
        let effects = draws(Normal, seeds, generator);
        let values: Vec<Vec<f64>> = (0..arms).map(|_| effects.iter().map(|effect| effect + Normal.draw(generator)).collect()).collect();
        let mut p_values = Vec::new();
        for (i, first) in values.iter().enumerate() {
            for second in &values[i + 1..] {
                let differences: Vec<f64> = first.iter().zip(second).map(|(a, b)| a - b).collect();
                p_values.push(signed_rank(&differences).two_sided);
            }
        }
        found += usize::from(holm(&p_values).iter().any(|p| *p <= 0.05));
    }
    found as f64 / studies as f64
}

#[test]
fn arms_without_a_difference_are_seldom_told_apart() {
    const STUDIES: usize = 1_000;
    for arms in [2, 5] {
        let share = told_apart(arms, 10, STUDIES);
        assert!(share <= 0.05 + twice_error(0.05, STUDIES), "{share} with {arms} arms");
    }
}

/// The share of studies in which arms that differ by `difference` are called equal within 1.
fn called_equal(difference: f64, seeds: usize, studies: usize) -> f64 {
    let generator = &mut Generator::new(3);
    let study = |_: &usize| {
        let differences: Vec<f64> = draws(Normal, seeds, generator).iter().map(|noise| difference + noise).collect();
        equivalence(&differences, 1.0).is_some_and(|p| p <= 0.05)
    };
    (0..studies).filter(study).count() as f64 / studies as f64
}

/// Arms that differ by just the margin are the hardest of those that are not equal.
#[test]
fn different_arms_are_seldom_called_equal() {
    const STUDIES: usize = 2_000;
    for difference in [1.0, -1.0] {
        let share = called_equal(difference, 10, STUDIES);
        assert!(share <= 0.05 + twice_error(0.05, STUDIES), "{share} at {difference}");
    }
}

#[test]
#[ignore = "prints a table for docs/statistics.md"]
fn coverage_of_tests() {
    const STUDIES: usize = 10_000;
    let mut table = String::from("| what is found | though | n = 6 | n = 10 | n = 20 |\n|---|---|---|---|---|\n");
    let mut row = |what: &str, truth: &str, share: &dyn Fn(usize) -> f64| {
        let cells = [6, 10, 20].map(|n| format!("{:.1} %", 100.0 * share(n)));
        writeln!(table, "| {what} | {truth} | {} |", cells.join(" | ")).unwrap();
    };
    row("2 arms differ", "they don't", &|n| told_apart(2, n, STUDIES));
    row("some of 5 arms differ", "none does", &|n| told_apart(5, n, STUDIES));
    row("2 arms are equal within a margin", "they differ by the margin", &|n| called_equal(1.0, n, STUDIES));
    println!("{table}");
}
