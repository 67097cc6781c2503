#!/usr/bin/env bash
# What several machines without a common disk do: each sweeps its shard into a database of its own; then one merges them.
set -euo pipefail
cd "$(dirname "$0")"

mkdir -p results
for shard in 1 2; do
    pipeline sweep momentum.toml --shard $shard/2 --db results/shard-$shard.db --no-report --quiet &
done
wait
pipeline merge --db results/merged.db results/shard-*.db
pipeline status --db results/merged.db
