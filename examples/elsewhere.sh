#!/usr/bin/env bash
# Results leave for other programs, and results of other programs come in.
set -euo pipefail
cd "$(dirname "$0")"

pipeline sweep momentum.toml lr=0.1 --name short --quiet --no-report --db results/elsewhere.db
pipeline export --db results/elsewhere.db --to csv results/tables --force
head -3 results/tables/steps.csv

cat > results/keras.csv <<'CSV'
optimizer,seed,epoch,loss,accuracy,val_loss,val_accuracy
sgd,0,0,1.5,0.4,1.4,0.45
sgd,0,1,1.1,0.6,1.2,0.55
adam,0,0,1.2,0.5,1.1,0.60
adam,0,1,0.8,0.7,0.9,0.65
CSV
pipeline import results/keras.csv --study keras --axes optimizer --db results/elsewhere.db
pipeline query --db results/elsewhere.db "SELECT study, arm, validation_accuracy FROM run_summary WHERE seed = 0"
