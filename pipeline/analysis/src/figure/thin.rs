//! Thins long lines to what a panel can show: per pixel column the first, lowest, highest and last
//! point, so that spikes survive. Called on pixel coordinates just before drawing; it knows nothing
//! of axes or data units.

/// Lines of at most this many points are drawn as they are.
pub(super) const FEW: usize = 1000;

/// The points of a line that matter at one-pixel resolution, in their order.
pub(super) fn line(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= FEW {
        return points.to_vec();
    }
    let mut out = Vec::new();
    for column in points.chunk_by(|a, b| same_column(a.0, b.0)) {
        let lowest = extreme(column, |candidate, best| candidate < best);
        let highest = extreme(column, |candidate, best| candidate > best);
        let mut keep = [0, lowest, highest, column.len() - 1];
        keep.sort_unstable();
        let mut last = None;
        for index in keep {
            if last != Some(index) {
                out.push(column[index]);
            }
            last = Some(index);
        }
    }
    out
}

/// A band of `(x, edge, edge)` with one widest entry per pixel column.
pub(super) fn band(points: &[(f64, f64, f64)]) -> Vec<(f64, f64, f64)> {
    if points.len() <= FEW {
        return points.to_vec();
    }
    points
        .chunk_by(|a, b| same_column(a.0, b.0))
        .map(|column| {
            let (x, a, b) = column[0];
            // Pixel rows grow downward: the first edge is the lower one, at the larger number.
            column.iter().fold((x, a, b), |(x, lower, upper), p| (x, lower.max(p.1), upper.min(p.2)))
        })
        .collect()
}

fn same_column(a: f64, b: f64) -> bool {
    (a.floor() - b.floor()).abs() < 0.5
}

fn extreme(column: &[(f64, f64)], better: impl Fn(f64, f64) -> bool) -> usize {
    let mut best = 0;
    for (index, point) in column.iter().enumerate() {
        if better(point.1, column[best].1) {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noisy(n: u32) -> Vec<(f64, f64)> {
        (0..n).map(|i| (f64::from(i) * 300.0 / f64::from(n), (f64::from(i) * 0.7).sin())).collect()
    }

    #[test]
    fn short_lines_are_untouched() {
        let points = noisy(1000);
        assert_eq!(line(&points), points);
    }

    #[test]
    fn spikes_and_ends_survive() {
        let mut points = noisy(50_000);
        points[12_345].1 = 99.0;
        points[40_001].1 = -99.0;
        let thinned = line(&points);
        assert!(thinned.len() <= 4 * 301, "{}", thinned.len());
        assert!(thinned.contains(&points[12_345]) && thinned.contains(&points[40_001]));
        assert_eq!((thinned.first(), thinned.last()), (points.first(), points.last()));
        assert!(thinned.is_sorted_by(|a, b| a.0 <= b.0), "order is kept");
    }

    #[test]
    fn bands_keep_their_widest_extent() {
        let mut points: Vec<_> = noisy(5000).into_iter().map(|(x, y)| (x, y + 1.0, y - 1.0)).collect();
        points[2500].1 = 50.0;
        points[2501].2 = -50.0;
        let thinned = band(&points);
        assert!(thinned.len() <= 301);
        assert!(thinned.iter().any(|p| p.1 > 49.0) && thinned.iter().any(|p| p.2 < -49.0));
    }
}
