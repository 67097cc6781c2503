//! Sizes of a convolution or pooling over 1, 2 or 3 dimensions; fewer than 3 are led by ones.

use spec::model::{Padding, Window};

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
    /// A window over one example of shape `input`, which ends with the channels.
    ///
    /// # Errors
    /// One clause on what does not fit.
    pub(crate) fn new(input: &[usize], window: &Window) -> Result<Self, String> {
        let rank = window.size.len();
        let expected = match rank {
            1 => "[length, channels]",
            2 => "[height, width, channels]",
            _ => "[depth, height, width, channels]",
        };
        let Some((&channels, sizes)) = input.split_last().filter(|(_, sizes)| sizes.len() == rank) else {
            return Err(format!("takes {expected}, not {input:?}"));
        };
        let lift = |list: &[usize], fill| {
            let mut lifted = [fill; 3];
            lifted[3 - rank..].copy_from_slice(list);
            lifted
        };
        let (input, kernel, stride) = (lift(sizes, 1), lift(&window.size, 1), lift(&window.stride, 1));
        let (mut before, mut after, mut output) = ([0; 3], [0; 3], [0; 3]);
        for d in 0..3 {
            if window.padding == Padding::Same {
                let missing = ((input[d].div_ceil(stride[d]) - 1) * stride[d] + kernel[d]).saturating_sub(input[d]);
                (before[d], after[d]) = (missing / 2, missing - missing / 2);
            }
            let Some(room) = (input[d] + before[d] + after[d]).checked_sub(kernel[d]) else {
                let text = |list: &[usize]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join("×");
                return Err(format!("a window of {} does not fit into {}", text(&window.size), text(sizes)));
            };
            output[d] = room / stride[d] + 1;
        }
        Ok(Geometry { channels, input, kernel, stride, before, after, output })
    }

    /// Shape of one output example with so many channels: as many dimensions as the window has.
    pub(crate) fn output_shape(&self, rank: usize, channels: usize) -> Vec<usize> {
        self.output[3 - rank..].iter().copied().chain([channels]).collect()
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
