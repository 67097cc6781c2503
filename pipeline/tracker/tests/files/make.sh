#!/usr/bin/env bash
# Makes v1.db to v4.db anew, each with the tracker of the last commit whose schema was of that version.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'git -C "$here" worktree prune; rm -rf "$work"' EXIT
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$work/target}
n=0
for commit in ea8083d 0e31c29 bf9d932 6de8dac; do
    n=$((n + 1))
    git -C "$here" worktree add --quiet --detach "$work/v$n" "$commit"
    mkdir -p "$work/v$n/pipeline/tracker/examples"
    awk -v n="$n" 'match($0, / \/\/ from [0-9]+$/) { if (substr($0, RSTART + 9) + 0 > n) next } { print }' "$here/make.rs.txt" \
        > "$work/v$n/pipeline/tracker/examples/make.rs"
    (cd "$work/v$n" && cargo build --release --quiet -p tracker --example make)
    rm -f "$here/v$n.db"
    "$CARGO_TARGET_DIR/release/examples/make" "$here/v$n.db"
    rm -f "$here/v$n.db.lock" "$here/v$n.db-journal"
    git -C "$here" worktree remove --force "$work/v$n"
done
