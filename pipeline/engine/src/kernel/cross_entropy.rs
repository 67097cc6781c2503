//! Softmax cross-entropy with its gradient and the accuracy in one pass.

use super::Real;

/// What a batch of logits says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Loss {
    /// Sum over the batch of −ln softmax(logits)\[label\], in nats; with smoothing, its expectation over the target.
    pub sum: f64,
    /// Rows whose largest logit is the label's.
    pub correct: u32,
}

/// `logits` \[batch, classes\]. The target is the label with probability 1 − `smoothing`, and any class with `smoothing` (Szegedy et
/// al. 2016, section 7; so does PyTorch). Writes the gradient of the *mean* loss to the logits into `gradient`, if given. The maximum is
/// subtracted first, so no exponential overflows.
pub(crate) fn cross_entropy<T: Real>(logits: &[T], labels: &[u32], smoothing: f64, mut gradient: Option<&mut [T]>) -> Loss {
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
            to[label] -= share * T::of(1.0 - smoothing);
            if smoothing > 0.0 {
                let spread = share * T::of(smoothing / classes as f64);
                for to in &mut *to {
                    *to -= spread;
                }
            }
            sum
        } else {
            row.iter().fold(T::zero(), |sum, v| sum + (*v - max).exp())
        };
        loss.sum += (sum.ln() - (row[label] - max)).wide();
        if smoothing > 0.0 {
            let mean = row.iter().map(|v| (*v - max).wide()).sum::<f64>() / classes as f64;
            loss.sum += smoothing * ((row[label] - max).wide() - mean);
        }
        loss.correct += u32::from(largest == label && row.iter().all(|v| v.wide().is_finite()));
    }
    loss
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From tests/reference/label_smoothing.py (PyTorch's cross_entropy with label_smoothing, in double precision).
    #[test]
    fn smoothing_agrees_with_pytorch() {
        let logits = [2.0, -1.0, 0.5, 0.3, 0.1, -0.7f64];
        let mut gradient = [0.0; 6];
        let loss = cross_entropy(&logits, &[0, 2], 0.1, Some(&mut gradient));
        assert!((loss.sum / 2.0 - LOSS).abs() < 1e-12, "{}", loss.sum / 2.0);
        assert!(gradient.iter().zip(GRADIENT).all(|(a, b)| (a - b).abs() < 1e-12), "{gradient:?}");
        assert!(gradient.iter().sum::<f64>().abs() < 1e-14);
    }
    const LOSS: f64 = 1.056_831_892_405_492_5;
    const GRADIENT: [f64; 6] = [
        -0.073_868_149_372_028_74,
        0.002_889_619_968_677_058_2,
        0.070_978_529_403_351_68,
        0.211_997_775_360_976,
        0.170_547_944_156_781_76,
        -0.382_545_719_517_757_84,
    ];
}
