//! Tiles with labels as a PNG file.
//! Called by `pipeline data show`; the same tiles as SVG are `analysis`' work.

use std::convert::Infallible;

use analysis::figure::{Content, Picture, Tile, categorical};
use anyhow::Result;
use embedded_graphics::mono_font::iso_8859_1::{FONT_6X13, FONT_7X13_BOLD};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{Polyline, PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Baseline, Text};

const EDGE: u32 = 14;
const GAP: u32 = 12;
/// From a row's tiles to the next row's, beyond their height: their labels, and some room.
const LABEL: u32 = 24;
const TITLE: u32 = 24;
/// Pictures are not wider than this unless one tile is.
const MOST_WIDE: u32 = 1400;
/// Labels have at least this room, if they need it.
const LABEL_ROOM: u32 = 84;

const INK: Rgb888 = Rgb888::new(0x22, 0x22, 0x22);
const LINE: Rgb888 = Rgb888::new(0xa6, 0xa6, 0xa6);
const SHADE: Rgb888 = Rgb888::new(0xf6, 0xf6, 0xf6);

/// The tiles below a title, `columns` in a row if there is room for them.
pub fn png(title: &str, tiles: &[Tile], columns: u32) -> Result<Vec<u8>> {
    let room = |tile: &Tile| tile.size().0.max(text_width(tile.label(), &FONT_6X13).min(LABEL_ROOM));
    let cell = tiles.iter().map(room).max().unwrap_or(1);
    let columns = columns.clamp(1, ((MOST_WIDE - 2 * EDGE + GAP) / (cell + GAP)).max(1)) as usize;
    let rows: Vec<&[Tile]> = tiles.chunks(columns).collect();
    let height_of = |row: &[Tile]| row.iter().map(|tile| tile.size().1).max().unwrap_or(0) + LABEL;
    let inner = (u32::try_from(columns.min(tiles.len()))? * (cell + GAP)).max(text_width(title, &FONT_7X13_BOLD) + GAP) - GAP;
    let mut canvas = Canvas::new(
        (2 * EDGE + inner).min(MOST_WIDE.max(cell + 2 * EDGE)),
        2 * EDGE + TITLE + rows.iter().map(|row| height_of(row)).sum::<u32>(),
    );
    canvas.text(title, &FONT_7X13_BOLD, EDGE, EDGE, canvas.width - 2 * EDGE);
    let mut top = EDGE + TITLE;
    for row in rows {
        for (left, tile) in (0..).map(|i| EDGE + i * (cell + GAP)).zip(row) {
            canvas.tile(tile, left, top, cell);
        }
        top += height_of(row);
    }
    canvas.encoded()
}

fn text_width(text: &str, font: &MonoFont<'_>) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX / 16) * font.character_size.width
}

/// `text` with its middle left out to have at most `most` letters.
fn squeezed(text: &str, most: usize) -> String {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() <= most {
        return text.to_owned();
    }
    let kept = most.saturating_sub(2);
    let (head, tail) = (&letters[..kept.div_ceil(2)], &letters[letters.len() - kept / 2..]);
    head.iter().chain(&['.', '.']).chain(tail).collect()
}

/// Red, green and blue of every pixel, row by row.
struct Canvas {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Canvas {
    fn new(width: u32, height: u32) -> Self {
        Canvas { width, height, pixels: vec![255; 3 * width as usize * height as usize] }
    }

    fn set(&mut self, x: u32, y: u32, color: [u8; 3]) {
        if x < self.width && y < self.height {
            let at = 3 * (y as usize * self.width as usize + x as usize);
            self.pixels[at..at + 3].copy_from_slice(&color);
        }
    }

    /// One line from its left upper corner, shortened to fit. The font has no letters beyond Latin 1; they become question marks.
    fn text(&mut self, text: &str, font: &MonoFont<'_>, left: u32, top: u32, room: u32) {
        let text = squeezed(text, (room / font.character_size.width) as usize);
        let Ok(_) = Text::with_baseline(&text, point(left, top), MonoTextStyle::new(font, INK), Baseline::Top).draw(self);
    }

    fn tile(&mut self, tile: &Tile, left: u32, top: u32, cell: u32) {
        let (width, height) = tile.size();
        let x = left + (cell - width) / 2;
        let frame = |margin: u32| Rectangle::new(point(x - margin, top - margin), Size::new(width + 2 * margin, height + 2 * margin));
        match tile.content() {
            Content::Picture(picture) => {
                let Ok(()) = frame(1).into_styled(PrimitiveStyle::with_stroke(LINE, 1)).draw(self);
                self.picture(picture, x, top, width / picture.width);
            }
            Content::Signal(lines) => {
                let Ok(()) = frame(0).into_styled(PrimitiveStyle::with_fill(SHADE)).draw(self);
                let lane = height / u32::try_from(lines.len()).unwrap_or(height);
                for (channel, line) in lines.iter().enumerate() {
                    let [red, green, blue] = categorical(channel).0.components();
                    let top = top + lane * u32::try_from(channel).unwrap_or(0);
                    self.line(line, Rgb888::new(red, green, blue), [x, top, width, lane]);
                }
            }
        }
        let room = (cell + GAP - 4).min(self.width - left);
        let label = text_width(tile.label(), &FONT_6X13).min(room);
        self.text(tile.label(), &FONT_6X13, left + cell.saturating_sub(label) / 2, top + height + 4, room);
    }

