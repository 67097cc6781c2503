//! What a network consists of, layer by layer: for tables.

use spec::model::{Graph, Layer};
use spec::record::LayerFacts;

use crate::error::Error;
use crate::network::Structure;

/// One layer of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerRow {
    pub name: String,
    pub kind: &'static str,
    /// The layer as it stands in a run's identity.
    pub text: String,
    /// Outputs that it takes from: 0 is the data, n the n-th layer.
    pub inputs: Vec<usize>,
    /// Shape of one example's output.
    pub output: Vec<usize>,
    /// Trainable numbers.
    pub parameters: u64,
    pub parameter_tensors: Vec<Vec<usize>>,
    /// Of one example's forward pass.
    pub multiply_adds: u64,
    /// What one example's output takes in single precision; nothing for a view.
    pub activation_bytes: u64,
}

impl From<LayerRow> for LayerFacts {
    fn from(row: LayerRow) -> Self {
        LayerFacts { text: row.text, output: row.output, parameters: row.parameters, multiply_adds: row.multiply_adds }
    }
}

/// The layers of a network for examples of shape `input`, whatever shape it ends with.
///
/// # Errors
/// When layers don't fit together.
pub fn summary(graph: &Graph, input: &[usize], classes: usize) -> Result<Vec<LayerRow>, Error> {
    let structure = Structure::of(graph, input, classes)?;
    let rows = graph.nodes.iter().zip(&structure.ops).zip(&structure.shapes[1..]).map(|((node, op), output)| {
        let parameter_tensors: Vec<Vec<usize>> = op.parameters().into_iter().map(|p| p.shape).collect();
        let is_view = node.layer == Layer::Flatten;
        LayerRow {
            name: node.name.clone(),
            kind: node.layer.kind(),
            text: node.layer.to_string(),
            inputs: node.inputs.clone(),
            output: output.clone(),
            parameters: parameter_tensors.iter().map(|shape| shape.iter().product::<usize>() as u64).sum(),
            parameter_tensors,
            multiply_adds: op.multiply_adds(),
            activation_bytes: if is_view { 0 } else { 4 * output.iter().product::<usize>() as u64 },
        }
    });
    Ok(rows.collect())
}

/// Checks that a network takes examples of shape `input` and tells so many classes apart. The graph knows what its file calls the
/// layers, which the definition in a configuration does not.
///
/// # Errors
/// When it doesn't: the file, the layer, the shapes, and what would fit.
pub fn check(graph: &Graph, input: &[usize], classes: usize) -> Result<(), Error> {
    Structure::new(graph, input, classes).map(|_| ())
}

#[cfg(test)]
mod tests {
    use spec::model::{Padding, Units, Window};

    use super::*;

    #[test]
    fn every_layer_is_counted() {
        let window = Window::square(3, 1, Padding::Same);
        let mut graph = Graph::chain([Layer::Conv { channels: 4, window, groups: 2, bias: true, relu: false }]);
        graph.add(Layer::Add, &[0, 1]);
        graph.then(Layer::Flatten);
        graph.then(Layer::Dense { units: Units::Classes, bias: false, relu: false });
        graph.then(Layer::Dropout { rate: 0.5 });
        let rows = summary(&graph, &[8, 8, 4], 3).unwrap();
        let row = LayerRow {
            name: "conv2d_1".into(),
            kind: "conv2d",
            text: "conv3x3 4 groups 2".into(),
            inputs: vec![0],
            output: vec![8, 8, 4],
            parameters: 3 * 3 * 2 * 4 + 4,
            parameter_tensors: vec![vec![3, 3, 2, 4], vec![4]],
            multiply_adds: 8 * 8 * 4 * 3 * 3 * 2,
            activation_bytes: 4 * 8 * 8 * 4,
        };
        assert_eq!(rows[0], row);
        assert_eq!((&rows[1].inputs[..], rows[1].parameters, &rows[1].output[..]), (&[0, 1][..], 0, &[8, 8, 4][..]));
        assert_eq!((&rows[2].output[..], rows[2].activation_bytes), (&[256][..], 0));
        assert_eq!((&rows[3].parameter_tensors[..], rows[3].multiply_adds), (&[vec![256, 3]][..], 768));
        // An output of any shape.
        graph.nodes.truncate(2);
        assert_eq!(summary(&graph, &[8, 8, 4], 3).unwrap().len(), 2);
        assert!(summary(&graph, &[8, 8, 3], 3).is_err());
    }
}
