#!/usr/bin/env bash
# A network of one's own: models/squeezed.toml, with its parameter `squeeze` as an axis.
set -euo pipefail
cd "$(dirname "$0")"

pipeline summary models/squeezed.toml --models models
pipeline summary models/squeezed.toml --models models --set squeeze=0
pipeline sweep own-network.toml --db results/own-network.db --out reports/own-network
pipeline query --db results/own-network.db "SELECT arm, median FROM arm_summary"
