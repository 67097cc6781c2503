//! The finding on the gap between training and validation: where it is widest and where narrowest, and which arms overfit since when.
//! Called among the findings; only where an arm overfits.

use spec::{Metric, Quantity, Split};

use super::strong;
use crate::Analysis;
use crate::diagnosis::Condition;
use crate::number::listed;
use crate::results::ArmResult;
use crate::stats::median;

/// More names than this are counted instead.
const NAMED: usize = 6;

pub(super) fn finding(a: &Analysis<'_>) -> Option<String> {
    let overfit: Vec<usize> = (0..a.arms.len()).filter(|arm| a.judgement.condition(*arm) == Some(Condition::Overfitting)).collect();
    let mut gaps: Vec<(usize, f64)> = a.arms.iter().enumerate().filter_map(|(i, arm)| Some((i, gap(arm)?))).collect();
    gaps.sort_by(|x, y| y.1.total_cmp(&x.1));
    let ((widest, most), (narrowest, least)) = (*gaps.first()?, *gaps.last()?);
    if overfit.is_empty() || gaps.len() < 2 {
        return None;
    }
    let names = if overfit.len() > NAMED {
        format!("{} arms", overfit.len())
    } else {
        listed(&overfit.iter().map(|arm| strong(a, *arm)).collect::<Vec<_>>())
    };
    Some(format!(
        "Overfitting by the rules of the diagnosis: {names}. The gap of accuracy between training and validation at the end (of the weights \
         that are tested; median over seeds) is widest for {} ({most:.3}) and narrowest for {} ({least:.3}).",
        strong(a, widest),
        strong(a, narrowest)
    ))
}

/// Median over the finished runs of training accuracy less validation accuracy.
fn gap(arm: &ArmResult<'_>) -> Option<f64> {
    let accuracy = |split| Metric { split, quantity: Quantity::Accuracy };
    let gap = |run: &crate::results::RunResult<'_>| Some(run.last(accuracy(Split::Train))? - run.last(accuracy(Split::Validation))?);
    median(&arm.runs.iter().filter_map(gap).collect::<Vec<_>>())
}
