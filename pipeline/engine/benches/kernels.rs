//! Each kernel on one thread: time, GFLOP/s (or GB/s), and its share of the matrix-product ceiling measured in the same run.

mod common;

use criterion::{Criterion, Throughput};

fn main() {
    engine::single_threaded_tensors();
    let mut criterion = Criterion::default().configure_from_args();
    let ceiling = engine::measure::ceiling();
    let mut rows = vec![];
    for mut work in std::iter::once(ceiling).chain(engine::measure::kernels()) {
        let mut group = criterion.benchmark_group("kernels");
        group.throughput(if work.flops > 0 { Throughput::Elements(work.flops) } else { Throughput::Bytes(work.bytes) });
        group.bench_function(&work.name, |b| b.iter(&mut work.run));
        group.finish();
        rows.push((work.name, work.flops, work.bytes));
    }
    criterion.final_summary();
    common::summary("kernels", &rows);
}
