//! Sizes of a convolution or pooling over 1, 2 or 3 dimensions; fewer than 3 are led by ones.

use spec::model::{Padding, Window};

/// Bounds of the lists that kernels keep: places of a window, and rows of windows for all rows of pixels.
const MAX_PLACES: usize = 1 << 24;
const MAX_ROWS: usize = 1 << 22;

/// A window that moves over images stored \[depth, height, width, channels\].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub channels: usize,
    pub input: [usize; 3],
    pub kernel: [usize; 3],
    pub stride: [usize; 3],
    /// Added before the first pixel of each dimension: zeros (for pooling: nothing at all).
    pub before: [usize; 3],
    /// Added after the last.
    pub after: [usize; 3],
    pub output: [usize; 3],
}

impl Geometry {
    /// A window over one example of shape `input`, which ends with the channels. A window over images works on every image of
    /// a series \[frames, height, width, channels\].
    ///
    /// # Errors
    /// One clause on what does not fit.
    pub(crate) fn new(input: &[usize], window: &Window) -> Result<Self, String> {
        let rank = window.size.len();
        let expected = match rank {
            1 => "[length, channels]",
            2 => "[height, width, channels] or [frames, height, width, channels]",
            3 => "[depth, height, width, channels]",
            _ => return Err(format!("has a window over {rank} dimensions; 1 to 3 are possible")),
        };
        let mut lists = vec![("strides", &window.stride)];
        if let Padding::Each(each) = &window.padding {
            lists.push(("paddings", each));
        }
        if let Some((what, list)) = lists.into_iter().find(|(_, list)| list.len() != rank) {
            return Err(format!("has {} {what} for a window over {rank} dimensions", list.len()));
        }
        if window.size.iter().chain(&window.stride).any(|size| *size == 0) {
            return Err("has a window or stride of 0".into());
        }
        let fits = |sizes: &[usize]| sizes.len() == rank || (rank, sizes.len()) == (2, 3);
        let Some((&channels, sizes)) = input.split_last().filter(|(_, sizes)| fits(sizes)) else {
            let hint = if input.len() == 1 { "; put it before what flattens" } else { "" };
            return Err(format!("takes {expected}, not {input:?}{hint}"));
        };
        let text = |list: &[usize]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join("×");
        let lift = |list: &[usize], fill| {
            let mut lifted = [fill; 3];
            lifted[3 - list.len()..].copy_from_slice(list);
            lifted
        };
        let (input, kernel, stride) = (lift(sizes, 1), lift(&window.size, 1), lift(&window.stride, 1));
        let (mut before, mut after, mut output) = ([0; 3], [0; 3], [0; 3]);
        for d in 0..3 {
            if window.padding == Padding::Same {
                let missing = ((input[d].div_ceil(stride[d]) - 1) * stride[d] + kernel[d]).saturating_sub(input[d]);
                (before[d], after[d]) = (missing / 2, missing - missing / 2);
            }
            if let Padding::Each(each) = &window.padding
                && d + rank >= 3
            {
                (before[d], after[d]) = (each[d + rank - 3], each[d + rank - 3]);
            }
            let Some(room) = (input[d] + before[d] + after[d]).checked_sub(kernel[d]) else {
                let padding = match &window.padding {
                    Padding::Each(each) => format!(" with padding {}", text(each)),
                    Padding::Valid | Padding::Same => String::new(),
                };
                let seen = &sizes[sizes.len() - rank..];
                return Err(format!(
                    "a window of {} does not fit into {}{padding}; give it padding = \"same\", make it smaller, or take fewer poolings and \
                     smaller strides before it",
                    text(&window.size),
                    text(seen)
                ));
            };
            output[d] = room / stride[d] + 1;
        }
        let too_many = |counts: &[usize], most: usize| counts.iter().try_fold(1usize, |n, k| n.checked_mul(*k)).is_none_or(|n| n > most);
        if too_many(&kernel, MAX_PLACES) || too_many(&[output[0], output[1], kernel[0], kernel[1]], MAX_ROWS) {
            return Err(format!("a window of {} over {} is too large to be computed here", text(&window.size), text(sizes)));
        }
        Ok(Geometry { channels, input, kernel, stride, before, after, output })
    }

    /// Shape of one output example with so many dimensions, as the input has, and channels.
    pub(crate) fn output_shape(&self, dimensions: usize, channels: usize) -> Vec<usize> {
        self.output[3 - dimensions..].iter().copied().chain([channels]).collect()
    }

    pub(crate) fn input_pixels(&self) -> usize {
        self.input.iter().product()
    }

    pub(crate) fn output_pixels(&self) -> usize {
        self.output.iter().product()
    }

    /// Numbers that a window covers.
    pub(crate) fn window_len(&self) -> usize {
        self.kernel.iter().product::<usize>() * self.channels
    }

    /// A 1×1 kernel that moves by one treats all pixels alike, as if they stood in one row.
    pub(super) fn flattened(self) -> Self {
        if self.kernel == [1; 3] && self.stride == [1; 3] && self.before == [0; 3] && self.after == [0; 3] {
            let row = [1, 1, self.input_pixels()];
            return Geometry { input: row, output: row, ..self };
        }
        self
    }
}
