//! Figures as PNG, for programs that don't take SVG.
//! Called by `pipeline report --png`, after the reports were written.

use std::path::Path;

use anyhow::{Context, Result};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{Options, Tree};

use crate::error::Expected;

/// Pixels for each unit of an SVG: 760 units make a column of 1520 pixels.
const SCALE: f32 = 2.0;
/// Families that read like the first of a figure's list, in the order in which they are looked for.
const SANS_SERIF: [&str; 7] = ["Helvetica", "Arial", "Liberation Sans", "Nimbus Sans", "DejaVu Sans", "Noto Sans", "Segoe UI"];

/// What turns figures into pixels: the fonts of the machine.
pub struct Renderer {
    options: Options<'static>,
}

impl Renderer {
    /// # Errors
    /// When the machine has no fonts.
    pub fn new() -> Result<Self> {
        let mut options = Options::default();
        let fonts = options.fontdb_mut();
        fonts.load_system_fonts();
        let Some(family) = sans_serif(fonts) else {
            let what = "--png needs a font, and this machine has none; install one (Debian: fonts-dejavu-core), or convert the SVG files elsewhere";
            return Err(Expected::Usage(what.into()).into());
        };
        fonts.set_sans_serif_family(&family);
        options.font_family = family;
        Ok(Renderer { options })
    }

    /// Writes an SVG document as a PNG file.
    ///
    /// # Errors
    /// When it is none, or the file can't be written.
    pub fn write(&self, svg: &[u8], path: &Path) -> Result<()> {
        let doing = || format!("drawing {}", path.display());
        let tree = Tree::from_data(svg, &self.options).with_context(doing)?;
        let size = tree.size().to_int_size().scale_by(SCALE).with_context(doing)?;
        let mut pixels = Pixmap::new(size.width(), size.height()).with_context(doing)?;
        resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
        let png = pixels.encode_png().with_context(doing)?;
        std::fs::write(path, png).with_context(|| format!("writing {}", path.display()))
    }
}

/// The family to draw with: a usual one, else any.
fn sans_serif(fonts: &Database) -> Option<String> {
    let families = || fonts.faces().flat_map(|face| face.families.iter().map(|(name, _)| name.as_str()));
    let usual = SANS_SERIF.into_iter().find(|name| families().any(|family| family == *name));
    usual.or_else(|| families().next()).map(str::to_owned)
}
