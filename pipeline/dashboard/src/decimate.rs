//! A curve of any length in a bounded number of points, as it grows: each bucket of steps keeps its lowest and its highest value, so
//! that no spike is lost, and its mean, which bands are made of.

use tracker::live::Point;

/// Buckets of a curve at most; a power of two.
const BUCKETS: usize = 1024;

/// Steps from `width · i + 1` to `width · (i + 1)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bucket {
    pub index: u64,
    pub first: Point,
    pub low: Option<Point>,
    pub high: Option<Point>,
    /// The first value that is not finite.
    pub bad: Option<Point>,
    pub sum: f64,
    pub finite: u64,
}

impl Bucket {
    fn new(index: u64, p: Point) -> Self {
        let mut bucket = Bucket { index, first: p, low: None, high: None, bad: None, sum: 0.0, finite: 0 };
        bucket.add(p);
        bucket
    }

    fn add(&mut self, p: Point) {
        if !p.value.is_finite() {
            self.bad.get_or_insert(p);
            return;
        }
        if self.low.is_none_or(|low| p.value < low.value) {
            self.low = Some(p);
        }
        if self.high.is_none_or(|high| p.value > high.value) {
            self.high = Some(p);
        }
        self.sum += p.value;
        self.finite += 1;
    }

    fn merge(&mut self, other: &Bucket) {
        for p in [other.low, other.high].into_iter().flatten() {
            let (sum, finite) = (self.sum, self.finite);
            self.add(p);
            (self.sum, self.finite) = (sum, finite);
        }
        self.bad = self.bad.or(other.bad);
        self.sum += other.sum;
        self.finite += other.finite;
    }

    /// Mean of the finite values; NaN where there is none.
    pub fn mean(&self) -> f64 {
        if self.finite == 0 { f64::NAN } else { self.sum / self.finite as f64 }
    }
}

/// A curve that grows at its end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decimated {
    /// Steps of a bucket; a power of two.
    pub width: u64,
    pub buckets: Vec<Bucket>,
    pub last: Option<Point>,
}

impl Default for Decimated {
    fn default() -> Self {
        Decimated { width: 1, buckets: vec![], last: None }
    }
}

impl Decimated {
    /// Adds a point behind the last.
    pub fn push(&mut self, p: Point) {
        let index = p.step.saturating_sub(1) / self.width;
        match self.buckets.last_mut() {
            Some(last) if last.index == index => last.add(p),
            _ => self.buckets.push(Bucket::new(index, p)),
        }
        self.last = Some(p);
        if self.buckets.len() > BUCKETS {
            self.widen(self.width * 2);
        }
    }

    /// Makes buckets wider; `width` is a power of two.
    pub fn widen(&mut self, width: u64) {
        if width <= self.width {
            return;
        }
        let factor = width / self.width;
        self.width = width;
        let mut wide: Vec<Bucket> = Vec::with_capacity(self.buckets.len() / 2 + 1);
        for bucket in &self.buckets {
            let bucket = Bucket { index: bucket.index / factor, ..*bucket };
            match wide.last_mut() {
                Some(last) if last.index == bucket.index => last.merge(&bucket),
                _ => wide.push(bucket),
            }
        }
        self.buckets = wide;
    }

    /// What is drawn: of each bucket the lowest and highest value in their order, and the first and the last of all.
    pub fn points(&self) -> Vec<Point> {
        let mut points: Vec<Point> = vec![];
        let first = self.buckets.first().map(|bucket| bucket.first);
        let of_buckets = self.buckets.iter().flat_map(|b| [b.low, b.high, b.bad].into_iter().flatten());
        points.extend(first.into_iter().chain(of_buckets).chain(self.last));
        points.sort_by_key(|p| p.step);
        points.dedup_by_key(|p| p.step);
        points
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn curve(values: &[f64]) -> Decimated {
        let mut curve = Decimated::default();
        for (step, &value) in (1..).zip(values) {
            curve.push(Point { step, epoch: 1, examples: step, elapsed_ms: step as f64, value });
        }
        curve
    }

    proptest! {
        #[test]
        fn nothing_that_shows_is_lost(
            values in prop::collection::vec(prop_oneof![9 => -1e3..1e3f64, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)], 1..6000),
        ) {
            let curve = curve(&values);
            let points = curve.points();
            prop_assert!(curve.buckets.len() <= BUCKETS && points.len() <= 3 * BUCKETS + 2);
            let finite = |list: &mut dyn Iterator<Item = f64>| list.filter(|x| x.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
            prop_assert_eq!(finite(&mut values.iter().copied()), finite(&mut points.iter().map(|p| p.value)));
            let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
            prop_assert!(same(points[0].value, values[0]) && same(points[points.len() - 1].value, values[values.len() - 1]));
            prop_assert_eq!(values.iter().any(|x| !x.is_finite()), points.iter().any(|p| !p.value.is_finite()));
            prop_assert!(points.windows(2).all(|w| w[0].step < w[1].step));
            // Every point is one of the curve's own.
            prop_assert!(points.iter().all(|p| same(p.value, values[usize::try_from(p.step - 1).unwrap_or_default()])));
        }

        #[test]
        fn buckets_are_means_however_they_came_about(values in prop::collection::vec(-1e3..1e3f64, 1..5000), doublings in 0..6u32) {
            let mut wide = curve(&values);
            wide.widen(wide.width << doublings);
            let width = usize::try_from(wide.width).unwrap_or(1);
            let means: Vec<f64> = values.chunks(width).map(|c| c.iter().sum::<f64>() / c.len() as f64).collect();
            prop_assert_eq!(wide.buckets.len(), means.len());
            for (bucket, mean) in wide.buckets.iter().zip(means) {
                prop_assert!((bucket.mean() - mean).abs() < 1e-9 * (1.0 + mean.abs()));
            }
        }
    }

    #[test]
    fn steps_that_are_missing_make_no_bucket() {
        let mut curve = Decimated::default();
        for step in [0, 50, 100] {
            curve.push(Point { step, epoch: step, examples: 0, elapsed_ms: 0.0, value: 1.0 });
        }
        assert_eq!(curve.points().iter().map(|p| p.step).collect::<Vec<_>>(), [0, 50, 100]);
    }
}
