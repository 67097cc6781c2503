//! Small pictures and signals side by side, each with a label below, in rows under headings.
//! Called by report code and by the command line; it knows nothing of datasets or of networks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::captions::header;
use super::frame::{EDGE, MEDIUM, SMALL};
use super::palette::categorical;
use super::svg::{AXIS, Anchor, SHADE, Stroke, Svg, Text, WIDTH, real};
use super::text::{squeeze, text_width};

/// Room between tiles.
const GAP: f64 = 12.0;
/// What a tile's label takes below it.
const LABEL: f64 = 18.0;
/// The shorter side of a picture is drawn about this large.
const SIDE: u32 = 96;
/// A shorter side of more pixels than this is averaged down.
const MOST_PIXELS: u32 = 128;
/// What is left between the edges of a figure.
const INNER: f64 = WIDTH - 2.0 * EDGE;
/// The same as a number of pixels.
const MOST_WIDE: u32 = 732;
/// Width and least height of a signal's tile.
const PLOT: (u32, u32) = (234, 72);
/// Height of each of its channels, which lie one below the other: noisy ones would hide each other.
const LANE: u32 = 24;

/// Tiles under a title.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Mosaic {
    pub title: String,
    pub subtitle: Option<String>,
    /// One below the other.
    pub bands: Vec<Band>,
}

/// Tiles that belong together, in as many rows as they need.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Band {
    pub title: Option<String>,
    pub tiles: Vec<Tile>,
}

/// A picture or a signal with a short label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    label: String,
    content: Content,
}

/// What a tile shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Picture(Picture),
    /// A line for each channel, from 0 to 255, one below the other.
    Signal(Vec<Vec<u8>>),
}

/// Bytes row by row, channels last: 1 (grey) or 3 (red, green, blue).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub height: u32,
    pub width: u32,
    pub channels: u32,
    pub pixels: Vec<u8>,
}

impl Tile {
    /// A picture of \[height, width, channels\] bytes, grey (1 channel) or red, green and blue (3). `None` if it has another number of
    /// channels, no pixels, or not as many bytes as that.
    ///
    /// A picture with more pixels than a tile can show is averaged down.
    pub fn picture(label: impl Into<String>, [height, width, channels]: [u32; 3], pixels: &[u8]) -> Option<Self> {
        let bytes = u64::from(height).checked_mul(u64::from(width))?.checked_mul(u64::from(channels))?;
        if bytes == 0 || !matches!(channels, 1 | 3) || u64::try_from(pixels.len()) != Ok(bytes) {
            return None;
        }
        let picture = Picture { height, width, channels, pixels: pixels.to_vec() }.shrunk();
        Some(Tile { label: label.into(), content: Content::Picture(picture) })
    }

    /// A signal of \[length, channels\] bytes as a line per channel. `None` if it is empty, or has not as many bytes as that.
    pub fn signal(label: impl Into<String>, channels: usize, samples: &[u8]) -> Option<Self> {
        if channels == 0 || samples.is_empty() || !samples.len().is_multiple_of(channels) {
            return None;
        }
        let lines = (0..channels).map(|c| samples.iter().skip(c).step_by(channels).copied().collect()).collect();
        Some(Tile { label: label.into(), content: Content::Signal(lines) })
    }

    /// What is written below it.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// What it shows.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Width and height that it is drawn with.
    pub fn size(&self) -> (u32, u32) {
        match &self.content {
            Content::Picture(p) => {
                // A whole multiple, so that all pixels are equally large.
                let scale = (SIDE / p.height.min(p.width)).min(MOST_WIDE / p.height.max(p.width)).max(1);
                (p.width * scale, p.height * scale)
            }
            Content::Signal(lines) => (PLOT.0, PLOT.1.max(LANE.saturating_mul(u32::try_from(lines.len()).unwrap_or(u32::MAX)))),
        }
    }

    fn real_size(&self) -> (f64, f64) {
        let (width, height) = self.size();
        (f64::from(width), f64::from(height))
    }

