//! From the bytes of a PNG or JPEG file to those of an example.

use std::io::Cursor;
use std::{panic, thread};

use image::imageops::{FilterType, resize};
use image::{DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

/// Larger images are refused before memory is allocated for them. Fuzzers look for other things than what large ones cost.
const MAX_PIXELS: u64 = if cfg!(fuzzing) { 1 << 20 } else { 64 << 20 };
/// What a decoder may allocate: 16 bits in four channels, and as much again to work with.
const MAX_ALLOCATED: u64 = 16 * MAX_PIXELS;

/// What an example is to look like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// Height and width.
    pub size: u32,
    pub is_grey: bool,
}

impl Form {
    pub(super) fn shape(self) -> [usize; 3] {
        let size = self.size as usize;
        [size, size, if self.is_grey { 1 } else { 3 }]
    }
}

/// Decodes files on all cores; the results are in the order of the files.
pub(super) fn decode_all(files: &[Vec<u8>], form: Form) -> Vec<Result<Vec<u8>, String>> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = files.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let crashed = || Err("makes the decoder crash".to_owned());
        // Each by itself, or a file beside the one that makes it crash would be blamed.
        let decode_one = move |file: &Vec<u8>| panic::catch_unwind(|| decode(file, form)).unwrap_or_else(|_| crashed());
        let decode_share = move |files: &[Vec<u8>]| files.iter().map(decode_one).collect::<Vec<_>>();
        let shares: Vec<_> = files.chunks(share).map(|files| (files.len(), scope.spawn(move || decode_share(files)))).collect();
        shares.into_iter().flat_map(|(n, share)| share.join().unwrap_or_else(|_| vec![crashed(); n])).collect()
    })
}

/// The bytes of an image in the form that is wanted. Transparency is left out.
///
/// # Errors
/// What is wrong with it.
pub(super) fn decode(file: &[u8], form: Form) -> Result<Vec<u8>, String> {
    let format = image::guess_format(file).ok().filter(|f| matches!(f, ImageFormat::Png | ImageFormat::Jpeg));
    if format == Some(ImageFormat::Png) && has_torn_palette(file) {
        return Err("can't be decoded: its palette is no list of colours".into());
    }
    let mut reader = ImageReader::with_format(Cursor::new(file), format.ok_or("is neither a PNG nor a JPEG image")?);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_ALLOCATED);
    reader.limits(limits);
    let damaged = |e| format!("can't be decoded: {e}");
    let decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(format!("has {width}×{height} pixels; at most {MAX_PIXELS} are read"));
    }
    if width == 0 || height == 0 {
        return Err(format!("has {width}×{height} pixels"));
    }
    let image = DynamicImage::from_decoder(decoder).map_err(damaged)?.into_rgb8();
    let size = form.size;
    Ok(if form.is_grey { resize(&grey(&image), size, size, FilterType::Triangle).into_raw() } else { resized(image, size) })
}

/// Whether a PNG file has part of a colour in its palette. The decoder panics on it, up to png 0.18.1
/// (<https://github.com/image-rs/image-png/issues/694>).
fn has_torn_palette(file: &[u8]) -> bool {
    // Behind the signature: the length of a chunk's content, its kind, the content, and a checksum.
    let mut rest = file.get(8..).unwrap_or_default();
    while let Some((length, chunk)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        if chunk.starts_with(b"PLTE") && !length.is_multiple_of(3) {
            return true;
        }
        rest = length.checked_add(8).and_then(|next| chunk.get(next..)).unwrap_or_default();
    }
    false
}

/// An image of this size is left as it is.
fn resized(image: RgbImage, size: u32) -> Vec<u8> {
    let has_size = image.dimensions() == (size, size);
    if has_size { image.into_raw() } else { resize(&image, size, size, FilterType::Triangle).into_raw() }
}

/// Luminance (ITU-R BT.709) in integers, so that it is the same on every machine.
fn grey(image: &RgbImage) -> GrayImage {
    let mut grey = GrayImage::new(image.width(), image.height());
    for (to, from) in grey.pixels_mut().zip(image.pixels()) {
        let [r, g, b] = from.0.map(u32::from);
        to.0 = [u8::try_from((2126 * r + 7152 * g + 722 * b + 5000) / 10_000).unwrap_or(u8::MAX)];
    }
    grey
}
