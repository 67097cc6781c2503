# Recipes of the pipeline. `just` alone lists them.

set positional-arguments

pipeline := "target/release/pipeline"

_list:
    @just --list --unsorted

# Quiet once it has been built; the first build takes minutes and should show that it lives.
_build:
    @if [ -x {{pipeline}} ]; then cargo build --locked --release --quiet --bin pipeline; else cargo build --locked --release --bin pipeline; fi

# Show what a sweep would run, and why (`just plan experiments/learning_rate.toml`)
plan *args: _build
    @{{pipeline}} plan "$@"

# Train every run of experiments/*.toml (or of the grids named) that has no result yet, then write the reports
sweep *args: _build
    @{{pipeline}} sweep "$@"

# Write reports/ from results/results.db; `just report --check` fails if they are stale
report *args: _build
    @{{pipeline}} report "$@"

# Ask the database (`just query 'SELECT * FROM arm_summary'`); docs/querying.md has a dozen examples
query *args: _build
    @{{pipeline}} query "$@"

# Write results as files of others (`just export --to parquet out`; csv, json, tensorboard, mlflow, sqlite)
export *args: _build
    @{{pipeline}} export "$@"

# Bring the results of other databases into this one (`just merge shard-1.db shard-2.db`)
merge *args: _build
    @{{pipeline}} merge "$@"

# Take results from elsewhere (`just import runs.csv --study theirs`, or a folder of TensorBoard's)
import *args: _build
    @{{pipeline}} import "$@"

# Count the runs of every study by outcome
status *args: _build
    @{{pipeline}} status "$@"

# Show studies, runs and curves in a browser, while they train
serve *args: _build
    @{{pipeline}} serve "$@"

# Show one run (`just show 3f2a`)
show *args: _build
    @{{pipeline}} show "$@"

# Train a finished run again and compare everything with its log (`just reproduce 3f2a`)
reproduce *args: _build
    @{{pipeline}} reproduce "$@"

# Show the layers of a model: shapes, parameters, multiply-adds (`just summary inception`); `--format svg` draws the graph
summary *args: _build
    @{{pipeline}} summary "$@"

# Search for a learning rate by raising it step by step (`just find-lr experiments/optimizers.toml --out range.svg`)
find-lr *args: _build
    @{{pipeline}} find-lr "$@"

# Print the JSON Schema of grid files, for editors, or their reference (`just regenerate` writes experiments/grid.schema.json and docs/grid.md)
schema *args: _build
    @{{pipeline}} schema "$@"

# List, download and look at datasets (`just data fetch mnist`, `just data show mnist`)
data *args: _build
    @{{pipeline}} data "$@"

# Run all tests
test *args:
    cargo test --locked --release --workspace "$@"

# Make the Python environment that the tests of exports read back with (TensorBoard, MLflow, DuckDB, pandas)
python:
    python3 -m venv target/python
    target/python/bin/pip install --quiet --requirement pipeline/exchange/tests/requirements.txt

# Get what the tests drive a browser with (Playwright's core; the browser is Debian's `chromium`, or $CHROMIUM)
node:
    npm install --silent --no-audit --no-fund --prefix target/node playwright-core@1.64

# Kill sweeps at random moments for so many minutes, and compare the tables each time with an undisturbed sweep's
soak minutes="30":
    SOAK_MINUTES={{minutes}} cargo test --release --locked --workspace --test it soak -- --ignored --nocapture

# Fuzz the parsers of foreign bytes, each for so many seconds (`just fuzz model 600`; without a name all); needs `cargo install cargo-fuzz`
fuzz target="all" seconds="60":
    fuzz/run "$1" "$2"

# Measure each kernel and the training steps of every model (criterion); `just bench steps` measures steps alone
bench *args:
    cargo bench --locked --profile release --workspace {{ if args == "" { "--bench kernels --bench steps" } else { "--bench " + args } }}

# Measure what logging a step costs
bench-log:
    cargo build --locked --release --quiet --workspace --example log
    target/release/examples/log

# Compare training steps and a grid with PyTorch and Keras, side by side: makes a Python environment, writes docs/benchmarks.md
bench-peers *args: _build
    cargo build --locked --release --quiet --workspace --example step
    python3 pipeline/engine/benches/peers/compare.py --out docs/benchmarks.md "$@"

# Compare making tables from many steps with pandas, plain SQL and MLflow: writes its section of docs/benchmarks.md
bench-tables *args:
    cargo build --locked --release --quiet --workspace --example fill --example tables
    python3 pipeline/analysis/benches/tables.py "$@"

# Measure how cost grows with runs and steps (`just bench-scaling 1000x1000` for one size): prints the table of docs/scaling.md
bench-scaling *sizes: _build
    cargo build --locked --release --quiet --workspace --example fill
    pipeline/cli/benches/scaling.sh {{pipeline}} target/release/examples/fill "$@"

# Formatting, lints, documentation
check:
    cargo fmt --all --check
    cargo clippy --locked --release --workspace --all-targets -- --deny warnings
    RUSTDOCFLAGS="--deny warnings --allow rustdoc::private_intra_doc_links" cargo doc --locked --release --workspace --no-deps --document-private-items --quiet

# Check licenses, sources and versions of the dependencies (deny.toml), and advisories where their database can be had
deny:
    #!/usr/bin/env bash
    set -euo pipefail
    command -v cargo-deny >/dev/null || { echo "cargo install --locked cargo-deny" >&2; exit 1; }
    cargo deny --locked check licenses bans sources
    databases="${CARGO_HOME:-$HOME/.cargo}/advisory-dbs"
    if cargo deny --locked fetch db 2>/dev/null || compgen -G "$databases/advisory-db-*" >/dev/null; then
        cargo deny --locked check --disable-fetch advisories
    else
        echo "advisories are not checked: their database is not here and can't be fetched" >&2
    fi

# Regenerate what is derived and committed: JSON Schema and reference of grid files, schema.sql, snapshots
regenerate: _build
    {{pipeline}} schema > experiments/grid.schema.json
    {{pipeline}} schema --format markdown > docs/grid.md
    UPDATE_SCHEMA=1 INSTA_UPDATE=always cargo test --locked --release --workspace --quiet
