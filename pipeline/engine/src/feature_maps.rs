//! What a layer makes of an image, as pictures, and a check of 1×1 convolutions on it.

use spec::model::Layer;
use spec::record::{Picture, Sink, SinkError};

/// Records an output of shape \[height, width, channels\], one grey picture per channel, each scaled from its smallest number (black)
/// to its largest (white). Other shapes have no pictures.
pub(crate) fn pictures(name: &str, shape: &[usize], output: &[f32], sink: &mut dyn Sink) -> Result<(), SinkError> {
    let [height, width, channels] = *shape else { return Ok(()) };
    for channel in 0..channels {
        let values: Vec<f32> = output.iter().skip(channel).step_by(channels).copied().collect();
        let (low, high) = values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        let scale = 255.0 / (high - low).max(f32::MIN_POSITIVE);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 255")]
        let pixels = values.iter().map(|v| ((v - low) * scale).round() as u8).collect();
        let [height, width] = [height, width].map(|size| u32::try_from(size).unwrap_or(u32::MAX));
        sink.picture(&Picture { name: format!("{name} channel {:03}", channel + 1), height, width, channels: 1, pixels })?;
    }
    Ok(())
}

/// The largest difference between a 1×1 convolution's output and, at every pixel, the product of its channels with the weights
/// \[channels, filters\], computed in double precision. `None` for another layer.
pub(crate) fn pixel_product_deviation(layer: &Layer, input: &[f32], weights: &[Vec<f32>], output: &[f32]) -> Option<f64> {
    let Layer::Conv { channels: filters, window, groups: 1, relu, .. } = layer else { return None };
    if window.size.iter().chain(&window.stride).any(|size| *size != 1) {
        return None;
    }
    let (w, bias) = (weights.first()?, weights.get(1));
    let channels = w.len() / filters;
    let mut largest = 0.0f64;
    for (x, y) in input.chunks_exact(channels).zip(output.chunks_exact(*filters)) {
        for (filter, y) in y.iter().enumerate() {
            let product: f64 = x.iter().zip(w.iter().skip(filter).step_by(*filters)).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
            let z = product + bias.map_or(0.0, |b| f64::from(b[filter]));
            largest = largest.max(((if *relu { z.max(0.0) } else { z }) - f64::from(*y)).abs());
        }
    }
    Some(largest)
}