    fn draw(&self, svg: &mut Svg, (left, top): (f64, f64), cell: f64) {
        let (width, height) = self.real_size();
        let frame = [left + (cell - width) / 2.0, top, width, height];
        match &self.content {
            Content::Picture(picture) => {
                svg.outlined(frame, &Stroke::solid(AXIS, 1.0));
                svg.image(frame, &STANDARD.encode(picture.png()));
            }
            Content::Signal(lines) => {
                svg.rect(frame, SHADE, 1.0);
                let lane = height / real(lines.len());
                for (channel, line) in lines.iter().enumerate() {
                    let top = top + lane * real(channel);
                    let step = width / real(line.len().saturating_sub(1).max(1));
                    let at = |(i, sample): (usize, &u8)| {
                        (frame[0] + step * real(i), top + (lane - 4.0) * (1.0 - f64::from(*sample) / 255.0) + 2.0)
                    };
                    let points: Vec<_> = line.iter().enumerate().map(at).collect();
                    svg.polyline(&super::thin::line(&points), &Stroke::solid(categorical(channel).0, 1.0));
                }
            }
        }
        let label = squeeze(&self.label, SMALL, cell + GAP - 4.0);
        svg.text(&Text { anchor: Anchor::Middle, ..Text::new(left + cell / 2.0, top + height + 13.0, &label) });
    }
}

impl Picture {
    /// The same with every few pixels averaged, if there are more than can be shown.
    fn shrunk(self) -> Self {
        let (shorter, longer) = (self.height.min(self.width), self.height.max(self.width));
        let step = shorter.div_ceil(MOST_PIXELS).max(longer.div_ceil(MOST_WIDE));
        if step == 1 {
            return self;
        }
        let (height, width) = (self.height.div_ceil(step), self.width.div_ceil(step));
        let mut pixels = vec![];
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
            let rows = row * step..((row + 1) * step).min(self.height);
            let columns = column * step..((column + 1) * step).min(self.width);
            for channel in 0..self.channels {
                let (mut sum, mut n) = (0u64, 0u64);
                for (y, x) in rows.clone().flat_map(|y| columns.clone().map(move |x| (y, x))) {
                    sum += u64::from(self.at(y, x, channel));
                    n += 1;
                }
                pixels.push(u8::try_from((sum + n / 2) / n).unwrap_or(u8::MAX));
            }
        }
        Picture { height, width, channels: self.channels, pixels }
    }

    fn at(&self, row: u32, column: u32, channel: u32) -> u8 {
        let [row, column, channel, width, channels] = [row, column, channel, self.width, self.channels].map(|n| n as usize);
        self.pixels[(row * width + column) * channels + channel]
    }

    /// The picture as a PNG file. It is not compressed: figures are compared byte for byte, and what a compressor makes may change with
    /// its version, while the files are small anyway.
    fn png(&self) -> Vec<u8> {
        let mut file = vec![];
        let mut encoder = png::Encoder::new(&mut file, self.width, self.height);
        encoder.set_color(if self.channels == 3 { png::ColorType::Rgb } else { png::ColorType::Grayscale });
        encoder.set_compression(png::Compression::NoCompression);
        encoder.set_filter(png::Filter::NoFilter);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&self.pixels));
        // Sizes were checked and memory doesn't fail to be written to; an empty file draws nothing.
        if written.is_err() { vec![] } else { file }
    }
}

impl Mosaic {
    /// The figure as a complete SVG document.
    #[must_use]
    pub fn svg(&self) -> String {
        let mut svg = Svg::default();
        let mut y = header(&mut svg, &self.title, self.subtitle.as_deref()) + 8.0;
        for band in &self.bands {
            y = band.draw(&mut svg, y);
        }
        let n: usize = self.bands.iter().map(|band| band.tiles.len()).sum();
        svg.finish(y, &self.title, &format!("{n} pictures. {}", self.subtitle.as_deref().unwrap_or_default()))
    }
}

impl Band {
    /// Returns the y below it.
    fn draw(&self, svg: &mut Svg, mut y: f64) -> f64 {
        if let Some(title) = &self.title {
            svg.text(&Text { size: MEDIUM, bold: true, ..Text::new(EDGE, y + 12.0, &squeeze(title, MEDIUM * 1.1, INNER)) });
            y += 20.0;
        }
        // Short labels need not be squeezed below small tiles.
        let room = |tile: &Tile| tile.real_size().0.max(text_width(&tile.label, SMALL).min(f64::from(SIDE)) - GAP + 4.0);
        let cell = self.tiles.iter().map(room).fold(1.0, f64::max);
        let columns = (1..=self.tiles.len()).rev().find(|n| real(*n) * (cell + GAP) - GAP <= INNER).unwrap_or(1);
        for row in self.tiles.chunks(columns) {
            for (i, tile) in row.iter().enumerate() {
                tile.draw(svg, (EDGE + real(i) * (cell + GAP), y), cell);
            }
            y += row.iter().map(|tile| tile.real_size().1).fold(0.0, f64::max) + LABEL + 6.0;
        }
        y + 4.0
    }
}

#[cfg(test)]
#[path = "mosaic_tests.rs"]
pub(crate) mod tests;
