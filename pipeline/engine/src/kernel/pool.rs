//! Max pooling over images. In a tie the first place of the window (row by row) is the maximum and takes the gradient, as in
//! PyTorch; NaN wins, so that it is passed on.

use super::Real;
use super::conv::Geometry;

/// Maxima of every window of x \[planes, h, w\], where `planes` is batch × channels, and the place of each in its plane.
pub(crate) fn max_pool2d_forward<T: Real>(g: &Geometry, output: [usize; 2], x: &[T]) -> (Vec<T>, Vec<u32>) {
    let ([h, w], [oh, ow]) = (g.input, output);
    let planes = x.len() / (h * w);
    let mut y = Vec::with_capacity(planes * oh * ow);
    let mut places = Vec::with_capacity(planes * oh * ow);
    for plane in x.chunks_exact(h * w) {
        if is_pairs(g) {
            pairs(plane, w, oh, ow, &mut y, &mut places);
        } else {
            windows(g, output, plane, &mut y, &mut places);
        }
    }
    (y, places)
}

/// The gradient of [`max_pool2d_forward`] to its input: each `dy` goes to the place of its maximum.
pub(crate) fn max_pool2d_backward<T: Real>(g: &Geometry, output: [usize; 2], places: &[u32], dy: &[T]) -> Vec<T> {
    let (plane, pixels) = (g.input[0] * g.input[1], output[0] * output[1]);
    let mut dx = vec![T::zero(); dy.len() / pixels * plane];
    for ((dx, places), dy) in dx.chunks_exact_mut(plane).zip(places.chunks_exact(pixels)).zip(dy.chunks_exact(pixels)) {
        for (place, gradient) in places.iter().zip(dy) {
            dx[*place as usize] += *gradient;
        }
    }
    dx
}

/// The common 2×2 window that moves by 2.
fn is_pairs(g: &Geometry) -> bool {
    g.kernel == [2, 2] && g.stride == [2, 2] && g.padding == [0, 0]
}

/// Whether `candidate` replaces the maximum so far.
fn exceeds<T: Real>(candidate: T, best: T) -> bool {
    let is_nan = |v: T| v.partial_cmp(&v).is_none();
    candidate > best || (is_nan(candidate) && !is_nan(best))
}

#[expect(clippy::cast_possible_truncation, reason = "places within one plane, which is far below 2^32 pixels")]
fn pairs<T: Real>(plane: &[T], w: usize, oh: usize, ow: usize, y: &mut Vec<T>, places: &mut Vec<u32>) {
    for oy in 0..oh {
        let top = &plane[2 * oy * w..][..2 * ow];
        let bottom = &plane[(2 * oy + 1) * w..][..2 * ow];
        for (ox, (a, b)) in top.chunks_exact(2).zip(bottom.chunks_exact(2)).enumerate() {
            let corner = 2 * oy * w + 2 * ox;
            let (mut best, mut place) = (a[0], corner);
            for (v, p) in [(a[1], corner + 1), (b[0], corner + w), (b[1], corner + w + 1)] {
                if exceeds(v, best) {
                    (best, place) = (v, p);
                }
            }
            y.push(best);
            places.push(place as u32);
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "places within one plane, which is far below 2^32 pixels")]
fn windows<T: Real>(g: &Geometry, [oh, ow]: [usize; 2], plane: &[T], y: &mut Vec<T>, places: &mut Vec<u32>) {
    for oy in 0..oh {
        for ox in 0..ow {
            let mut found: Option<(T, usize)> = None;
            for iy in covered(g, 0, oy) {
                for ix in covered(g, 1, ox) {
                    let (v, place) = (plane[iy * g.input[1] + ix], iy * g.input[1] + ix);
                    if found.is_none_or(|(best, _)| exceeds(v, best)) {
                        found = Some((v, place));
                    }
                }
            }
            // A window of nothing but padding, which no layer here makes, has the maximum of the empty set.
            let (best, place) = found.unwrap_or((T::of(f64::NEG_INFINITY), 0));
            y.push(best);
            places.push(place as u32);
        }
    }
}

/// The input places that the window at output `o` covers.
fn covered(g: &Geometry, dimension: usize, o: usize) -> std::ops::Range<usize> {
    let start = o * g.stride[dimension];
    let end = (start + g.kernel[dimension]).saturating_sub(g.padding[dimension]).min(g.input[dimension]);
    start.saturating_sub(g.padding[dimension])..end
}
