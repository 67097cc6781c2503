//! Several layers at a time, image by image: what one layer has written is still in the cache when the next one reads it, and
//! threads meet once for all of them.

use super::Real;
use super::learn::Target;
use super::team::{Parts, Team};

/// Images are taken in at most this many groups, each with its own sums. Fixed, so that sums don't depend on the number of
/// threads.
pub(super) const GROUPS: usize = 16;

/// How many groups a batch has, and how many images are in each (but the last).
pub(super) fn groups(batch: usize) -> (usize, usize) {
    let size = batch.div_ceil(GROUPS);
    (batch.div_ceil(size), size)
}

/// An image of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image {
    pub index: usize,
    pub group: usize,
    /// Whether it is its group's first.
    pub is_first: bool,
}

/// Computes a layer's output for one image, from its inputs.
pub(crate) type ForwardImage<'a, T> = Box<dyn Fn(Image, &[&[T]], &mut [T]) + Sync + 'a>;

/// Computes a layer's gradients for one image.
pub(crate) type BackwardImage<'a, T> = Box<dyn Fn(Image, Slopes<'_, T>) + Sync + 'a>;

/// What a backward pass starts from, and where its results go, for one image or a batch.
pub(crate) struct Slopes<'a, T> {
    pub x: &'a [&'a [T]],
    pub y: &'a [T],
    /// Gradient to the output; may be overwritten.
    pub dy: &'a mut [T],
    /// Where the gradient to each input goes, if it is wanted.
    pub dx: Vec<Option<Target<'a, T>>>,
}

/// A layer on its way forward, with the numbers of the buffers that it reads and writes.
pub(crate) struct ForwardStage<'a, T> {
    pub run: ForwardImage<'a, T>,
    pub inputs: &'a [usize],
    pub output: usize,
}

/// A layer on its way back. For each input: its buffer, and whether the gradient to it is added, written, or not wanted.
pub(crate) struct BackwardStage<'a, T> {
    pub run: BackwardImage<'a, T>,
    pub inputs: Vec<(usize, Option<bool>)>,
    pub output: usize,
}

/// Runs stages one after another for every image. `lens` are the numbers per image in each buffer; `work` is what all of it
/// costs, in multiply-adds.
pub(crate) fn forward_images<T: Real>(
    team: &Team,
    batch: usize,
    work: usize,
    buffers: &mut [Vec<T>],
    lens: &[usize],
    stages: &[ForwardStage<'_, T>],
) {
    assert!(stages.iter().all(|stage| !stage.inputs.contains(&stage.output)), "no stage writes what it reads");
    let parts: Vec<Parts<'_, T>> = buffers.iter_mut().map(|buffer| Parts::new(buffer)).collect();
    each(team, batch, work, |image| {
        // SAFETY: images are kept apart by their index, and no stage writes what it reads (checked above).
        let part = |buffer: usize| unsafe { parts[buffer].range(image.index * lens[buffer], lens[buffer]) };
        for stage in stages {
            let x: Vec<&[T]> = stage.inputs.iter().map(|buffer| &*part(*buffer)).collect();
            (stage.run)(image, &x, part(stage.output));
        }
    });
}

/// Runs stages one after another for every image, with the outputs in `values` and the gradients to them in `gradients`.
///
/// Gradients to `passing` buffers are not kept: they are written and used within the stages, and stay in the cache.
#[expect(clippy::too_many_arguments, reason = "what a pass works on")]
pub(crate) fn backward_images<T: Real>(
    team: &Team,
    batch: usize,
    work: usize,
    values: &[Vec<T>],
    gradients: &mut [Vec<T>],
    passing: &[usize],
    lens: &[usize],
    stages: &[BackwardStage<'_, T>],
) {
    for stage in stages {
        let mut wanted: Vec<usize> = stage.inputs.iter().filter(|(_, add)| add.is_some()).map(|(buffer, _)| *buffer).collect();
        wanted.push(stage.output);
        wanted.sort_unstable();
        assert!(wanted.windows(2).all(|pair| pair[0] != pair[1]), "a stage uses each gradient once");
    }
    let mut starts = vec![None; lens.len()];
    let mut total = 0;
    for buffer in passing {
        starts[*buffer] = Some(total);
        total += lens[*buffer];
    }
    let parts: Vec<Parts<'_, T>> = gradients.iter_mut().map(|buffer| Parts::new(buffer)).collect();
    each(team, batch, work, |image| {
        T::with(total, |scratch| {
            let scratch = Parts::new(scratch);
            let value = |buffer: usize| &values[buffer][image.index * lens[buffer]..(image.index + 1) * lens[buffer]];
            let gradient = |buffer: usize| match starts[buffer] {
                // SAFETY: buffers are kept apart by their start, and a stage uses each gradient once (checked above).
                Some(start) => unsafe { scratch.range(start, lens[buffer]) },
                // SAFETY: images are kept apart by their index, and a stage uses each gradient once.
                None => unsafe { parts[buffer].range(image.index * lens[buffer], lens[buffer]) },
            };
            for stage in stages {
                let x: Vec<&[T]> = stage.inputs.iter().map(|(buffer, _)| value(*buffer)).collect();
                let dx = stage.inputs.iter().map(|(buffer, add)| add.map(|add| Target { to: gradient(*buffer), add })).collect();
                (stage.run)(image, Slopes { x: &x, y: value(stage.output), dy: gradient(stage.output), dx });
            }
        });
    });
}

/// Calls `body` for every image; one thread takes all images of a group, in order.
pub(super) fn each(team: &Team, batch: usize, work: usize, body: impl Fn(Image) + Sync) {
    let (groups, size) = groups(batch);
    team.run(groups, work, |group| {
        for index in group * size..((group + 1) * size).min(batch) {
            body(Image { index, group, is_first: index == group * size });
        }
    });
}
