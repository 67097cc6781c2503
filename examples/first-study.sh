#!/usr/bin/env bash
# A grid, a sweep, a report, a query.
set -euo pipefail
cd "$(dirname "$0")"

pipeline plan momentum.toml     # what would run, and why
pipeline sweep momentum.toml    # results/results.db and reports/
pipeline sweep momentum.toml    # nothing left to do
pipeline query "SELECT arm, finished, median, minimum, maximum FROM arm_summary ORDER BY median DESC"