    fn picture(&mut self, picture: &Picture, left: u32, top: u32, scale: u32) {
        let colors = picture.pixels.chunks_exact(picture.channels as usize);
        let places = (0..picture.height).flat_map(|y| (0..picture.width).map(move |x| (x, y)));
        for (color, (x, y)) in colors.zip(places) {
            let color = if let [red, green, blue] = *color { [red, green, blue] } else { [color[0]; 3] };
            for (dx, dy) in (0..scale).flat_map(|dy| (0..scale).map(move |dx| (dx, dy))) {
                self.set(left + x * scale + dx, top + y * scale + dy, color);
            }
        }
    }

    /// Samples from 0 to 255 from the left to the right of a rectangle.
    fn line(&mut self, samples: &[u8], color: Rgb888, [left, top, width, height]: [u32; 4]) {
        let last = samples.len().saturating_sub(1).max(1);
        let x = |i: usize| u32::try_from(i * (width as usize - 1) / last).unwrap_or(width);
        let points: Vec<Point> = samples
            .iter()
            .enumerate()
            .map(|(i, sample)| point(left + x(i), top + 2 + (255 - u32::from(*sample)) * (height - 5) / 255))
            .collect();
        let Ok(()) = Polyline::new(&points).into_styled(PrimitiveStyle::with_stroke(color, 1)).draw(self);
    }

    fn encoded(&self) -> Result<Vec<u8>> {
        let mut file = vec![];
        let mut encoder = png::Encoder::new(&mut file, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header()?.write_image_data(&self.pixels)?;
        Ok(file)
    }
}

fn point(x: u32, y: u32) -> Point {
    Point::new(i32::try_from(x).unwrap_or(i32::MAX), i32::try_from(y).unwrap_or(i32::MAX))
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(at, color) in pixels {
            if let (Ok(x), Ok(y)) = (u32::try_from(at.x), u32::try_from(at.y)) {
                self.set(x, y, [color.r(), color.g(), color.b()]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Width, height and pixels of a file.
    fn decoded(file: Vec<u8>) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(info.color_type, png::ColorType::Rgb);
        (info.width, info.height, pixels)
    }

    /// Two pixels of which each is drawn 96 wide.
    fn red_and_blue(label: &str) -> Tile {
        Tile::picture(label, [1, 2, 3], &[200, 0, 0, 0, 0, 200]).unwrap()
    }

    #[test]
    fn pixels_are_where_they_belong() {
        let file = png("title", &[red_and_blue("a"), red_and_blue("b"), red_and_blue("c")], 2).unwrap();
        let (width, height, pixels) = decoded(file);
        assert_eq!((width, height), (2 * EDGE + 2 * 192 + GAP, 2 * EDGE + TITLE + 2 * (96 + LABEL)));
        let at = |x: u32, y: u32| &pixels[3 * (y * width + x) as usize..][..3];
        let top = EDGE + TITLE;
        let right = EDGE + 192 + GAP;
        for (left, top) in [(EDGE, top), (right, top), (EDGE, top + 96 + LABEL)] {
            assert_eq!([at(left, top), at(left + 95, top + 95)], [[200, 0, 0]; 2]);
            assert_eq!([at(left + 96, top), at(left + 191, top + 95)], [[0, 0, 200]; 2]);
            assert_eq!([at(left - 2, top), at(left + 193, top + 50)], [[255; 3]; 2]);
            let has_ink = |y: u32| (left..left + 192).any(|x| at(x, y) == [0x22; 3]);
            assert!((top + 98..top + 96 + LABEL - 2).any(has_ink), "a label stands below");
        }
        assert!((right..right + 192).all(|x| at(x, top + 96 + LABEL + 50) == [255; 3]), "there is no fourth");
    }

    #[test]
    fn signals_reach_from_edge_to_edge() {
        let tile = Tile::signal("s", 1, &[255, 0]).unwrap();
        let (width, _, pixels) = decoded(png("", &[tile], 1).unwrap());
        let [red, green, blue] = categorical(0).0.components();
        let inked = |x: u32, y: u32| pixels[3 * (y * width + x) as usize..][..3] == [red, green, blue];
        let top = EDGE + TITLE;
        assert!(inked(EDGE, top + 2) && inked(EDGE + 233, top + 69), "from the top left to the bottom right");
        assert!(!inked(EDGE, top + 69) && !inked(EDGE + 233, top + 2));
    }

    #[test]
    fn any_labels_and_sizes_make_a_file() {
        let names = ["", "ein sehr langer Name, der nirgends Platz hat", "Größe ½ × 漢字 🦀", "a\nb\u{0}"];
        for (h, w) in [(1, 1), (28, 28), (1, 1000), (1000, 1), (300, 500)] {
            let tiles: Vec<Tile> = names.iter().filter_map(|name| Tile::picture(*name, [h, w, 1], &vec![7; (h * w) as usize])).collect();
            assert_eq!(tiles.len(), 4);
            for columns in [0, 1, 3, u32::MAX] {
                let (width, height, _) = decoded(png(&"title ".repeat(99), &tiles, columns).unwrap());
                assert!(width <= MOST_WIDE && height > 96, "{width}×{height}");
            }
        }
        decoded(png("", &[], 5).unwrap());
        let long: Vec<u8> = (0..=255).cycle().take(5000).collect();
        decoded(png("", &[Tile::signal("7 channels", 7, &long[..4900]).unwrap(), Tile::signal("", 1, &[3]).unwrap()], 9).unwrap());
    }

    #[test]
    fn squeezed_labels_keep_both_ends() {
        assert_eq!(squeezed("ankle boot", 10), "ankle boot");
        assert_eq!(squeezed("a long label", 8), "a l..bel");
        assert_eq!(squeezed("ab", 0), "..");
    }
}
