//! Softmax cross-entropy with its gradient and the accuracy in one pass.

use super::Real;

/// What a batch of logits says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Loss {
    /// Sum over the batch of −ln softmax(logits)\[label\], in nats.
    pub sum: f64,
    /// Rows whose largest logit is the label's.
    pub correct: u32,
}

/// `logits` \[batch, classes\]; writes the gradient of the *mean* loss to the logits into `gradient`, if given. The maximum is
/// subtracted first, so no exponential overflows.
pub(crate) fn cross_entropy<T: Real>(logits: &[T], labels: &[u32], mut gradient: Option<&mut [T]>) -> Loss {
    let classes = logits.len() / labels.len().max(1);
    let mut loss = Loss { sum: 0.0, correct: 0 };
    let share = T::of(1.0 / labels.len() as f64);
    for (i, (row, label)) in logits.chunks_exact(classes).zip(labels).enumerate() {
        let label = *label as usize;
        let mut largest = 0;
        for (i, v) in row.iter().enumerate() {
            // A NaN that comes first stays the largest, and then no row counts as correct by accident.
            if *v > row[largest] {
                largest = i;
            }
        }
        let max = row[largest];
        let sum = if let Some(gradient) = &mut gradient {
            let to = &mut gradient[i * classes..(i + 1) * classes];
            let mut sum = T::zero();
            for (to, v) in to.iter_mut().zip(row) {
                *to = (*v - max).exp();
                sum += *to;
            }
            let scale = share / sum;
            for to in &mut *to {
                *to *= scale;
            }
            to[label] -= share;
            sum
        } else {
            row.iter().fold(T::zero(), |sum, v| sum + (*v - max).exp())
        };
        loss.sum += (sum.ln() - (row[label] - max)).wide();
        loss.correct += u32::from(largest == label && row.iter().all(|v| v.wide().is_finite()));
    }
    loss
}
