//! Changes to training examples that leave their labels right: each time an example is learned from, it looks a little different.
//!
//! In this order: mirrored, cropped, rotated, noise, a square cut out. All on bytes, before they are scaled; pixels from outside the
//! image are black. The frames of a clip are moved alike.

use spec::Config;

use super::{DataError, Dataset};
use crate::random::{Purpose, Stream};

/// What a configuration asks for, and the shape that it is done to.
pub(crate) struct Augment {
    flip: bool,
    /// Pixels around the image from which a window of its size is cut.
    crop: usize,
    /// Largest angle in radians.
    rotate: f64,
    /// Standard deviation in bytes.
    noise: f64,
    /// Side of the square in pixels.
    cutout: usize,
    fill: u8,
    height: usize,
    width: usize,
    channels: usize,
    seed: u64,
}

impl Augment {
    /// `None` if a configuration asks for nothing.
    ///
    /// # Errors
    /// When examples have no height and width, but the configuration asks for what needs them, or for more than there is.
    pub(crate) fn new(config: &Config, dataset: &Dataset, seed: u64) -> Result<Option<Self>, DataError> {
        let wrong = |what: String| Err(DataError::File { place: dataset.name.clone(), what });
        let pixels = |key: &str| config.optional_count(key).unwrap_or(0);
        let moved = ["augment_flip", "augment_crop", "augment_rotate", "augment_cutout"];
        let [height, width, channels] = match dataset.shape[..] {
            [height, width, channels] | [_, height, width, channels] => [height, width, channels],
            _ => match moved.iter().find(|key| config.get(key).is_some()) {
                Some(key) => return wrong(format!("its examples are no images, so `{key}` can't be done; augment_noise can")),
                None => [1, 1, 1],
            },
        };
        let augment = Augment {
            flip: config.is_on("augment_flip"),
            crop: pixels("augment_crop"),
            rotate: config.float_or("augment_rotate", 0.0).to_radians(),
            noise: config.float_or("augment_noise", 0.0) * 255.0,
            cutout: pixels("augment_cutout"),
            fill: dataset.scale(config).mean_byte,
            height,
            width,
            channels,
            seed,
        };
        for (key, value) in [("augment_crop", augment.crop), ("augment_cutout", augment.cutout)] {
            if value >= height.min(width) && value > 0 {
                return wrong(format!("{key} = {value} leaves nothing of {height}×{width} pixels"));
            }
        }
        let idle = !augment.flip && augment.crop == 0 && augment.rotate == 0.0 && augment.noise == 0.0 && augment.cutout == 0;
        Ok((!idle).then_some(augment))
    }

    /// Replaces `out` by an example as it looks the `turn`-th time that any example is learned from.
    pub(crate) fn apply(&self, example: &[u8], turn: u64, out: &mut Vec<u8>) {
        let mut stream = Stream::new(Purpose::Augment, self.seed, turn);
        out.clear();
        out.extend_from_slice(example);
        // Each is drawn whether it is used or not, so that what one does never depends on another.
        let (mirrored, corner, angle) = (stream.unit() < 0.5, [stream.unit(), stream.unit()], 2.0 * stream.unit() - 1.0);
        let centre = [stream.unit(), stream.unit()];
        if self.flip && mirrored {
            self.flip(out);
        }
        if self.crop > 0 {
            let [y, x] = corner.map(|u| place(u, 2 * self.crop + 1));
            self.shift(out, y, x);
        }
        if self.rotate > 0.0 {
            self.rotate(out, angle * self.rotate);
        }
        if self.noise > 0.0 {
            for pair in out.chunks_mut(2) {
                for (byte, normal) in pair.iter_mut().zip(stream.normal_pair()) {
                    *byte = rounded(f64::from(*byte) + self.noise * normal);
                }
            }
        }
        if self.cutout > 0 {
            self.cut_out(out, place(centre[0], self.height), place(centre[1], self.width));
        }
    }

