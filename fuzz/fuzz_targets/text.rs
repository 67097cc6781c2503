//! The text of a network in a run's identity: what reads at all reads back as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spec::model::Graph;

fuzz_target!(|text: &str| {
    let Ok(graph) = text.parse::<Graph>() else { return };
    let canonical = graph.to_string();
    let back = canonical.parse::<Graph>().expect("canonical text");
    assert_eq!(back, graph);
    assert_eq!(back.to_string(), canonical);
    for input in [&[28, 28, 1][..], &[8, 8, 3], &[16, 4], &[4, 8, 8, 2]] {
        if let Ok(rows) = engine::summary(&graph, input, 10) {
            assert_eq!(rows.len(), graph.nodes.len());
            assert!(rows.iter().all(|row| row.output.iter().all(|n| *n > 0)));
        }
        if let Err(error) = engine::check(&graph, input, 10) {
            assert!(!error.to_string().is_empty());
        }
    }
});
