//! How a study's arms spread over a numeric axis and groups: what a figure puts on its x axis, into panels, into colours.
//! Called by `analysis`; figures and findings read it. It knows nothing of results.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::number::{Format, listed, real};
use crate::results::ArmResult;
use crate::study_data::StudyData;
use crate::table::code;

/// More curves than this in one panel can't be told apart by categorical colours.
const MOST_CURVES: usize = 12;

/// The arms' places, in the order of the arms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// The axis whose values are ordered, if the study has one.
    pub axis: Option<String>,
    /// Numeric axes that move along with it: each of its values comes with one value of theirs.
    pub along: Vec<String>,
    /// Its values, ascending.
    pub values: Vec<f64>,
    /// What is left of the arms' labels without that axis and those that move along (or, for many arms without one, the values of the first axis).
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
        let axis = numeric_axis(&data.study.axes, arms);
        let along = Layout::along(data, arms, axis);
        // An axis along which most arms stand alone orders nothing.
        let alone = along.places.iter().filter(|place| along.places.iter().filter(|other| other.group == place.group).count() < 2).count();
        let mut layout = if 2 * alone > arms.len() { Layout::along(data, arms, None) } else { along };
        // Neither does a panel help that has but one arm.
        let alone = (0..layout.groups.len()).filter(|group| layout.members(*group).len() < 2).count();
        if layout.axis.is_none() && 2 * alone > layout.groups.len() {
            layout.groups = vec![String::new()];
            layout.labels = arms.iter().map(|arm| arm.label.to_owned()).collect();
            layout.places = (0..arms.len()).map(|label| Place { group: 0, label, value: None }).collect();
        }
        layout
    }

    fn along(data: &StudyData, arms: &[ArmResult<'_>], axis: Option<usize>) -> Self {
        let axes = &data.study.axes;
        let along: Vec<usize> = axis.map(|axis| moving_along(axes, arms, axis)).unwrap_or_default();
        let without = |arm: &ArmResult<'_>, left_out: usize| words(axes, arm, |i| i != left_out && !along.contains(&i));
        let mut layout =
            Layout { axis: axis.map(|i| axes[i].clone()), along: along.iter().map(|i| axes[*i].clone()).collect(), ..Layout::default() };
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

    /// Which axes move along with the numeric one, as a clause; `None` if none does.
    #[must_use]
    pub fn along_text(&self) -> Option<String> {
        let names: Vec<String> = self.along.iter().map(|name| code(name)).collect();
        let verb = if names.len() == 1 { "moves" } else { "move" };
        (!names.is_empty()).then(|| format!("{} {verb} along with it", listed(&names)))
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
    let candidates = (0..axes.len()).filter_map(|i| Some((ordered(axes, arms, i)?.into_iter().max()?, i)));
    candidates.max_by_key(|(n, i)| (*n, std::cmp::Reverse(*i))).map(|(_, i)| i)
}

/// For each arm the index of its value among the different ones of an axis; `None` unless the axis is an ordered quantity that
/// every arm has, with at least two values.
pub(crate) fn ordered(axes: &[String], arms: &[ArmResult<'_>], axis: usize) -> Option<Vec<usize>> {
    // One seed is not more than another, and a place to start from is not a quantity that grows.
    if axes[axis] == "seed" || axes[axis].ends_with("_seed") || axes[axis].starts_with("start_") {
        return None;
    }
    let mut texts: Vec<String> = vec![];
    let mut indices = vec![];
    for arm in arms {
        let value = arm.axes.get(axis)?.as_ref()?;
        if !(value.is_number() || is_full(&axes[axis], value)) {
            return None;
        }
        indices.push(place(&mut texts, value.to_string()));
    }
    (texts.len() > 1).then_some(indices)
}

/// The other ordered axes on which arms agree wherever they agree on this one, as in a `[[zip]]`.
fn moving_along(axes: &[String], arms: &[ArmResult<'_>], axis: usize) -> Vec<usize> {
    let Some(leader) = ordered(axes, arms, axis) else {
        return vec![];
    };
    let follows = |i: &usize| {
        let mut value_at = BTreeMap::new();
        ordered(axes, arms, *i)
            .is_some_and(|follower| leader.iter().zip(follower).all(|(place, value)| *value_at.entry(*place).or_insert(value) == value))
    };
    (0..axes.len()).filter(|i| *i != axis).filter(follows).collect()
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
    let (_, steps) = data.steps.runs.iter().find(|(run, _)| of_arm(**run))?;
    Some(real(steps.first_batch))
}

/// An arm's axis values as its label has them: texts and switches by themselves, numbers with their key.
pub(crate) fn words(axes: &[String], arm: &ArmResult<'_>, wanted: impl Fn(usize) -> bool) -> String {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Analysis;
    use crate::fixture::study;

    #[test]
    fn axes_that_move_together_make_one_series() {
        let mut data = study("zip", &["batch_size", "lr", "momentum"]);
        let pairs = [(json!(8), 0.01), (json!(32), 0.04), (json!("full"), 0.16)];
        for (i, (batch, lr)) in pairs.iter().enumerate() {
            for (j, momentum) in [0.0, 0.9].into_iter().enumerate() {
                data.add(&format!("{i} {j}"), 2 * i + j, &[batch.clone(), json!(lr), json!(momentum)], 0);
            }
        }
        let layout = Analysis::of(&data).unwrap().layout;
        assert_eq!((layout.axis.as_deref(), layout.along_text().as_deref()), (Some("batch_size"), Some("`lr` moves along with it")));
        assert_eq!((layout.groups.len(), layout.groups[1].as_str(), layout.labels.len()), (2, "momentum=0.9", 3));
    }

    #[test]
    fn panels_of_single_arms_become_one() {
        let mut data = study("remedies", &["examples", "dropout"]);
        for position in 0..14 {
            let examples = if position < 10 { json!("few") } else { json!(format!("{position}")) };
            data.add(&format!("arm {position}"), position, &[examples, json!(null)], 0);
        }
        let layout = Analysis::of(&data).unwrap().layout;
        assert_eq!((layout.axis.as_deref(), layout.groups.len(), layout.label(12)), (None, 1, "arm 12"));
        assert_eq!(layout.members(0).len(), 14);
    }

    #[test]
    fn crossed_axes_stay_apart_and_seeds_are_no_axis() {
        let mut data = study("grid", &["split_seed", "lr", "momentum"]);
        for position in 0..12 {
            let axes = [json!(position % 6), json!([0.1, 0.2][position / 6]), json!([0.0, 0.9][position % 2])];
            data.add(&position.to_string(), position, &axes, 0);
        }
        let layout = Analysis::of(&data).unwrap().layout;
        assert_eq!((layout.axis.as_deref(), layout.along.len(), layout.groups.len()), (Some("lr"), 0, 6));
    }
}
