//! Networks whose layers do not fit: the whole messages.

use spec::model::{Graph, Layer, Padding, Units, Window};

use crate::network::Structure;

/// What is wrong with a network for images of 28×28.
fn message(graph: &Graph) -> String {
    Structure::new(graph, &[28, 28, 1], 10).err().unwrap().to_string()
}

fn dense(units: Units) -> Layer {
    Layer::Dense { units, bias: true, relu: false }
}

fn pool(size: usize) -> Layer {
    Layer::MaxPool { window: Window::square(size, size, Padding::Valid) }
}

fn conv(channels: usize, size: usize, padding: Padding, groups: usize) -> Layer {
    Layer::Conv { channels, window: Window::square(size, 1, padding), groups, bias: true, relu: false }
}

#[test]
fn layers_that_do_not_fit_are_named() {
    let error = |layers: Vec<Layer>| message(&Graph::chain(layers));
    assert_eq!(
        error(vec![dense(Units::Classes)]),
        "layer `dense_1` (dense classes): takes one dimension, not [28, 28, 1]; put { layer = \"flatten\" } before it"
    );
    assert_eq!(
        error(vec![Layer::Flatten, pool(2)]),
        "layer `max_pool2d_1` (maxpool 2): takes [height, width, channels] or [frames, height, width, channels], not [784]; put it \
         before what flattens"
    );
    assert_eq!(
        error(vec![pool(29)]),
        "layer `max_pool2d_1` (maxpool 29): a window of 29×29 does not fit into 28×28; give it padding = \"same\", make it smaller, or \
         take fewer poolings and smaller strides before it"
    );
    assert_eq!(
        error(vec![conv(1, 31, Padding::Each(vec![1, 1]), 1)]),
        "layer `conv2d_1` (conv31x31 1 pad 1x1): a window of 31×31 does not fit into 28×28 with padding 1×1; give it \
         padding = \"same\", make it smaller, or take fewer poolings and smaller strides before it"
    );
    assert_eq!(
        error(vec![conv(1, 3, Padding::Each(vec![1]), 1)]),
        "layer `conv2d_1` (conv3x3 1 pad 1): has 1 paddings for a window over 2 dimensions"
    );
    assert_eq!(
        error(vec![conv(6, 3, Padding::Same, 1), conv(4, 3, Padding::Same, 4)]),
        "layer `conv2d_2` (conv3x3 4 groups 4): has 4 groups for 6 input channels; 1 or 2 would fit"
    );
    assert_eq!(
        error(vec![conv(6, 3, Padding::Same, 1), conv(4, 3, Padding::Same, 3)]),
        "layer `conv2d_2` (conv3x3 4 groups 3): has 3 groups for 4 filters; 1 or 2 would fit"
    );
    let window = Window { size: vec![3, 3], stride: vec![3, 3], padding: Padding::Each(vec![1, 2]) };
    assert_eq!(
        error(vec![Layer::MaxPool { window }]),
        "layer `max_pool2d_1` (maxpool 3x3 stride 3x3 pad 1x2): has padding 2 around a window of 3; at most half of it is possible, 1"
    );
    assert_eq!(
        error(vec![Layer::Dropout { rate: 1.0 }]),
        "layer `dropout_1` (dropout 1): has a rate of 1; it must be at least 0 and below 1"
    );
    assert_eq!(
        error(vec![Layer::StackFrames]),
        "layer `stack_frames_1` (stack-frames): takes [frames, height, width, channels], not [28, 28, 1]"
    );
    assert_eq!(
        error(vec![Layer::Flatten]),
        "the network ends with layer `flatten_1` (flatten), whose output is [784], and 10 classes need [10]; put { layer = \"dense\", \
         units = \"classes\" } behind it"
    );
    assert_eq!(
        error(vec![pool(2)]),
        "the network ends with layer `max_pool2d_1` (maxpool 2), whose output is [14, 14, 1], and 10 classes need [10]; put { layer = \
         \"flatten\" } and { layer = \"dense\", units = \"classes\" } behind it"
    );
    assert_eq!(
        error(vec![Layer::Flatten, dense(Units::Fixed(9))]),
        "the network ends with layer `dense_1` (dense 9), whose output is [9], and 10 classes need [10]; give it units = \"classes\""
    );
    assert_eq!(error(vec![Layer::Add]), "layer `add_1` (add): takes two or more inputs, not 1");
}

