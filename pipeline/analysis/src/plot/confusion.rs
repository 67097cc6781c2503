//! Figure `confusion`: what the best arm takes the examples of each class for.
//! Listed in `PLOTS`; only for studies whose runs counted that.

use super::Plot;
use crate::Analysis;
use crate::figure::{Axis, Cell, HeatMap, HeatPanel};
use crate::number::{count, listed, real};
use crate::results::State;
use crate::table::escape;

/// With more classes the numbers would be too small to read.
const MOST_CLASSES: usize = 20;
/// Confusions that the caption names.
const NAMED: usize = 2;

pub(super) fn plot(a: &Analysis<'_>) -> Option<Plot> {
    let best = a.arms.get(a.verdict.as_ref()?.arm)?;
    let of_best = |run: usize| a.data.runs.get(run).filter(|run| run.position == best.position && State::of(run) == State::Finished);
    let counts: Vec<(usize, [u32; 3])> = a.data.confusions.iter().copied().filter(|(run, _)| of_best(*run).is_some()).collect();
    let names = &of_best(counts.first()?.0)?.classes;
    let mut runs: Vec<usize> = counts.iter().map(|(run, _)| *run).collect();
    runs.dedup();
    let place = |class: u32| usize::try_from(class).unwrap_or(usize::MAX);
    let largest = counts.iter().map(|(_, [label, predicted, _])| place(*label.max(predicted))).max()?;
    let classes = names.len().max(largest.saturating_add(1));
    if classes > MOST_CLASSES {
        return None;
    }
    let mut examples = vec![vec![0u64; classes]; classes];
    for (_, [label, predicted, n]) in counts {
        examples[place(label)][place(predicted)] += u64::from(n);
    }
    let name = |class: usize| names.get(class).cloned().unwrap_or_else(|| class.to_string());
    let cells = examples.iter().map(|row| row_of(row)).collect();
    let figure = HeatMap {
        title: "Confusion matrix of the best arm".into(),
        subtitle: Some(format!("{}: test examples of each class, and what they are taken for.", best.label)),
        x: "taken for".into(),
        y: "true class".into(),
        columns: (0..classes).map(name).collect(),
        rows: (0..classes).map(name).collect(),
        value: Axis::linear("% of the true class").clipped((0.0, 100.0)),
        panels: vec![HeatPanel { title: None, cells }],
    };
    let mut confused: Vec<(u64, usize, usize)> = vec![];
    for (label, row) in examples.iter().enumerate() {
        let wrong = row.iter().enumerate().filter(|(predicted, n)| *predicted != label && **n > 0);
        confused.extend(wrong.map(|(predicted, n)| (*n, label, predicted)));
    }
    confused.sort_by_key(|(n, label, predicted)| (std::cmp::Reverse(*n), *label, *predicted));
    let phrase = |(n, label, predicted): &(u64, usize, usize)| {
        let share = percent(real(*n), real(examples[*label].iter().sum()));
        format!("{} taken for {} ({share} %)", escape(&name(*label)), escape(&name(*predicted)))
    };
    let named: Vec<String> = confused.iter().take(NAMED).map(phrase).collect();
    let which = match named.as_slice() {
        [] => "No example is taken for another class.".into(),
        [only] => format!("The only confusion: {only}."),
        several => format!("Most frequent: {}.", listed(several)),
    };
    Some(Plot {
        name: "confusion",
        alt: "Confusion matrix: a row for each true class, a column for each class that its test examples are taken for".into(),
        caption: format!(
            "Test examples of each class (rows) by the class that arm {} takes them for (columns), in % of the row, over {}; on the \
             diagonal they are right. {which}",
            escape(best.label),
            count(runs.len(), "finished run")
        ),
        svg: figure.svg(),
    })
}

/// Shares of a true class; a class without examples has none.
fn row_of(examples: &[u64]) -> Vec<Cell> {
    let all = real(examples.iter().sum());
    let cell = |n: &u64| Cell { value: Some(100.0 * real(*n) / all), text: percent(real(*n), all), diverged: 0 };
    if all > 0.0 { examples.iter().map(cell).collect() } else { vec![Cell::default(); examples.len()] }
}

/// Without decimals; what is little is not nothing, and what is most is not all.
fn percent(n: f64, all: f64) -> String {
    match 100.0 * n / all {
        share if n > 0.0 && share < 0.5 => "<1".into(),
        share if n < all && share >= 99.5 => ">99".into(),
        share => format!("{share:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use spec::record::Outcome;

    use super::*;
    use crate::fixture::{Fixture, troubled};

    /// The best arm of `troubled` has the runs 0 and 4.
    fn data() -> Fixture {
        let mut data = troubled();
        for run in [0, 4] {
            data.runs[run].classes = ["Shirt", "Coat & <hat>", "Bag", "Boot"].map(Into::into).to_vec();
        }
        data.confusions = vec![
            (0, [0, 0, 90]),
            (0, [0, 1, 110]),
            (0, [1, 1, 500]),
            (4, [0, 1, 200]),
            (4, [1, 0, 1]),
            (4, [2, 2, 7]),
            // Of another arm.
            (1, [2, 0, 1000]),
        ];
        data
    }

    fn drawn(data: &Fixture) -> Option<Plot> {
        plot(&Analysis::of(data).unwrap())
    }

    #[test]
    fn shares_are_of_the_true_class_over_the_runs_of_the_best_arm() {
        let plot = drawn(&data()).unwrap();
        // Of 400 shirts 90 are right; of 501 coats one is wrong; there are no boots.
        assert!(["22", "78", "&lt;1", "&gt;99", "100"].iter().all(|text| plot.svg.contains(&format!(">{text}<"))), "{}", plot.svg);
        assert_eq!(plot.svg.matches(">–<").count(), 4);
        assert!(plot.svg.contains("Coat &amp; &lt;hat&gt;"));
        assert!(
            plot.caption.ends_with(
                "arm a\\|b takes them for (columns), in % of the row, over 2 finished runs; on the diagonal they are right. Most \
                 frequent: Shirt taken for Coat & &lt;hat> (78 %) and Coat & &lt;hat> taken for Shirt (<1 %)."
            ),
            "{}",
            plot.caption
        );
    }

    #[test]
    fn classes_without_names_are_numbers_and_too_many_are_not_drawn() {
        let mut data = data();
        data.runs[0].classes = vec![];
        data.confusions.truncate(1);
        let plot = drawn(&data).unwrap();
        assert!(plot.svg.contains(">0<") && plot.caption.ends_with("No example is taken for another class."), "{}", plot.caption);
        data.confusions.push((0, [0, 20, 1]));
        assert_eq!(drawn(&data), None);
        data.confusions.push((0, [u32::MAX, 0, 1]));
        assert_eq!(drawn(&data), None);
    }

    #[test]
    fn without_a_best_arm_or_counts_there_is_none() {
        assert_eq!(drawn(&troubled()), None);
        let mut data = data();
        for run in [0, 1, 4] {
            data.end(run, Outcome::Diverged, None);
        }
        assert_eq!(drawn(&data), None);
    }
}
