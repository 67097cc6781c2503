//! Clips: items of Fashion-MNIST that leap around a ring. The class is how they go around.
//!
//! The ring has eight places and a clip eight frames. With the strides 1, 3, 5 and 7, which have no factor in common with 8, an item
//! is at every place once, whatever the class: the same frames in another order. So no frame by itself, and no mean over frames,
//! says anything about the class.

use spec::{Choice, Config, Key};

use super::{DataError, Dataset, Part, fashion_mnist};
use crate::random::{Purpose, Stream};

pub(super) const NAME: &str = "clips";

const FRAMES: usize = 8;
/// Height and width of a frame.
const SIDE: usize = 16;
/// Height and width of an item: 28×28 pixels with a border of one, in squares of three by three.
const ITEM: usize = 10;
const STRIDES: [usize; 4] = [1, 3, 5, 7];
const CLASSES: [&str; 4] = ["clockwise", "leaping clockwise", "leaping counterclockwise", "counterclockwise"];
/// Row and column of an item's upper left corner at each place of the ring, clockwise from the right.
const RING: [[usize; 2]; FRAMES] = [[3, 6], [5, 5], [6, 3], [5, 1], [3, 0], [1, 1], [0, 3], [1, 5]];
const TRAIN: u32 = 2000;
const TEST: u32 = 500;

pub(super) fn choice() -> Choice {
    let doc = "2000 training and 500 test clips of 8 frames, 16×16 grey: items of Fashion-MNIST that go around a ring in 4 ways";
    let seed = Key::int("data_seed", 0..=i64::MAX, 0, "seed of synthetic examples");
    Choice { name: NAME, doc, keys: vec![seed] }
}

pub(super) fn load(config: &Config) -> Result<Dataset, DataError> {
    let items = fashion_mnist::load_mini()?;
    let seed = config.optional_count("data_seed").unwrap_or(0) as u64;
    let classes = CLASSES.map(str::to_owned).to_vec();
    let (train, test) = (part(&items.train, seed, 0, TRAIN), part(&items.test, seed, 1, TEST));
    Dataset::new(NAME, &[FRAMES, SIDE, SIDE, 1], classes, train, test)
}

/// `count` clips of distinct items, the classes in turn.
fn part(items: &Part, seed: u64, number: u64, count: u32) -> Part {
    let mut stream = Stream::new(Purpose::Examples, seed, number);
    let order = stream.permutation(u32::try_from(items.labels.len()).unwrap_or(u32::MAX));
    let mut examples = vec![];
    let mut labels = vec![];
    for (class, item) in (0..CLASSES.len()).cycle().zip(order).take(count as usize) {
        let small = shrink(&items.examples[item as usize * 784..][..784]);
        examples.extend(clip(&small, stream.below(FRAMES as u64), STRIDES[class]));
        labels.push(u8::try_from(class).unwrap_or(0));
    }
    Part { examples, labels }
}

/// Means of three by three pixels, the image in a border of black.
fn shrink(image: &[u8]) -> [u8; ITEM * ITEM] {
    let mut sums = [0u32; ITEM * ITEM];
    for (i, byte) in image.iter().enumerate() {
        let (y, x) = (i / 28 + 1, i % 28 + 1);
        sums[y / 3 * ITEM + x / 3] += u32::from(*byte);
    }
    sums.map(|sum| u8::try_from(sum / 9).unwrap_or(u8::MAX))
}

fn clip(item: &[u8; ITEM * ITEM], start: u64, stride: usize) -> Vec<u8> {
    let mut frames = vec![0; FRAMES * SIDE * SIDE];
    let start = usize::try_from(start).unwrap_or(0);
    for (number, frame) in frames.chunks_exact_mut(SIDE * SIDE).enumerate() {
        let [top, left] = RING[(start + number * stride) % FRAMES];
        for (y, row) in item.chunks_exact(ITEM).enumerate() {
            frame[(top + y) * SIDE + left..][..ITEM].copy_from_slice(row);
        }
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_classes_show_the_same_frames_in_another_order() {
        let mut item = [0; ITEM * ITEM];
        (0u8..).zip(&mut item).for_each(|(i, pixel)| *pixel = i + 1);
        let sorted = |start, stride| {
            let clip = clip(&item, start, stride);
            let mut frames: Vec<Vec<u8>> = clip.chunks_exact(SIDE * SIDE).map(<[u8]>::to_vec).collect();
            frames.sort();
            frames
        };
        for stride in STRIDES {
            assert_eq!(sorted(5, stride), sorted(0, 1));
            assert_ne!(clip(&item, 0, stride), clip(&item, 0, (stride + 2) % 8));
        }
        // Eight places, no two the same.
        assert!(sorted(0, 1).windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn items_shrink_to_means() {
        let mut image = [0u8; 784];
        // The square of rows 2 to 4 and columns 2 to 4 is the second of the second row.
        for (y, x) in (2..5).flat_map(|y| (2..5).map(move |x| (y, x))) {
            image[y * 28 + x] = 90;
        }
        let small = shrink(&image);
        assert_eq!((small[ITEM + 1], small.iter().map(|b| u32::from(*b)).sum::<u32>()), (90, 90));
    }

    #[test]
    fn the_set_is_balanced_and_follows_its_seed() {
        let with = |seed| {
            let mut config = Config::default();
            config.insert("data_seed", spec::Value::Int(seed));
            load(&config).unwrap()
        };
        let set = with(0);
        assert_eq!((set.shape.as_slice(), set.train.labels.len(), set.test.labels.len()), (&[8, 16, 16, 1][..], 2000, 500));
        assert_eq!(set.train.labels[..5], [0, 1, 2, 3, 0]);
        assert_eq!(set.checksum, with(0).checksum);
        assert_ne!(set.checksum, with(1).checksum);
    }
}
