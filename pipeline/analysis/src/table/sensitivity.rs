//! Table `sensitivity`: the best value along the numeric axis for each group of arms, and how wide the region around it is that does
//! about as well.
//! Listed in `TABLES`; only for studies with such an axis of at least three values.

use spec::Quantity;

use super::{Cell, Column, Table, code};
use crate::Analysis;
use crate::error::Error;
use crate::number::Format;
use crate::results::State;
use crate::stats::median;
use crate::verdict::best;

/// Medians this much below the best accuracy are about as good.
const ACCURACY: f64 = 0.02;
/// Medians this many times the best loss are about as good.
const LOSS: f64 = 1.1;

#[expect(clippy::unnecessary_wraps, reason = "the type of all tables")]
pub(super) fn table(a: &Analysis<'_>) -> Result<Option<Table>, Error> {
    let metric = a.metric();
    let Some(axis) = a.layout.axis.as_ref().filter(|_| !a.mixes_surfaces()) else { return Ok(None) };
    let mut rows = vec![];
    for group in 0..a.layout.groups.len() {
        let members = a.layout.members(group);
        let Some(verdict) = best(&a.arms, &members, metric).filter(|_| members.len() > 2) else { continue };
        let middle = |i: usize| median(&a.arms[i].last(metric));
        let is_good = |i: usize| {
            let good = middle(i).is_some_and(|value| match metric.quantity {
                Quantity::Accuracy => value >= verdict.median - ACCURACY,
                Quantity::Loss => value <= verdict.median * LOSS,
            });
            good && a.arms[i].is_whole(metric)
        };
        let Some(place) = members.iter().position(|i| *i == verdict.arm) else { continue };
        // The good values around the best one, without a gap.
        let low = members[..place].iter().rev().take_while(|i| is_good(**i)).last().copied().unwrap_or(verdict.arm);
        let high = members[place + 1..].iter().take_while(|i| is_good(**i)).last().copied().unwrap_or(verdict.arm);
        let ends = [low, high].map(|i| a.layout.value(i));
        let decades = match ends {
            [Some(low), Some(high)] if low > 0.0 => Some((high / low).log10()),
            _ => None,
        };
        let open = [members.first() == Some(&low), members.last() == Some(&high)];
        let (with_result, diverged): (Vec<usize>, Vec<usize>) =
            members.iter().map(|i| (a.arms[*i].with_result(), a.arms[*i].count(State::Diverged))).unzip();
        let text = |i: usize| a.layout.label(i).to_owned();
        rows.push(vec![
            Cell::Text(a.layout.groups[group].clone()),
            Cell::Text(text(verdict.arm)),
            Cell::Value(Some(verdict.median)),
            Cell::Text(if low == high { text(low) } else { format!("{} to {}", text(low), text(high)) }),
            Cell::Value(decades),
            Cell::Text(
                match open {
                    [true, true] => "yes, at both",
                    [true, false] => "yes, at the lowest",
                    [false, true] => "yes, at the highest",
                    [false, false] => "no",
                }
                .into(),
            ),
            Cell::Of(diverged.iter().sum::<usize>() as u64, with_result.iter().sum::<usize>() as u64),
        ]);
    }
    let columns = vec![
        Column::new("group"),
        Column::new(format!("best {axis}")).parts("", &["best"]),
        Column::new(format!("{metric} (median)")).parts(metric.name(), &["median"]).metric(metric),
        Column::new(format!("good {axis}")).parts("", &["good"]),
        Column { unit: Some("decades"), format: Format::Decimals(2), ..Column::new("width").parts("", &["width_decades"]) },
        Column::new("reaches the grid's end").parts("", &["open"]),
        Column::new("diverged").parts("", &["diverged", "with_result"]),
    ];
    let about = match metric.quantity {
        Quantity::Accuracy => format!("at most {ACCURACY} below it"),
        Quantity::Loss => format!("at most {LOSS} times it"),
    };
    let caption = format!(
        "How much {} matters in each group of arms. Good: the values around the best one, without a gap, whose runs all finished \
         and whose median is {about}. Where that reaches an end of the values tried, it may go on beyond. Diverged: of all runs of the \
         group with a result.",
        code(axis)
    );
    Ok((!rows.is_empty()).then_some(Table { name: "sensitivity", caption, in_page: true, columns, rows }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use spec::record::Outcome;

    use super::*;
    use crate::fixture::study;

    #[test]
    fn the_good_region_has_no_gaps_and_says_where_it_is_open() {
        let mut data = study("rates", &["lr"]);
        // The best is 1; 0.1 is 0.01 below; 0.01 is worse; 0.001 would be good, but stands apart.
        for (position, (lr, accuracy)) in [(0.001, 0.8), (0.01, 0.5), (0.1, 0.79), (1.0, 0.8), (10.0, 0.3)].into_iter().enumerate() {
            for seed in 0..2 {
                let run = data.add(&format!("lr={lr}"), position, &[json!(lr)], seed);
                if position == 4 && seed == 0 {
                    data.train(run, &[0.1]);
                    data.end(run, Outcome::Diverged, Some("the loss is not finite"));
                } else {
                    data.finish(run, &[0.1, accuracy + if position == 3 { 0.001 } else { 0.0 }]);
                }
            }
        }
        let made = table(&Analysis::of(&data).unwrap()).unwrap().unwrap();
        let [row] = made.rows.as_slice() else { panic!("one group") };
        assert_eq!(row[1], Cell::Text("1".into()));
        assert_eq!(row[3], Cell::Text("0.1 to 1".into()));
        assert_eq!((&row[4], &row[5], &row[6]), (&Cell::Value(Some(1.0)), &Cell::Text("no".into()), &Cell::Of(1, 10)));
    }
}
