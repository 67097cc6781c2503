//! Definition texts, forth and back.

use proptest::prelude::*;

use super::*;
use crate::{Config, Value};

fn text(model: &'static str, keys: &[(&'static str, Value)]) -> String {
    let mut config = Config::default();
    config.insert("model", Value::Text(model.into()));
    for (key, value) in keys {
        config.insert(*key, value.clone());
    }
    Library::built_in().graph(&config).unwrap().unwrap().to_string()
}

#[test]
fn networks_have_a_text() {
    assert_eq!(text("mlp", &[("model.hidden", Value::Int(8))]), "flatten, dense 8 relu, dense classes");
    assert_eq!(text("small-cnn", &[]), "conv3x3 16 relu, maxpool 2, conv3x3 32 relu, maxpool 2, flatten, dense 64 relu, dense classes");
    assert_eq!(
        text("stacked-cnn", &[]),
        "conv1x1 64 relu, conv1x1 64 relu, conv3x3 128 valid relu, conv5x5 256 valid relu, maxpool 3x3 stride 1x1 same, flatten, \
         dense 512 relu, dense classes"
    );
    let inception = text("inception", &[("model.batch_norm", Value::Bool(false))]);
    assert!(inception.starts_with(
        "conv3x3 32 relu, conv1x1 32 relu, conv1x1 24 relu <- 1, conv3x3 32 relu, conv1x1 8 relu <- 1, conv5x5 16 relu, \
         maxpool 3x3 stride 1x1 same <- 1, conv1x1 16 relu, concat <- 2 4 6 8, maxpool 2, conv1x1 32 relu,"
    ));
    assert!(text("inception", &[("model.batch_norm", Value::Bool(true))]).contains("conv3x3 32, batchnorm relu, conv1x1 32,"));
}

fn window() -> impl Strategy<Value = Window> {
    (1usize..4).prop_flat_map(|rank| {
        let sizes = |from: usize| proptest::collection::vec(from..5, rank);
        let padding = prop_oneof![Just(Padding::Valid), Just(Padding::Same), sizes(0).prop_map(Padding::Each)];
        (sizes(1), sizes(1), padding).prop_map(|(size, stride, padding)| Window::new(size, stride, padding))
    })
}

fn layer() -> impl Strategy<Value = Layer> {
    use Activation::{Elu, Gelu, LeakyRelu, Relu, Sigmoid, Silu, Tanh};
    let units = prop_oneof![Just(Units::Classes), (1usize..5000).prop_map(Units::Fixed)];
    let number = 0.0f64..1.0;
    let activation = prop_oneof![
        proptest::sample::select(vec![Relu, Gelu, Silu, Tanh, Sigmoid]),
        number.clone().prop_map(|slope| LeakyRelu { slope }),
        number.clone().prop_map(|alpha| Elu { alpha }),
    ];
    prop_oneof![
        proptest::sample::select(vec![
            Layer::Flatten,
            Layer::GlobalAvgPool,
            Layer::GlobalMaxPool,
            Layer::Concat,
            Layer::Add,
            Layer::StackFrames
        ]),
        (units, any::<bool>(), any::<bool>()).prop_map(|(units, bias, relu)| Layer::Dense { units, bias, relu }),
        (1usize..300, window(), 1usize..4, any::<bool>(), any::<bool>())
            .prop_map(|(channels, window, groups, bias, relu)| { Layer::Conv { channels, window, groups, bias, relu } }),
        window().prop_map(|window| Layer::MaxPool { window }),
        window().prop_map(|window| Layer::AvgPool { window }),
        any::<bool>().prop_map(|relu| Layer::BatchNorm { relu }),
        number.prop_map(|rate| Layer::Dropout { rate }),
        activation.prop_map(Layer::Activation),
    ]
}

proptest! {
    #[test]
    fn any_network_reads_back_from_its_text(layers in proptest::collection::vec((layer(), proptest::collection::vec(any::<usize>(), 0..3)), 1..12)) {
        let mut graph = Graph::default();
        for (i, (layer, inputs)) in layers.into_iter().enumerate() {
            // No input: from the one before.
            let inputs: Vec<usize> = if inputs.is_empty() { vec![i] } else { inputs.into_iter().map(|n| n % (i + 1)).collect() };
            graph.add(layer, &inputs);
        }
        prop_assert_eq!(graph.to_string().parse::<Graph>().unwrap(), graph);
    }

    #[test]
    fn no_text_makes_reading_panic(text in "(conv|3x3|x| |dense|, |<-|1|stride|pad|groups|maxpool|flatten|\\PC){0,12}") {
        let _ = text.parse::<Graph>();
    }
}

#[test]
fn what_is_no_definition_is_said() {
    for (text, part) in [
        ("", ""),
        ("flatten, dens 3", "dens 3"),
        ("dense 0", "dense 0"),
        ("dense 3 relu no-bias", "dense 3 relu no-bias"),
        ("conv3x3x3x3 2", "conv3x3x3x3 2"),
        ("conv3x3 2 stride 1", "conv3x3 2 stride 1"),
        ("flatten <- 1", "flatten <- 1"),
        ("dropout 1", "dropout 1"),
    ] {
        let error = text.parse::<Graph>().unwrap_err();
        assert_eq!(error.to_string(), format!("`{part}` is no layer in the definition of a network"));
    }
    // From a database that somebody made: no more than a model file may say.
    for text in
        ["dense 65537", "conv65537x1 3", "conv3x3 2 pad 1x65537", "maxpool 99999999999999999999", "conv3x3 4 groups 18446744073709551615"]
    {
        assert!(text.parse::<Graph>().is_err(), "{text}");
    }
    let error = |text: &str| text.parse::<Graph>().unwrap_err().to_string();
    assert_eq!(error(&vec!["relu"; 10_001].join(", ")), "the definition of a network has more than 10000 layers");
    let long = error(&"\u{1b}x".repeat(1_000_000));
    assert!(long.len() < 200 && !long.contains('\u{1b}'), "{long}");
}
