#!/bin/bash
# slurm-submit.sh FILE.pbit MODEL.onnx DATA: measures on as many nodes as slurm-shard.sh has tasks; the report goes to
# ./report. Run it in a folder that the nodes share, with pbitc on the PATH.
set -euo pipefail
[ $# = 3 ] || { sed -n '2,3s/^# //p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)

export PBIT=$1 MODEL=$2 DATA=$3
mkdir -p shards
shards=$(sbatch --parsable "$here/slurm-shard.sh")
sbatch --dependency="afterok:$shards" "$here/slurm-merge.sh"
