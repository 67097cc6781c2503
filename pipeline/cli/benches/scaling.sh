#!/usr/bin/env bash
# How cost grows with runs and steps: fills databases, merges, reports and exports them, and prints a Markdown table.
#   scaling.sh PIPELINE FILL [RUNSxSTEPS…]     (`just bench-scaling`)
set -euo pipefail
pipeline=$(realpath "$1") fill=$(realpath "$2")
sizes=("${@:3}")
[ ${#sizes[@]} -gt 0 ] || sizes=(100x1000 1000x1000 10000x100 10000x1000 100x100000)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

seconds() {
    local start end
    start=$(date +%s.%N)
    "$@" >/dev/null 2>&1
    end=$(date +%s.%N)
    awk -v a="$start" -v b="$end" 'BEGIN { printf "%.2f", b - a }'
}

echo "| runs × steps | rows | file (MiB) | bytes a step | write (s) | merge (s) | merge again (s) | report (s) | Parquet (s) | Parquet (MiB) |"
echo "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
for size in "${sizes[@]}"; do
    runs=${size%x*} steps=${size#*x} db="$folder/a.db"
    write=$(seconds "$fill" "$runs" "$steps" "$db")
    rows=$("$pipeline" query --db "$db" --timeout 0 --format csv "SELECT COUNT(*) FROM step_log" | tail -1)
    bytes=$(stat -c %s "$db")
    merge=$(seconds "$pipeline" merge --db "$folder/b.db" "$db")
    again=$(seconds "$pipeline" merge --db "$folder/b.db" "$db")
    report=$(seconds "$pipeline" report --db "$db" --out "$folder/reports")
    parquet=$(seconds "$pipeline" export --db "$db" --to parquet "$folder/parquet")
    size_of=$(du -sb "$folder/parquet" | cut -f1)
    awk -v n="$runs × $steps" -v rows="$rows" -v bytes="$bytes" -v w="$write" -v m="$merge" -v a="$again" -v r="$report" -v p="$parquet" -v pb="$size_of" \
        'BEGIN { printf "| %s | %d | %.0f | %.0f | %s | %s | %s | %s | %s | %.0f |\n", n, rows, bytes / 1048576, bytes / rows, w, m, a, r, p, pb / 1048576 }'
    rm -rf "${folder:?}"/*
done
