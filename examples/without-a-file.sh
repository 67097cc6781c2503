#!/usr/bin/env bash
# A quick look, without a grid file: what stands on the command line is an axis where it has several values.
set -euo pipefail
cd "$(dirname "$0")"

pipeline sweep model=mlp optimizer=sgd,adam lr=0.01,0.1 train_examples=500 seeds=2 --name quick --no-report --db results/quick.db
run=$(pipeline query --db results/quick.db --format csv "SELECT run_id FROM run_summary ORDER BY validation_accuracy DESC LIMIT 1" | tail -1)
pipeline show --db results/quick.db "$run"
