//! Whole training steps of each model, on one thread and on all, as GFLOP/s and as a share of the matrix-product ceiling of one
//! thread measured in the same run.

mod common;

use criterion::{Criterion, Throughput};

fn main() {
    engine::single_threaded_tensors();
    let mut criterion = Criterion::default().configure_from_args().sample_size(20);
    let mut ceiling = engine::measure::ceiling();
    let mut rows = vec![(ceiling.name.clone(), ceiling.flops, 0)];
    let mut group = criterion.benchmark_group("steps");
    group.throughput(Throughput::Elements(ceiling.flops));
    group.bench_function(&ceiling.name, |b| b.iter(&mut ceiling.run));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if cores > 1 { vec![1, cores] } else { vec![1] };
    for (model, batch) in [("mlp", 1), ("mlp", 32), ("small-cnn", 32), ("small-cnn", 256), ("inception", 64), ("inception-bn", 64)] {
        for optimizer in ["sgd", "adam"] {
            for threads in &threads {
                let mut step = engine::measure::TrainingStep::new(model, batch, optimizer, *threads).expect("a network");
                let name = format!("{model}, batch {batch}, {optimizer}, {threads} threads");
                group.throughput(Throughput::Elements(step.flops));
                group.bench_function(&name, |b| b.iter(|| step.run().expect("a step")));
                rows.push((name, step.flops, 0));
            }
        }
    }
    group.finish();
    criterion.final_summary();
    common::summary("steps", &rows);
}
