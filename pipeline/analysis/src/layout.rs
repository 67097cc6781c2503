//! How a study's arms spread over a numeric axis and groups: what a figure puts on its x axis, into panels, into colours.
//! Called by `analysis`; figures and findings read it. It knows nothing of results.

use serde_json::Value;

use crate::number::{Format, real};
use crate::results::ArmResult;
use crate::study_data::StudyData;

/// More curves than this in one panel can't be told apart by categorical colours.
const MOST_CURVES: usize = 12;

/// The arms' places, in the order of the arms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// The axis whose values are ordered, if the study has one.
    pub axis: Option<String>,
    /// Its values, ascending.
    pub values: Vec<f64>,
    /// What is left of the arms' labels without that axis (or, for many arms without one, the values of the first axis).
    pub groups: Vec<String>,
    /// Labels of what differs within a group.
    pub labels: Vec<String>,
    /// One per arm.
    pub places: Vec<Place>,
}

/// Where an arm stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Index into [`Layout::groups`].
    pub group: usize,
    /// Index into [`Layout::labels`].
    pub label: usize,
    /// Index into [`Layout::values`].
    pub value: Option<usize>,
}

impl Layout {
    #[must_use]
    pub fn of(data: &StudyData, arms: &[ArmResult<'_>]) -> Self {
        let axes = &data.study.axes;
        let axis = numeric_axis(axes, arms);
        let without = |arm: &ArmResult<'_>, left_out: usize| words(axes, arm, |i| i != left_out);
        let mut layout = Layout { axis: axis.map(|i| axes[i].clone()), ..Layout::default() };
        let numbers: Vec<Option<f64>> = match axis {
            Some(i) => arms.iter().map(|arm| number(data, arm, i)).collect(),
            None => vec![None; arms.len()],
        };
        layout.values = numbers.iter().flatten().copied().collect();
        layout.values.sort_by(f64::total_cmp);
        layout.values.dedup();
        for (arm, number) in arms.iter().zip(numbers) {
            let (group, label) = match axis {
                Some(i) => (without(arm, i), value_text(arm.axes.get(i).and_then(Option::as_ref))),
                None if arms.len() > MOST_CURVES && axes.len() > 1 => (words(axes, arm, |i| i == 0), without(arm, 0)),
                None => (String::new(), arm.label.to_owned()),
            };
            layout.places.push(Place {
                group: place(&mut layout.groups, group),
                label: place(&mut layout.labels, label),
                value: number.and_then(|x| layout.values.iter().position(|value| value.total_cmp(&x).is_eq())),
            });
        }
        layout
    }

    /// Indices of the arms of a group, ascending along the numeric axis, else in the order of the grid.
    #[must_use]
    pub fn members(&self, group: usize) -> Vec<usize> {
        let mut members: Vec<usize> = (0..self.places.len()).filter(|i| self.places[*i].group == group).collect();
        members.sort_by_key(|i| self.places[*i].value.unwrap_or(usize::MAX));
        members
    }

    /// The numeric value of an arm.
    #[must_use]
    pub fn value(&self, arm: usize) -> Option<f64> {
        self.values.get(self.places.get(arm)?.value?).copied()
    }

    /// What sets an arm apart within its group.
    #[must_use]
    pub fn label(&self, arm: usize) -> &str {
        self.places.get(arm).and_then(|place| self.labels.get(place.label)).map_or("", String::as_str)
    }
}

/// The place of a name in a list, at its end if it is new.
fn place(names: &mut Vec<String>, name: String) -> usize {
    names.iter().position(|known| *known == name).unwrap_or_else(|| {
        names.push(name);
        names.len() - 1
    })
}

/// An axis that every arm has, with at least two numbers: the one with most values, the first of the file among equals.
fn numeric_axis(axes: &[String], arms: &[ArmResult<'_>]) -> Option<usize> {
    let distinct = |i: usize| {
        let mut texts: Vec<String> = vec![];
        for arm in arms {
            let value = arm.axes.get(i)?.as_ref()?;
            if !(value.is_number() || is_full(&axes[i], value)) {
                return None;
            }
            place(&mut texts, value.to_string());
        }
        (texts.len() > 1).then_some(texts.len())
    };
    let candidates: Vec<(usize, usize)> = (0..axes.len()).filter_map(|i| Some((distinct(i)?, i))).collect();
    candidates.into_iter().max_by_key(|(n, i)| (*n, std::cmp::Reverse(*i))).map(|(_, i)| i)
}

/// A batch of all training examples.
fn is_full(axis: &str, value: &Value) -> bool {
    axis == "batch_size" && value.as_str() == Some("full")
}

/// The axis value as a number; for a full batch the examples of the first step, once there is one.
fn number(data: &StudyData, arm: &ArmResult<'_>, axis: usize) -> Option<f64> {
    let value = arm.axes.get(axis)?.as_ref()?;
    if let Some(number) = value.as_f64() {
        return Some(number);
    }
    let of_arm = |run: u32| data.runs.get(run as usize).is_some_and(|record| record.position == arm.position);
    let steps = &data.steps;
    let first = (0..steps.run.len()).find(|i| steps.step[*i] == 1 && of_arm(steps.run[*i]))?;
    Some(real(steps.examples[first]))
}

/// An arm's axis values as its label has them: texts and switches by themselves, numbers with their key.
fn words(axes: &[String], arm: &ArmResult<'_>, wanted: impl Fn(usize) -> bool) -> String {
    let word = |(i, value): (usize, &Option<Value>)| match value.as_ref()? {
        _ if !wanted(i) => None,
        Value::Bool(on) => on.then(|| axes[i].clone()),
        Value::String(text) if axes[i] != "batch_size" => Some(text.clone()),
        value => Some(format!("{}={}", axes[i], value_text(Some(value)))),
    };
    arm.axes.iter().enumerate().take(axes.len()).filter_map(word).collect::<Vec<_>>().join(" ")
}

/// An axis value for people.
pub(crate) fn value_text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => match value.as_f64() {
            Some(number) if !value.is_i64() => Format::Plain.text(number),
            _ => value.to_string(),
        },
    }
}