    fn frames<'a>(&self, bytes: &'a mut [u8]) -> impl Iterator<Item = &'a mut [u8]> {
        bytes.chunks_exact_mut(self.height * self.width * self.channels)
    }

    fn flip(&self, bytes: &mut [u8]) {
        for row in bytes.chunks_exact_mut(self.width * self.channels) {
            for x in 0..self.width / 2 {
                for channel in 0..self.channels {
                    row.swap(x * self.channels + channel, (self.width - 1 - x) * self.channels + channel);
                }
            }
        }
    }

    /// The window whose upper left corner is at `top`, `left` of the image in its border.
    fn shift(&self, bytes: &mut [u8], top: usize, left: usize) {
        for frame in self.frames(bytes) {
            let old = frame.to_vec();
            for y in 0..self.height {
                for x in 0..self.width {
                    let pixel = &mut frame[(y * self.width + x) * self.channels..][..self.channels];
                    let from = [(y + top).checked_sub(self.crop), (x + left).checked_sub(self.crop)];
                    match from {
                        [Some(y), Some(x)] if y < self.height && x < self.width => {
                            pixel.copy_from_slice(&old[(y * self.width + x) * self.channels..][..self.channels]);
                        }
                        _ => pixel.fill(0),
                    }
                }
            }
        }
    }

    /// Counterclockwise about the centre, between pixels by bilinear interpolation.
    fn rotate(&self, bytes: &mut [u8], angle: f64) {
        let (sin, cos) = angle.sin_cos();
        let [cy, cx] = [self.height, self.width].map(|size| (size - 1) as f64 / 2.0);
        for frame in self.frames(bytes) {
            let old = frame.to_vec();
            for y in 0..self.height {
                for x in 0..self.width {
                    let (dy, dx) = (y as f64 - cy, x as f64 - cx);
                    let (from_y, from_x) = (cy + cos * dy + sin * dx, cx + cos * dx - sin * dy);
                    for channel in 0..self.channels {
                        frame[(y * self.width + x) * self.channels + channel] = rounded(self.between(&old, from_y, from_x, channel));
                    }
                }
            }
        }
    }

    fn between(&self, image: &[u8], y: f64, x: f64, channel: usize) -> f64 {
        let (top, left) = (y.floor(), x.floor());
        let at = |y: f64, x: f64| {
            if y < 0.0 || x < 0.0 || y >= self.height as f64 || x >= self.width as f64 {
                return 0.0;
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the image")]
            let pixel = y as usize * self.width + x as usize;
            f64::from(image[pixel * self.channels + channel])
        };
        let (down, right) = (y - top, x - left);
        let upper = at(top, left) * (1.0 - right) + at(top, left + 1.0) * right;
        let lower = at(top + 1.0, left) * (1.0 - right) + at(top + 1.0, left + 1.0) * right;
        upper * (1.0 - down) + lower * down
    }

    /// A square in the colour of the mean around a pixel, as far as it is in the image (DeVries & Taylor 2017).
    fn cut_out(&self, bytes: &mut [u8], y: usize, x: usize) {
        let range = |centre: usize, size: usize| {
            let start = centre.saturating_sub(self.cutout / 2);
            start..(centre + self.cutout - self.cutout / 2).min(size)
        };
        for frame in self.frames(bytes) {
            for y in range(y, self.height) {
                let row = range(x, self.width);
                frame[(y * self.width + row.start) * self.channels..(y * self.width + row.end) * self.channels].fill(self.fill);
            }
        }
    }
}

