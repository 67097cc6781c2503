//! Softmax cross-entropy with its gradient and the accuracy in one pass.

use super::Real;

/// What one batch of logits says.
pub(crate) struct CrossEntropy<T> {
    /// Sum over the batch of −ln softmax(logits)\[label\], in nats.
    pub loss_sum: f64,
    /// Rows whose largest logit is the label's.
    pub correct: u32,
    /// Gradient of the *mean* loss to the logits; empty unless wanted.
    pub gradient: Vec<T>,
}

/// `logits` \[batch, classes\]. The maximum is subtracted first, so no exponential overflows.
pub(crate) fn cross_entropy<T: Real>(logits: &[T], labels: &[u32], want_gradient: bool) -> CrossEntropy<T> {
    let classes = logits.len() / labels.len().max(1);
    let mut out = CrossEntropy { loss_sum: 0.0, correct: 0, gradient: vec![] };
    out.gradient.reserve(if want_gradient { logits.len() } else { 0 });
    let share = T::of(1.0 / labels.len() as f64);
    for (row, label) in logits.chunks_exact(classes).zip(labels) {
        let label = *label as usize;
        let mut largest = 0;
        for (i, v) in row.iter().enumerate() {
            // A NaN that comes first stays the largest, and then no row counts as correct by accident.
            if *v > row[largest] {
                largest = i;
            }
        }
        let max = row[largest];
        let sum = row.iter().fold(T::zero(), |sum, v| sum + (*v - max).exp());
        out.loss_sum += (sum.ln() - (row[label] - max)).wide();
        out.correct += u32::from(largest == label && row.iter().all(|v| v.wide().is_finite()));
        if want_gradient {
            let scale = share / sum;
            let start = out.gradient.len();
            out.gradient.extend(row.iter().map(|v| (*v - max).exp() * scale));
            out.gradient[start + label] -= share;
        }
    }
    out
}
