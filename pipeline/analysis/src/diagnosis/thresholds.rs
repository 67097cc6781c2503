//! The thresholds of the rules, each with its meaning, default and range.
//! Set by name from a study's grid file; read by the rules.

/// What the rules compare with; [`Thresholds::FIELDS`] documents each. Shares are of 1, not percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    pub least_gain: f64,
    pub learned: f64,
    pub swing: f64,
    pub swings: f64,
    pub swing_deviations: f64,
    pub validation_rise: f64,
    pub roughness: f64,
    pub rebound: f64,
    pub still_falling: f64,
    pub high: f64,
    pub noise_deviations: f64,
}

/// One threshold: what a grid file, its schema and the documentation need to know of it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    pub doc: &'static str,
    pub default: f64,
    pub least: f64,
    pub most: f64,
    place: fn(&mut Thresholds) -> &mut f64,
}

impl Field {
    /// A share of something, from 0 to 1.
    const fn share(name: &'static str, default: f64, place: fn(&mut Thresholds) -> &mut f64, doc: &'static str) -> Self {
        Field { name, doc, default, least: 0.0, most: 1.0, place }
    }

    /// A part that may exceed the whole, or a number of things.
    const fn number(name: &'static str, default: f64, place: fn(&mut Thresholds) -> &mut f64, doc: &'static str) -> Self {
        Field { name, doc, default, least: 0.0, most: 100.0, place }
    }
}

impl Thresholds {
    /// All thresholds, in the order of the rules.
    pub const FIELDS: [Field; 11] = [
        Field::share(
            "least_gain",
            0.03,
            |t| &mut t.least_gain,
            "plateaued high: part of the loss of guessing that a run must gain to leave it",
        ),
        Field::share(
            "learned",
            0.1,
            |t| &mut t.learned,
            "plateaued high: part of the way from chance to 1 that the accuracy must go to leave chance",
        ),
        Field::number("swing", 0.15, |t| &mut t.swing, "oscillating: rise of the loss from a trough, over the loss there, that is a swing"),
        Field {
            least: 1.0,
            ..Field::number("swings", 2.0, |t| &mut t.swings, "oscillating: number of swings, in bins or between evaluations")
        },
        Field::number(
            "swing_deviations",
            4.5,
            |t| &mut t.swing_deviations,
            "oscillating: standard deviations of a bin's noise that a swing must exceed",
        ),
        Field::number(
            "validation_rise",
            0.07,
            |t| &mut t.validation_rise,
            "overfitting: rise of the validation loss from its best to the end, over the best",
        ),
        Field::number(
            "roughness",
            0.1,
            |t| &mut t.roughness,
            "oscillating: typical change of the loss up and down from evaluation to evaluation",
        ),
        Field::number(
            "rebound",
            0.15,
            |t| &mut t.rebound,
            "oscillating: rise of the training loss from its best to the end, over the best",
        ),
        Field::share(
            "still_falling",
            0.03,
            |t| &mut t.still_falling,
            "too slow: part of the whole gain that is made in a fifth of the run at its end",
        ),
        Field::share("high", 0.55, |t| &mut t.high, "plateaued high: loss at the end, over that of guessing, when it no longer falls"),
        Field::number(
            "noise_deviations",
            2.0,
            |t| &mut t.noise_deviations,
            "all: standard deviations of the noise that a change of level must exceed to be seen",
        ),
    ];

    /// The value of a threshold; `None` for an unknown name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        let mut copy = *self;
        Self::FIELDS.iter().find(|field| field.name == name).map(|field| *(field.place)(&mut copy))
    }

    /// Sets a threshold by its name.
    ///
    /// # Errors
    ///
    /// An unknown name or a value out of range, with what would be right.
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), String> {
        let Some(field) = Self::FIELDS.iter().find(|field| field.name == name) else {
            return Err(format!("unknown threshold `{name}`: there are {}", Self::FIELDS.map(|field| field.name).join(", ")));
        };
        if !(field.least..=field.most).contains(&value) {
            return Err(format!("threshold `{name}` must be from {} to {}, not {value}", field.least, field.most));
        }
        *(field.place)(self) = value;
        Ok(())
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        let mut thresholds = Thresholds {
            least_gain: 0.0,
            learned: 0.0,
            swing: 0.0,
            swings: 0.0,
            swing_deviations: 0.0,
            validation_rise: 0.0,
            roughness: 0.0,
            rebound: 0.0,
            still_falling: 0.0,
            high: 0.0,
            noise_deviations: 0.0,
        };
        for field in Self::FIELDS {
            *(field.place)(&mut thresholds) = field.default;
        }
        thresholds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_has_a_place_of_its_own() {
        let mut thresholds = Thresholds::default();
        for (i, field) in (1..).zip(Thresholds::FIELDS) {
            assert!((field.least..=field.most).contains(&field.default), "{}", field.name);
            assert_eq!(thresholds.get(field.name), Some(field.default));
            thresholds.set(field.name, field.least + f64::from(i) / 100.0).unwrap();
        }
        for (i, field) in (1..).zip(Thresholds::FIELDS) {
            assert_eq!(thresholds.get(field.name), Some(field.least + f64::from(i) / 100.0), "{}", field.name);
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let mut thresholds = Thresholds::default();
        assert_eq!(thresholds.set("high", 1.5), Err("threshold `high` must be from 0 to 1, not 1.5".into()));
        assert!(thresholds.set("high", f64::NAN).is_err());
        assert!(thresholds.set("hihg", 0.5).is_err_and(|error| error.starts_with("unknown threshold `hihg`: there are least_gain, ")));
        assert_eq!((thresholds, thresholds.get("hihg")), (Thresholds::default(), None));
    }
}
