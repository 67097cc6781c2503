//! Colours and dash patterns that stay apart for colour-blind readers and in grey print.
//! Called by whoever fills in a figure's series; it knows nothing of what the series stand for.

use super::svg::{INK, PAPER};

/// An opaque sRGB colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color {
    red: u8,
    green: u8,
    blue: u8,
}

impl Color {
    /// The colour with these components.
    #[must_use]
    pub const fn rgb(red: u8, green: u8, blue: u8) -> Self {
        Self { red, green, blue }
    }

    /// Red, green and blue.
    #[must_use]
    pub const fn components(self) -> [u8; 3] {
        [self.red, self.green, self.blue]
    }

    /// As `#rrggbb`.
    #[must_use]
    pub fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

/// A broken line pattern; a solid line is `None` where a dash is optional.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dash {
    /// Long strokes.
    Dashed,
    /// Short strokes, close together.
    Dotted,
    /// Long and short strokes in turn.
    DashDot,
}

impl Dash {
    pub(super) const fn pattern(self) -> &'static str {
        match self {
            Self::Dashed => "6 3",
            Self::Dotted => "1.5 2.5",
            Self::DashDot => "7 2.5 1.5 2.5",
        }
    }
}

/// The Okabe-Ito palette, ordered so that the first few differ in lightness too. Its yellow is
/// darkened, because the original all but vanishes on white; black comes last.
const OKABE_ITO: [Color; 8] = [
    Color::rgb(0x00, 0x72, 0xb2), // blue
    Color::rgb(0xe6, 0x9f, 0x00), // orange
    Color::rgb(0x00, 0x9e, 0x73), // bluish green
    Color::rgb(0xd5, 0x5e, 0x00), // vermillion
    Color::rgb(0x56, 0xb4, 0xe9), // sky blue
    Color::rgb(0xcc, 0x79, 0xa7), // reddish purple
    Color::rgb(0xb8, 0xa9, 0x00), // yellow, darkened
    Color::rgb(0x00, 0x00, 0x00), // black
];

const DASHES: [Option<Dash>; 4] = [None, Some(Dash::Dashed), Some(Dash::Dotted), Some(Dash::DashDot)];

/// Colour and dash of the `index`-th category: eight colours, then the same colours with the next
/// dash pattern, 32 looks in all before they repeat.
#[must_use]
pub fn categorical(index: usize) -> (Color, Option<Dash>) {
    (OKABE_ITO[index % OKABE_ITO.len()], DASHES[(index / OKABE_ITO.len()) % DASHES.len()])
}

/// Viridis from dark violet on, cut before its light yellow end, which does not show on white.
/// Lightness rises steadily, so the order survives grey print.
const RAMP: [Color; 9] = [
    Color::rgb(0x44, 0x01, 0x54),
    Color::rgb(0x47, 0x2d, 0x7b),
    Color::rgb(0x3b, 0x52, 0x8b),
    Color::rgb(0x2c, 0x72, 0x8e),
    Color::rgb(0x21, 0x91, 0x8c),
    Color::rgb(0x28, 0xae, 0x80),
    Color::rgb(0x5e, 0xc9, 0x62),
    Color::rgb(0x8c, 0xcd, 0x38),
    Color::rgb(0xb9, 0xc8, 0x14),
];

/// Colour of the `index`-th of `n` ordered values, dark to light.
#[must_use]
pub fn sequential(index: usize, n: usize) -> Color {
    let steps = n.saturating_sub(1).max(1);
    between(&RAMP, index.min(steps), steps)
}

/// The colour `index` of `steps` steps along a ramp. Whole-number arithmetic: no rounding differs between machines.
fn between(ramp: &[Color; 9], index: usize, steps: usize) -> Color {
    let scaled = index * (ramp.len() - 1);
    let (low, part) = (scaled / steps, scaled % steps);
    let (a, b) = (ramp[low], ramp[(low + 1).min(ramp.len() - 1)]);
    Color::rgb(mix(a.red, b.red, part, steps), mix(a.green, b.green, part, steps), mix(a.blue, b.blue, part, steps))
}

/// `ColorBrewer`'s Blues, from near white to dark: for areas with a number on them, which most of a table leaves pale.
const SHADES: [Color; 9] = [
    Color::rgb(0xf7, 0xfb, 0xff),
    Color::rgb(0xde, 0xeb, 0xf7),
    Color::rgb(0xc6, 0xdb, 0xef),
    Color::rgb(0x9e, 0xca, 0xe1),
    Color::rgb(0x6b, 0xae, 0xd6),
    Color::rgb(0x42, 0x92, 0xc6),
    Color::rgb(0x21, 0x71, 0xb5),
    Color::rgb(0x08, 0x51, 0x9c),
    Color::rgb(0x08, 0x30, 0x6b),
];

/// Steps of [`shade`] from one end to the other.
pub(super) const SHADE_STEPS: usize = 256;

/// Colour of the `index`-th of [`SHADE_STEPS`] steps from pale to dark.
pub(super) fn shade(index: usize) -> Color {
    between(&SHADES, index.min(SHADE_STEPS), SHADE_STEPS)
}

/// Dark text or white, whichever stands out more from `ground`.
pub(super) fn readable_on(ground: Color) -> Color {
    let luminance = |color: Color| {
        let [red, green, blue] = color.components().map(|c| (f64::from(c) / 255.0).powi(2));
        0.05 + 0.2126 * red + 0.7152 * green + 0.0722 * blue
    };
    let at = luminance(ground);
    if luminance(PAPER) / at > at / luminance(INK) { PAPER } else { INK }
}

fn mix(a: u8, b: u8, part: usize, whole: usize) -> u8 {
    let sum = usize::from(a) * (whole - part) + usize::from(b) * part;
    u8::try_from((sum + whole / 2) / whole).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lightness(color: Color) -> u32 {
        u32::from(color.red) * 2126 + u32::from(color.green) * 7152 + u32::from(color.blue) * 722
    }

    #[test]
    fn categories_change_dash_after_eight_and_do_not_repeat() {
        assert_eq!(categorical(0).1, None);
        assert_eq!(categorical(8), (categorical(0).0, Some(Dash::Dashed)));
        for i in 0..32 {
            assert!((0..i).all(|j| categorical(i) != categorical(j)));
        }
        assert_eq!(categorical(7).0.hex(), "#000000");
    }

    #[test]
    fn shades_grow_darker_and_text_stays_readable_on_them() {
        assert_eq!((shade(0), shade(SHADE_STEPS), shade(999)), (SHADES[0], SHADES[8], SHADES[8]));
        assert!((1..=16).all(|i| lightness(shade(16 * i)) < lightness(shade(16 * (i - 1)))));
        assert_eq!((readable_on(shade(0)), readable_on(shade(SHADE_STEPS))), (INK, PAPER));
        // It changes once: there is no flicker in the middle.
        let colors: Vec<Color> = (0..=SHADE_STEPS).map(|i| readable_on(shade(i))).collect();
        assert_eq!(colors.windows(2).filter(|pair| pair[0] != pair[1]).count(), 1);
    }

    #[test]
    fn ramp_keeps_its_ends_and_grows_lighter() {
        assert_eq!((sequential(0, 11), sequential(10, 11)), (RAMP[0], RAMP[8]));
        assert_eq!((sequential(0, 1), sequential(0, 0), sequential(99, 3)), (RAMP[0], RAMP[0], RAMP[8]));
        for n in 2..25 {
            assert!((1..n).all(|i| lightness(sequential(i, n)) > lightness(sequential(i - 1, n))), "{n}");
        }
    }
}