/// A whole number below `n` from a uniform one below 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and n")]
fn place(unit: f64, n: usize) -> usize {
    (unit * n as f64) as usize
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
fn rounded(x: f64) -> u8 {
    x.round().clamp(0.0, 255.0) as u8
}

/// A training example as a configuration's augmentation makes it look the `turn`-th time; as it is without one.
///
/// # Errors
/// When the augmentation does not fit the examples.
///
/// # Panics
/// If there is no training example of this number.
pub fn augmented(config: &Config, dataset: &Dataset, index: u32, seed: u64, turn: u64) -> Result<Vec<u8>, DataError> {
    let len = dataset.example_len();
    let mut out = dataset.train.examples[index as usize * len..][..len].to_vec();
    if let Some(augment) = Augment::new(config, dataset, seed)? {
        augment.apply(&out.clone(), turn, &mut out);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use spec::Value;

    use super::*;

    /// Of 3×4 pixels with two channels.
    fn augment(set: impl Fn(&mut Augment)) -> Augment {
        let mut augment =
            Augment { flip: false, crop: 0, rotate: 0.0, noise: 0.0, cutout: 0, fill: 9, height: 3, width: 4, channels: 2, seed: 5 };
        set(&mut augment);
        augment
    }

    fn image() -> Vec<u8> {
        (1..=24).collect()
    }

    #[test]
    fn flips_mirror_rows_and_keep_channels() {
        let mut bytes = image();
        augment(|_| ()).flip(&mut bytes);
        assert_eq!(bytes[..8], [7, 8, 5, 6, 3, 4, 1, 2]);
        augment(|_| ()).flip(&mut bytes);
        assert_eq!(bytes, image());
    }

    #[test]
    fn crops_shift_and_fill_with_black() {
        let of = augment(|a| a.crop = 1);
        let mut bytes = image();
        of.shift(&mut bytes, 1, 1);
        assert_eq!(bytes, image(), "the middle window is the image");
        of.shift(&mut bytes, 0, 2);
        // One row down, one column to the left.
        assert_eq!(bytes, [vec![0; 8], vec![3, 4, 5, 6, 7, 8, 0, 0], vec![11, 12, 13, 14, 15, 16, 0, 0]].concat());
    }

    #[test]
    fn rotations_by_quarter_turns_are_exact() {
        let of = Augment { height: 3, width: 3, channels: 1, ..augment(|_| ()) };
        let mut bytes: Vec<u8> = (1..=9).collect();
        of.rotate(&mut bytes, std::f64::consts::FRAC_PI_2);
        assert_eq!(bytes, [3, 6, 9, 2, 5, 8, 1, 4, 7], "counterclockwise");
        of.rotate(&mut bytes, -std::f64::consts::FRAC_PI_2);
        assert_eq!(bytes, (1..=9).collect::<Vec<u8>>());
        // By 45°, the middle of the upper edge comes from between the corner and the edge's end.
        let mut bytes = vec![0, 100, 0, 0, 0, 0, 0, 0, 0];
        of.rotate(&mut bytes, std::f64::consts::FRAC_PI_4);
        // From (1 − √½, 1 + √½)·: weights (1 − 0.2929)·(1 − 0.7071) of the upper middle.
        assert_eq!(bytes[1], 21);
    }

    #[test]
    fn squares_are_cut_out_as_far_as_they_are_inside() {
        let mut bytes = image();
        augment(|a| a.cutout = 2).cut_out(&mut bytes, 0, 3);
        let mut expected = image();
        expected[4..8].fill(9);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn noise_has_its_deviation() {
        let of = augment(|a| a.noise = 10.0);
        let mut out = vec![];
        of.apply(&vec![128; 20_000], 0, &mut out);
        let deviation = (out.iter().map(|b| (f64::from(*b) - 128.0).powi(2)).sum::<f64>() / 20_000.0).sqrt();
        assert!((deviation - 10.0).abs() < 0.3, "{deviation}");
    }

    #[test]
    fn half_of_all_turns_are_mirrored_and_all_windows_occur() {
        let of = augment(|a| (a.flip, a.crop) = (true, 1));
        let mut seen = std::collections::BTreeMap::new();
        let mut out = vec![];
        for turn in 0..3600 {
            of.apply(&image(), turn, &mut out);
            *seen.entry(out.clone()).or_insert(0) += 1;
        }
        // 18 equally likely pictures: binomial(3600, 1/18) has mean 200 and deviation 13.7.
        assert!(seen.len() == 18 && seen.values().all(|n| (*n - 200i32).abs() < 70), "{:?}", seen.values());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let with = |dataset: &str, key: &str, value: Value| {
            let choice = super::super::choices().into_iter().find(|c| c.name == dataset).unwrap();
            let mut config = super::super::defaults(&choice);
            let dataset = super::super::load(&config, None).unwrap();
            config.insert(key, value);
            Augment::new(&config, &dataset, 0).map(|a| a.is_some()).map_err(|e| e.to_string())
        };
        assert_eq!(with("fashion-mnist-mini", "augment_crop", Value::Int(4)), Ok(true));
        assert_eq!(with("fashion-mnist-mini", "lr", Value::Int(4)), Ok(false));
        assert!(with("fashion-mnist-mini", "augment_cutout", Value::Int(28)).unwrap_err().contains("leaves nothing of 28×28 pixels"));
        assert_eq!(with("signals", "augment_noise", Value::Float(0.1)), Ok(true));
        assert!(with("signals", "augment_flip", Value::Bool(true)).unwrap_err().contains("are no images"));
    }
}
