//! Signals: series of seven channels in which bursts of a wave hide in noise. The class is the wave's period.
//!
//! A burst is at a random time, in random channels and at a random phase, so that the mean of each number is the same in all classes.
//! What is left to a linear model are chance differences between the training examples: on others it is right about one time in four,
//! where guessing is right one time in five.

use std::f64::consts::TAU;

use spec::{Choice, Config, Key};

use super::{DataError, Dataset, Part};
use crate::random::{Purpose, Stream};

pub(super) const NAME: &str = "signals";

const LENGTH: usize = 500;
const CHANNELS: usize = 7;
/// Of the waves, in samples: half an octave apart.
const PERIODS: [f64; 5] = [5.0, 7.0, 10.0, 14.0, 20.0];
/// Channels that have a burst.
const BURSTS: usize = 5;
/// Shortest and longest burst, in samples.
const DURATION: [f64; 2] = [150.0, 300.0];
/// Of a burst; the noise has deviation 1.
const AMPLITUDE: f64 = 1.5;
/// How much of a noise's value stays for the next sample.
const MEMORY: f64 = 0.6;
const TRAIN: u64 = 2500;
const TEST: u64 = 500;

pub(super) fn choice() -> Choice {
    let doc = "2500 training and 500 test series of 7 channels and 500 samples: bursts of a wave in noise, 5 periods to tell apart";
    let seed = Key::int("data_seed", 0..=i64::MAX, 0, "seed of synthetic examples");
    Choice { name: NAME, doc, keys: vec![seed] }
}

pub(super) fn load(config: &Config) -> Result<Dataset, DataError> {
    let seed = config.optional_count("data_seed").unwrap_or(0) as u64;
    let names = PERIODS.map(|period| format!("period {period}")).to_vec();
    Dataset::new(NAME, &[LENGTH, CHANNELS], names, part(seed, 0, TRAIN), part(seed, TRAIN, TEST))
}

/// The examples with numbers from `first` on, the classes in turn.
fn part(seed: u64, first: u64, count: u64) -> Part {
    let labels: Vec<u8> = (0u8..5).cycle().take(usize::try_from(count).unwrap_or(0)).collect();
    let examples = (first..).zip(&labels);
    let examples =
        examples.flat_map(|(number, class)| signal(&mut Stream::new(Purpose::Examples, seed, number), PERIODS[usize::from(*class)]));
    Part { examples: examples.collect(), labels }
}

/// Samples as bytes: 128 is zero, and 24 the deviation of the noise.
fn signal(stream: &mut Stream, period: f64) -> Vec<u8> {
    let mut samples = vec![0.0f64; LENGTH * CHANNELS];
    let fresh = (1.0 - MEMORY * MEMORY).sqrt();
    for channel in 0..CHANNELS {
        let mut value = stream.normal_pair()[0];
        for pair in 0..LENGTH / 2 {
            for (i, normal) in stream.normal_pair().into_iter().enumerate() {
                samples[(2 * pair + i) * CHANNELS + channel] = value;
                value = MEMORY * value + fresh * normal;
            }
        }
    }
    let channels = stream.permutation(7);
    for channel in channels.into_iter().take(BURSTS) {
        let duration = DURATION[0] + (DURATION[1] - DURATION[0]) * stream.unit();
        let start = (LENGTH as f64 - duration) * stream.unit();
        let phase = stream.unit();
        for (t, sample) in samples.iter_mut().skip(channel as usize).step_by(CHANNELS).enumerate() {
            let since = t as f64 - start;
            if (0.0..duration).contains(&since) {
                // Swelling and fading, so that no edge gives the burst away.
                let envelope = (TAU / 2.0 * since / duration).sin();
                *sample += AMPLITUDE * 2f64.sqrt() * envelope * (TAU * (since / period + phase)).sin();
            }
        }
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
    let bytes = samples.into_iter().map(|x| (128.0 + 24.0 * x).round().clamp(0.0, 255.0) as u8).collect();
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_its_wave_and_only_that() {
        // Power of the mean over all channels of the squared Fourier coefficient at each period, over many signals of one class.
        for (class, period) in PERIODS.iter().enumerate() {
            let mut power = [0.0; 5];
            for number in 0..40 {
                let bytes = signal(&mut Stream::new(Purpose::Examples, 1, number), *period);
                // What is left of it when there is noise only is taken off.
                let silent = signal(&mut Stream::new(Purpose::Examples, 2, number), 2.5);
                for (power, period) in power.iter_mut().zip(PERIODS) {
                    *power += fourier(&bytes, period) - fourier(&silent, period);
                }
            }
            let best = (0..5).max_by(|a, b| power[*a].total_cmp(&power[*b])).unwrap();
            assert_eq!(best, class, "{power:?}");
        }
    }

    fn fourier(bytes: &[u8], period: f64) -> f64 {
        let channel = |c: usize| bytes.iter().skip(c).step_by(CHANNELS).enumerate().map(|(t, b)| (t as f64, f64::from(*b) - 128.0));
        (0..CHANNELS)
            .map(|c| {
                let part = |f: fn(f64) -> f64| channel(c).map(|(t, x)| x * f(TAU * t / period)).sum::<f64>();
                part(f64::sin).powi(2) + part(f64::cos).powi(2)
            })
            .sum()
    }

    #[test]
    fn the_set_is_balanced_and_follows_its_seed() {
        let with = |seed| {
            let mut config = Config::default();
            config.insert("data_seed", spec::Value::Int(seed));
            load(&config).unwrap()
        };
        let set = with(0);
        assert_eq!((set.shape.as_slice(), set.train.labels.len(), set.test.labels.len()), (&[500, 7][..], 2500, 500));
        assert_eq!(set.test.labels[..6], [0, 1, 2, 3, 4, 0]);
        assert_eq!(set.checksum, with(0).checksum);
        assert_ne!(set.checksum, with(1).checksum);
        // The noise has deviation 24 bytes; bursts add half their square over a share of the time.
        let of = set.statistics.all;
        assert!((of.mean * 255.0 - 128.0).abs() < 0.1 && (24.0..28.0).contains(&(of.deviation * 255.0)), "{of:?}");
    }
}
