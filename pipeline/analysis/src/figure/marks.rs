//! Marks for single observations: shapes that differ in outline as well as in colour.
//! Called by the drawing code with pixel positions; it knows nothing of axes or data.

use super::palette::Color;
use super::svg::{PAPER, Svg};

/// Outline of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Circle,
    Square,
    Triangle,
    Diamond,
}

impl Shape {
    /// Shape of the `index`-th series; the shapes repeat after four.
    pub(super) const fn nth(index: usize) -> Self {
        match index % 4 {
            0 => Self::Circle,
            1 => Self::Square,
            2 => Self::Triangle,
            _ => Self::Diamond,
        }
    }

    /// Draws the shape with about the area of a disc of radius `r`.
    pub(super) fn draw(self, svg: &mut Svg, (x, y): (f64, f64), r: f64, color: Color, opacity: f64) {
        match self {
            Self::Circle => svg.circle((x, y), r, color, opacity),
            Self::Square => {
                let half = 0.89 * r;
                svg.rect([x - half, y - half, 2.0 * half, 2.0 * half], color, opacity);
            }
            Self::Triangle => {
                let (up, side) = (1.4 * r, 1.25 * r);
                svg.polygon(&[(x, y - up), (x + side, y + 0.75 * r), (x - side, y + 0.75 * r)], color, opacity);
            }
            Self::Diamond => {
                let d = 1.3 * r;
                svg.polygon(&[(x, y - d), (x + d, y), (x, y + d), (x - d, y)], color, opacity);
            }
        }
    }
}

/// How a single observation is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub shape: Shape,
    /// Radius of a disc of the same area.
    pub radius: f64,
    pub color: Color,
    pub opacity: f64,
    /// A white rim, for marks on a line of their own colour.
    pub rimmed: bool,
}

impl Mark {
    pub(super) fn draw(&self, svg: &mut Svg, at: (f64, f64)) {
        if self.rimmed {
            self.shape.draw(svg, at, self.radius + 1.2, PAPER, 1.0);
        }
        self.shape.draw(svg, at, self.radius, self.color, self.opacity);
    }
}

/// Side of a panel towards which a value lies outside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
    Top,
    Bottom,
}

impl Side {
    /// The side left by a point held at these ends of the axes; `None` if it is inside. Directions are
    /// those of [`super::axis::Mapping::held`], where the vertical axis points up.
    pub(super) const fn of(x: i8, y: i8) -> Option<Self> {
        match (x, y) {
            (_, 1) => Some(Self::Top),
            (_, -1) => Some(Self::Bottom),
            (-1, _) => Some(Self::Left),
            (1, _) => Some(Self::Right),
            _ => None,
        }
    }

    /// A hollow triangle whose tip touches the edge at (`x`, `y`): the value lies beyond the axis.
    pub(super) fn draw(self, svg: &mut Svg, (x, y): (f64, f64), color: Color) {
        const LONG: f64 = 7.0;
        const HALF: f64 = 4.0;
        let base = match self {
            Self::Left => [(x + LONG, y - HALF), (x + LONG, y + HALF)],
            Self::Right => [(x - LONG, y - HALF), (x - LONG, y + HALF)],
            Self::Top => [(x - HALF, y + LONG), (x + HALF, y + LONG)],
            Self::Bottom => [(x - HALF, y - LONG), (x + HALF, y - LONG)],
        };
        svg.polygon(&[(x, y), base[0], base[1]], color, 0.75);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_repeat_and_draw_one_element_each() {
        assert_eq!(Shape::nth(5), Shape::Square);
        for index in 0..4 {
            let mut svg = Svg::default();
            Shape::nth(index).draw(&mut svg, (1.0, 2.0), 3.0, Color::rgb(0, 0, 0), 0.5);
            let text = svg.finish(10.0, "", "");
            assert_eq!(text.matches("fill-opacity").count(), 1, "{text}");
        }
    }

    #[test]
    fn points_outside_know_their_side() {
        assert_eq!(Side::of(0, 0), None);
        assert_eq!(Side::of(1, 1), Some(Side::Top));
        assert_eq!(Side::of(-1, 0), Some(Side::Left));
    }
}
