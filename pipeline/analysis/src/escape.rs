//! How optimizers leave a saddle: which runs do, and after how many steps.
//! Called by `analysis`; only for studies that descend on surfaces with one.
//!
//! A run has escaped once it is a tenth of the way down from the saddle, whose height is 0, to the surface's minimum.

use serde_json::Value;
use spec::Split;
use spec::surface::Surface;

use crate::comparison::CONFIDENCE;
use crate::number::real;
use crate::results::{ArmResult, State};
use crate::stats::survival::Survival;
use crate::study_data::StudyData;

/// Share of the way down.
pub const SHARE: f64 = 0.1;

/// A place to start from, with how every optimizer gets away from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Escape {
    pub surface: String,
    pub start: [f64; 2],
    /// Standard deviation of the noise that is added to each gradient.
    pub noise: f64,
    /// In the order of the grid.
    pub ways: Vec<Way>,
}

/// The runs of one optimizer.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    pub optimizer: String,
    pub escaped: usize,
    pub n: usize,
    /// Median steps; infinite if fewer than half escaped.
    pub steps: f64,
}

impl Escape {
    /// Every start on a surface that has a saddle.
    #[must_use]
    pub fn all(data: &StudyData, arms: &[ArmResult<'_>]) -> Vec<Self> {
        let mut escapes: Vec<Escape> = vec![];
        for arm in arms {
            let Some(config) = arm.runs.first().and_then(|run| serde_json::from_str::<Value>(&run.record.config).ok()) else { continue };
            let Some(surface) = config["surface"].as_str().and_then(|name| Surface::named(name, 1.0)) else { continue };
            if !matches!(surface, Surface::Saddle | Surface::MonkeySaddle) {
                continue;
            }
            let number = |key: &str| config[key].as_f64().unwrap_or(0.0);
            let (name, start, noise) =
                (config["surface"].as_str().unwrap_or_default(), [number("start_x"), number("start_y")], number("gradient_noise"));
            let threshold = SHARE * surface.minima().first().map_or(0.0, |at| surface.height(*at));
            let way = Way::of(data, arm, optimizer(&config), threshold);
            let same = |escape: &&mut Escape| {
                let [x, y] = escape.start;
                escape.surface == name && [x, y, escape.noise].map(f64::to_bits) == [start[0], start[1], noise].map(f64::to_bits)
            };
            match escapes.iter_mut().find(same) {
                Some(escape) => escape.ways.push(way),
                None => escapes.push(Escape { surface: name.to_owned(), start, noise, ways: vec![way] }),
            }
        }
        escapes
    }

    /// `saddle from (0, 0), noise 0.05`.
    #[must_use]
    pub fn place(&self) -> String {
        let [x, y] = self.start;
        let noise = if self.noise > 0.0 { format!("noise {}", self.noise) } else { "no noise".into() };
        format!("{} from ({x}, {y}), {noise}", self.surface)
    }

    /// Whether it starts where the gradient vanishes.
    #[must_use]
    pub fn is_on_saddle(&self) -> bool {
        self.start.iter().all(|x| x.abs() < f64::MIN_POSITIVE)
    }
}

impl Way {
    fn of(data: &StudyData, arm: &ArmResult<'_>, optimizer: String, threshold: f64) -> Self {
        let times: Vec<(f64, bool)> = arm
            .runs
            .iter()
            .filter(|run| matches!(run.state, State::Finished | State::Diverged))
            .map(|run| {
                let evals = &data.evals;
                let low = |i: &usize| evals.run[*i] == run.place && evals.split[*i] == Split::Train && evals.loss[*i] <= threshold;
                let step = (0..evals.run.len()).filter(low).map(|i| evals.step[i]).min();
                let end = if run.state == State::Diverged { f64::INFINITY } else { real(run.record.steps) };
                (step.map_or(end, real), step.is_some())
            })
            .collect();
        Way {
            optimizer,
            escaped: times.iter().filter(|(_, escaped)| *escaped).count(),
            n: times.len(),
            steps: Survival::new(&times, CONFIDENCE).map_or(f64::INFINITY, |survival| survival.median().time),
        }
    }
}

/// `sgd`, `momentum`, `nesterov`, `adam`, …
pub(crate) fn optimizer(config: &Value) -> String {
    let name = config["optimizer"].as_str().unwrap_or("optimizer");
    match config["momentum"].as_f64() {
        Some(_) if config["nesterov"] == true => "nesterov".into(),
        Some(momentum) if momentum > 0.0 => "momentum".into(),
        _ => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use spec::record::Outcome;

    use super::*;
    use crate::Analysis;
    use crate::fixture::study;

    /// The saddle's minimum is −1/2, so −0.05 is a tenth of the way.
    #[test]
    fn a_run_has_escaped_a_tenth_of_the_way_down() {
        let mut data = study("saddle", &["start_x"]);
        for (seed, heights) in [[0.0, -0.04, -0.05], [0.0, -0.01, -0.02], [0.0, -0.06, -0.4]].into_iter().enumerate() {
            let run = data.add("sgd", 0, &[json!(0)], seed as u64);
            data.runs[run as usize].config = r#"{"surface":"saddle","start_x":0,"start_y":0,"optimizer":"sgd","momentum":0.9}"#.into();
            for (step, height) in (0..).zip(heights) {
                if step > 0 {
                    data.step(run, step, step, step, height);
                }
                data.eval(run, Split::Train, step, step, height, f64::NAN);
            }
            data.end(run, Outcome::Completed, None);
        }
        let analysis = Analysis::of(&data).unwrap();
        let [escape] = analysis.escapes.as_slice() else { panic!("one start") };
        let expected = Way { optimizer: "momentum".into(), escaped: 2, n: 3, steps: 2.0 };
        assert_eq!((escape.place().as_str(), &escape.ways[0]), ("saddle from (0, 0), no noise", &expected));
        assert!(escape.is_on_saddle());
    }
}