#[test]
fn inputs_that_differ_are_named_with_what_would_fit() {
    let mut graph = Graph::chain([pool(2), pool(2)]);
    graph.add(Layer::Concat, &[1, 2]);
    assert_eq!(
        message(&graph),
        "layer `concat_1` (concat): takes inputs that differ in channels alone, not [14, 14, 1] from `max_pool2d_1` and [7, 7, 1] from \
         `max_pool2d_2`; on the way to both, take the same strides and poolings, and padding = \"same\" for whatever keeps the size"
    );
    graph.nodes[2].layer = Layer::Add;
    graph.nodes[2].inputs = vec![0, 2];
    graph.nodes[1].inputs = vec![1];
    assert_eq!(
        message(&graph),
        "layer `concat_1` (add): takes inputs of one shape, not [28, 28, 1] from the input and [7, 7, 1] from `max_pool2d_2`; on the way \
         to both, take the same strides and poolings, and padding = \"same\" for whatever keeps the size"
    );
    let mut sum = Graph::chain([conv(3, 3, Padding::Same, 1), conv(4, 3, Padding::Same, 1)]);
    sum.add(Layer::Add, &[1, 2]);
    assert_eq!(
        message(&sum),
        "layer `add_1` (add): takes inputs of one shape, not [28, 28, 3] from `conv2d_1` and [28, 28, 4] from `conv2d_2`; put { layer = \
         \"conv2d\", filters = 3, kernel = 1 } between `conv2d_2` and this, or give both equal filters"
    );
    let mut sum = Graph::chain([Layer::Flatten, dense(Units::Classes)]);
    sum.add(Layer::Add, &[1, 2]);
    assert_eq!(
        message(&sum),
        "layer `add_1` (add): takes inputs of one shape, not [784] from `flatten_1` and [10] from `dense_1`; put { layer = \
         \"dense\", units = 784 } between `dense_1` and this, or give both equal units"
    );
    sum.nodes[2].layer = Layer::Concat;
    sum.nodes[2].inputs = vec![0, 2];
    sum.file = Some("models/sum.toml".into());
    assert_eq!(
        message(&sum),
        "models/sum.toml: layer `add_1` (concat): takes inputs that differ in channels alone, not [28, 28, 1] from the input and [10] \
         from `dense_1`; let both have been through { layer = \"flatten\" }, or neither"
    );
    graph.nodes[2].layer = Layer::Flatten;
    assert_eq!(message(&graph), "layer `concat_1` (flatten): takes one input, not 2");
}

#[test]
fn graphs_that_are_no_networks_are_refused() {
    let mut graph = Graph::chain([Layer::Flatten, dense(Units::Classes)]);
    graph.add(dense(Units::Classes), &[1]);
    assert_eq!(message(&graph), "nothing takes from layer `dense_1` (dense classes)");
    let mut twice = Graph::chain([pool(2)]);
    twice.add(Layer::Concat, &[1, 1]);
    assert_eq!(message(&twice), "layer `concat_1` (concat): takes twice from the same layer");
    // What is flattened already stays what it is.
    let mut twice = Graph::chain([Layer::Flatten, Layer::Flatten]);
    twice.add(Layer::Add, &[1, 2]);
    assert_eq!(message(&twice), "layer `add_1` (add): takes twice from the same layer");
    graph.nodes[0].inputs = vec![3];
    assert_eq!(message(&graph), "layer `flatten_1` (flatten): takes from layer `dense_2`, which does not stand before it");
    graph.nodes[0].inputs = vec![9];
    assert_eq!(message(&graph), "layer `flatten_1` (flatten): takes from layer number 9, which does not stand before it");
}
